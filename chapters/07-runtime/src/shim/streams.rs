//! A container's standard streams: pipes or a terminal on one side, the log file and whoever is
//! attached on the other.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use nix::unistd::{pipe2, read, write};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::protocol::{STDERR, STDOUT, Size};
use super::spawn::{Stdio, watch};
use crate::heart::logs::{LineWriter, Stream};

/// Frames for one who is attached: a slow one that lets this many pile up is let go.
const ATTACHED_QUEUE: usize = 256;

/// Where output goes. Shared by the readers of both streams.
#[derive(Default)]
pub struct Sink {
    path: Option<PathBuf>,
    file: Option<File>,
    attached: Vec<mpsc::Sender<(u8, Vec<u8>)>>,
}

pub type SharedSink = Rc<RefCell<Sink>>;

impl Sink {
    pub fn open(path: Option<PathBuf>) -> io::Result<SharedSink> {
        let mut sink = Sink { path, ..Sink::default() };
        sink.reopen()?;
        Ok(Rc::new(RefCell::new(sink)))
    }

    /// Opens the log file, or opens it anew after it was moved away.
    pub fn reopen(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        self.file = Some(File::options().create(true).append(true).open(path)?);
        Ok(())
    }

    pub fn attach(&mut self) -> mpsc::Receiver<(u8, Vec<u8>)> {
        let (sender, receiver) = mpsc::channel(ATTACHED_QUEUE);
        self.attached.push(sender);
        receiver
    }

    /// Nothing more will come: whoever is attached sees the end.
    pub fn close(&mut self) {
        self.attached.clear();
        self.file = None;
    }

    fn log(&mut self, lines: &[u8]) {
        // A full disk loses lines, as with any runtime; the container goes on.
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.write_all(lines)) {
            eprintln!("shim: log: {error}");
        }
    }

    fn send(&mut self, channel: u8, bytes: &[u8]) {
        self.attached.retain(|to| to.try_send((channel, bytes.to_vec())).is_ok());
    }
}

/// Reads a stream to its end into the sink.
pub async fn pump(from: Rc<AsyncFd<OwnedFd>>, stream: Stream, sink: SharedSink) {
    let mut lines = LineWriter::new(stream);
    let mut buffer = vec![0; 16 * 1024];
    let mut out = Vec::new();
    let channel = if stream == Stream::Stdout { STDOUT } else { STDERR };
    while let Some(count) = read_some(&from, &mut buffer).await {
        lines.handle_bytes(jiff::Timestamp::now(), &buffer[..count], &mut out);
        let mut sink = sink.borrow_mut();
        sink.log(&out);
        sink.send(channel, &buffer[..count]);
        out.clear();
    }
    lines.finish(jiff::Timestamp::now(), &mut out);
    sink.borrow_mut().log(&out);
}

/// Some bytes; `None` at the end (a terminal ends with EIO).
pub async fn read_some(from: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> Option<usize> {
    loop {
        let mut ready = from.readable().await.ok()?;
        match ready.try_io(|fd| Ok(read(fd.get_ref(), buffer)?)) {
            Ok(Ok(0)) => return None,
            Ok(Ok(count)) => return Some(count),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(_)) => return None,
            Err(_would_block) => {}
        }
    }
}

/// All of the bytes, unless the reader is gone.
pub async fn write_all(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = to.writable().await?;
        match ready.try_io(|fd| Ok(write(fd.get_ref(), bytes)?)) {
            Ok(Ok(count)) => bytes = &bytes[count..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

pub fn watched(fd: OwnedFd) -> io::Result<Rc<AsyncFd<OwnedFd>>> {
    Ok(Rc::new(watch(fd)?))
}

/// Our ends of a child's pipes.
pub struct Pipes {
    pub stdin: Option<OwnedFd>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Pipes for a child without a terminal; without `stdin` it reads from `/dev/null`.
pub fn pipes(stdin: bool) -> io::Result<(Stdio, Pipes)> {
    let flags = nix::fcntl::OFlag::O_CLOEXEC;
    let (input, our_input) = if stdin {
        let (read, write) = pipe2(flags)?;
        (read, Some(write))
    } else {
        (OwnedFd::from(File::open("/dev/null")?), None)
    };
    let (stdout, their_stdout) = pipe2(flags)?;
    let (stderr, their_stderr) = pipe2(flags)?;
    let theirs = Stdio { stdin: input, stdout: their_stdout, stderr: their_stderr };
    Ok((theirs, Pipes { stdin: our_input, stdout, stderr }))
}

/// Streams for a child that gets a terminal, or that has nothing to say.
pub fn silence() -> io::Result<Stdio> {
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Stdio { stdin: null()?, stdout: null()?, stderr: null()? })
}

/// Tells a terminal its size; its programs hear of it by SIGWINCH.
pub fn resize(terminal: &AsyncFd<OwnedFd>, size: &Size) {
    let window = libc::winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a `winsize`, which lives until the call returns.
    unsafe { libc::ioctl(terminal.get_ref().as_raw_fd(), libc::TIOCSWINSZ, &window) };
}
