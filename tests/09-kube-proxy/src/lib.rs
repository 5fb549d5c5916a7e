//! The grading suite of chapter 09: see `tests/`.
