use graded::graded;
use proptest::prelude::*;

use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::codec::{Decoder, Encoder, Malformed};
use crate::heart::log::{Batch, Segment, encode_batch, walk};
use crate::heart::range::Range;
use crate::heart::snapshot::{Loader, Snapshot};
use crate::heart::txn::{DeleteRange, Op, Put, Txn};
use crate::heart::types::KeyRange;
use crate::heart::wal::{self, Damage, Frames, HEADER_LEN, Kind, Next};
use crate::heart::{Command, Store, crc};
use crate::model::Model;
use crate::random::{alarming, both, history, range, same_range};

/// The one way to change a key twice in a revision. A restart must change no answer.
#[graded]
fn a_key_put_and_deleted_in_the_compacted_revision_stays_away_after_a_snapshot() {
    let nested = |op| Op::Txn(Txn { success: vec![op], ..Default::default() });
    let put = nested(Op::Put(Put::new(*b"a", *b"1")));
    let delete = nested(Op::Delete(DeleteRange { keys: KeyRange::single(*b"a"), prev_kv: false }));
    let mut store = Store::new();
    store.apply(&Command::Txn(Txn { success: vec![put, delete], ..Default::default() }));
    store.apply(&Command::Compact { revision: 2 });
    let restored = restore(&Snapshot::of(&store, 2)).0;
    assert_eq!((store.size(), restored.size()), (0, 0));
    assert!(restored.get(b"a").is_none());
    assert!(store.changes(2).eq(restored.changes(2)), "watchers hear of both");
}

fn restore(snapshot: &Snapshot) -> (Store, u64) {
    load(&payloads(snapshot)).expect("a whole snapshot")
}

fn payloads(snapshot: &Snapshot) -> Vec<(Kind, Vec<u8>)> {
    let file = snapshot.frames().collect::<Vec<_>>().concat();
    let mut frames = Frames::new(&file);
    let mut payloads = Vec::new();
    while let Next::Frame { kind, payload } = frames.next_frame().expect("no damage") {
        payloads.push((kind, payload.to_vec()));
    }
    payloads
}

fn load(frames: &[(Kind, Vec<u8>)]) -> Result<(Store, u64), Malformed> {
    let mut loader = Loader::default();
    for (kind, payload) in frames {
        loader.handle_frame(*kind, payload)?;
    }
    loader.finish()
}

/// The records of a frame, one by one, still as bytes.
fn split(records: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut d = Decoder::new(records);
    let mut found = Vec::new();
    while !d.is_empty() {
        let mut e = Encoder::default();
        e.bytes(d.slice()?);
        e.i64(d.i64()?);
        e.u64(d.u64()?);
        let is_tombstone = d.bool()?;
        e.bool(is_tombstone);
        if !is_tombstone {
            (0..3).try_for_each(|_| d.i64().map(|n| e.i64(n)))?;
            e.bytes(d.slice()?);
        }
        found.push(e.out);
    }
    Ok(found)
}

/// Frames in other places than theirs, though every checksum is right: somebody wrote them so.
#[graded]
fn a_snapshot_has_its_frames_in_their_order() {
    let mut store = Store::new();
    store.apply(&Command::LeaseGrant { id: 7, ttl: 600 });
    store.apply(&Command::LeaseCheckpoint { leases: vec![(7, 300)] });
    let alarm = Alarm { member: 1, kind: AlarmKind::Corrupt };
    store.apply(&Command::Put(Put::new(*b"a", *b"1")));
    store.apply(&Command::Alarm { alarm, raise: true });
    let mut snapshot = Snapshot::of(&store, 4);
    snapshot.extra = b"members".to_vec();
    let frames = payloads(&snapshot);
    let kinds: Vec<Kind> = frames.iter().map(|f| f.0).collect();
    let expected = [
        Kind::Snapshot,
        Kind::Extra,
        Kind::Leases,
        Kind::Checkpoints,
        Kind::Alarms,
        Kind::Records,
        Kind::End,
    ];
    assert_eq!(kinds, expected);
    let restored = load(&frames).expect("a whole snapshot").0;
    assert_eq!(restored.leases(), store.leases());
    assert_eq!(restored.alarms(), store.alarms());
    for at in 1..frames.len() {
        let mut swapped = frames.clone();
        swapped.swap(at - 1, at);
        assert!(load(&swapped).is_err(), "{:?} before {:?}", kinds[at], kinds[at - 1]);
        let mut foreign = frames.clone();
        foreign[at].0 = Kind::Entries;
        assert!(load(&foreign).is_err(), "commands in place of {:?}", kinds[at]);
    }
    for needed in [Kind::Snapshot, Kind::Leases, Kind::Records, Kind::End] {
        let others: Vec<_> = frames.iter().filter(|f| f.0 != needed).cloned().collect();
        assert!(load(&others).is_err(), "without {needed:?}");
    }
    let [.., (_, records), _] = &frames[..] else { panic!("records, then the end") };
    let mut end = Encoder::default();
    end.u64(2);
    let mut doubled = frames.clone();
    doubled[6].1 = end.out;
    doubled.insert(6, (Kind::Records, records.clone()));
    assert!(load(&doubled).is_err(), "a record is there twice");
}

