//! The runtime as a whole, through CRI: pods and containers in namespaces of their own.
//!
//! The suite starts itself again inside fresh mount, network and IPC namespaces without a way out
//! (a user namespace too when it is not root), so it changes nothing on the host. It needs a static
//! busybox; where it cannot run it says why.

mod harness;
#[path = "harness/layered.rs"]
mod layered;

use std::time::Duration;

use harness::{Node, container, inside, pod};
use runtime::cri;

#[test]
fn containers_run_log_exit_and_survive_their_runtime() {
    inside("containers_run_log_exit_and_survive_their_runtime", async |node: &mut Node| {
        let pod = node.run_pod(pod("first")).await;
        let (code, logs) =
            node.run(&pod, container("hello", "echo out; echo err >&2; echo $$; hostname; exit 3")).await;
        assert_eq!(code.exit_code, 3);
        assert_eq!(code.reason, "Error");
        assert_eq!(logs.stdout, "out\n1\nfirst\n");
        assert_eq!(logs.stderr, "err\n");

        let id = node
            .start(&pod, container("slow", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.1; done"))
            .await;
        node.wait_for_log(&id, "ready").await;
        node.kill_runtime().await;
        node.start_runtime().await;
        assert_eq!(node.status(&id).await.state(), cri::ContainerState::ContainerRunning);
        let answer = node.exec(&id, "echo in; echo bad >&2; kill -USR1 1; exit 5", 0).await.expect("exec");
        assert_eq!(
            (answer.exit_code, answer.stdout.as_slice(), answer.stderr.as_slice()),
            (5, &b"in\n"[..], &b"bad\n"[..])
        );
        assert_eq!(node.wait_exit(&id).await.exit_code, 7);

        // The end of a container while no runtime is there.
        let id = node.start(&pod, container("orphan", "sleep 0.3; exit 9")).await;
        node.kill_runtime().await;
        node.wait_for_file(&id, "exit.json").await;
        node.start_runtime().await;
        assert_eq!(node.status(&id).await.exit_code, 9);
        node.remove_pod(&pod).await;
        node.nothing_is_left().await;
    });
}

#[test]
fn what_cannot_start_says_so_as_runc_does() {
    inside("what_cannot_start_says_so_as_runc_does", async |node: &mut Node| {
        let pod = node.run_pod(pod("broken")).await;
        let mut config = container("none", "");
        config.command = vec!["foo".into()];
        config.args.clear();
        let id = node.create(&pod, config).await;
        let error = node.try_start(&id).await.expect_err("foo does not exist");
        assert!(error.message().contains("exec: \"foo\": executable file not found in $PATH"), "{error}");
        let status = node.status(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
        assert!(status.message.contains("executable file not found"), "{}", status.message);

        let mut config = container("image", "true");
        config.image = Some(cri::ImageSpec { image: "nginx:1.7.9".into(), ..Default::default() });
        let error = node.try_create(&pod, config).await.expect_err("no such image");
        assert_eq!(error.code(), tonic::Code::NotFound);
        let error = node.pull("nginx:1.7.9").await.expect_err("no such image");
        assert_eq!(error.code(), tonic::Code::NotFound);
        assert_eq!(
            error.message(),
            "failed to pull and unpack image \"docker.io/library/nginx:1.7.9\": not found"
        );

        let id = node
            .start(&pod, container("deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done"))
            .await;
        node.wait_for_log(&id, "ready").await;
        node.stop(&id, 1).await;
        assert_eq!(node.status(&id).await.exit_code, 137);
        let slow = node.exec(&id, "true", 0).await.expect_err("it has ended");
        assert_eq!(slow.code(), tonic::Code::FailedPrecondition);
        node.remove_pod(&pod).await;
    });
}

#[test]
fn a_container_sees_its_own_root_its_volumes_and_little_of_the_kernel() {
    inside("a_container_sees_its_own_root_its_volumes_and_little_of_the_kernel", async |node: &mut Node| {
        let pod = node.run_pod(pod("roots")).await;
        let volume = node.dir("volume");
        std::fs::write(volume.join("file"), "from the node").unwrap();
        let script = "
            cat /data/file; echo; echo back > /data/answer; touch /ro/x 2>/dev/null || echo read-only;
            ls /; cat /etc/hostname; grep -c . /proc/mounts > /dev/null; ls /proc | grep -c '^[0-9]';
            echo x > /proc/sys/kernel/hostname 2>/dev/null || echo protected;
            cat /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c; grep CapEff /proc/self/status; mknod /tmp/d b 254 0 && cat /tmp/d 2>&1 | tail -1;
            ls -l /dev/fd/ > /dev/null && echo devices; readlink /proc/1/exe; pwd; echo $NAME $HOME";
        let mut config = container("look", script);
        config.working_dir = "/made/here".into();
        config.envs = vec![cri::KeyValue { key: "NAME".into(), value: "a value".into() }];
        let mount = |to: &str, readonly| cri::Mount {
            container_path: to.into(),
            host_path: volume.display().to_string(),
            readonly,
            ..Default::default()
        };
        // `linked` is a symbolic link of the image to `/elsewhere`: it must stay inside.
        config.mounts = vec![mount("/data", false), mount("/ro", true), mount("/linked/deep", false)];
        let (_, logs) = node.run(&pod, config).await;
        let expected = "from the node\nread-only\nbin\ndata\ndev\nelsewhere\netc\nlinked\nmade\nproc\nro\nsys\ntmp\nusr\n\
                        roots\n";
        assert!(logs.stdout.starts_with(expected), "{}", logs.stdout);
        assert!(logs.stdout.contains("protected\n0\n"), "{}", logs.stdout);
        assert!(logs.stdout.contains("CapEff:\t00000000a80425fb"), "{}", logs.stdout);
        assert!(logs.stdout.ends_with("devices\n/bin/busybox\n/made/here\na value /\n"), "{}", logs.stdout);
        assert_eq!(std::fs::read_to_string(volume.join("answer")).unwrap(), "back\n");
        assert!(!std::path::Path::new("/elsewhere").exists(), "a link of the image led out of it");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn pods_reach_each_other_and_containers_of_one_pod_share_localhost() {
    inside("pods_reach_each_other_and_containers_of_one_pod_share_localhost", async |node: &mut Node| {
        let (one, two) = (node.run_pod(pod("one")).await, node.run_pod(pod("two")).await);
        let (ip_one, ip_two) = (node.ip(&one).await, node.ip(&two).await);
        assert_ne!(ip_one, ip_two);
        let server = "nc -l -p 80 -e echo from $(hostname)";
        let server_one = node.start(&one, container("server", server)).await;
        node.wait_for_port(&server_one, 80).await;
        let (_, logs) = node.run(&two, container("client", &format!("nc -w 5 {ip_one} 80"))).await;
        assert_eq!(logs.stdout, "from one\n");
        let server_two = node.start(&two, container("server", server)).await;
        node.wait_for_port(&server_two, 80).await;
        let (_, logs) = node.run(&two, container("neighbour", "nc -w 5 127.0.0.1 80")).await;
        assert_eq!(logs.stdout, "from two\n");
        let (_, logs) = node.run(&one, container("hosts", "cat /etc/hosts /etc/resolv.conf")).await;
        assert!(logs.stdout.contains(&format!("{ip_one}\tone\n")), "{}", logs.stdout);
        assert!(logs.stdout.contains("nameserver 10.96.0.10\n"), "{}", logs.stdout);
        node.remove_pod(&one).await;
        node.remove_pod(&two).await;
        let third = node.run_pod(pod("three")).await;
        assert!(![ip_one, ip_two].contains(&node.ip(&third).await), "an address was used again at once");
        node.remove_pod(&third).await;
        node.nothing_is_left().await;
    });
}

#[test]
fn events_tell_every_step_in_order() {
    inside("events_tell_every_step_in_order", async |node: &mut Node| {
        let mut events = node.events().await;
        let pod = node.run_pod(pod("watched")).await;
        let id = node.start(&pod, container("quick", "exit 4")).await;
        node.wait_exit(&id).await;
        node.remove_pod(&pod).await;
        let mut seen = Vec::new();
        while seen.len() < 8 {
            let event = tokio::time::timeout(Duration::from_secs(10), events.message()).await;
            let event = event.expect("an event in time").expect("events").expect("no end");
            let what = if event.container_id == pod { "pod" } else { "container" };
            if event.container_event_type() == cri::ContainerEventType::ContainerStoppedEvent
                && what == "container"
            {
                assert_eq!(event.containers_statuses[0].exit_code, 4);
            }
            seen.push(format!("{what} {}", event.container_event_type().as_str_name()));
        }
        let expected = [
            "pod CONTAINER_CREATED_EVENT",
            "pod CONTAINER_STARTED_EVENT",
            "container CONTAINER_CREATED_EVENT",
            "container CONTAINER_STARTED_EVENT",
            "container CONTAINER_STOPPED_EVENT",
            "pod CONTAINER_STOPPED_EVENT",
            "container CONTAINER_DELETED_EVENT",
            "pod CONTAINER_DELETED_EVENT",
        ];
        assert_eq!(seen, expected);
    });
}

#[test]
fn limits_hold_where_the_node_has_control_groups() {
    inside("limits_hold_where_the_node_has_control_groups", async |node: &mut Node| {
        if let Some(why) = node.limits_not_enforced().await {
            eprintln!("cannot run here: {why}");
            return;
        }
        let pod = node.run_pod(pod("limits")).await;
        let mut config = container("greedy", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero");
        config.linux = Some(cri::LinuxContainerConfig {
            resources: Some(cri::LinuxContainerResources {
                memory_limit_in_bytes: 32 << 20,
                ..Default::default()
            }),
            ..Default::default()
        });
        let (status, _) = node.run(&pod, config).await;
        assert_eq!(status.reason, "OOMKilled", "{status:?}");
        node.remove_pod(&pod).await;
        node.nothing_is_left().await;
    });
}

#[test]
fn commands_stream_over_websocket_with_their_exit_code() {
    inside("commands_stream_over_websocket_with_their_exit_code", async |node: &mut Node| {
        let pod = node.run_pod(pod("streams")).await;
        let id = node.start(&pod, container("main", "sleep 1000")).await;
        let mut stream = node.exec_stream(&id, "cat; echo done >&2; exit 6", false).await;
        stream.send(0, b"to and fro").await;
        stream.close_stdin().await;
        let ended = stream.finish().await;
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("to and fro", "done\n"));
        assert_eq!(ended.status["reason"], "NonZeroExitCode");
        assert_eq!(ended.status["details"]["causes"][0]["message"], "6");
        assert!(stream.again().await.is_err(), "a token is good once");

        let mut stream = node.exec_stream(&id, "tty; read x; stty size; echo got $x", true).await;
        stream.send(4, br#"{"Width":91,"Height":33}"#).await;
        stream.send(0, b"word\n").await;
        let ended = stream.finish().await;
        assert!(ended.stdout.contains("/dev/pts/0\r\n"), "{}", ended.stdout);
        assert!(ended.stdout.contains("33 91\r\ngot word\r\n"), "{}", ended.stdout);
        assert_eq!(ended.status["status"], "Success");

        let slow = node.exec(&id, "sleep 1000", 1).await.expect_err("it takes too long");
        assert_eq!(slow.code(), tonic::Code::DeadlineExceeded);
        let answer = node.exec(&id, "ls /proc | grep -c '^[0-9]'", 0).await.expect("exec");
        assert_eq!(answer.stdout, b"4\n", "the command that took too long was not ended");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn commands_stream_over_spdy_with_their_exit_code() {
    inside("commands_stream_over_spdy_with_their_exit_code", async |node: &mut Node| {
        let pod = node.run_pod(pod("spdy")).await;
        let id = node.start(&pod, container("main", "sleep 1000")).await;
        let script = "cat; echo done >&2; exit 6";
        let (mut client, head) =
            node.exec_spdy(&id, script, false, &["v4.channel.k8s.io", "channel.k8s.io"]).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("upgrade: spdy/3.1\r\n"), "{head}");
        assert!(head.contains("x-stream-protocol-version: v4.channel.k8s.io\r\n"), "{head}");
        let error = client.open(&[("streamtype", "error")]).await;
        let stdin = client.open(&[("streamtype", "stdin")]).await;
        let stdout = client.open(&[("streamtype", "stdout")]).await;
        let stderr = client.open(&[("streamtype", "stderr")]).await;
        // More than fits in all the pipes between: input and output must flow at once.
        let long = "to and fro\n".repeat(100_000);
        client.send(stdin, long.as_bytes()).await;
        client.finish(stdin).await;
        assert_eq!(client.read_all(stdout).await.len(), long.len());
        assert_eq!(client.read_all(stderr).await, "done\n");
        let status = client.status(error).await;
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], serde_json::json!({"reason": "ExitCode", "message": "6"}));

        // Before version 4 an end is told in words, and before 3 a terminal has no size.
        // (Streams are not in step with each other: the command itself waits for its terminal's size.)
        let sized = "until test \"$(stty size)\" = '33 91'; do sleep 0.02; done; ";
        for (protocol, wait) in [("v3.channel.k8s.io", sized), ("channel.k8s.io", "")] {
            let script = format!("{wait}read x; echo got $x; exit 3");
            let (mut client, _) = node.exec_spdy(&id, &script, true, &[protocol]).await;
            let error = client.open(&[("streamtype", "error")]).await;
            let stdin = client.open(&[("streamtype", "stdin")]).await;
            let stdout = client.open(&[("streamtype", "stdout")]).await;
            if !wait.is_empty() {
                let resize = client.open(&[("streamtype", "resize")]).await;
                client.send(resize, b"{\"Width\":1,\"Height\":1}\n{\"Width\":91,").await;
                client.send(resize, b"\"Height\":33}\n").await;
            }
            client.send(stdin, b"word\n").await;
            let said = client.read_all(stdout).await;
            assert!(said.contains("got word\r\n"), "{protocol}: {said}");
            let words = "command terminated with non-zero exit code: exit code 3";
            assert_eq!(client.read_all(error).await, words);
        }

        let (_, head) = node.exec_spdy(&id, "true", false, &["v9.channel.k8s.io"]).await;
        assert!(head.starts_with("http/1.1 403 "), "{head}");
        assert!(head.contains("x-accepted-stream-protocol-versions: v4.channel.k8s.io\r\n"), "{head}");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn several_connections_share_one_of_spdy() {
    inside("several_connections_share_one_of_spdy", async |node: &mut Node| {
        let pod = node.run_pod(pod("shared")).await;
        let id = node.start(&pod, container("server", "nc -ll -p 8080 -e cat")).await;
        node.wait_for_port(&id, 8080).await;
        for tunnel in [false, true] {
            let mut client = node.forward_spdy(&pod, tunnel).await;
            let mut pairs = Vec::new();
            for request in ["0", "1"] {
                let about = [("port", "8080"), ("requestid", request)];
                let error = client.open(&[&about[..], &[("streamtype", "error")]].concat()).await;
                client.finish(error).await;
                let data = client.open(&[&about[..], &[("streamtype", "data")]].concat()).await;
                pairs.push((error, data));
            }
            // The second is used first, and both are open at once.
            for (at, (_, data)) in pairs.iter().enumerate().rev() {
                let word = format!("word {at}");
                client.send(*data, word.as_bytes()).await;
                let heard = client.read_until(*data, |heard| heard.bytes.len() == word.len()).await;
                assert_eq!(heard.bytes, word.as_bytes());
            }
            for (error, data) in pairs {
                client.finish(data).await;
                client.read_all(data).await;
                assert_eq!(client.read_all(error).await, "", "all went well");
            }
            let about = [("port", "9"), ("requestid", "2")];
            let error = client.open(&[&about[..], &[("streamtype", "error")]].concat()).await;
            client.open(&[&about[..], &[("streamtype", "data")]].concat()).await;
            let said = client.read_all(error).await;
            assert!(said.starts_with(&format!("error forwarding port 9 to pod {pod}, uid : ")), "{said}");
            assert!(said.contains("onnection refused"), "{said}");
        }
        node.remove_pod(&pod).await;
    });
}

#[test]
fn attached_streams_feed_a_container_that_reads() {
    inside("attached_streams_feed_a_container_that_reads", async |node: &mut Node| {
        let pod = node.run_pod(pod("attach")).await;
        let mut config =
            container("reader", "echo ready; while read line; do echo heard $line; done; echo end");
        (config.stdin, config.stdin_once) = (true, true);
        let id = node.start(&pod, config).await;
        node.wait_for_log(&id, "ready").await;
        let mut stream = node.attach_stream(&id).await;
        stream.send(0, b"one\ntwo\n").await;
        stream.close_stdin().await;
        let ended = stream.finish().await;
        assert_eq!(ended.stdout, "heard one\nheard two\nend\n");
        assert_eq!(node.wait_exit(&id).await.exit_code, 0);

        let mut config = container("screen", "tty; test -t 0 && echo terminal; ls -l /dev/console | cut -c1");
        config.tty = true;
        let (status, logs) = node.run(&pod, config).await;
        assert_eq!(status.exit_code, 0, "{}", logs.stdout);
        assert_eq!(logs.stdout, "/dev/pts/0\r\nterminal\r\nc\r\n");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn ports_are_forwarded_into_the_pod() {
    inside("ports_are_forwarded_into_the_pod", async |node: &mut Node| {
        let pod = node.run_pod(pod("forward")).await;
        let id = node.start(&pod, container("server", "nc -l -p 8080 -e cat")).await;
        node.wait_for_port(&id, 8080).await;
        let mut stream = node.forward_stream(&pod, &[8080, 9]).await;
        assert_eq!(stream.next().await, (0, vec![0x90, 0x1f]));
        assert_eq!(stream.next().await, (1, vec![0x90, 0x1f]));
        stream.send(0, b"echo").await;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            seen.push(stream.next().await);
        }
        seen.sort();
        assert_eq!(seen[..2], [(0, b"echo".to_vec()), (2, vec![9, 0])]);
        assert!(String::from_utf8_lossy(&seen[3].1).contains("port 9"), "{seen:?}");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn layers_of_archives_are_stacked_and_hide_what_they_should() {
    inside("layers_of_archives_are_stacked_and_hide_what_they_should", async |node: &mut Node| {
        let pod = node.run_pod(pod("layers")).await;
        for (name, archive) in [("oci:1", layered::oci(node)), ("docker:2", layered::docker(node))] {
            let loaded = node.store().load_archive(&archive).expect("an archive");
            assert_eq!(loaded, [format!("docker.io/library/{name}")]);
            let mut config = container(name.split(':').next().unwrap(), layered::SCRIPT);
            config.image = Some(cri::ImageSpec { image: name.into(), ..Default::default() });
            let (status, logs) = node.run(&pod, config).await;
            assert_eq!(logs.stdout, layered::EXPECTED, "{status:?} {}", logs.stderr);
            assert!(node.store().remove(name).expect("removed"));
        }
        let error = node.store().load_archive(&layered::damaged(node)).expect_err("a wrong digest");
        assert!(format!("{error:#}").contains("digest"), "{error:#}");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn a_node_that_lost_its_power_knows_its_pods_and_gives_their_addresses_back() {
    inside(
        "a_node_that_lost_its_power_knows_its_pods_and_gives_their_addresses_back",
        async |node: &mut Node| {
            let pod = node.run_pod(pod("lost")).await;
            let id = node.start(&pod, container("main", "sleep 1000")).await;
            let created = node.create(&pod, container("never", "true")).await;
            node.kill_runtime().await;
            node.lose_power(&pod);
            node.start_runtime().await;
            let status = node.status(&id).await;
            assert_eq!(status.state(), cri::ContainerState::ContainerExited);
            assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
            assert_eq!(node.status(&created).await.state(), cri::ContainerState::ContainerExited);
            assert_eq!(node.pod_state(&pod).await, cri::PodSandboxState::SandboxNotready);
            node.remove_pod(&pod).await;
            node.nothing_is_left().await;
        },
    );
}

#[test]
fn a_pod_whose_shim_is_killed_is_not_ready_and_leaves_no_process() {
    inside("a_pod_whose_shim_is_killed_is_not_ready_and_leaves_no_process", async |node: &mut Node| {
        let pod = node.run_pod(pod("orphaned")).await;
        let id = node.start(&pod, container("main", "sleep 1000")).await;
        node.lose_power(&pod);
        let status = node.wait_exit(&id).await;
        assert_eq!(status.exit_code, 255);
        assert_eq!(node.pod_state(&pod).await, cri::PodSandboxState::SandboxNotready);
        assert!(!node.processes().iter().any(|line| line.contains("sleep 1000")), "{:?}", node.processes());
        node.remove_pod(&pod).await;
        node.nothing_is_left().await;
    });
}

#[test]
fn containers_of_a_pod_may_share_processes_and_all_of_them_end() {
    inside("containers_of_a_pod_may_share_processes_and_all_of_them_end", async |node: &mut Node| {
        let shared = |mut config: cri::ContainerConfig| {
            let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
            security.namespace_options.as_mut().unwrap().pid = cri::NamespaceMode::Pod.into();
            config
        };
        let pod = node.run_pod(pod("family")).await;
        let one = node.start(&pod, shared(container("one", "sleep 2000 & sleep 1000"))).await;
        let two = node.start(&pod, shared(container("two", "sleep 3000"))).await;
        let seen = node.exec(&two, "cat /proc/*/cmdline | tr '\\0' ' '", 0).await.expect("exec");
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        for word in ["pause", "sleep 1000", "sleep 2000", "sleep 3000"] {
            assert!(seen.contains(word), "{word} is not in {seen:?}");
        }
        node.stop(&one, 0).await;
        let left = node.processes();
        assert!(!left.iter().any(|line| line.contains("sleep 2000")), "{left:?}");
        assert!(left.iter().any(|line| line.contains("sleep 3000")), "{left:?}");
        node.remove_pod(&pod).await;
    });
}

#[test]
fn users_roots_and_privileges_are_as_asked_for() {
    inside("users_roots_and_privileges_are_as_asked_for", async |node: &mut Node| {
        let mut config = pod("modes");
        let security = cri::LinuxSandboxSecurityContext { privileged: true, ..Default::default() };
        config.linux =
            Some(cri::LinuxPodSandboxConfig { security_context: Some(security), ..Default::default() });
        let pod = node.run_pod(config).await;
        let with = |name: &str, script: &str, change: &dyn Fn(&mut cri::LinuxContainerSecurityContext)| {
            let mut config = container(name, script);
            change(config.linux.as_mut().unwrap().security_context.as_mut().unwrap());
            config
        };
        let frozen = with(
            "frozen",
            "touch /x 2>/dev/null || echo frozen; touch /tmp/y || echo too; pwd",
            &|security| {
                security.readonly_rootfs = true;
                security.no_new_privs = true;
                security.capabilities =
                    Some(cri::Capability { drop_capabilities: vec!["ALL".into()], ..Default::default() });
            },
        );
        let (_, logs) = node.run(&pod, frozen).await;
        assert_eq!(logs.stdout, "frozen\ntoo\n/\n");

        let script = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; touch /proc/sys/kernel/x; mount -t tmpfs x /tmp && echo may mount";
        let (_, logs) = node.run(&pod, with("mighty", script, &|security| security.privileged = true)).await;
        assert!(logs.stdout.contains("may mount"), "{} {}", logs.stdout, logs.stderr);

        let user =
            with("user", "id -u; id -g; id -G; grep CapEff /proc/self/status; echo $HOME", &|security| {
                security.run_as_user = Some(cri::Int64Value { value: 1000 });
                security.run_as_group = Some(cri::Int64Value { value: 2000 });
                security.supplemental_groups = vec![3000];
            });
        let id = node.create(&pod, user).await;
        let started = node.try_start(&id).await;
        if node.has_one_id_only() {
            let error = started.expect_err("user 1000 does not exist here");
            assert!(error.message().contains("cannot run as"), "{error}");
        } else {
            started.expect("StartContainer");
            node.wait_exit(&id).await;
            let logs = node.logs(&id).await;
            assert_eq!(
                logs.stdout, "1000\n2000\n2000 3000\nCapEff:\t0000000000000000\n/\n",
                "{}",
                logs.stderr
            );
        }
        node.remove_pod(&pod).await;
    });
}

#[test]
fn a_log_goes_on_in_a_new_file_after_rotation() {
    inside("a_log_goes_on_in_a_new_file_after_rotation", async |node: &mut Node| {
        let pod = node.run_pod(pod("rotate")).await;
        let mut config = container("log", "while read line; do echo $line; done");
        config.stdin = true;
        let id = node.start(&pod, config).await;
        let mut stream = node.attach_stream(&id).await;
        stream.send(0, b"before\n").await;
        node.wait_for_log(&id, "before").await;
        let path = node.status(&id).await.log_path;
        std::fs::rename(&path, format!("{path}.1")).unwrap();
        let request = cri::ReopenContainerLogRequest { container_id: id.clone() };
        node.calls().reopen_container_log(request).await.expect("ReopenContainerLog");
        stream.send(0, b"after\n").await;
        node.wait_for_log(&id, "after").await;
        assert_eq!(node.logs(&id).await.stdout, "after\n");
        // Nobody closed the container's input: it goes on when its client goes.
        drop(stream);
        let mut stream = node.attach_stream(&id).await;
        stream.send(0, b"again\n").await;
        node.wait_for_log(&id, "again").await;
        node.remove_pod(&pod).await;
    });
}

#[test]
fn a_pod_in_the_nodes_network_has_the_nodes_name_and_needs_no_plugin() {
    inside("a_pod_in_the_nodes_network_has_the_nodes_name_and_needs_no_plugin", async |node: &mut Node| {
        let mut config = pod("host");
        let options = cri::NamespaceOption { network: cri::NamespaceMode::Node.into(), ..Default::default() };
        let security =
            cri::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        config.linux =
            Some(cri::LinuxPodSandboxConfig { security_context: Some(security), ..Default::default() });
        let pod = node.run_pod(config).await;
        assert_eq!(node.ip(&pod).await, "");
        let (_, logs) = node.run(&pod, container("name", "hostname; readlink /proc/self/ns/net")).await;
        let here = std::fs::read_link("/proc/self/ns/net").unwrap();
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(logs.stdout, format!("{name}{}\n", here.display()));
        node.remove_pod(&pod).await;
        node.nothing_is_left().await;
    });
}
