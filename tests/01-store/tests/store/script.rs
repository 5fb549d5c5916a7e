//! A store driven by a few words a line, so that a golden reads like a session with etcdctl.
//!
//! ```text
//! put a 1 [lease=7] [prev] [keep-value] [keep-lease]
//! get a | a..c | a.. | a*     [rev=3 limit=2 sort=mod desc keys count min-mod=2 …]
//! del a..c [prev]
//! txn value(a)=1 version(b)>0 ? put a 2; get a : del b
//! alarm nospace 1     disarm nospace 1
//! compact 3     grant 7 10     revoke 7     alive 7     time 5000
//! watch s a* [from=2 prev noput nodelete id=4 progress]     cancel s 0     progress s
//! taken s 2     catch-up 100     close s     tick
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::lease::Expiry;
use crate::heart::range::{Range, RangeAnswer, SortOrder, SortTarget};
use crate::heart::txn::{Compare, DeleteRange, Is, Op, OpAnswer, Put, Target, Txn, TxnAnswer};
use crate::heart::types::{Event, KeyRange, RangeEnd, Record};
use crate::heart::watch::{Delivery, Hub, StreamId, WatchSpec, What};
use crate::heart::{Answer, Command, Error, Store};

/// Runs a script; the result has each line and, below it, what came of it.
pub fn run(script: &str) -> String {
    run_with_window(1000, script)
}

/// With streams that may be sent so many events ahead.
pub fn run_with_window(window: usize, script: &str) -> String {
    let mut session = Session {
        store: Store::new(),
        hub: Hub::new(window),
        expiry: Expiry::default(),
        streams: BTreeMap::new(),
        now_ms: 0,
        out: String::new(),
    };
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        writeln!(session.out, "> {line}").unwrap();
        session.line(line);
    }
    session.out
}

struct Session {
    store: Store,
    hub: Hub,
    expiry: Expiry,
    streams: BTreeMap<String, StreamId>,
    now_ms: u64,
    out: String,
}

