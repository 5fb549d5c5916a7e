//! The end-to-end suite's hands: a cluster of its own for each test binary, driven from outside by
//! the programs that a user has (`kubectl`, `etcdctl`, `coracle`).
//!
//! Waiting is always on a watch: `kubectl get -w` tells when something changed, and a deadline ends
//! a wait that will not come true with what was last seen.

mod forward;
mod process;
mod watch;
pub mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use forward::PortForward;
pub use process::{Ran, program, run, run_with_input};
pub use watch::Watch;

/// How long a test waits for what should take seconds: these machines may be slow and busy.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How long one watch of [`Cluster::wait_for_all`] lasts at most.
const ROUND: Duration = Duration::from_secs(1);

/// Where `coracle` is inside a node.
pub const ON_NODE: &str = "/opt/coracle/bin/coracle";

/// A running cluster. It is reset when the test process ends, however it ends.
pub struct Cluster {
    home: PathBuf,
    kubeconfig: PathBuf,
    user: User,
}

/// Who runs the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Me,
    /// An ordinary user without subordinate ids, a home or a toolchain.
    Nobody,
}

impl Cluster {
    /// The cluster that the tests of one binary share, started on first use with `flags` for `coracle up`.
    pub fn shared(flags: &[&str]) -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::up(flags))
    }

    /// A fresh cluster in a home of its own.
    pub fn up(flags: &[&str]) -> Cluster {
        Cluster::up_as(User::Me, flags)
    }

    /// A fresh cluster that `user` runs.
    pub fn up_as(user: User, flags: &[&str]) -> Cluster {
        let home = new_home(user);
        let mut up = coracle_as(user, &home);
        up.args(["up", "--api-port", "0", "--store-port", "0"]).args(flags);
        Cluster::started(user, home, &mut up)
    }

    /// A fresh cluster that the kit builds and starts: `cargo kit up FLAGS`.
    pub fn up_by_kit(flags: &[&str]) -> Cluster {
        let home = new_home(User::Me);
        let mut up = cargo();
        up.env("CORACLE_HOME", &home).args(["kit", "up"]).args(flags).args([
            "--",
            "--api-port",
            "0",
            "--store-port",
            "0",
        ]);
        Cluster::started(User::Me, home, &mut up)
    }

    fn started(user: User, home: PathBuf, up: &mut Command) -> Cluster {
        run(up).ok();
        let kubeconfig = PathBuf::from(run(coracle_as(user, &home).arg("kubeconfig")).ok().trim());
        Cluster { home, kubeconfig, user }
    }

    /// The cluster's state folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `coracle ARGS` against this cluster.
    pub fn coracle(&self, args: &[&str]) -> Ran {
        run(coracle_as(self.user, &self.home).args(args))
    }

    /// `kubectl ARGS`, as the administrator.
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        run(&mut self.kubectl_command(args))
    }

    /// `kubectl ARGS` with `input` on its standard input.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Ran {
        process::run_with_input(&mut self.kubectl_command(args), input)
    }

    /// The command itself, for what is not simply run to its end.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home).args(args).stdin(Stdio::null());
        command
    }

    /// `kubectl apply` of a manifest in `namespace`; what kubectl printed.
    pub fn apply(&self, namespace: &str, manifest: &str) -> String {
        self.kubectl_with(&["-n", namespace, "apply", "-f", "-"], manifest).ok()
    }

    /// A namespace for one test, so that tests run side by side.
    pub fn namespace(&self, name: &str) -> String {
        let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        self.kubectl_with(&["apply", "-f", "-"], &manifest).ok();
        name.to_owned()
    }

    /// An object as JSON.
    pub fn get(&self, namespace: &str, object: &str) -> Value {
        self.kubectl(&["-n", namespace, "get", object, "-o", "json"]).json()
    }

    /// The items of a list as JSON.
    pub fn list(&self, namespace: &str, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["-n", namespace, "get", "-o", "json"];
        all.extend(args);
        match self.kubectl(&all).json() {
            Value::Object(mut list) => match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => vec![Value::Object(list)],
            },
            other => panic!("kubectl printed no list: {other}"),
        }
    }

    /// A watch on objects, from their present state on.
    pub fn watch(&self, namespace: &str, args: &[&str]) -> Watch {
        let mut all = vec!["-n", namespace, "get", "-w", "-o", "json"];
        all.extend(args);
        Watch::start(self.kubectl_command(&all))
    }

    /// Waits until one object, named as `kind/name`, exists and satisfies `condition`, and returns it.
    #[track_caller]
    pub fn wait_for(&self, namespace: &str, object: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let (kind, name) = object.split_once('/').expect("an object is named as kind/name");
        // A watch by field, unlike one by name, does not mind that the object is still to come.
        let selector = format!("metadata.name={name}");
        self.watch(namespace, &[kind, "--field-selector", &selector]).until(object, PATIENCE, condition)
    }

    /// Waits until the objects of a kind satisfy `condition`, and returns them.
    #[track_caller]
    pub fn wait_for_all(
        &self,
        namespace: &str,
        args: &[&str],
        condition: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut watched = vec!["-n", namespace, "get", "-w", "--output-watch-events", "-o", "json"];
        watched.extend(args);
        // A watch on nothing says nothing, also when the last went as it began: so each round looks first,
        // and is short.
        loop {
            let objects = self.list(namespace, args);
            if condition(&objects) {
                return objects;
            }
            assert!(
                Instant::now() < deadline,
                "{args:?} in {namespace}: not what was waited for:\n{}",
                brief(&objects)
            );
            let watch = Watch::start(self.kubectl_command(&watched));
            if let Some(objects) = watch.until_all(ROUND, &condition) {
                return objects;
            }
        }
    }

    /// Runs a command inside a node (or inside the sandbox, for an empty name).
    pub fn enter(&self, node: &str, command: &[&str]) -> Ran {
        let mut args = vec!["enter"];
        if !node.is_empty() {
            args.push(node);
        }
        args.push("--");
        args.extend(command);
        self.coracle(&args)
    }

    /// The process id, as seen inside the sandbox, of a component (`apiserver`, `node-1/kubelet`).
    pub fn pid(&self, component: &str) -> Option<u32> {
        let status = self.coracle(&["status", "--output", "json"]).json();
        let found = status["components"].as_array()?.iter().find(|entry| entry["name"] == component)?;
        found["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }
}

/// Names and statuses, for a failure's message.
fn brief(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{}: {}\n", object["metadata"]["name"], object["status"])).collect()
}

/// A home for a cluster of `user`'s, gone when this process ends.
fn new_home(user: User) -> PathBuf {
    let folder =
        tempfile::Builder::new().prefix("coracle-e2e-").tempdir().expect("a temporary folder").keep();
    let home = folder.join("home");
    std::fs::create_dir(&home).expect("a folder");
    if user == User::Nobody {
        run(Command::new("chown").args(["-R", "nobody", "--"]).arg(&folder)).ok();
        std::fs::copy(binary(), copy_for_nobody(&home)).expect("the binary can be copied");
    }
    reset_when_we_end(user, &home);
    home
}

/// `coracle` with its home set and nothing else of ours in its way.
pub fn coracle(home: &Path) -> Command {
    coracle_as(User::Me, home)
}

/// The same, run by `user`.
pub fn coracle_as(user: User, home: &Path) -> Command {
    let mut command = match user {
        User::Me => Command::new(binary()),
        User::Nobody => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
                .arg(copy_for_nobody(home));
            command.env_remove("HOME").current_dir("/");
            command
        }
    };
    command.env("CORACLE_HOME", home).stdin(Stdio::null());
    command
}

