//! A node made of namespaces, and a small CRI client.

mod spdy;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runtime::cri::image_service_client::ImageServiceClient;
use runtime::cri::runtime_service_client::RuntimeServiceClient;
use runtime::cri::*;
use runtime::images::{ImageStore, RunConfig};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

const INSIDE: &str = "CORACLE_TEST_INSIDE";
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test's body on a node of its own: the test program starts itself again in new namespaces.
pub fn inside(test: &str, body: impl AsyncFnOnce(&mut Node)) {
    if std::env::var_os(INSIDE).is_some() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
        tokio.block_on(async {
            let mut node = Node::new().await;
            body(&mut node).await;
            node.end();
        });
        return;
    }
    if let Some(why) = cannot_run() {
        eprintln!("{test}: cannot run here: {why}");
        return;
    }
    let mut again = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        again.args(["--user", "--map-root-user"]);
    }
    // A PID namespace too: whatever a failed test leaves behind ends with it.
    again.args(["--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let group = format!("/coracle-test-{}-{test}", std::process::id());
    again.arg(std::env::current_exe().expect("own path"));
    again.args(["--exact", test, "--nocapture"]).env(INSIDE, &group);
    let output = again.output().expect("unshare");
    // Control groups are the one thing that does not go with the namespaces.
    for tree in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        remove_groups(&tree.path().join(&group[1..]));
    }
    remove_groups(&Path::new("/sys/fs/cgroup").join(&group[1..]));
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside the namespaces:\n{said}");
}

fn cannot_run() -> Option<String> {
    if !Path::new("/usr/bin/busybox").exists() {
        return Some("there is no /usr/bin/busybox (package busybox-static)".into());
    }
    let mut probe = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        probe.args(["--user", "--map-root-user"]);
    }
    match probe.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// A runtime on a node of its own.
pub struct Node {
    dir: PathBuf,
    group: String,
    runtime: Option<Child>,
    calls: Option<RuntimeServiceClient<Channel>>,
    images: Option<ImageServiceClient<Channel>>,
}

/// What a container wrote.
pub struct Logs {
    pub stdout: String,
    pub stderr: String,
}

impl Node {
    async fn new() -> Node {
        // What a node writes goes into memory, and away with the namespace.
        let mount = Command::new("mount").args(["-t", "tmpfs", "node", "/var/lib"]).status();
        assert!(mount.expect("mount").success());
        let loopback = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(loopback.expect("ip").success());
        let dir = PathBuf::from("/var/lib/node");
        let group = std::env::var(INSIDE).expect("a control group");
        let mut node = Node { dir, group, runtime: None, calls: None, images: None };
        node.make_images();
        fs::create_dir_all(node.dir("bin")).unwrap();
        std::os::unix::fs::symlink(program(), node.dir("bin").join("coracle-ptp")).unwrap();
        node.start_runtime().await;
        let config =
            RuntimeConfig { network_config: Some(NetworkConfig { pod_cidr: "10.244.7.0/24".into() }) };
        let request = UpdateRuntimeConfigRequest { runtime_config: Some(config) };
        node.calls().update_runtime_config(request).await.expect("UpdateRuntimeConfig");
        node
    }

