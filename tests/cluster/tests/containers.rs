//! What a container is here: namespaces, root, volumes, limits, exits, logs.
//! These use the busybox image, which exists where the host has a static busybox.

use e2e::Cluster;
use serde_json::Value;

fn cluster() -> &'static Cluster {
    Cluster::shared(&[])
}

/// A pod of one busybox container that runs `script`, with more fields for the pod's and the container's spec.
fn shell(name: &str, script: &str, pod: &str, container: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 2
{pod}
  containers:
  - name: main
    image: busybox:1
    command: [sh, -c, {script}]
{container}
",
        script = serde_json::to_string(script).expect("a string is JSON"),
    )
}

fn phase(name: &'static str) -> impl Fn(&Value) -> bool {
    move |pod| pod["status"]["phase"] == name
}

fn status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

fn exec(ns: &str, pod: &str, script: &str) -> e2e::Ran {
    cluster().kubectl(&["-n", ns, "exec", pod, "--", "sh", "-c", script])
}

/// Runs a pod to its end and returns what it wrote.
fn output_of(ns: &str, name: &str, manifest: &str) -> String {
    cluster().apply(ns, manifest);
    cluster().wait_for(ns, &format!("pod/{name}"), phase("Succeeded"));
    cluster().kubectl(&["-n", ns, "logs", name]).ok()
}

#[test]
fn exit_codes_end_pods_as_succeeded_or_failed() {
    let ns = cluster().namespace("box-exit");
    cluster().apply(&ns, &shell("good", "exit 0", "  restartPolicy: Never", ""));
    cluster().apply(&ns, &shell("bad", "exit 3", "  restartPolicy: Never", ""));
    let good = cluster().wait_for(&ns, "pod/good", phase("Succeeded"));
    assert_eq!(status(&good)["state"]["terminated"]["reason"], "Completed");
    let bad = cluster().wait_for(&ns, "pod/bad", phase("Failed"));
    assert_eq!(status(&bad)["state"]["terminated"]["exitCode"], 3);
    let table = cluster().kubectl(&["-n", &ns, "get", "pods", "--no-headers"]).ok();
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((words[0][1], words[0][2]), ("0/1", "Error"));
    assert_eq!((words[1][1], words[1][2]), ("0/1", "Completed"));
}

#[test]
fn a_crashing_container_backs_off_and_kubectl_says_so() {
    let ns = cluster().namespace("box-crash");
    cluster().apply(&ns, &shell("crash", "echo alive; exit 1", "", ""));
    let pod = cluster()
        .wait_for(&ns, "pod/crash", |pod| status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff");
    assert!(status(&pod)["restartCount"].as_u64() >= Some(1), "{pod:#}");
    let message = status(&pod)["state"]["waiting"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("restarting failed container=main pod=crash_box-crash"), "{message}");
    let table = cluster().kubectl(&["-n", &ns, "get", "pod", "crash", "--no-headers"]).ok();
    assert_eq!(table.split_whitespace().nth(2), Some("CrashLoopBackOff"), "{table}");
    assert_eq!(cluster().kubectl(&["-n", &ns, "logs", "crash", "--previous"]).ok(), "alive\n");
}

#[test]
fn env_args_and_working_dir_reach_the_process() {
    let ns = cluster().namespace("box-env");
    let text = output_of(
        &ns,
        "env",
        &shell(
            "env",
            "echo $GREETING $POD; pwd; echo args: $0 $1",
            "  restartPolicy: Never",
            "    args: [one, two]
    workingDir: /tmp
    env:
    - {name: NAME, value: world}
    - {name: GREETING, value: hello $(NAME)}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}",
        ),
    );
    assert_eq!(text, "hello world env\n/tmp\nargs: one two\n");
}

#[test]
fn each_container_has_its_own_processes_and_root_and_shares_localhost_and_volumes() {
    let ns = cluster().namespace("box-shared");
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: shared, emptyDir: {}}]
  containers:
  - {name: one, image: busybox:1, command: [sh, -c, 'echo mine > /private; echo ours > /shared/file; exec httpd -f -p 7000 -h /shared'], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: two, image: busybox:1, command: [sleep, '3600'], volumeMounts: [{name: shared, mountPath: /other}]}
