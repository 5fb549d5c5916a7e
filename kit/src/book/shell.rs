//! A terminal in the book: `$ command` lines, each with what it printed.
//!
//! ```text
//!   $ kubectl get pods -l 'app in (web),
//!       tier!=db'                           a command goes on while a quote, a here-document or a
//!   NAME    READY   STATUS    …             backslash at the end of a line is open
//!   web-1   1/1     Running   …
//! ```

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Without the `$`, of as many lines as it has.
    pub text: String,
    /// What it is said to print: lines of the block, counted from its first.
    pub printed: std::ops::Range<usize>,
}

const PROMPT: &str = "$ ";

/// The commands of a block; lines in front of the first one belong to nobody, and are an error.
pub fn commands(block: &[String]) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    let mut line = 0;
    while line < block.len() {
        if let Some(first) = block[line].strip_prefix(PROMPT) {
            let mut text = first.to_owned();
            while !is_complete(&text) {
                line += 1;
                let Some(more) = block.get(line) else { return Err(format!("never ends: {PROMPT}{text}")) };
                text.push('\n');
                text.push_str(more);
            }
            commands.push(Command { text, printed: line + 1..line + 1 });
        } else if let Some(last) = commands.last_mut() {
            last.printed.end = line + 1;
        } else {
            return Err(format!("stands before the first command: {}", block[line]));
        }
        line += 1;
    }
    Ok(commands)
}

/// Whether a shell would run this, or wait for more.
fn is_complete(text: &str) -> bool {
    let mut quote = None;
    let mut documents: Vec<String> = Vec::new();
    let mut previous = '\n';
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match (quote, char) {
            (Some('\''), _) | (Some('"'), '"') if quote == Some(char) => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                if matches!(rest.next(), None | Some('\n')) && rest.as_str().is_empty() {
                    return false;
                }
            }
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '#') if previous.is_whitespace() => {
                let comment = rest.as_str().find('\n').unwrap_or(rest.as_str().len());
                rest = rest.as_str()[comment..].chars();
            }
            (None, '<') if rest.as_str().starts_with('<') && !rest.as_str().starts_with("<<") => {
                let word = rest.as_str()[1..].trim_start_matches(['-', ' ']);
                let word = word.split(|c: char| c.is_whitespace() || "|&;>)".contains(c)).next();
                documents.push(word.unwrap_or_default().trim_matches(['\'', '"']).to_owned());
                rest.next();
            }
            (None, '\n') => {
                for end in documents.drain(..) {
                    let mut lines = rest.as_str().split_inclusive('\n');
                    if !lines.by_ref().any(|line| line.trim() == end) {
                        return false;
                    }
                    let left: usize = lines.map(str::len).sum();
                    rest = rest.as_str()[rest.as_str().len() - left..].chars();
                }
            }
            (None, _) => {}
        }
        previous = char;
    }
    let goes_on = ["|", "&&"].iter().any(|end| text.trim_end().ends_with(end));
    quote.is_none() && documents.is_empty() && !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(block: &str) -> Vec<(String, Vec<String>)> {
        let lines: Vec<String> = block.lines().map(str::to_owned).collect();
        let commands = commands(&lines).expect("a block");
        commands.into_iter().map(|it| (it.text, lines[it.printed].to_vec())).collect()
    }

    #[test]
    fn what_follows_a_command_is_what_it_printed() {
        let block = "$ echo a\na\n\nb\n$ true\n$ echo c   # what's this\nc";
        let expected =
            [("echo a", vec!["a", "", "b"]), ("true", vec![]), ("echo c   # what's this", vec!["c"])];
        let expected =
            expected.map(|(text, lines)| (text.to_owned(), lines.into_iter().map(str::to_owned).collect()));
        assert_eq!(split(block), expected);
    }

    #[test]
    fn a_command_goes_on_while_something_is_open() {
        for (command, printed) in [
            ("echo 'a\n  b'", "a"),
            ("echo \"a\nb \\\" c\"", "a"),
            ("echo a \\\n  b", "a b"),
            ("echo a |\n  cat", "a"),
            ("cat <<END\n$ x 'y\nEND", "x"),
            ("cat <<'END' | wc -l\na\nEND", "1"),
            ("for i in 1 2; do echo \"it's $i\"; done", "it's 1"),
            ("echo it\\'s", "it's"),
        ] {
            let block = format!("$ {command}\n{printed}");
            assert_eq!(split(&block), [(command.to_owned(), vec![printed.to_owned()])], "{block}");
        }
    }

    #[test]
    fn blocks_that_make_no_sense_are_refused() {
        let refused =
            |block: &str| commands(&block.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(refused("a\n$ b"), "stands before the first command: a");
        assert_eq!(refused("$ echo 'a"), "never ends: $ echo 'a");
    }
}
