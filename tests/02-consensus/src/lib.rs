//! The grading suite of chapter 02: see `tests/`.
