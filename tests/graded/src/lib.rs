//! # What makes a test count
//!
//! A grader cannot believe a test program's exit code or what it prints: the student's code runs inside
//! it, and `exit(0)` or a printed "test result: ok" costs one line. So each test runs in a process of its
//! own, and counts as passed only when the *end of its body* was reached:
//!
//! ```text
//!   examiner (cargo kit)                     candidate (one test, one process)
//!      │  standard input is a socket             │
//!      ├── a one-time token ───────────────────▶ │ read before the body runs, kept in a local
//!      │                                         │ … the body: the student's code …
//!      │ ◀────────────────────── passed TOKEN ───┤ the body returned
//!      │ ◀────── failed TOKEN, and the reason ───┤ the body panicked
//! ```
//!
//! Without an examiner, as under `cargo test`, a graded test is an ordinary one.
//!
//! **What this does not stop**: code that searches its own process's memory for the token. It stops what
//! students try; the examiner's other fences (no unsafe code, no sources, limits) stand around it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

pub use graded_macros::graded;

/// Set by an examiner, who then holds the other end of standard input.
pub const EXAMINER: &str = "CORACLE_EXAMINER";

/// Runs the body of a test, and tells the examiner, if there is one, how it ended.
///
/// The answer is one line, `passed TOKEN` or `failed TOKEN FILE:LINE`; behind the latter stands the
/// message up to the end of the stream.
///
/// # Panics
/// As the body does, and when an examiner is announced but does not speak.
pub fn sit(body: impl FnOnce()) {
    if std::env::var_os(EXAMINER).is_none() {
        return body();
    }
    let mut examiner = Examiner::meet().expect("the examiner holds the other end of standard input");
    let place = remember_where_it_panics();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => examiner.say("passed", ""),
        Err(panic) => {
            let place = place.lock().map(|place| place.clone()).unwrap_or_default();
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            examiner.say("failed", &format!(" {place}\n{message}"));
            resume_unwind(panic)
        }
    }
}

struct Examiner {
    line: UnixStream,
    token: String,
}

impl Examiner {
    fn meet() -> std::io::Result<Self> {
        let line = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let mut token = String::new();
        BufReader::new(&line).read_line(&mut token)?;
        Ok(Self { line, token: token.trim_end().to_owned() })
    }

    fn say(&mut self, word: &str, rest: &str) {
        // An examiner who left has judged already.
        let _ = write!(self.line, "{word} {}{rest}", self.token);
        let _ = self.line.shutdown(std::net::Shutdown::Write);
    }
}

/// The place of the latest panic, as `FILE:LINE`: the payload does not tell.
fn remember_where_it_panics() -> Arc<Mutex<String>> {
    let place = Arc::new(Mutex::new(String::new()));
    let (seen, usual) = (Arc::clone(&place), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if let (Some(at), Ok(mut seen)) = (panic.location(), seen.lock()) {
            *seen = format!("{}:{}", at.file(), at.line());
        }
        usual(panic);
    }));
    place
}
