//! Running programs to their end, with what they said kept for the failure's message.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a program answered.
#[derive(Debug)]
pub struct Ran {
    pub line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its standard output; the test fails with everything it said when it did not end with 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "{} failed\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// Its standard error; the test fails when it ended with 0.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_ne!(self.code, Some(0), "{} should have failed\n--- stdout\n{}", self.line, self.stdout);
        self.stderr
    }

    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let line = self.line.clone();
        let text = self.ok();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{line} printed no JSON ({error}):\n{text}"))
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    run_with_input(command, "")
}

/// Runs a command to its end with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Ran {
    let line = format!("{command:?}");
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{line} did not start: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything says why by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{line}: {error}"));
    Ran {
        line,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A real client by name, or by the variable of its name (`KUBECTL=/path/to/kubectl`).
pub fn program(name: &str) -> String {
    std::env::var(name.to_uppercase()).unwrap_or_else(|_| name.to_owned())
}
