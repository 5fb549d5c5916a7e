//! The grading suite of chapter 07: see `tests/`.
