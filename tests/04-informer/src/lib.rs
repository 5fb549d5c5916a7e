//! The grading suite of chapter 04: see `tests/`.
