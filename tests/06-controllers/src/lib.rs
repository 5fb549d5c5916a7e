//! The grading suite of chapter 06: see `tests/`.