/// A copy of the binary beside the home, where an ordinary user can read it.
fn copy_for_nobody(home: &Path) -> PathBuf {
    home.with_file_name("coracle")
}

/// The built `coracle`. `CORACLE_BIN` names another one.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("CORACLE_BIN") {
            return path.into();
        }
        let build = cargo()
            .args([
                "build",
                "--offline",
                "--package",
                "cluster",
                "--bin",
                "coracle",
                "--message-format",
                "json",
            ])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(build.status.success(), "cargo build --package cluster failed");
        String::from_utf8_lossy(&build.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == "coracle")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo names the executable that it built")
    })
}

/// Cargo, in the workspace. What it told this test of its package is not for the next one: a build
/// script that looks at these variables would run again, and everything above it would be built anew.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Leaves a small process behind that notices our end by the closing of a pipe, and then resets the
/// cluster: a test that panics, or is killed, leaves no sandbox running.
fn reset_when_we_end(user: User, home: &Path) {
    let reset = coracle_as(user, home);
    let mut guard = Command::new("sh");
    guard.args([
        "-c",
        r#"cat >/dev/null; "$@" reset >/dev/null 2>&1; rm -rf "$(dirname "$CORACLE_HOME")""#,
        "guard",
    ]);
    guard.arg(reset.get_program()).args(reset.get_args()).env("CORACLE_HOME", home);
    let guard =
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
    // The pipe closes when this process ends, and not before; nobody waits for the guard, it outlives us.
    std::mem::forget(guard);
}

/// Runs `attempt` until it answers `Some`, at most for `patience`, with the answer of one attempt
/// starting the next: for conditions that no watch can tell, such as "a request gets through".
pub fn retry<T>(what: &str, patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(value) = attempt() {
            return value;
        }
    }
    panic!("{what} did not come true within {patience:?}");
}