    fn make_images(&self) {
        let root = self.dir("busybox");
        for dir in ["bin", "tmp", "etc", "usr", "elsewhere"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
        for tool in [
            "sh", "ls", "cat", "sleep", "echo", "hostname", "touch", "wc", "grep", "mknod", "tail", "nc",
            "dd", "id", "readlink", "stty", "tty", "cut", "test", "stat", "tr", "mount",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(tool)).unwrap();
        }
        std::os::unix::fs::symlink("/elsewhere", root.join("linked")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        let store = ImageStore::open(self.dir("images")).unwrap();
        store.import_rootfs("busybox:1", &root, RunConfig::default()).unwrap();
        // The pause image: this program and the libraries that it needs.
        let root = self.dir("pause");
        let mut files = vec![program()];
        let ldd = Command::new("ldd").arg(program()).output().expect("ldd");
        let text = String::from_utf8_lossy(&ldd.stdout).into_owned();
        files.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        for file in files {
            let name =
                if file == program() { "pause".into() } else { file.strip_prefix("/").unwrap().to_owned() };
            fs::create_dir_all(root.join(&name).parent().unwrap()).unwrap();
            fs::copy(&file, root.join(&name)).unwrap();
        }
        let config = RunConfig { entrypoint: vec!["/pause".into(), "pause".into()], ..RunConfig::default() };
        store.import_rootfs("coracle/pause:1", &root, config).unwrap();
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        if name != "bin/coracle-ptp" {
            fs::create_dir_all(&path).unwrap();
        }
        path
    }

    pub async fn start_runtime(&mut self) {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let socket = at("cri.sock");
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(program());
        command.arg("runtime").args([
            "--root",
            &at("root"),
            "--state",
            &at("state"),
            "--images",
            &at("images"),
        ]);
        command.args(["--address", &format!("unix://{socket}"), "--cni-bin-dir", &at("bin")]);
        command.args(["--cni-conf-dir", &at("net.d"), "--cgroup-parent", &self.group]);
        self.runtime = Some(command.stdin(Stdio::null()).spawn().expect("runtime"));
        let since = Instant::now();
        let channel = loop {
            match Endpoint::from_shared(format!("unix://{socket}")).unwrap().connect().await {
                Ok(channel) => break channel,
                Err(error) if since.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.calls = Some(RuntimeServiceClient::new(channel.clone()));
        self.images = Some(ImageServiceClient::new(channel));
    }

    pub async fn kill_runtime(&mut self) {
        let mut runtime = self.runtime.take().expect("a runtime");
        runtime.kill().unwrap();
        runtime.wait().unwrap();
    }

    fn end(mut self) {
        if let Some(mut runtime) = self.runtime.take() {
            let _ = runtime.kill();
            let _ = runtime.wait();
        }
    }

    pub fn calls(&self) -> RuntimeServiceClient<Channel> {
        self.calls.clone().expect("a runtime")
    }

    pub async fn run_pod(&self, config: PodSandboxConfig) -> String {
        let mut config = config;
        config.log_directory = self.dir("logs").join(&config.hostname).display().to_string();
        let request = RunPodSandboxRequest { config: Some(config), ..Default::default() };
        self.calls().run_pod_sandbox(request).await.expect("RunPodSandbox").into_inner().pod_sandbox_id
    }

    pub async fn ip(&self, pod: &str) -> String {
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.into(), verbose: false };
        let status = self.calls().pod_sandbox_status(request).await.expect("PodSandboxStatus").into_inner();
        status.status.unwrap().network.unwrap().ip
    }

    pub async fn remove_pod(&self, pod: &str) {
        let id = pod.to_owned();
        self.calls()
            .stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.clone() })
            .await
            .expect("stop");
        self.calls()
            .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: id })
            .await
            .expect("remove");
    }

    pub async fn try_create(&self, pod: &str, config: ContainerConfig) -> Result<String, Status> {
        let request =
            CreateContainerRequest { pod_sandbox_id: pod.into(), config: Some(config), sandbox_config: None };
        Ok(self.calls().create_container(request).await?.into_inner().container_id)
    }

    pub async fn create(&self, pod: &str, config: ContainerConfig) -> String {
        self.try_create(pod, config).await.expect("CreateContainer")
    }

    pub async fn try_start(&self, id: &str) -> Result<(), Status> {
        self.calls().start_container(StartContainerRequest { container_id: id.into() }).await.map(drop)
    }

    pub async fn start(&self, pod: &str, config: ContainerConfig) -> String {
        let id = self.create(pod, config).await;
        self.try_start(&id).await.expect("StartContainer");
        id
    }

    pub async fn stop(&self, id: &str, timeout: i64) {
        let request = StopContainerRequest { container_id: id.into(), timeout };
        self.calls().stop_container(request).await.expect("StopContainer");
    }

    /// Runs a container to its end.
    pub async fn run(&self, pod: &str, config: ContainerConfig) -> (ContainerStatus, Logs) {
        let id = self.start(pod, config).await;
        let status = self.wait_exit(&id).await;
        let logs = self.logs(&id).await;
        (status, logs)
    }

    pub async fn status(&self, id: &str) -> ContainerStatus {
        let request = ContainerStatusRequest { container_id: id.into(), verbose: false };
        self.calls().container_status(request).await.expect("ContainerStatus").into_inner().status.unwrap()
    }

    pub async fn wait_exit(&self, id: &str) -> ContainerStatus {
        let since = Instant::now();
        loop {
            let status = self.status(id).await;
            if status.state() == ContainerState::ContainerExited {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "container {id} does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn logs(&self, id: &str) -> Logs {
        let text = fs::read(self.status(id).await.log_path).expect("a log");
        let mut logs = Logs { stdout: String::new(), stderr: String::new() };
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let line = runtime::heart::logs::parse(line).expect("a log line");
            let to = match line.stream {
                runtime::heart::logs::Stream::Stdout => &mut logs.stdout,
                runtime::heart::logs::Stream::Stderr => &mut logs.stderr,
            };
            to.push_str(&String::from_utf8_lossy(line.text));
            to.push_str(if line.full { "\n" } else { "" });
        }
        logs
    }

    pub async fn wait_for_log(&self, id: &str, text: &str) {
        let since = Instant::now();
        while !self.logs(id).await.stdout.contains(text) {
            assert!(since.elapsed() < PATIENCE, "{text:?} does not appear in the log");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn wait_for_file(&self, container: &str, name: &str) {
        let path = self.dir.join("root/containers").join(container).join(name);
        let since = Instant::now();
        while !path.exists() {
            assert!(since.elapsed() < PATIENCE, "{} does not appear", path.display());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn exec(&self, id: &str, script: &str, timeout: i64) -> Result<ExecSyncResponse, Status> {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = ExecSyncRequest { container_id: id.into(), cmd, timeout };
        Ok(self.calls().exec_sync(request).await?.into_inner())
    }

    /// Until somebody in the pod listens.
    pub async fn wait_for_port(&self, container: &str, port: u16) {
        let listens = format!("until grep -q ':{port:04X} 0*:0000 0A' /proc/net/tcp*; do sleep 0.02; done");
        self.exec(container, &listens, 20).await.expect("a listener");
    }

    pub async fn pod_state(&self, pod: &str) -> PodSandboxState {
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.into(), verbose: false };
        let status = self.calls().pod_sandbox_status(request).await.expect("PodSandboxStatus").into_inner();
        status.status.unwrap().state()
    }

    /// Command lines of all processes of the node.
    pub fn processes(&self) -> Vec<String> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let lines = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
        lines.map(|line| line.replace('\0', " ")).collect()
    }

    /// Kills a pod's shim, as a power failure would, and with it all its processes.
    pub fn lose_power(&self, pod: &str) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if line.contains(&format!("shim\0--id\0{pod}")) {
                let pid = entry.file_name().to_string_lossy().parse().unwrap();
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                    .unwrap();
            }
        }
    }

    /// Rootless without a range of ids.
    pub fn has_one_id_only(&self) -> bool {
        fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) == Some("1")
    }

    pub fn store(&self) -> ImageStore {
        ImageStore::open(self.dir("images")).expect("an image store")
    }

    pub async fn pull(&self, name: &str) -> Result<String, Status> {
        let image = Some(ImageSpec { image: name.into(), ..Default::default() });
        let request = PullImageRequest { image, ..Default::default() };
        Ok(self.images.clone().expect("a runtime").pull_image(request).await?.into_inner().image_ref)
    }

    pub async fn events(&self) -> Streaming<ContainerEventResponse> {
        self.calls().get_container_events(GetEventsRequest {}).await.expect("events").into_inner()
    }

    pub async fn limits_not_enforced(&self) -> Option<String> {
        let status =
            self.calls().status(StatusRequest { verbose: false }).await.expect("Status").into_inner();
        let conditions = status.status.unwrap().conditions;
        let limits = conditions.into_iter().find(|condition| condition.r#type == "LimitsEnforced").unwrap();
        (!limits.status).then_some(limits.message)
    }

    /// No process, link, mount, address or file of a pod is left on the node.
    pub async fn nothing_is_left(&self) {
        let pods =
            self.calls().list_pod_sandbox(ListPodSandboxRequest::default()).await.unwrap().into_inner().items;
        assert!(pods.is_empty(), "{pods:?}");
        for dir in ["root/sandboxes", "root/containers", "state"] {
            let left: Vec<_> =
                fs::read_dir(self.dir.join(dir)).unwrap().flatten().map(|e| e.file_name()).collect();
            assert!(left.is_empty(), "{dir} still has {left:?}");
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains("shm") || !mounts.contains("/state/"), "{mounts}");
        let links: Vec<_> =
            fs::read_dir("/sys/class/net").unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(!links.iter().any(|link| link.to_string_lossy().starts_with("veth")), "{links:?}");
        let addresses = fs::read_dir("/var/lib/cni/networks/coracle")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name());
        let addresses: Vec<_> = addresses.filter(|name| name.to_string_lossy().starts_with("10.")).collect();
        assert!(addresses.is_empty(), "{addresses:?}");
    }
}

/// Runtime, shim, plugin and pause in one.
fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_runtime-alone").into()
}

fn remove_groups(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

pub fn pod(name: &str) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.into(),
            uid: format!("uid-{name}"),
            namespace: "default".into(),
            attempt: 0,
        }),
        hostname: name.into(),
        dns_config: Some(DnsConfig { servers: vec!["10.96.0.10".into()], ..Default::default() }),
        ..Default::default()
    }
}

/// A container that runs a script in a shell.
pub fn container(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(ImageSpec { image: "busybox:1".into(), ..Default::default() }),
        command: vec!["sh".into(), "-c".into()],
        args: vec![script.into()],
        log_path: format!("{name}/0.log"),
        linux: Some(LinuxContainerConfig {
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(NamespaceOption {
                    pid: NamespaceMode::Container.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
