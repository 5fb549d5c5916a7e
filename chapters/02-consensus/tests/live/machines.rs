//! Machines: network namespaces on two bridges, inside a namespace that has no way out.
//!
//! ```text
//!     this test                      all of it ends with the test's PID namespace
//!   10.77.2.254 ──┬── clients ──┬───────────┬───────────┐
//!                             machine 1   machine 2   machine 3      10.77.2.N for clients
//!                 ┌── peers ────┴───────────┴───────────┘            10.77.1.N for members
//! ```
//!
//! Two networks, so that members can be parted while clients still reach each of them: that is when a
//! stale read would show. Each machine has a small disk of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const INSIDE: &str = "CORACLE_LIVE_INSIDE";
const MEMBER: &str = "CORACLE_LIVE_MEMBER";
const DISK: &str = "256m";

/// Not a test of its own: with the variable set, this program is a member.
#[test]
fn the_member_process() {
    let Ok(words) = std::env::var(MEMBER) else { return };
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: consensus::Args,
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let args = Cli::try_parse_from(["member"].into_iter().chain(words.split(' '))).expect("arguments").args;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.expect("a runtime").block_on(consensus::run(args));
    tracing::info!("ended: {ended:?}");
    std::process::exit(i32::from(ended.is_err()));
}

/// The clusters of two tests at once are too much for a small machine.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says to the terminal itself what is not tested: the harness hides what a passing test prints.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let notice = format!("SKIPPED {test}: {why}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), notice.as_bytes());
}

/// Runs the named test once more in namespaces of its own, and says whether this call is that one.
/// Skips aloud where that is not possible.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let _turn = one_at_a_time();
    let script = "ip link set lo up && ip link add probe type bridge && ip link del probe && exec \"$@\"";
    let mut unshare = vec!["--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
    if !nix::unistd::geteuid().is_root() {
        unshare.splice(0..0, ["--user", "--map-root-user"]);
    }
    unshare.extend(["sh", "-c", script, "sh"]);
    match Command::new("unshare").args(&unshare).arg("true").output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            skipped(&format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()));
            return false;
        }
        Err(e) => {
            skipped(&format!("unshare cannot be run: {e}"));
            return false;
        }
    }
    let myself = std::env::current_exe().expect("a test has a file");
    let mut again = Command::new("unshare");
    again.args(&unshare).arg(myself).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare ran a moment ago");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // Set in, or whoever reads along would take its result for ours.
    said.lines().for_each(|line| println!("    {line}"));
    assert!(output.status.success(), "it failed, as said above");
    false
}

#[track_caller]
pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One machine, by its number from 1.
pub struct Machine {
    pub number: usize,
    pub dir: PathBuf,
    /// Keeps the namespace open.
    holder: Child,
    member: Option<Child>,
    log: PathBuf,
    /// Of the URLs at which members find each other.
    scheme: &'static str,
}

pub struct Machines {
    machines: Vec<Machine>,
    root: tempfile::TempDir,
}

impl Machines {
    pub fn new(count: usize) -> Machines {
        Machines::with_scheme(count, "http")
    }

    pub fn with_scheme(count: usize, scheme: &'static str) -> Machines {
        let root = tempfile::tempdir().expect("a directory");
        for bridge in ["peers", "clients"] {
            sh(&format!("ip link add {bridge} type bridge && ip link set {bridge} up"));
        }
        sh("ip addr add 10.77.2.254/24 dev clients");
        let machines = (1..=count).map(|number| Machine::new(number, root.path(), scheme)).collect();
        Machines { machines, root }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// By its number from 1.
    pub fn get(&mut self, number: usize) -> &mut Machine {
        &mut self.machines[number - 1]
    }

    /// `m1=http://10.77.1.1:2380,…`
    pub fn initial_cluster(&self, numbers: &[usize]) -> String {
        let scheme = self.machines[0].scheme;
        let members = numbers.iter().map(|n| format!("m{n}={scheme}://10.77.1.{n}:2380"));
        members.collect::<Vec<_>>().join(",")
    }

    /// What the members said last, for a test that failed.
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for machine in &self.machines {
            let log = std::fs::read_to_string(&machine.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(25)..];
            words += &format!("--- machine {}\n{}\n", machine.number, last.join("\n"));
        }
        words
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.last_words());
        }
        for machine in &mut self.machines {
            machine.kill();
            let _ = machine.holder.kill();
            let _ = machine.holder.wait();
            let _ = Command::new("umount").arg("-l").arg(&machine.dir).output();
        }
    }
}

