//! The whole store as frames, and back.
//!
//! A snapshot file is: one `Snapshot` frame with the numbers, `Leases`, as many `Records` frames as
//! it takes, and `End`. A file without its end is damaged, whatever it holds.

use std::sync::Arc;

use crate::codec::{Decoder, Encoder, Malformed};
use crate::crc;
use crate::store::Store;
use crate::types::{LeaseId, NO_LEASE, Record, Revision};
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
    leases: Vec<(LeaseId, i64)>,
    records: Vec<Arc<Record>>,
}

impl Snapshot {
    pub fn of(store: &Store, applied: u64) -> Self {
        Snapshot {
            applied,
            revision: store.revision(),
            compacted: store.compacted(),
            leases: store.leases().iter().map(|(id, lease)| (id, lease.ttl)).collect(),
            records: store.retained(),
        }
    }

    /// The file, frame by frame.
    pub fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut head = Encoder::default();
        head.u64(self.applied);
        head.i64(self.revision);
        head.i64(self.compacted);
        let mut leases = Encoder::default();
        leases.list(&self.leases, |e, (id, ttl)| {
            e.i64(*id);
            e.i64(*ttl);
        });
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
        let start = [(Kind::Snapshot, head), (Kind::Leases, leases)];
        let mut chain = 0;
        start.into_iter().chain(records).chain([(Kind::End, end)]).map(move |(kind, payload)| {
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

fn decode_record(d: &mut Decoder<'_>) -> Result<Record, Malformed> {
    let key = d.bytes()?;
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
    frames: usize,
    records: u64,
    ended: bool,
}

impl Loader {
    pub fn handle_frame(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Malformed> {
        let mut d = Decoder::new(payload);
        match (kind, self.frames) {
            _ if self.ended => return Err(Malformed("there is something behind the end")),
            (Kind::Snapshot, 0) => {
                self.applied = d.u64()?;
                let (revision, compacted) = (d.i64()?, d.i64()?);
                self.store.load_header(revision, compacted);
            }
            (Kind::Leases, 1) => {
                for (id, ttl) in d.list(|d| Ok((d.i64()?, d.i64()?)))? {
                    let granted = self.store.leases.grant(id, ttl);
                    granted.map_err(|_| Malformed("a lease that cannot be"))?;
                }
            }
            (Kind::Records, 2..) => {
                while !d.is_empty() {
                    let record = decode_record(&mut d)?;
                    if record.revision.main > self.store.revision() {
                        return Err(Malformed("a record from after the snapshot"));
                    }
                    self.store.load(Arc::new(record));
                    self.records += 1;
                }
            }
            (Kind::End, 2..) => {
                if d.u64()? != self.records {
                    return Err(Malformed("records are missing"));
                }
                self.ended = true;
            }
            _ => return Err(Malformed("a frame out of place")),
        }
        self.frames += 1;
        d.finish()
    }

    /// The store, and the index of the last command in it.
    pub fn finish(mut self) -> Result<(Store, u64), Malformed> {
        if !self.ended {
            return Err(Malformed("the snapshot has no end"));
        }
        self.store.loaded();
        let leased = self.store.live().filter(|r| r.lease != NO_LEASE);
        let leased: Vec<_> = leased.map(|r| (r.key.clone(), r.lease)).collect();
        for (key, lease) in leased {
            self.store.leases.reattach(&key, NO_LEASE, lease);
        }
        Ok((self.store, self.applied))
    }
}
