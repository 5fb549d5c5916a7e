//! The whole store as frames, and back.
//!
//! ```text
//!   Snapshot │ Extra? │ Leases │ Checkpoints? │ Alarms? │ Auth? │ Records … │ End
//! ```
//!
//! What has a question mark is there only if there is something to say; of records there are as many
//! frames as it takes. A file without its end is damaged, whatever it holds.

use std::sync::Arc;

use crate::alarm::Alarm;
use crate::auth::Auth;
use crate::codec::{Decoder, Encoder, Malformed};
use crate::crc;
use crate::encoding::{decode_alarm, decode_times, encode_alarm, encode_times};
use crate::store::Store;
use crate::types::{Key, LeaseId, NO_LEASE, Record, Revision};
use crate::wal::{self, Kind};

/// About how large a frame of records is.
const CHUNK: usize = 256 * 1024;

/// The store at one moment. It shares the records' memory, so it costs a pointer for each.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Index of the last command that is in it.
    pub applied: u64,
    pub revision: i64,
    pub compacted: i64,
    /// What others than the store want kept with it; the store does not look into it.
    pub extra: Vec<u8>,
    /// Times to live.
    leases: Vec<(LeaseId, i64)>,
    /// Seconds left, where they are fewer.
    checkpoints: Vec<(LeaseId, i64)>,
    alarms: Vec<Alarm>,
    auth: Box<Auth>,
    records: Vec<Arc<Record>>,
}

impl Snapshot {
    pub fn of(store: &Store, applied: u64) -> Self {
        let remaining = store.leases().iter().map(|(id, lease)| (id, lease.remaining));
        Snapshot {
            applied,
            revision: store.revision(),
            compacted: store.compacted(),
            extra: Vec::new(),
            leases: store.leases().iter().map(|(id, lease)| (id, lease.ttl)).collect(),
            checkpoints: remaining.filter(|(_, seconds)| *seconds > 0).collect(),
            alarms: store.alarms.iter().collect(),
            auth: Box::new(store.auth.clone()),
            records: store.retained(),
        }
    }

    /// The file, frame by frame.
    pub fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut head = Encoder::default();
        head.u64(self.applied);
        head.i64(self.revision);
        head.i64(self.compacted);
        let extra = Encoder { out: self.extra.clone() };
        let mut leases = Encoder::default();
        encode_times(&mut leases, &self.leases);
        let mut checkpoints = Encoder::default();
        encode_times(&mut checkpoints, &self.checkpoints);
        let mut alarms = Encoder::default();
        alarms.list(&self.alarms, encode_alarm);
        let mut auth = Encoder::default();
        self.auth.encode(&mut auth);
        let mut end = Encoder::default();
        end.u64(self.records.len() as u64);
        let mut rest = self.records.as_slice();
        let records = std::iter::from_fn(move || {
            let mut chunk = Encoder::default();
            while chunk.out.len() < CHUNK {
                let Some((record, more)) = rest.split_first() else { break };
                encode_record(&mut chunk, record);
                rest = more;
            }
            (!chunk.out.is_empty()).then_some((Kind::Records, chunk))
        });
        let start = [
            Some((Kind::Snapshot, head)),
            (!self.extra.is_empty()).then_some((Kind::Extra, extra)),
            Some((Kind::Leases, leases)),
            (!self.checkpoints.is_empty()).then_some((Kind::Checkpoints, checkpoints)),
            (!self.alarms.is_empty()).then_some((Kind::Alarms, alarms)),
            (*self.auth != Auth::default()).then_some((Kind::Auth, auth)),
        ];
        let mut chain = 0;
        start.into_iter().flatten().chain(records).chain([(Kind::End, end)]).map(move |(kind, payload)| {
            let mut frame = Vec::new();
            chain = wal::encode(&mut frame, chain, kind, &payload.out);
            frame
        })
    }

    /// A checksum of all that is remembered up to revision `upto`. Stores that applied the same
    /// commands have the same.
    pub fn hash(&self, upto: i64) -> u32 {
        let records = self.records.iter().filter(|r| r.revision.main <= upto);
        records.fold(0, |crc, record| {
            let mut e = Encoder::default();
            encode_record(&mut e, record);
            crc::update(crc, &e.out)
        })
    }
}

fn encode_record(e: &mut Encoder, record: &Record) {
    e.bytes(&record.key);
    e.i64(record.revision.main);
    e.u64(u64::from(record.revision.sub));
    e.bool(record.is_tombstone());
    if let Some(value) = &record.value {
        e.i64(record.create);
        e.i64(record.version);
        e.i64(record.lease);
        e.bytes(value);
    }
}