/// What may happen to a store between two looks at it.
#[derive(Debug, Clone)]
enum Step {
    Do(Command),
    Read(Range),
    /// Write it down whole and begin a new log.
    Snapshot,
    /// The power goes while `lost` is being written, after so much of it.
    Restart {
        lost: Command,
        written: proptest::sample::Index,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => alarming().prop_map(Step::Do),
        4 => range().prop_map(Step::Read),
        1 => Just(Step::Snapshot),
        1 => (alarming(), any::<proptest::sample::Index>())
            .prop_map(|(lost, written)| Step::Restart { lost, written }),
    ]
}

/// A store, and what a disk would hold of it.
struct Kept {
    store: Store,
    snapshot: Option<Snapshot>,
    log: Vec<u8>,
    chain: u32,
    next: u64,
}

impl Kept {
    fn new() -> Self {
        let mut kept = Kept { store: Store::new(), snapshot: None, log: vec![], chain: 0, next: 1 };
        kept.begin_log();
        kept
    }

    fn begin_log(&mut self) {
        self.log.clear();
        self.chain = Segment { first: self.next, chain: self.chain }.encode(&mut self.log);
    }

    fn write(&mut self, command: &Command) {
        self.chain = encode_batch(&mut self.log, self.chain, self.next, 1, &[command.encode()]);
        self.next += 1;
    }

    fn snapshot(&mut self) {
        self.snapshot = Some(Snapshot::of(&self.store, self.next - 1));
        self.begin_log();
    }

    fn restart(&mut self, lost: &Command, written: &proptest::sample::Index) {
        let whole = self.log.len();
        encode_batch(&mut self.log, self.chain, self.next, 1, &[lost.encode()]);
        self.log.truncate(whole + written.index(self.log.len() - whole));
        let (mut store, applied) = self.snapshot.as_ref().map_or((Store::new(), 0), restore);
        let mut next = applied + 1;
        let walked = walk(&self.log, None, |frame| {
            let batch = Batch::decode(frame.payload).expect("well formed");
            assert_eq!(batch.first, next);
            for command in batch.commands {
                store.apply(&Command::decode(command).expect("a command"));
                next += 1;
            }
            Ok::<_, Damage>(())
        });
        let walked = walked.expect("torn is not damaged").expect("the file was begun");
        assert_eq!((walked.len, walked.chain, next), (whole, self.chain, self.next));
        self.log.truncate(walked.len);
        self.store = store;
    }
}

