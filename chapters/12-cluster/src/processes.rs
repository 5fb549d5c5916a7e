//! Processes across PID namespaces: one process has a number in each namespace from its own
//! outwards, and /proc tells them all (`NSpid`) to who looks from outside.

use std::collections::BTreeMap;
use std::fs;

/// All processes that this PID namespace sees.
pub struct Processes {
    all: BTreeMap<u32, Entry>,
}

struct Entry {
    parent: u32,
    /// From the number in this namespace to that in the process's own.
    numbers: Vec<u32>,
}

impl Processes {
    pub fn look() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let all = entries
            .filter_map(|entry| {
                let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
                let parent = field("PPid:")?.trim().parse().ok()?;
                // NSpid starts at the namespace of the /proc that is read.
                let numbers = field("NSpid:")?.split_whitespace().filter_map(|it| it.parse().ok()).collect();
                Some((pid, Entry { parent, numbers }))
            })
            .collect();
        Self { all }
    }

    /// What we call the process that `root`, the first of its namespace, and its children call `inner`.
    pub fn translate(&self, root: u32, inner: u32) -> Option<u32> {
        let depth = self.all.get(&root)?.numbers.len().checked_sub(1)?;
        self.all
            .iter()
            .find(|&(&pid, entry)| entry.numbers.get(depth) == Some(&inner) && self.descends(pid, root))
            .map(|(&pid, _)| pid)
    }

    /// A process and everything below it.
    pub fn below(&self, root: u32) -> impl Iterator<Item = u32> {
        self.all.keys().copied().filter(move |&pid| self.descends(pid, root))
    }

    fn descends(&self, pid: u32, root: u32) -> bool {
        let mut at = pid;
        // A tree has no circles, but it may change while we read it.
        for _ in 0..self.all.len() {
            if at == root {
                return true;
            }
            match self.all.get(&at) {
                Some(entry) => at = entry.parent,
                None => return false,
            }
        }
        false
    }
}
