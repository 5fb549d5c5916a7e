//! The grading suite of chapter 08: see `tests/`.
