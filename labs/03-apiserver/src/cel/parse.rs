//! From text to a tree, by the crate `cel`, which recurses: so how deep a text goes is measured
//! before.

use super::{CompileError, MAX_DEPTH, MAX_LENGTH};
use cel::common::ast::IdedExpr;
use cel::parser::{ParseError, PrattParser};

pub fn parse(expression: &str) -> Result<IdedExpr, CompileError> {
    let refuse = |message: String| CompileError { message: format!("ERROR: <input>:-1:0: {message}") };
    if expression.len() > MAX_LENGTH {
        let size = expression.chars().count();
        return Err(refuse(format!(
            "expression code point size exceeds limit: size: {size}, limit {MAX_LENGTH}"
        )));
    }
    if depth(expression) > MAX_DEPTH {
        return Err(refuse(format!("expression recursion limit exceeded: {MAX_DEPTH}")));
    }
    // Its hand-written parser needs a twentieth of the stack of the generated one, which ends the
    // process at thirty parentheses on a thread of 2 MiB.
    let parser = PrattParser::new().enable_optional_syntax(true).enable_ident_escape_syntax(true);
    parser.parse(expression).map_err(|errors| CompileError {
        message: errors.errors.iter().map(|e| syntax_error(expression, e)).collect::<Vec<_>>().join("\n"),
    })
}

fn syntax_error(expression: &str, error: &ParseError) -> String {
    let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(1) as usize);
    let message = match error.msg.strip_prefix("Syntax error") {
        Some(_) => error.msg.clone(),
        None => format!("Syntax error: {}", error.msg),
    };
    at(expression, line, column, &message)
}

/// A message as cel-go prints it, with the line and a mark under the column (both from 1).
pub fn at(expression: &str, line: usize, column: usize, message: &str) -> String {
    let text = expression.lines().nth(line - 1).unwrap_or_default();
    format!("ERROR: <input>:{line}:{column}: {message}\n | {text}\n | {}^", ".".repeat(column - 1))
}

/// A bound on how deep the tree of this text can be. Everything that nests or chains counts: a
/// level for each bracket, operator and dot, begun anew after a comma; conjunctions are balanced
/// by the parser, so a chain ends at one, but a condition does not.
fn depth(expression: &str) -> usize {
    let text = expression.as_bytes();
    let (mut open, mut below, mut deepest) = (Vec::new(), 0usize, 0usize);
    // Of the innermost bracket: the chain that is being read, and the conditions around it.
    let (mut chain, mut conditions) = (0usize, 0usize);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' | b'\'' => {
                let raw = at >= 2 && matches!(text[at - 2], b'r' | b'R')
                    || at >= 3 && matches!(&text[at - 3..at - 1], [b'r' | b'R', b'b' | b'B']);
                at = text_end(text, at - 1, *byte, raw);
            }
            b'`' => at = text[at..].iter().position(|b| *b == b'`').map_or(text.len(), |n| at + n + 1),
            b'/' if text.get(at) == Some(&b'/') => {
                at = text[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |n| at + n);
            }
            b'(' | b'[' | b'{' => {
                open.push((chain + 1, conditions));
                below += chain + 1 + conditions;
                (chain, conditions) = (0, 0);
            }
            b')' | b']' | b'}' => {
                (chain, conditions) = open.pop().unwrap_or_default();
                below = below.saturating_sub(chain + conditions);
            }
            b',' => (chain, conditions) = (0, 0),
            b'&' | b'|' => chain = 0,
            b'?' => conditions += 1,
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' => chain += 1,
            b'i' if text.get(at) == Some(&b'n') => chain += 1,
            _ => {}
        }
        deepest = deepest.max(below + chain + conditions);
    }
    deepest
}

/// Behind the text that begins with the quote at `start`. Three quotes end with three.
fn text_end(text: &[u8], start: usize, quote: u8, raw: bool) -> usize {
    let three = text[start..].starts_with(&[quote; 3]);
    let mark: &[u8] = if three { &[quote; 3] } else { &[quote] };
    let mut at = start + mark.len();
    while at < text.len() {
        if text[at] == b'\\' && !raw {
            at += 2;
        } else if text[at..].starts_with(mark) {
            return at + mark.len();
        } else if text[at] == b'\n' && !three {
            // Not a text after all: what follows is read, and counts.
            return at;
        } else {
            at += 1;
        }
    }
    // Nothing ends it, so it hides nothing.
    start + mark.len()
}
