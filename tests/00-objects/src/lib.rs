//! The grading suite of chapter 00: see `tests/`.
