//! Events about objects: what happened, how often, and not too much of it
//! (client-go's tools/record/events_cache.go).

use crate::limit::TokenBucket;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

/// How many different events are remembered. When it is full everything is forgotten, and
/// a repeat becomes a new Event.
pub const REMEMBERED: usize = 4096;
/// One object may cause this many Events at once, and one more every five minutes.
pub const BURST: u32 = 25;
/// How fast a quota fills again.
pub const PER_SECOND: f64 = 1.0 / 300.0;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    pub about: ObjectReference,
    /// `Normal` or `Warning`.
    pub type_: String,
    /// One word in UpperCamelCase, for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A new Event.
    Create(Box<Event>),
    /// The Event exists: patch its `count` and `lastTimestamp`. If it has expired
    /// meanwhile, create this one.
    Count(Box<Event>),
    /// This object is too noisy.
    Drop,
}

/// Kind, namespace, name and uid.
type ObjectKey = [String; 4];

/// What makes two occurrences the same event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sameness {
    object: ObjectKey,
    field_path: String,
    type_: String,
    reason: String,
    message: String,
}

/// An Event that was written.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    count: i32,
    first: Timestamp,
}

/// Remembers what one component told.
#[derive(Debug)]
pub struct Correlator {
    component: String,
    host: Option<String>,
    // lab:given
    seen: BTreeMap<Sameness, Seen>,
    // lab:given
    quotas: BTreeMap<ObjectKey, TokenBucket>,
    // lab:given
    last_name: i128,
}

impl Correlator {
    pub fn new(component: &str, host: Option<&str>) -> Correlator {
        Correlator {
            component: component.to_owned(),
            host: host.map(str::to_owned),
            seen: BTreeMap::new(),
            quotas: BTreeMap::new(),
            last_name: 0,
        }
    }

    /// Says what to write of an occurrence.
    pub fn handle(&mut self, occurrence: Occurrence, now: Timestamp) -> Action {
        let about = &occurrence.about;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let same = Sameness {
            object: [&about.kind, &about.namespace, &about.name, &about.uid].map(text),
            field_path: text(&about.field_path),
            type_: occurrence.type_.clone(),
            reason: occurrence.reason.clone(),
            message: occurrence.message.clone(),
        };
        match self.judge(same, now) {
            None => Action::Drop,
            Some(seen) if seen.count == 1 => Action::Create(Box::new(self.event(occurrence, &seen, now))),
            Some(seen) => Action::Count(Box::new(self.event(occurrence, &seen, now))),
        }
    }

    /// Counts an occurrence, unless its object has used its quota up.
    fn judge(&mut self, same: Sameness, now: Timestamp) -> Option<Seen> {
        // lab:begin 04.8 ask the object's quota, then count what was seen, or remember it
        if self.quotas.len() >= REMEMBERED {
            self.quotas.clear();
        }
        let quota = self.quotas.entry(same.object.clone());
        let quota = quota.or_insert_with(|| TokenBucket::new(PER_SECOND, BURST));
        if !quota.try_take(since_epoch(now)) {
            return None;
        }
        if let Some(seen) = self.seen.get_mut(&same) {
            seen.count = seen.count.saturating_add(1);
            return Some(seen.clone());
        }
        // Names hold the time, and must differ even within one tick of the clock.
        self.last_name = now.as_nanosecond().max(self.last_name + 1);
        let name = format!("{}.{:x}", same.object[2], self.last_name);
        let seen = Seen { name, count: 1, first: now };
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(same, seen.clone());
        Some(seen)
        // lab:end
    }

    fn event(&self, occurrence: Occurrence, seen: &Seen, now: Timestamp) -> Event {
        let Occurrence { about, type_, reason, message } = occurrence;
        // An Event about something without a namespace lives in `default`.
        let namespace = about.namespace.clone().filter(|namespace| !namespace.is_empty());
        Event {
            metadata: ObjectMeta {
                name: Some(seen.name.clone()),
                namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            involved_object: about,
            type_: Some(type_),
            reason: Some(reason),
            message: Some(message),
            count: Some(seen.count),
            first_timestamp: Some(Time(seen.first)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some(self.component.clone()), host: self.host.clone() }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone().unwrap_or_default()),
            ..Event::default()
        }
    }
}

/// What a [`TokenBucket`] takes for a clock.
// lab:given
fn since_epoch(now: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}
