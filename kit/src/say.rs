//! Words on the terminal: plain ones, except where a person watches.

use std::io::IsTerminal;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Whether colours reach a person who wants them.
pub fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

fn painted(code: &str, text: &str) -> String {
    if is_watched() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

pub fn bold(text: &str) -> String {
    painted("1", text)
}

pub fn dim(text: &str) -> String {
    painted("2", text)
}

pub fn red(text: &str) -> String {
    painted("31", text)
}

pub fn green(text: &str) -> String {
    painted("32", text)
}

pub fn yellow(text: &str) -> String {
    painted("33", text)
}

/// `0.8 s`, `12 s`, `2 min 5 s`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 99.5 {
        format!("{seconds:.0} s")
    } else {
        let seconds = seconds.round() as u64;
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// Shows a command as a person would type it.
pub fn command(words: &str) {
    println!("    {} {}", dim("$"), bold(words));
}

/// Prints what a program printed, set in a little.
pub fn indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

/// Runs a program to its end; its standard output if it succeeded, otherwise an error with what it
/// said on the other.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    finished(&name, &output)
}

fn finished(name: &str, output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let said = if said.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
        bail!("{name} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_a_person_wants_them() {
        let said = [0.04, 0.84, 9.94, 12.4, 99.6, 125.0].map(|s| time(Duration::from_secs_f64(s)));
        assert_eq!(said, ["0.0 s", "0.8 s", "9.9 s", "12 s", "1 min 40 s", "2 min 5 s"]);
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo why >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit status: 3): why");
    }
}