pub fn peer_url(number: usize) -> String {
    format!("http://10.77.1.{number}:2380")
}

/// Where clients find the machine's member, as etcdctl takes it.
pub fn endpoint(number: usize) -> String {
    format!("10.77.2.{number}:2379")
}

impl Machine {
    fn new(number: usize, root: &Path, scheme: &'static str) -> Machine {
        let holder = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().expect("unshare");
        let pid = holder.id();
        // The namespace is there when it is another than ours.
        let ours = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = format!("/proc/{pid}/ns/net");
        while std::fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) {
            std::thread::yield_now();
        }
        for (net, at) in [("peers", 1), ("clients", 2)] {
            let device = format!("{net}{number}");
            sh(&format!("ip link add {device} type veth peer name {net} netns {pid}"));
            sh(&format!("ip link set {device} master {net} up"));
            let within = format!("nsenter -t {pid} -n");
            sh(&format!(
                "{within} ip addr add 10.77.{at}.{number}/24 dev {net} && {within} ip link set {net} up"
            ));
        }
        sh(&format!("nsenter -t {pid} -n ip link set lo up"));
        let dir = root.join(format!("disk{number}"));
        std::fs::create_dir(&dir).expect("a directory");
        sh(&format!("mount -t tmpfs -o size={DISK} tmpfs {}", dir.display()));
        Machine { number, dir, holder, member: None, log: root.join(format!("log{number}")), scheme }
    }

    /// Starts the member: `more` are arguments beside those that every start has.
    pub fn start(&mut self, more: &str) {
        assert!(self.member.is_none(), "machine {} has a member already", self.number);
        let Machine { number, dir, scheme, .. } = self;
        let words = format!(
            "--name m{number} --data-dir {}/data --listen-client-urls http://{} \
             --listen-peer-urls {scheme}://10.77.1.{number}:2380 \
             --heartbeat-interval 50 --election-timeout 500 {more}",
            dir.display(),
            endpoint(*number)
        );
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-n"]);
        command.arg(std::env::current_exe().expect("this program"));
        command.args(["--exact", "machines::the_member_process", "--nocapture"]);
        command.env(MEMBER, words).stdout(Stdio::null()).stderr(log);
        self.member = Some(command.spawn().expect("a member"));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        self.member.as_mut().is_some_and(|member| matches!(member.try_wait(), Ok(None)))
    }

    pub fn signal(&self, signal: Signal) {
        let member = self.member.as_ref().expect("a member");
        kill(Pid::from_raw(member.id() as i32), signal).expect("a signal");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut member) = self.member.take() {
            let _ = member.kill();
            let _ = member.wait();
        }
    }

    /// Waits for the member to end by itself; whether it was content.
    pub fn wait(&mut self) -> bool {
        let mut member = self.member.take().expect("a member");
        member.wait().expect("a status").success()
    }

    /// Cuts it off from all members, or joins it again. Clients still reach it.
    pub fn set_link(&self, up: bool) {
        let state = if up { "up" } else { "down" };
        sh(&format!("ip link set peers{} {state}", self.number));
    }

    /// What it sends to another member is lost, or not any more.
    pub fn set_route(&self, to: usize, open: bool) {
        let verb = if open { "del" } else { "add" };
        sh(&format!("nsenter -t {} -n ip route {verb} blackhole 10.77.1.{to}/32", self.holder.id()));
    }

    /// Leaves no byte of its disk free, or gives back what was taken.
    pub fn set_disk_full(&self, full: bool) {
        let filler = self.dir.join("filler");
        if full {
            // It ends when the disk is full.
            let dd = format!("dd if=/dev/zero of={} bs=4k 2>/dev/null || true", filler.display());
            sh(&dd);
        } else {
            std::fs::remove_file(filler).expect("removed");
        }
    }
}