impl Session {
    fn line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<i64>().expect("a number");
        match verb {
            "put" => self.apply(Command::Put(put(&words))),
            "del" => self.apply(Command::Delete(delete(&words))),
            "txn" => self.apply(Command::Txn(txn(rest))),
            "compact" => self.apply(Command::Compact { revision: number(0) }),
            "grant" => self.apply(Command::LeaseGrant { id: number(0), ttl: number(1) }),
            "alarm" | "disarm" => {
                let kind = if words[0] == "nospace" { AlarmKind::NoSpace } else { AlarmKind::Corrupt };
                let alarm = Alarm { member: number(1) as u64, kind };
                self.apply(Command::Alarm { alarm, raise: verb == "alarm" });
            }
            "revoke" => self.apply(Command::LeaseRevoke { id: number(0) }),
            "get" => match self.store.range(&range(&words)) {
                Ok(answer) => self.out.push_str(&show_range(&answer, "  ")),
                Err(e) => self.error(e),
            },
            "alive" => {
                let ttl = self.expiry.handle_keep_alive(number(0), self.now_ms);
                writeln!(self.out, "  {ttl:?}").unwrap();
            }
            "time" => {
                self.now_ms = number(0) as u64;
                for id in self.expiry.poll_expired(self.now_ms, 100) {
                    writeln!(self.out, "  expired {id}").unwrap();
                    self.apply(Command::LeaseRevoke { id });
                }
            }
            "leases" => {
                for (id, lease) in self.store.leases().iter() {
                    let keys: Vec<_> = lease.keys.iter().map(|k| text(k)).collect();
                    let left = self.expiry.remaining(id, self.now_ms);
                    writeln!(self.out, "  {id}: ttl {} left {left:?} keys {keys:?}", lease.ttl).unwrap();
                }
            }
            "watch" => {
                let fresh = self.streams.len() as u64;
                let name = words[0].to_owned();
                let stream = *self.streams.entry(name).or_insert_with(|| {
                    self.hub.handle_open(fresh);
                    fresh
                });
                self.hub.handle_create(stream, watch(&words[1..]), &self.store);
            }
            "cancel" => self.hub.handle_cancel(self.streams[words[0]], number(1), self.store.revision()),
            "progress" => self.hub.handle_progress_request(self.streams[words[0]], self.store.revision()),
            "taken" => self.hub.handle_taken(self.streams[words[0]], number(1) as usize),
            "close" => self.hub.handle_close(self.streams[words[0]]),
            "tick" => self.hub.handle_tick(self.store.revision()),
            "catch-up" => {
                let more = self.hub.poll_catch_up(&self.store, number(0) as usize);
                writeln!(self.out, "  more: {more}").unwrap();
            }
            other => panic!("no such verb: {other}"),
        }
        while let Some(delivery) = self.hub.poll_delivery() {
            self.show_delivery(&delivery);
        }
    }

    fn apply(&mut self, command: Command) {
        if let Err(e) = command.check() {
            return self.error(e);
        }
        let applied = self.store.apply(&command);
        match (&command, &applied.answer) {
            (_, Ok(Answer::LeaseGrant { id, ttl, .. })) => self.expiry.handle_grant(*id, *ttl, self.now_ms),
            (Command::LeaseRevoke { id }, _) => self.expiry.handle_revoke(*id),
            _ => {}
        }
        match applied.answer {
            Ok(answer) => self.show_answer(&answer),
            Err(e) => self.error(e),
        }
        // Watching is a later step than writing.
        if !self.streams.is_empty() {
            self.hub.handle_commit(&applied.events);
        }
    }

    fn error(&mut self, e: Error) {
        writeln!(self.out, "  error: {e}").unwrap();
    }

    fn show_answer(&mut self, answer: &Answer) {
        let shown = match answer {
            Answer::Put(a) => show_op(&OpAnswer::Put(a.clone()), "  "),
            Answer::Delete(a) => show_op(&OpAnswer::Delete(a.clone()), "  "),
            Answer::Txn(a) => show_txn(a, "  "),
            Answer::Compact { revision } => format!("  rev {revision}: compacted\n"),
            Answer::LeaseGrant { revision, id, ttl } => format!("  rev {revision}: lease {id} for {ttl} s\n"),
            Answer::LeaseRevoke { revision } => format!("  rev {revision}: revoked\n"),
            Answer::LeaseCheckpoint { revision } => format!("  rev {revision}: noted\n"),
            Answer::Alarm { revision, alarm } => format!("  rev {revision}: {alarm:?}\n"),
            Answer::Auth { revision } => format!("  rev {revision}\n"),
        };
        self.out.push_str(&shown);
    }

    fn show_delivery(&mut self, d: &Delivery) {
        let stream = self.streams.iter().find(|(_, id)| **id == d.stream).map_or("?", |(name, _)| name);
        write!(self.out, "  {stream}/{} rev {}: ", d.watch, d.revision).unwrap();
        match &d.what {
            What::Created => writeln!(self.out, "created").unwrap(),
            What::Canceled => writeln!(self.out, "canceled").unwrap(),
            What::Refused(why) => writeln!(self.out, "refused: {why}").unwrap(),
            What::Compacted(at) => writeln!(self.out, "compacted at {at}").unwrap(),
            What::Progress => writeln!(self.out, "progress").unwrap(),
            What::Events { events, .. } => {
                let events: Vec<_> = events.iter().map(show_event).collect();
                writeln!(self.out, "{}", events.join(", ")).unwrap();
            }
        }
    }
}

fn show_event(e: &Event) -> String {
    let main = e.record.revision.main;
    let now = match &e.record.value {
        Some(value) => format!("put {}={}@{main}", text(&e.record.key), text(value)),
        None => format!("delete {}@{main}", text(&e.record.key)),
    };
    match &e.prev {
        Some(prev) => format!("{now} (was {}@{})", text(prev.value()), prev.revision.main),
        None => now,
    }
}

fn show_record(r: &Record, keys_only: bool) -> String {
    let value = if keys_only { String::new() } else { format!("={}", text(r.value())) };
    let lease = if r.lease == 0 { String::new() } else { format!(" lease {}", r.lease) };
    format!(
        "{}{value} (create {} mod {} version {}{lease})",
        text(&r.key),
        r.create,
        r.revision.main,
        r.version
    )
}

fn show_range(a: &RangeAnswer, indent: &str) -> String {
    let more = if a.more { " and more" } else { "" };
    let mut out = format!("{indent}rev {}: {} of {}{more}\n", a.revision, a.records.len(), a.count);
    for record in &a.records {
        writeln!(out, "{indent}  {}", show_record(record, a.keys_only)).unwrap();
    }
    out
}

fn show_op(a: &OpAnswer, indent: &str) -> String {
    match a {
        OpAnswer::Range(a) => show_range(a, indent),
        OpAnswer::Txn(a) => show_txn(a, indent),
        OpAnswer::Put(a) => {
            let prev = a.prev.as_ref().map(|p| format!(", was {}", show_record(p, false)));
            format!("{indent}rev {}: put{}\n", a.revision, prev.unwrap_or_default())
        }
        OpAnswer::Delete(a) => {
            let prev: String = a.prev.iter().map(|p| format!(", {}", show_record(p, false))).collect();
            format!("{indent}rev {}: deleted {}{prev}\n", a.revision, a.deleted)
        }
    }
}

