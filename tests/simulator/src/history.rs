//! What clients did and saw: the only thing that a judge believes.

use std::fmt;

/// Keys are small numbers, so that many requests meet at the same one.
pub type Key = u8;
/// Every value is written once, so that a reader's value names its write. Never 0.
pub type Value = u64;

/// What a client asked of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// All of it in one revision; no key twice.
    Put(Vec<(Key, Value)>),
    /// From the first key to the last, that one included.
    Delete(Key, Key),
    /// Put if the key's last change is still of this revision; 0: if there is no such key.
    Swap {
        key: Key,
        expected: i64,
        value: Value,
    },
    Read(Read),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    pub first: Key,
    pub last: Key,
    /// As of this revision, or as of now.
    pub at: Option<i64>,
    /// Asked for the truth, and not for what the asked member happens to know.
    pub linearizable: bool,
}

/// A key as a reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    pub value: Value,
    /// Of its last change.
    pub revision: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The store's revision when it answered: of a write that changed something, its own.
    pub revision: i64,
    /// Something was changed.
    pub changed: bool,
    /// Of a read, in order of keys.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done(Answer),
    /// It was not done, and will not be.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub client: u64,
    pub call: Call,
    pub invoked_us: u64,
    /// When it ended, and how. `None`: nobody knows, and it may still be done.
    pub ended: Option<(u64, Outcome)>,
}

/// All operations of a run, by rising time of invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub operations: Vec<Operation>,
}

/// One change of one key: the new value, or that there is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    pub key: Key,
    pub value: Option<Value>,
}

/// What is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl History {
    /// A client asks. Returns the operation's number.
    pub fn invoke(&mut self, client: u64, call: Call, now_us: u64) -> usize {
        self.operations.push(Operation { client, call, invoked_us: now_us, ended: None });
        self.operations.len() - 1
    }

    pub fn end(&mut self, operation: usize, outcome: Outcome, now_us: u64) {
        self.operations[operation].ended = Some((now_us, outcome));
    }
}

impl Operation {
    pub fn answer(&self) -> Option<&Answer> {
        match &self.ended {
            Some((_, Outcome::Done(answer))) => Some(answer),
            _ => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self.ended, Some((_, Outcome::Refused)))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Put(puts) => {
                let puts: Vec<String> = puts.iter().map(|(key, value)| format!("k{key}={value}")).collect();
                write!(f, "put {}", puts.join(" "))
            }
            Call::Delete(first, last) => write!(f, "delete {}", Keys(*first, *last)),
            Call::Swap { key, expected, value } => {
                write!(f, "put k{key}={value} if its revision is {expected}")
            }
            Call::Read(read) => {
                let how = if read.linearizable { "read" } else { "read what is known of" };
                write!(f, "{how} {}", Keys(read.first, read.last))?;
                read.at.map_or(Ok(()), |at| write!(f, " as of revision {at}"))
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.changed { "done in" } else { "seen at" };
        write!(f, "{what} revision {}", self.revision)?;
        for Entry { key, value, revision } in &self.entries {
            write!(f, " k{key}={value}@{revision}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        write!(f, "client {} from {} ms", self.client, ms(self.invoked_us))?;
        match &self.ended {
            Some((at_us, Outcome::Done(answer))) => {
                write!(f, " to {} ms: {}: {answer}", ms(*at_us), self.call)
            }
            Some((at_us, Outcome::Refused)) => write!(f, " to {} ms: {}: refused", ms(*at_us), self.call),
            None => write!(f, ": {}: no answer", self.call),
        }
    }
}

struct Keys(Key, Key);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys(first, last) = self;
        if first == last { write!(f, "k{first}") } else { write!(f, "k{first} to k{last}") }
    }
}
