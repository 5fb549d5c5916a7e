//! The grading suite of chapter 03: see `tests/`.
