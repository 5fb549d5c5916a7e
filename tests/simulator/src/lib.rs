//! A seeded world in one thread.
