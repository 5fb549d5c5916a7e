//! The grading suite of chapter 12: see `tests/`.
