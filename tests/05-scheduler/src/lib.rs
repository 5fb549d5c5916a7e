//! The grading suite of chapter 05: see `tests/`.