";
    cluster().apply(&ns, manifest);
    cluster().kubectl(&["-n", &ns, "wait", "--for=condition=Ready", "pod/pair", "--timeout=60s"]).ok();
    let two =
        |script: &str| cluster().kubectl(&["-n", &ns, "exec", "pair", "-c", "two", "--", "sh", "-c", script]);
    assert_eq!(two("cat /other/file").ok(), "ours\n");
    assert_eq!(two("cat /private").code, Some(1), "each container has a root of its own");
    assert_eq!(two("ps -o args | grep -c [h]ttpd").stdout, "0\n", "each container has its own processes");
    assert_eq!(
        e2e::retry("localhost is shared", e2e::PATIENCE, || {
            let answer = two("wget -qO- http://127.0.0.1:7000/file");
            answer.succeeded().then_some(answer.stdout)
        }),
        "ours\n"
    );
    assert_eq!(two("cat /proc/1/comm").ok(), "sleep\n");
}

#[test]
fn config_maps_and_secrets_are_files_and_variables() {
    let ns = cluster().namespace("box-config");
    cluster().apply(
        &ns,
        "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
",
    );
    let text = output_of(
        &ns,
        "reader",
        &shell(
            "reader",
            "cat /config/colour; echo; cat /keys/token; echo; echo $COLOUR $TOKEN",
            "  restartPolicy: Never
  volumes:
  - {name: config, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys}}",
            "    volumeMounts:
    - {name: config, mountPath: /config}
    - {name: keys, mountPath: /keys}
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}",
        ),
    );
    assert_eq!(text, "red\ns3cret\nred s3cret\n");
}

#[test]
fn a_host_path_is_the_nodes_and_the_hosts_files_stay_untouched() {
    let ns = cluster().namespace("box-hostpath");
    let mark = format!("/var/lib/coracle-e2e-{}", std::process::id());
    let text = output_of(
        &ns,
        "host",
        &shell(
            "host",
            "echo written > /node/file; cat /node/file; touch /system/file 2>/dev/null || echo read-only",
            &format!(
                "  restartPolicy: Never
  volumes:
  - {{name: node, hostPath: {{path: {mark}, type: DirectoryOrCreate}}}}
  - {{name: system, hostPath: {{path: /usr}}}}"
            ),
            "    volumeMounts:
    - {name: node, mountPath: /node}
    - {name: system, mountPath: /system}",
        ),
    );
    assert_eq!(text, "written\nread-only\n");
    assert!(!std::path::Path::new(&mark).exists(), "{mark} appeared on the host");
    assert!(!std::path::Path::new("/usr/file").exists());
}

#[test]
fn capabilities_are_the_usual_default_set() {
    let ns = cluster().namespace("box-caps");
    let text =
        output_of(&ns, "caps", &shell("caps", "grep Cap /proc/self/status", "  restartPolicy: Never", ""));
    // The fourteen that containerd and Docker leave to a container.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(text.contains(&format!("{set}:\t00000000a80425fb")), "{text}");
    }
    let none = output_of(
        &ns,
        "none",
        &shell(
            "none",
            "grep CapEff /proc/self/status",
            "  restartPolicy: Never",
            "    securityContext: {capabilities: {drop: [ALL]}}",
        ),
    );
    assert_eq!(none, "CapEff:\t0000000000000000\n");
}

#[test]
fn a_memory_limit_kills_the_container_that_passes_it() {
    if !enforced("memory") {
        return;
    }
    let ns = cluster().namespace("box-memory");
    let manifest = shell(
        "greedy",
        "x=0123456789abcdef; while true; do x=$x$x; done",
        "  restartPolicy: Never",
        "    resources: {limits: {memory: 16Mi}}",
    );
    cluster().apply(&ns, &manifest);
    let pod = cluster().wait_for(&ns, "pod/greedy", phase("Failed"));
    assert_eq!(status(&pod)["state"]["terminated"]["reason"], "OOMKilled", "{}", status(&pod));
    assert_eq!(status(&pod)["state"]["terminated"]["exitCode"], 137);
}

/// Whether the node says that it enforces a limit; if not, the test says so and ends.
fn enforced(limit: &str) -> bool {
    let node = cluster().get("", "node/node-1");
    let conditions = node["status"]["conditions"].as_array().expect("conditions");
    let said = conditions
        .iter()
        .find(|condition| condition["type"] == "LimitsEnforced" && condition["status"] == "False");
    if let Some(condition) =
        said.filter(|condition| condition["message"].as_str().is_some_and(|text| text.contains(limit)))
    {
        println!("skipped: {limit} limits are not enforced here: {}", condition["message"]);
        return false;
    }
    true
}

