//! The walls themselves (`kit/src/exam/jail.rs`), with a shell inside in place of a test.

use std::process::{Command, Output};

/// What a shell in there says. `None`, and aloud, where the machine forbids walls.
fn inside(script: &str) -> Option<Output> {
    let walls = r#"{"reads":["/bin","/usr/bin"],"writes":[],"tools":false,"processes":16,"user":null}"#;
    let rules =
        format!(r#"{{"memory":1073741824,"cpu_seconds":10,"file":4096,"tell":false,"walls":{walls}}}"#);
    let kit = || {
        let mut kit = Command::new(env!("CARGO_BIN_EXE_kit"));
        kit.arg("jail").arg(&rules);
        kit
    };
    let tried = kit().output().unwrap();
    if !tried.status.success() {
        println!("SKIPPED: this machine forbids walls: {}", String::from_utf8_lossy(&tried.stderr));
        return None;
    }
    Some(kit().args(["/bin/sh", "-c", script]).output().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn inside_there_are_libraries_and_an_empty_tmp_and_nothing_else() {
    let Some(output) = inside("cd / && echo * && echo /tmp/* && test ! -e /proc/self && id -u") else {
        return;
    };
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    let known = ["bin", "dev", "gnu", "lib", "lib32", "lib64", "nix", "tmp", "usr"];
    assert!(lines[0].split(' ').all(|name| known.contains(&name)), "{said}");
    assert_eq!(lines[1], "/tmp/*", "nothing");
    // An ordinary user is root in there of nothing, and root is somebody else.
    let outside = Command::new("id").arg("-u").output().unwrap();
    assert_ne!(lines[2], String::from_utf8_lossy(&outside.stdout).trim(), "{said}");
}

#[test]
fn nothing_can_be_written_but_small_files_in_tmp() {
    let script = "echo x > /tmp/a && cat /tmp/a; for p in /a /usr/a /usr/bin/a /dev/a; do echo x > $p; done; \
                  head -c 8192 /dev/zero > /tmp/large; ls / /usr /usr/bin | grep -x a";
    let Some(output) = inside(script) else { return };
    assert_eq!(said(&output), "x");
}

#[test]
fn processes_are_counted_and_end_with_the_first() {
    // A number that nobody else sleeps for.
    let seconds = 1_000_000 + std::process::id();
    let script =
        format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep {seconds} & done");
    let Some(output) = inside(&script) else { return };
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.to_lowercase().contains("fork"), "the seventeenth is refused: {words}");
    let mut left = 0;
    for process in std::fs::read_dir("/proc").unwrap() {
        let line = std::fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
        left += usize::from(String::from_utf8_lossy(&line).contains(&format!("sleep\0{seconds}")));
    }
    assert_eq!(left, 0, "they outlived the first");
}

#[test]
fn how_it_ended_is_passed_on() {
    let Some(output) = inside("exit 7") else { return };
    assert_eq!(output.status.code(), Some(7));
}
