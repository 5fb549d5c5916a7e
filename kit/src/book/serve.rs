//! A server for one reader: files of the built book, on 127.0.0.1 alone. A page that is asked for after
//! something of it changed is built first.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::{Built, build, out};
use crate::place::Place;
use crate::say;

const FIRST_PORT: u16 = 3000;
const PORTS_TO_TRY: u16 = 20;
/// A browser opens connections in advance; each waits in one of these.
const WORKERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: u64 = 16 * 1024;

struct Library<'a> {
    place: &'a Place,
    /// The book that is out, and when it was built.
    edition: Mutex<(Built, SystemTime)>,
}

pub fn run(place: &Place, built: Built, path: &str) -> Result<ExitCode> {
    let mut ports = FIRST_PORT..FIRST_PORT + PORTS_TO_TRY;
    let listener = ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let listener = listener.context("no port from 3000 on is free")?;
    println!("The book is open at {}", say::bold(&format!("http://{}/{path}", listener.local_addr()?)));
    println!("{}", say::dim("Reload a page after a change to see it. Ctrl-C closes the book."));
    let library = Library { place, edition: Mutex::new((built, SystemTime::now())) };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    // Whoever went away does not miss the answer.
                    let _ = answer(&library, stream);
                }
            });
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn answer(library: &Library<'_>, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new((&stream).take(LONGEST_REQUEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // What is left unread when a connection closes would take the answer with it.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, kind, body) = match wanted(&request) {
        None => ("400 Bad Request", "text/plain", b"only GET of a page is understood\n".to_vec()),
        Some(path) => {
            if kind(&path) == HTML {
                library.renew();
            }
            match std::fs::read(out(library.place).join(&path)) {
                Ok(body) => ("200 OK", kind(&path), body),
                Err(_) => ("404 Not Found", "text/plain", b"the book has no such page\n".to_vec()),
            }
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

impl Library<'_> {
    /// Builds again if something changed.
    fn renew(&self) {
        let mut edition = self.edition.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (built, since) = &*edition;
        let changed = |path: &PathBuf| modified(path).is_none_or(|time| time > *since);
        if !built.made_of.iter().any(changed) {
            return;
        }
        let now = SystemTime::now();
        match build(self.place) {
            Ok(built) => {
                built.warnings.iter().for_each(|warning| println!("{warning}"));
                *edition = (built, now);
            }
            // The last edition stays.
            Err(why) => println!("{} {why:#}", say::red("cannot build the book:")),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The file that a request's first line asks for; nothing hidden, and nothing outside.
fn wanted(request: &str) -> Option<PathBuf> {
    let path = request.strip_prefix("GET /")?.split([' ', '?', '#']).next()?;
    if path.split('/').any(|part| part.starts_with('.')) {
        return None;
    }
    let path =
        if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    Some(PathBuf::from(path.trim_start_matches('/')))
}

const HTML: &str = "text/html; charset=utf-8";

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => HTML,
        Some("css") => "text/css",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_book_is_served() {
        let path = |line: &str| wanted(line).map(|path| path.display().to_string());
        assert_eq!(path("GET / HTTP/1.1").as_deref(), Some("index.html"));
        assert_eq!(path("GET /a.html?highlight=x HTTP/1.1").as_deref(), Some("a.html"));
        assert_eq!(path("GET //etc/passwd HTTP/1.1").as_deref(), Some("etc/passwd"));
        for refused in ["GET /../Cargo.toml HTTP/1.1", "GET /.git/config HTTP/1.1", "POST / HTTP/1.1", ""] {
            assert_eq!(path(refused), None, "{refused}");
        }
    }
}
