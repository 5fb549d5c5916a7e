//! Text for a person: wrapped to the width of the terminal, coloured where somebody watches.

use std::io::{IsTerminal, Write};
use std::path::Path;

use crate::place::Place;
use crate::say;

/// What is wide enough for every line that is not wrapped, such as a compiler's.
const USUAL: usize = 80;
/// Longer lines are tiresome to read.
const WIDEST: usize = 100;
/// Narrower than this nothing can be set with an indent.
const NARROWEST: usize = 40;

pub struct Page {
    pub width: usize,
    colour: bool,
    text: String,
}

impl Page {
    pub fn of_the_terminal() -> Self {
        let width = terminal_width().unwrap_or(USUAL).clamp(NARROWEST, WIDEST);
        Self { width, colour: say::is_watched(), text: String::new() }
    }

    pub fn without_colour() -> Self {
        Self { width: USUAL, colour: false, text: String::new() }
    }

    #[cfg(test)]
    pub fn plain(width: usize) -> Self {
        Self { width, ..Self::without_colour() }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    pub fn dim(&self, text: &str) -> String {
        self.painted("2", text)
    }

    pub fn red(&self, text: &str) -> String {
        self.painted("31", text)
    }

    pub fn green(&self, text: &str) -> String {
        self.painted("32", text)
    }

    pub fn yellow(&self, text: &str) -> String {
        self.painted("33", text)
    }

    /// A line as it stands.
    pub fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// An empty line, and never two.
    pub fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Words, wrapped, each line set in by `indent`.
    pub fn words(&mut self, indent: usize, text: &str) {
        for line in wrap(text, self.width.saturating_sub(indent)) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// Words behind a label, wrapped within their own column.
    pub fn entry(&mut self, indent: usize, label: &str, text: &str) {
        let column = indent + ENTRY;
        let mut lines = wrap(text, self.width.saturating_sub(column)).into_iter();
        let label = self.dim(&format!("{label:<ENTRY$}"));
        self.line(&format!("{:indent$}{label}{}", "", lines.next().unwrap_or_default()));
        lines.for_each(|line| self.line(&format!("{:column$}{line}", "")));
    }

    /// A line behind a label that must not be wrapped: a path, a value.
    pub fn exact(&mut self, indent: usize, label: &str, text: &str) {
        let label = self.dim(&format!("{label:<ENTRY$}"));
        self.line(&format!("{:indent$}{label}{text}", ""));
    }

    /// Words behind a mark, wrapped behind it.
    pub fn item(&mut self, indent: usize, mark: &str, text: &str) {
        let column = indent + 2;
        for (n, line) in wrap(text, self.width.saturating_sub(column)).into_iter().enumerate() {
            let before = if n == 0 { format!("{:indent$}{mark} ", "") } else { " ".repeat(column) };
            self.line(&format!("{before}{line}"));
        }
    }

    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// A reader that left, as `head` does, has read enough.
    pub fn print(&self) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(self.text.as_bytes()).and_then(|()| out.flush());
    }
}

/// The column of an entry's words, counted from its label.
pub const ENTRY: usize = 10;

/// Breaks a text between words; a word that is too long stays whole. An empty line in it stays.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// A path as the person can open it from where they are: most terminals make a link of `path:line`.
pub fn path(place: &Place, path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| place.root.clone());
    relative(&place.root, &here, path)
}

fn relative(root: &Path, here: &Path, path: &Path) -> String {
    let path = root.join(path);
    if let Ok(below) = path.strip_prefix(here) {
        return below.display().to_string();
    }
    match (here.strip_prefix(root), path.strip_prefix(root)) {
        (Ok(down), Ok(from_root)) => {
            format!("{}{}", "../".repeat(down.components().count()), from_root.display())
        }
        _ => path.display().to_string(),
    }
}

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

/// The columns of the terminal that is written to.
fn terminal_width() -> Option<usize> {
    use std::os::fd::AsRawFd;
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and the kernel writes one `winsize`, which is what stands there.
    unsafe { window_size(out.as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_paragraphs_kept() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a\nb\n\nc", 8), ["a b", "", "c"]);
        assert_eq!(wrap("incomprehensible a", 4), ["incomprehensible", "a"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_path_is_told_from_where_one_stands() {
        let told = |here: &str| relative(Path::new("/w"), Path::new(here), Path::new("labs/05/src/a.rs"));
        assert_eq!(told("/w"), "labs/05/src/a.rs");
        assert_eq!(told("/w/labs/05"), "src/a.rs");
        assert_eq!(told("/w/labs/04"), "../../labs/05/src/a.rs");
        assert_eq!(told("/home"), "/w/labs/05/src/a.rs");
    }

    #[test]
    fn entries_keep_to_their_column() {
        let mut page = Page::plain(40);
        page.entry(2, "why", "an update that nobody guards loses what another wrote");
        page.blank();
        page.blank();
        page.item(2, "✗", "names that are sentences may well be longer than a line");
        let expected = "  why       an update that nobody guards\n            loses what another wrote\n\n  ✗ names that are sentences may well be\n    longer than a line\n";
        assert_eq!(page.text(), expected);
    }
}
