//! What happened, in order, for people.

/// Lines are made only when somebody will read them.
#[derive(Debug, Default)]
pub struct Trace {
    wanted: bool,
    now_us: u64,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at_us: u64,
    machine: Option<usize>,
    words: String,
}

impl Trace {
    pub fn new(wanted: bool) -> Self {
        Trace { wanted, ..Trace::default() }
    }

    pub(crate) fn set_now(&mut self, now_us: u64) {
        self.now_us = now_us;
    }

    /// The world's time, for records; a process has no way to know it.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    pub fn note(&mut self, machine: Option<usize>, words: impl FnOnce() -> String) {
        if self.wanted {
            self.lines.push(Line { at_us: self.now_us, machine, words: words() });
        }
    }

    /// One line each: seconds, machine, what happened.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            let machine = line.machine.map_or("  ".to_string(), |machine| format!("m{machine}"));
            let (seconds, rest) = (line.at_us / 1_000_000, line.at_us % 1_000_000);
            out += &format!("{seconds:>3}.{rest:06} {machine} {}\n", line.words);
        }
        out
    }
}
