//! The words and signs of a label selector's text.

use crate::labels::SelectorError;
use std::fmt;

/// A word or a sign of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A key, a value, or one of the words `in` and `notin`.
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Word(word) => word,
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::Not => "!",
            Token::Equals => "=",
            Token::DoubleEquals => "==",
            Token::NotEquals => "!=",
            Token::Greater => ">",
            Token::Less => "<",
            Token::End => "",
        })
    }
}

/// The error of a token in the wrong place.
pub fn unexpected(found: &Token, expected: &'static str) -> SelectorError {
    SelectorError::Unexpected { found: found.to_string(), expected }
}

/// The blanks that upstream skips; other white space is part of a word, and then wrong there.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while let Some(first) = rest.chars().next() {
        let symbols = [
            ("==", Token::DoubleEquals),
            ("!=", Token::NotEquals),
            ("=", Token::Equals),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Greater),
            ("<", Token::Less),
        ];
        let symbol = symbols.into_iter().find(|(symbol, _)| rest.starts_with(symbol));
        let length = match symbol {
            Some((symbol, token)) => {
                tokens.push(token);
                symbol.len()
            }
            None => {
                let end = |c: char| BLANKS.contains(&c) || "=!,()><".contains(c);
                let length = rest.find(end).unwrap_or(rest.len()).max(first.len_utf8());
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start_matches(BLANKS);
    }
    tokens.push(Token::End);
    tokens
}

/// Reads tokens from the left; the last one is always `End`.
pub struct Tokens {
    tokens: Vec<Token>,
    at: usize,
}

impl Tokens {
    pub fn of(text: &str) -> Tokens {
        Tokens { tokens: tokenize(text), at: 0 }
    }

    /// The next token, left where it is.
    pub fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// One value, which may be empty: `a=` asks for an empty label.
    pub fn value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            _ => match self.take() {
                Token::Word(word) => Ok(word),
                other => Err(unexpected(&other, "identifier")),
            },
        }
    }

    /// `(x,y)`; an empty place between commas, or in empty brackets, is the empty value.
    pub fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.take() {
            Token::Open => {}
            other => return Err(SelectorError::NoList(other.to_string())),
        }
        let mut values = Vec::new();
        loop {
            match self.peek() {
                Token::Comma | Token::Close => values.push(String::new()),
                Token::Word(word) => {
                    values.push(word.clone());
                    self.take();
                }
                other if values.is_empty() => return Err(unexpected(other, "',', ')' or identifier")),
                other => return Err(unexpected(other, "',', or identifier")),
            }
            match self.take() {
                Token::Close => return Ok(values),
                Token::Comma => {}
                other => return Err(unexpected(&other, "',' or ')'")),
            }
        }
    }
}