#[test]
fn logs_follow_tail_and_carry_timestamps() {
    let ns = cluster().namespace("box-logs");
    let text = output_of(
        &ns,
        "talk",
        &shell("talk", "echo one; echo two >&2; echo three", "  restartPolicy: Never", ""),
    );
    assert_eq!(text.lines().count(), 3);
    let logs = |args: &[&str]| {
        let mut all = vec!["-n", ns.as_str(), "logs", "talk"];
        all.extend(args);
        cluster().kubectl(&all).ok()
    };
    assert!(text.contains("one\n") && text.contains("two\n") && text.contains("three\n"), "{text}");
    // Two streams have no order between them; each has its own.
    let last = text.lines().last().expect("three lines");
    assert_eq!(logs(&["--tail", "1"]), format!("{last}\n"));
    assert_eq!(logs(&["-f"]), text, "following a container that has ended ends too");
    let stamped = logs(&["--timestamps", "--tail", "1"]);
    assert!(stamped.starts_with("20") && stamped.ends_with(&format!(" {last}\n")), "{stamped}");
    let pod = cluster().get(&ns, "pod/talk");
    let (node, uid) =
        (pod["spec"]["nodeName"].as_str().expect("a node"), pod["metadata"]["uid"].as_str().expect("a uid"));
    let raw = cluster().enter(node, &["cat", &format!("/var/log/pods/box-logs_talk_{uid}/main/0.log")]).ok();
    assert!(
        raw.lines().any(|line| line.ends_with(" stdout F one"))
            && raw.lines().any(|line| line.ends_with(" stderr F two")),
        "{raw}"
    );
}

#[test]
fn exec_carries_input_output_and_exit_codes() {
    let ns = cluster().namespace("box-exec");
    cluster().apply(&ns, &shell("box", "exec sleep 3600", "", ""));
    cluster().kubectl(&["-n", &ns, "wait", "--for=condition=Ready", "pod/box", "--timeout=60s"]).ok();
    let ran = exec(&ns, "box", "echo out; echo err >&2; exit 7");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "out\n"));
    assert!(ran.stderr.starts_with("err\n"), "{}", ran.stderr);
    let echoed =
        cluster().kubectl_with(&["-n", &ns, "exec", "-i", "box", "--", "cat"], "through the pipe\n").ok();
    assert_eq!(echoed, "through the pipe\n");
    let missing = cluster().kubectl(&["-n", &ns, "exec", "box", "--", "no-such-program"]);
    assert!(missing.stderr.contains("no-such-program"), "{}", missing.stderr);
    let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(cluster().kubectl_with(&["-n", &ns, "exec", "-i", "box", "--", "cat"], &long).ok(), long);
}

#[test]
fn termination_is_graceful_then_forced() {
    let ns = cluster().namespace("box-term");
    // The first says goodbye and goes at once; the second will not go before it is killed.
    cluster().apply(&ns, &shell("polite", "trap 'echo bye > /node/polite; exit 0' TERM; touch /node/ready; while true; do sleep 0.1; done",
        "  volumes: [{name: node, hostPath: {path: /var/lib/box-term, type: DirectoryOrCreate}}]\n  nodeName: node-1",
        "    volumeMounts: [{name: node, mountPath: /node}]\n    readinessProbe: {exec: {command: [cat, /node/ready]}, periodSeconds: 1}").replace("terminationGracePeriodSeconds: 2", "terminationGracePeriodSeconds: 60"));
    cluster().apply(&ns, &shell("stubborn", "trap '' TERM; while true; do sleep 0.1; done", "", ""));
    cluster()
        .kubectl(&["-n", &ns, "wait", "--for=condition=Ready", "pod/polite", "pod/stubborn", "--timeout=60s"])
        .ok();
    let start = std::time::Instant::now();
    cluster().kubectl(&["-n", &ns, "delete", "pod", "polite", "stubborn"]).ok();
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "the grace period is a limit, not a wait");
    assert_eq!(cluster().enter("node-1", &["cat", "/var/lib/box-term/polite"]).ok(), "bye\n");
}

#[test]
fn probes_hold_traffic_back_and_restart_the_dead() {
    let ns = cluster().namespace("box-probes");
    cluster().apply(
        &ns,
        // Alive until somebody says otherwise: a probe that comes before the container's first command, or one
        // that a busy machine makes late, must not restart it.
        &shell("sick", "exec sleep 3600", "", "    livenessProbe: {exec: {command: [sh, -c, '! test -e /dead']}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1}\n    readinessProbe: {exec: {command: [cat, /ready]}, periodSeconds: 1, timeoutSeconds: 20}"),
    );
    cluster().wait_for(&ns, "pod/sick", phase("Running"));
    assert_eq!(status(&cluster().get(&ns, "pod/sick"))["ready"], false);
    exec(&ns, "sick", "touch /ready").ok();
    cluster().wait_for(&ns, "pod/sick", |pod| status(pod)["ready"] == true);
    exec(&ns, "sick", "touch /dead").ok();
    cluster().wait_for(&ns, "pod/sick", |pod| status(pod)["restartCount"].as_u64() >= Some(1));
}

