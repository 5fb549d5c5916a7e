//! Reading what a test program prints.

use std::path::Path;

/// One line, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Result(Result),
    /// A test said that it cannot run here, and why.
    Skipped(&'a str),
    /// What failing tests printed begins here.
    Failures,
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Result {
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
}

pub fn read(line: &str) -> Line<'_> {
    let text = line.trim_start();
    if let Some(rest) = text.strip_prefix("test result: ") {
        let number = |what: &str| {
            let before = rest.split(';').find_map(|part| part.trim().strip_suffix(what));
            before
                .and_then(|before| before.rsplit(' ').find(|word| !word.is_empty())?.parse().ok())
                .unwrap_or(0)
        };
        let (passed, failed, ignored) = (number("passed"), number("failed"), number("ignored"));
        return Line::Result(Result { passed, failed, ignored });
    }
    match text.strip_prefix("SKIPPED") {
        Some(why) => Line::Skipped(why.trim_start_matches([':', ' '])),
        None if line == "failures:" => Line::Failures,
        None => Line::Other,
    }
}

/// The chapter, or other room, to which a package's folder belongs: `tests/09-kube-proxy` to
/// `09-kube-proxy`, as do its core and its shell.
pub fn room(root: &Path, folder: &Path) -> String {
    let inside = folder.strip_prefix(root).unwrap_or(folder);
    inside.file_name().unwrap_or(inside.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_test_programs_are_understood() {
        let result = "test result: FAILED. 54 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.90s";
        assert_eq!(read(result), Line::Result(Result { passed: 54, failed: 1, ignored: 2 }));
        assert_eq!(read("SKIPPED: no iptables here"), Line::Skipped("no iptables here"));
        assert_eq!(read("failures:"), Line::Failures);
        assert_eq!(read("test a::b ... ok"), Line::Other);
    }

    #[test]
    fn a_chapters_rooms_are_one() {
        let root = Path::new("/w");
        for folder in ["/w/tests/09-kube-proxy", "/w/chapters/09-kube-proxy"] {
            assert_eq!(room(root, Path::new(folder)), "09-kube-proxy");
        }
        assert_eq!(room(root, Path::new("/w/kit")), "kit");
    }
}