fn show_txn(a: &TxnAnswer, indent: &str) -> String {
    let mut out = format!("{indent}rev {}: {}\n", a.revision, if a.succeeded { "then" } else { "else" });
    for answer in &a.answers {
        out.push_str(&show_op(answer, &format!("{indent}  ")));
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
}

fn number(words: &[&str], name: &str) -> i64 {
    option(words, name).map_or(0, |n| n.parse().expect("a number"))
}

pub fn keys(word: &str) -> KeyRange {
    if let Some(prefix) = word.strip_suffix('*') {
        return KeyRange::prefix(prefix.as_bytes());
    }
    match word.split_once("..") {
        None => KeyRange::single(word.as_bytes()),
        Some((start, "")) => KeyRange { start: start.as_bytes().into(), end: RangeEnd::Unbounded },
        Some((start, end)) => {
            KeyRange { start: start.as_bytes().into(), end: RangeEnd::Before(end.as_bytes().into()) }
        }
    }
}

fn put(words: &[&str]) -> Put {
    // `-` stands for nothing at all.
    let word = |at: usize| words.get(at).copied().filter(|w| *w != "-").unwrap_or_default();
    let mut put = Put::new(word(0).as_bytes(), word(1).as_bytes());
    put.lease = number(words, "lease");
    put.prev_kv = words.contains(&"prev");
    put.ignore_value = words.contains(&"keep-value");
    put.ignore_lease = words.contains(&"keep-lease");
    put
}

fn delete(words: &[&str]) -> DeleteRange {
    DeleteRange { keys: keys(words[0]), prev_kv: words.contains(&"prev") }
}

fn range(words: &[&str]) -> Range {
    let mut range = Range::of(keys(words[0]));
    range.revision = number(words, "rev");
    range.limit = number(words, "limit");
    range.min_mod = number(words, "min-mod");
    range.max_mod = number(words, "max-mod");
    range.min_create = number(words, "min-create");
    range.max_create = number(words, "max-create");
    range.keys_only = words.contains(&"keys");
    range.count_only = words.contains(&"count");
    if words.contains(&"asc") {
        range.order = SortOrder::Ascend;
    }
    if words.contains(&"desc") {
        range.order = SortOrder::Descend;
    }
    range.target = match option(words, "sort") {
        None | Some("key") => SortTarget::Key,
        Some("version") => SortTarget::Version,
        Some("create") => SortTarget::Create,
        Some("mod") => SortTarget::Mod,
        Some("value") => SortTarget::Value,
        Some(other) => panic!("no such target: {other}"),
    };
    range
}

fn txn(text: &str) -> Txn {
    let (compare, ops) = text.split_once('?').expect("a question mark");
    let (success, failure) = ops.split_once(" :").unwrap_or((ops, ""));
    Txn {
        compare: compare.split_whitespace().map(self::compare).collect(),
        success: success.split(';').filter_map(op).collect(),
        failure: failure.split(';').filter_map(op).collect(),
    }
}

fn op(text: &str) -> Option<Op> {
    let (verb, rest) = text.trim().split_once(' ')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(match verb {
        "put" => Op::Put(put(&words)),
        "del" => Op::Delete(delete(&words)),
        "get" => Op::Range(range(&words)),
        other => panic!("no such operation: {other}"),
    })
}

fn compare(text: &str) -> Compare {
    let (target, rest) = text.split_once('(').expect("a bracket");
    let (key, rest) = rest.split_once(')').expect("a bracket");
    let (is, than) = match rest.split_at(1) {
        ("=", than) => (Is::Equal, than),
        (">", than) => (Is::Greater, than),
        ("<", than) => (Is::Less, than),
        ("!", than) => (Is::NotEqual, than),
        _ => panic!("no such comparison: {text}"),
    };
    let number = || than.parse().expect("a number");
    let than = match target {
        "version" => Target::Version(number()),
        "create" => Target::Create(number()),
        "mod" => Target::Mod(number()),
        "lease" => Target::Lease(number()),
        "value" => Target::Value(than.as_bytes().into()),
        other => panic!("no such target: {other}"),
    };
    Compare { keys: keys(key), is, than }
}

fn watch(words: &[&str]) -> WatchSpec {
    let mut spec = WatchSpec::of(keys(words[0]), number(words, "from"));
    spec.id = number(words, "id");
    spec.prev_kv = words.contains(&"prev");
    spec.no_put = words.contains(&"noput");
    spec.no_delete = words.contains(&"nodelete");
    spec.progress_notify = words.contains(&"progress");
    spec
}
