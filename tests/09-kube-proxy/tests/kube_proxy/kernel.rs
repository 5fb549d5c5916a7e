//! The last word: what the real iptables makes of our text, in a network namespace that is gone
//! afterwards. Where this machine cannot (no root, no iptables, no `unshare`), it says so aloud.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::heart::{Installed, Rules, build, restore};
use crate::tracer::Tables;
use crate::world::{self, shop};

/// Loads each text in turn, and prints the tables after each, behind a line of its own.
/// `/run` is covered, since the lock of iptables is there.
const SCRIPT: &str = r#"
    set -e
    mount -t tmpfs tmpfs /run
    for text in "$@"; do
        printf '%s' "$text" | iptables-restore --noflush --wait
        echo '=== saved'
        iptables-save
    done
"#;

/// The tables as iptables-save prints them after each of `texts`; `None` if that cannot be tried.
fn load(texts: &[String]) -> Option<Vec<String>> {
    let mut probe = Command::new("unshare");
    probe.args([
        "--net",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /run && iptables-restore --noflush --wait",
    ]);
    probe.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let empty = "*filter\nCOMMIT\n*nat\nCOMMIT\n";
    let tried = probe.spawn().and_then(|mut child| {
        child.stdin.take().expect("piped").write_all(empty.as_bytes())?;
        child.wait_with_output()
    });
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            eprintln!("SKIPPED: no iptables in a namespace of its own here: {}", why.trim());
            return None;
        }
        Err(why) => {
            eprintln!("SKIPPED: cannot run unshare here: {why}");
            return None;
        }
    }
    let output =
        Command::new("unshare").args(["--net", "--mount", "sh", "-c", SCRIPT, "sh"]).args(texts).output();
    let output = output.expect("unshare ran a moment ago");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let saved = String::from_utf8(output.stdout).expect("UTF-8");
    Some(saved.split("=== saved\n").skip(1).map(without_counters).collect())
}

fn without_counters(saved: &str) -> String {
    let lines = saved.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n").collect()
}

fn parsed(text: &str) -> Tables {
    let mut tables = Tables::default();
    tables.restore(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    tables.normal()
}

/// A cluster with something of everything.
fn busy() -> Rules {
    build(
        &shop(json!({
            "type": "LoadBalancer",
            "ports": [{"port": 80, "nodePort": 30080}],
            "externalIPs": ["192.0.2.7"],
            "externalTrafficPolicy": "Local",
            "sessionAffinity": "ClientIP",
        })),
        &world::config(),
    )
}

#[test]
fn the_kernel_holds_what_we_wrote_and_a_second_restore_changes_nothing() {
    let text = restore(&Installed::default(), &busy());
    let Some(saved) = load(&[text.clone(), text.clone()]) else { return };
    assert_eq!(parsed(&saved[0]), parsed(&text));
    assert_eq!(saved[0], saved[1]);
}

#[test]
fn the_kernel_takes_the_steps_between_tables_and_arrives_where_a_full_restore_does() {
    let empty = build(&Default::default(), &world::config());
    let (busy, quiet) = (busy(), build(&shop(json!({})), &world::config()));
    let mut steps = vec![restore(&Installed::default(), &empty)];
    for (from, to) in [(&empty, &busy), (&busy, &quiet), (&quiet, &empty)] {
        steps.push(restore(&Installed::exactly(from), to));
    }
    let Some(saved) = load(&steps) else { return };
    for (saved, rules) in saved.iter().zip([&empty, &busy, &quiet, &empty]) {
        assert_eq!(parsed(saved), parsed(&rules.to_string()));
    }
    assert_eq!(saved[0], saved[3]);
}