/// What a deadline ends does not come back, although the policy says Always.
#[test]
fn a_pod_that_outstays_its_deadline_has_failed() {
    let ns = cluster().namespace("box-deadline");
    cluster().apply(&ns, &shell("guest", "exec sleep 3600", "  activeDeadlineSeconds: 3", ""));
    let pod = cluster().wait_for(&ns, "pod/guest", phase("Failed"));
    let message = "Pod was active on the node longer than the specified deadline";
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    assert_eq!(pod["status"]["message"], message);
    assert!(status(&pod)["state"]["running"].is_null(), "{pod:#}");
    let said = || {
        let events = ["-n", &ns, "get", "events", "--field-selector", "reason=DeadlineExceeded"];
        cluster().kubectl(&events).ok().contains(message).then_some(())
    };
    e2e::retry("an event says so", e2e::PATIENCE, said);
}

#[test]
fn an_absent_image_is_said_clearly_and_an_imported_one_wakes_the_pod() {
    let ns = cluster().namespace("box-image");
    let manifest = shell("late", "exec sleep 3600", "", "").replace("busybox:1", "example/late:1");
    cluster().apply(&ns, &manifest);
    let pod = cluster()
        .wait_for(&ns, "pod/late", |pod| status(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff");
    assert_eq!(
        status(&pod)["state"]["waiting"]["message"]
            .as_str()
            .map(|m| m.starts_with("Back-off pulling image \"example/late:1\"")),
        Some(true),
        "{}",
        status(&pod)
    );
    let events = cluster().kubectl(&["-n", &ns, "get", "events", "--field-selector", "reason=Failed"]).ok();
    assert!(events.contains("Failed to pull image \"example/late:1\""), "{events}");
    let root = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(root.path().join("bin")).expect("a folder");
    for applet in ["sh", "sleep"] {
        std::fs::copy("/bin/busybox", root.path().join("bin").join(applet))
            .expect("the host has a static busybox");
    }
    let path = root.path().to_str().expect("a plain path");
    cluster().coracle(&["image", "import", path, "--tag", "example/late:1"]).ok();
    cluster().wait_for(&ns, "pod/late", phase("Running"));
}

#[test]
fn an_exec_that_cannot_start_says_why() {
    let ns = cluster().namespace("box-noexec");
    cluster().apply(&ns, &shell("box", "exec sleep 3600", "", ""));
    cluster().kubectl(&["-n", &ns, "wait", "--for=condition=Ready", "pod/box", "--timeout=60s"]).ok();
    let missing = cluster().kubectl(&["-n", &ns, "exec", "box", "--", "no-such-program"]).refused();
    assert!(missing.contains("\"no-such-program\": executable file not found in $PATH"), "{missing}");
}

#[test]
fn init_containers_run_first_and_kubectl_counts_them() {
    let ns = cluster().namespace("box-init");
    let manifest = shell("prepared", "cat /prepared/made; exec sleep 3600", "  volumes: [{name: work, emptyDir: {}}]
  initContainers: [{name: first, image: 'busybox:1', command: [sh, -c, 'sleep 2; echo made > /prepared/made'], volumeMounts: [{name: work, mountPath: /prepared}]}]",
        "    volumeMounts: [{name: work, mountPath: /prepared}]");
    cluster().apply(&ns, &manifest);
    cluster().wait_for(&ns, "pod/prepared", |pod| {
        !pod["status"]["initContainerStatuses"][0]["state"]["running"].is_null()
    });
    let table = cluster().kubectl(&["-n", &ns, "get", "pod", "prepared", "--no-headers"]).ok();
    assert_eq!(table.split_whitespace().nth(2), Some("Init:0/1"), "{table}");
    cluster().wait_for(&ns, "pod/prepared", phase("Running"));
    assert_eq!(cluster().kubectl(&["-n", &ns, "logs", "prepared"]).ok(), "made\n");
}

#[test]
fn a_deleted_pod_leaves_no_control_group_behind() {
    let ns = cluster().namespace("box-groups");
    cluster().apply(&ns, &shell("brief", "exec sleep 3600", "", ""));
    let pod = cluster().wait_for(&ns, "pod/brief", phase("Running"));
    let node = pod["spec"]["nodeName"].as_str().expect("a node").to_owned();
    let pattern = format!("*{}*", pod["metadata"]["uid"].as_str().expect("a uid"));
    // Other pods' groups come and go meanwhile, which `find` minds.
    let find = format!("find /sys/fs/cgroup -name '{pattern}' 2>/dev/null; true");
    let groups = || cluster().enter(&node, &["sh", "-c", &find]).ok();
    if enforced("memory") {
        assert!(!groups().is_empty(), "a pod has groups of its own");
    }
    cluster().kubectl(&["-n", &ns, "delete", "pod", "brief"]).ok();
    e2e::retry("its groups go too", e2e::PATIENCE, || groups().is_empty().then_some(()));
}

#[test]
fn several_connections_go_through_one_port_forward() {
    let ns = cluster().namespace("box-forward");
    cluster().apply(&ns, &e2e::workload::web("web", 1, ""));
    cluster().wait_for_all(&ns, &["pods"], |pods| e2e::workload::count_running(pods, 1));
    let mut command = cluster().kubectl_command(&["-n", &ns, "port-forward", "deployment/web"]);
    command.args([":8080", ":9"]);
    let forward = e2e::PortForward::start(command, 2);
    for answer in forward.three_answers(0) {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    drop(forward.connect(1));
    let complaint = forward.line_with("error forwarding port 9 to pod");
    assert!(complaint.contains("onnection refused"), "{complaint}");
}

#[test]
fn a_debug_container_joins_a_running_pod() {
    let ns = cluster().namespace("box-debug");
    cluster().apply(&ns, &shell("patient", "exec sleep 3600", "", ""));
    cluster().wait_for(&ns, "pod/patient", e2e::workload::running);
    let debug = |name: &str, more: &[&str]| {
        let mut all = vec!["-n", &ns, "debug", "patient", "--image=busybox:1", "-c", name];
        all.extend(more);
        all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let run = |args: &[String], input: &str| {
        cluster().kubectl_with(&args.iter().map(String::as_str).collect::<Vec<_>>(), input)
    };
    // It sees the processes of the container that it came for, not only its own.
    run(&debug("doctor", &["--target=main", "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"]), "")
        .ok();
    let pod = cluster().wait_for(&ns, "pod/patient", |pod| {
        !pod["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"].is_null()
    });
    assert!(phase("Running")(&pod), "{}", pod["status"]);
    let seen = cluster().kubectl(&["-n", &ns, "logs", "patient", "-c", "doctor"]).ok();
    assert!(seen.contains("sleep 3600"), "{seen}");
    let said = run(&debug("nurse", &["-i", "--", "sh", "-c", "read word; echo heard $word"]), "word\n").ok();
    assert!(said.contains("heard word"), "{said}");
    let patch = r#"{"spec":{"ephemeralContainers":null}}"#;
    let refused = cluster()
        .kubectl(&[
            "-n",
            &ns,
            "patch",
            "pod",
            "patient",
            "--subresource=ephemeralcontainers",
            "--type=merge",
            "-p",
            patch,
        ])
        .refused();
    assert!(refused.contains("existing ephemeral containers \"doctor\" may not be removed"), "{refused}");
}

#[test]
fn pods_services_and_nodes_answer_through_the_api_server() {
    let ns = cluster().namespace("box-proxy");
    cluster().apply(&ns, e2e::workload::WEB);
    let pods = cluster().wait_for_all(&ns, &["pods"], |pods| e2e::workload::count_running(pods, 2));
    let pod = pods[0]["metadata"]["name"].as_str().expect("a name");
    cluster().wait_for(&ns, "endpoints/web", |all| all["subsets"][0]["addresses"].is_array());
    let get = |path: &str| cluster().kubectl(&["get", "--raw", path]).ok();
    let direct = get(&format!("/api/v1/namespaces/{ns}/pods/{pod}:8080/proxy/"));
    assert!(direct.contains(pod), "{direct}");
    let served = get(&format!("/api/v1/namespaces/{ns}/services/web:80/proxy/"));
    assert!(
        pods.iter().any(|pod| served.contains(pod["metadata"]["name"].as_str().expect("a name"))),
        "{served}"
    );
    assert_eq!(get("/api/v1/nodes/node-1/proxy/healthz"), "ok");
}