/// All that can be asked of a store, asked of both.
fn same(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    for revision in 0..=store.revision() + 1 {
        same_range(store, model, &Range { revision, ..Range::of(KeyRange::all()) })?;
    }
    let changes = store.changes(store.compacted()).map(|r| (r.key.to_vec(), r.revision.main));
    let since = model.changes.iter().filter(|c| c.main >= model.compacted);
    prop_assert!(changes.eq(since.map(|c| (c.key.clone(), c.main))));
    let leases = store.leases().iter().map(|(id, l)| (id, (l.ttl, l.remaining)));
    prop_assert!(leases.eq(model.leases.iter().map(|(id, lease)| (*id, *lease))));
    prop_assert!(store.alarms().iter().eq(model.alarms.iter().copied()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// Whatever is done, compacted, written down, torn and read again: the naive model, which never dies,
    /// would have said the same.
    #[graded]
    fn a_store_that_restarts_anywhere_is_the_model(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut kept, mut model) = (Kept::new(), Model::new());
        for step in &steps {
            match step {
                Step::Do(command) => {
                    if command.check().is_ok() {
                        kept.write(command);
                    }
                    both(&mut kept.store, &mut model, command)?;
                }
                Step::Read(range) => same_range(&kept.store, &model, range)?,
                Step::Snapshot => kept.snapshot(),
                Step::Restart { lost, written } => {
                    kept.restart(lost, written);
                    same(&kept.store, &model)?;
                }
            }
        }
        same(&kept.store, &model)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    #[graded]
    fn a_store_from_a_snapshot_is_the_store(history in history(40), more in history(10)) {
        let mut store = Store::new();
        let mut applied = 0;
        for command in history.iter().filter(|c| c.check().is_ok()) {
            store.apply(command);
            applied += 1;
        }
        let (mut restored, at) = restore(&Snapshot::of(&store, applied));
        prop_assert_eq!(at, applied);
        for command in std::iter::once(None).chain(more.iter().map(Some)) {
            if let Some(command) = command.filter(|c| c.check().is_ok()) {
                let (a, b) = (store.apply(command), restored.apply(command));
                prop_assert_eq!(a.answer, b.answer);
                prop_assert_eq!(a.events, b.events);
            }
            prop_assert_eq!(store.revision(), restored.revision());
            prop_assert_eq!(store.compacted(), restored.compacted());
            prop_assert_eq!(store.size(), restored.size());
            prop_assert_eq!(store.leases(), restored.leases());
            let all = KeyRange::all();
            prop_assert!(store.histories(&all).eq(restored.histories(&all)));
            prop_assert!(store.changes(store.compacted()).eq(restored.changes(store.compacted())));
            let hash = |store| Snapshot::of(store, 0).hash(i64::MAX);
            prop_assert_eq!(hash(&store), hash(&restored));
        }
    }

    /// Earlier versions wrote what is new in the order of revisions.
    #[graded]
    fn records_of_a_snapshot_may_come_in_any_order(history in history(40), seed in any::<u64>()) {
        let mut store = Store::new();
        history.iter().filter(|c| c.check().is_ok()).for_each(|c| drop(store.apply(c)));
        let mut frames = payloads(&Snapshot::of(&store, 5));
        if let Some((kind, records)) = frames.iter_mut().find(|(kind, _)| *kind == Kind::Records) {
            let mut one_by_one = split(records).expect("records");
            one_by_one.sort_by_key(|record| crc::update(seed as u32, record));
            (*kind, *records) = (Kind::FirstRecords, one_by_one.concat());
        }
        let restored = load(&frames).expect("a whole snapshot").0;
        let all = KeyRange::all();
        prop_assert!(store.histories(&all).eq(restored.histories(&all)));
        prop_assert!(store.changes(store.compacted()).eq(restored.changes(store.compacted())));
        prop_assert_eq!(store.size(), restored.size());
    }

    #[graded]
    fn a_snapshot_that_is_not_whole_is_refused(history in history(20)) {
        let mut store = Store::new();
        history.iter().filter(|c| c.check().is_ok()).for_each(|c| drop(store.apply(c)));
        let mut snapshot = Snapshot::of(&store, 5);
        snapshot.extra = b"members".to_vec();
        let frames: Vec<_> = snapshot.frames().collect();
        let read = |frames: &[Vec<u8>]| {
            let (mut loader, mut chain) = (Loader::default(), 0);
            for frame in frames {
                let header = wal::decode_header(frame.first_chunk().expect("a header")).expect("a header");
                let rest = &frame[HEADER_LEN..];
                if !wal::is_intact(&header, chain, rest) {
                    return Err(Malformed("it does not follow"));
                }
                loader.handle_frame(header.kind, &rest[..header.len])?;
                chain = header.checksum;
            }
            let extra = loader.extra().to_vec();
            loader.finish().map(|(_, applied)| (applied, extra))
        };
        prop_assert_eq!(read(&frames), Ok((5, b"members".to_vec())));
        for missing in 0..frames.len() {
            let mut fewer = frames.clone();
            fewer.remove(missing);
            prop_assert!(read(&fewer).is_err(), "frame {} is missing", missing);
        }
    }
}