/// `last` is the key of the record before: if it is the same, so is its memory.
fn decode_record(d: &mut Decoder<'_>, last: Option<&Key>) -> Result<Record, Malformed> {
    let key = d.slice()?;
    let key = last.filter(|last| ***last == *key).cloned().unwrap_or_else(|| key.into());
    let main = d.i64()?;
    let sub = u32::try_from(d.u64()?).map_err(|_| Malformed("a sub revision is too long"))?;
    let revision = Revision { main, sub };
    if d.bool()? {
        return Ok(Record { key, value: None, revision, create: 0, version: 0, lease: NO_LEASE });
    }
    let (create, version, lease) = (d.i64()?, d.i64()?, d.i64()?);
    Ok(Record { key, value: Some(d.bytes()?), revision, create, version, lease })
}

/// Makes a store of a snapshot's frames, given in order.
#[derive(Debug, Default)]
pub struct Loader {
    store: Store,
    applied: u64,
    extra: Vec<u8>,
    /// The last frame's.
    place: Option<Place>,
    records: Vec<Arc<Record>>,
}

/// A frame's place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Head,
    Extra,
    Leases,
    Checkpoints,
    Alarms,
    Auth,
    Records,
    End,
}

impl Loader {
    pub fn handle_frame(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Malformed> {
        let place = Place::of(kind).filter(|place| self.allows(*place));
        let place = place.ok_or(Malformed("a frame out of place"))?;
        self.place = Some(place);
        let mut d = Decoder::new(payload);
        match place {
            Place::Head => {
                self.applied = d.u64()?;
                let (revision, compacted) = (d.i64()?, d.i64()?);
                self.store.begin_load(revision, compacted);
            }
            Place::Extra => {
                self.extra = payload.to_vec();
                return Ok(());
            }
            Place::Leases => {
                for (id, ttl) in decode_times(&mut d)? {
                    let granted = self.store.leases.grant(id, ttl);
                    granted.map_err(|_| Malformed("a lease that cannot be"))?;
                }
            }
            Place::Checkpoints => {
                for (id, remaining) in decode_times(&mut d)? {
                    self.store.leases.checkpoint(id, remaining);
                }
            }
            Place::Alarms => {
                for alarm in d.list(decode_alarm)? {
                    self.store.alarms.set(alarm, true);
                }
            }
            Place::Auth => self.store.auth = Auth::decode(&mut d)?,
            Place::Records => {
                while !d.is_empty() {
                    let record = decode_record(&mut d, self.records.last().map(|last| &last.key))?;
                    if record.revision.main > self.store.revision() {
                        return Err(Malformed("a record from after the snapshot"));
                    }
                    self.records.push(Arc::new(record));
                }
            }
            Place::End => {
                if d.u64()? != self.records.len() as u64 {
                    return Err(Malformed("records are missing"));
                }
            }
        }
        d.finish()
    }

    /// Frames come in the order of their places. Those that every snapshot has must have come.
    fn allows(&self, place: Place) -> bool {
        match self.place {
            None => place == Place::Head,
            Some(Place::Records) => place >= Place::Records,
            Some(last) => last < place && (last >= Place::Leases || place <= Place::Leases),
        }
    }

    /// What was kept with the store; empty if nothing was.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// The store, and the index of the last command in it.
    pub fn finish(mut self) -> Result<(Store, u64), Malformed> {
        if self.place != Some(Place::End) {
            return Err(Malformed("the snapshot has no end"));
        }
        self.store.load(self.records)?;
        let leased = self.store.live().filter(|r| r.lease != NO_LEASE);
        let leased: Vec<_> = leased.map(|r| (r.key.clone(), r.lease)).collect();
        for (key, lease) in leased {
            self.store.leases.reattach(&key, NO_LEASE, lease);
        }
        Ok((self.store, self.applied))
    }
}

impl Place {
    fn of(kind: Kind) -> Option<Place> {
        match kind {
            Kind::Snapshot => Some(Place::Head),
            Kind::Extra => Some(Place::Extra),
            Kind::Leases => Some(Place::Leases),
            Kind::Checkpoints => Some(Place::Checkpoints),
            Kind::Alarms => Some(Place::Alarms),
            Kind::Auth => Some(Place::Auth),
            Kind::Records | Kind::FirstRecords => Some(Place::Records),
            Kind::End => Some(Place::End),
            Kind::Segment | Kind::Entries | Kind::Raft => None,
        }
    }
}
