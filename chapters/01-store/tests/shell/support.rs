//! Stores to test: in a thread of this program, and clients for them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use clap::Parser;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: store::Args,
}

/// Arguments as from the command line.
pub fn args(words: &[&str]) -> store::Args {
    Cli::try_parse_from([&["store"], words].concat()).expect("arguments").args
}

/// A store in a thread; it stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub dir: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Server {
    pub fn start(dir: &Path) -> Server {
        Server::start_with(dir, &[])
    }

    pub fn start_with(dir: &Path, more: &[&str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let fd = listener.into_raw_fd().to_string();
        let words = ["--data-dir", dir.to_str().expect("a path"), "--listen-fd", &fd];
        let args = args(&[&words, more].concat());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(store::serve(args, async {
                let _ = stopped.await;
            }))
        });
        Server { address, dir: dir.to_path_buf(), stop: Some(stop), thread: Some(thread) }
    }

    /// Host and port, as etcdctl takes it.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Stops it; what it had to say.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |t| t.join().expect("the store must not panic"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A connection; it waits for a server that is just starting.
pub async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect().await.expect("a connection")
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Whether a program is here; if not, says aloud what is not tested.
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--help").output().is_ok();
    if !found {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // To the terminal itself: the harness hides what a passing test prints.
        let notice = format!(
            "SKIPPED {test}: there is no {program} here (Debian: apt-get install etcd-client etcd-server)\n"
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), notice.as_bytes());
    }
    found
}

/// Small, fast and the same everywhere (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
