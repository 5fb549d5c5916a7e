//! Go's words for what went wrong.
//!
//! People search for the errors that they find in events, and tools match them. So a connection
//! that fails here says what it would say in a kubelet in Go.

use std::io;

use crate::backoff::go_duration;
use crate::types::SignedDuration;

/// The system's own words, as Go prints them: in lower case, without Rust's number behind them.
pub fn system(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => {
            let said = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            let mut letters = said.chars();
            letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
        }
        (None, io::ErrorKind::TimedOut) => "i/o timeout".to_owned(),
        (None, io::ErrorKind::UnexpectedEof) => "EOF".to_owned(),
        (None, _) => text,
    }
}

/// `host:port`, with brackets around an IPv6 address (`net.JoinHostPort`).
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A connection that did not come about.
pub fn dial(host: &str, port: u16, error: &io::Error) -> String {
    let to = address(host, port);
    match (error.raw_os_error(), error.kind()) {
        (Some(_), _) => format!("dial tcp {to}: connect: {}", system(error)),
        (None, io::ErrorKind::TimedOut) => format!("dial tcp {to}: {}", system(error)),
        // Not the system but the resolver: the name leads nowhere.
        (None, _) => format!("dial tcp: lookup {host}: no such host"),
    }
}

/// A connection that broke while its answer was awaited; `us` and `them` are its ends.
pub fn read(us: &str, them: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => format!("read tcp {us}->{them}: read: {}", system(error)),
        None => system(error),
    }
}

/// An HTTP GET that had no answer (`url.Error`).
pub fn get(url: &str, cause: &str) -> String {
    format!("Get {url:?}: {cause}")
}

/// The cause, when the answer did not come in time.
pub const NO_ANSWER: &str = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";

/// A command that did not end in time.
pub fn command(line: &str, timeout: SignedDuration) -> String {
    format!("command timed out: {line:?} timed out after {}", go_duration(timeout))
}
