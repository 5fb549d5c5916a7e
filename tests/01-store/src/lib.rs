//! The grading suite of chapter 01: see `tests/`.
