use graded::graded;
use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::lease::{CHECKPOINT_INTERVAL_MS, Expiry};
use crate::heart::{Command, Store};
use crate::model::Model;
use crate::random::{both, history};
use crate::script::run;

/// Kubernetes' Events hang on a lease of an hour; the store forgets them without anybody asking.
#[graded]
fn keys_go_with_their_lease_in_one_revision() {
    assert_snapshot!(run("
        grant 7 10
        put b 1 lease=7
        put a 1 lease=7
        put c 1
        leases
        watch s a..
        revoke 7
        get a..
        revoke 7
    "));
}

/// Otherwise an old lease would take a key along that somebody else holds by now.
#[graded]
fn a_key_hangs_on_the_lease_of_its_last_put() {
    assert_snapshot!(run("
        grant 7 10
        grant 8 10
        put a 1 lease=7
        put b 1 lease=7
        put a 2 lease=8
        put b 2
        leases
        del a
        put c 1 lease=7
        put c 2 keep-lease
        leases
    "));
}

/// As etcd: `ignore_lease` is a put by somebody who does not know of the lease, and does not end it.
#[graded]
fn a_put_may_keep_the_lease() {
    assert_snapshot!(run("
        grant 7 60
        put a 1 lease=7
        put a 2 keep-lease
        leases
        put a - keep-value
        get a
        leases
        put b 1 keep-lease
        put a 1 lease=7 keep-lease
        put a 1 lease=8
    "));
}

/// A lock whose holder has died must come free, and he cannot tell anybody.
#[graded]
fn a_lease_expires_unless_it_is_kept_alive() {
    assert_snapshot!(run("
        grant 7 10
        grant 8 20
        put a 1 lease=7
        put b 1 lease=8
        time 9999
        alive 7
        time 19998
        leases
        time 19999
        alive 7
        leases
        time 20000
        get a..
    "));
}

/// A lease must outlive an election of the store's leader, or every election would end it.
#[graded]
fn leases_last_at_least_two_seconds_and_numbers_are_given_once() {
    assert_snapshot!(run("
        grant 7 1
        grant 7 5
        grant 0 5
        grant 8 9000000001
        grant 9 9000000000
        revoke 10
        alive 10
    "));
}

/// Nothing has changed that a watcher could want to hear of.
#[graded]
fn revoking_a_lease_without_keys_takes_no_revision() {
    assert_snapshot!(run("
        grant 7 10
        put a 1 lease=7
        del a
        revoke 7
        get a
    "));
}

/// Its revocation is on its way through the log and cannot be called back.
#[graded]
fn an_expired_lease_is_named_once_and_cannot_be_kept_alive() {
    let mut expiry = Expiry::default();
    expiry.handle_grant(1, 5, 0);
    expiry.handle_grant(2, 5, 1);
    assert_eq!(expiry.next_deadline_ms(), Some(5000));
    assert_eq!(expiry.poll_expired(4999, 10), [0i64; 0]);
    assert_eq!(expiry.poll_expired(9000, 1), [1], "no more than asked for");
    assert_eq!(expiry.handle_keep_alive(1, 9000), None, "its revocation is under way");
    assert_eq!(expiry.handle_keep_alive(2, 9000), Some(5), "this one was not named yet");
    assert_eq!(expiry.poll_expired(13_999, 10), [0i64; 0]);
    assert_eq!(expiry.poll_expired(14_000, 10), [2]);
    assert_eq!(expiry.next_deadline_ms(), None);
}

/// Otherwise every election would give a lease of a day another day: the new leader does not know how
/// much of it has gone.
#[graded]
fn a_lease_that_nobody_keeps_alive_gets_a_checkpoint_every_five_minutes() {
    let mut expiry = Expiry::default();
    expiry.handle_grant(1, 3600, 0);
    expiry.handle_grant(2, 3600, 10);
    assert_eq!(expiry.next_checkpoint_ms(), Some(300_000));
    assert_eq!(expiry.poll_checkpoints(299_999, 10), []);
    assert_eq!(
        expiry.poll_checkpoints(300_010, 1),
        [(1, 3300)],
        "no more than asked for; seconds, rounded up"
    );
    assert_eq!(expiry.poll_checkpoints(300_010, 10), [(2, 3300)]);
    assert_eq!(expiry.next_checkpoint_ms(), Some(600_010), "and again five minutes after it was noted");
    assert_eq!(expiry.handle_keep_alive(1, 600_000), Some(3600));
    assert_eq!(expiry.poll_checkpoints(600_010, 10), [(2, 3000)], "the other one has all of its time again");
    expiry.handle_revoke(2);
    assert_eq!(expiry.next_checkpoint_ms(), Some(900_000));
    assert_eq!(expiry.poll_checkpoints(2_000_500, 10), [(1, 2200)]);
    expiry.handle_revoke(1);
    assert_eq!(expiry.next_checkpoint_ms(), None);
}

/// Most leases are short. For them nothing is ever written but their beginning and their end.
#[graded]
fn a_lease_that_ends_before_its_checkpoint_gets_none() {
    let mut expiry = Expiry::default();
    expiry.handle_grant(1, 300, 0);
    assert_eq!(expiry.next_checkpoint_ms(), None, "it ends when the checkpoint would be due");
    expiry.handle_grant(1, 600, 0);
    assert_eq!(expiry.poll_checkpoints(300_000, 10), [(1, 300)]);
    assert_eq!(expiry.next_checkpoint_ms(), None, "it ends when the second one would be due");
    assert_eq!((expiry.deadline_ms(1), expiry.deadline_ms(2)), (Some(600_000), None));
    expiry.handle_grant(1, 301, 0);
    assert_eq!(expiry.next_checkpoint_ms(), Some(300_000));
    assert_eq!(expiry.poll_checkpoints(300_500, 10), [(1, 1)], "half a second is not nothing");
    assert_eq!(expiry.next_checkpoint_ms(), None);
    expiry.handle_grant(1, 301, 0);
    assert_eq!(expiry.poll_checkpoints(301_000, 10), [], "it has run out, and that is said otherwise");
    assert_eq!(expiry.poll_expired(301_000, 10), [1]);
}

/// A new leader has the store, and a clock, but no memory.
#[graded]
fn whoever_takes_charge_goes_by_the_last_checkpoint() {
    let mut store = Store::new();
    store.apply(&Command::LeaseGrant { id: 7, ttl: 100 });
    store.apply(&Command::LeaseGrant { id: 8, ttl: 1000 });
    let mut left = |noted: i64| {
        store.apply(&Command::LeaseCheckpoint { leases: vec![(7, noted), (9, 5)] });
        let remaining = store.leases().get(7).map(|lease| lease.remaining);
        assert_eq!(remaining, Some(if (1..100).contains(&noted) { noted } else { 0 }));
        let mut expiry = Expiry::of(store.leases(), 1000);
        assert_eq!(expiry.remaining(9, 1000), None, "there is no such lease");
        assert_eq!(expiry.remaining(8, 1000), Some(1000));
        assert_eq!(expiry.next_checkpoint_ms(), Some(1000 + CHECKPOINT_INTERVAL_MS));
        let left = expiry.remaining(7, 1000);
        assert_eq!(expiry.handle_keep_alive(7, 1000), Some(100));
        assert_eq!(expiry.remaining(7, 1000), Some(100), "kept alive, it has all of its time");
        left
    };
    assert_eq!(left(40), Some(40));
    assert_eq!(left(0), Some(100), "0 takes a checkpoint back");
    assert_eq!(left(100), Some(100));
    assert_eq!(left(101), Some(100), "no lease is longer than it was granted");
    assert_eq!(left(-1), Some(100));
}

/// A full disk: what may grow is refused alike by every member, until somebody has made room. Errors are
/// etcd's.
#[graded]
fn without_space_only_what_makes_room_is_done() {
    assert_snapshot!(run("
        put a 1
        grant 7 10
        alarm nospace 1
        alarm nospace 2
        put a 2
        txn version(a)=1 ? get a : put b 1
        txn version(a)=9 ? put b 1 : get a
        txn version(a)=1 ? get a; del b
        grant 8 10
        revoke 7
        disarm nospace 1
        put a 2
        disarm nospace 1
        del a
        compact 3
        disarm nospace 2
        put a 3
    "));
}

/// Somebody's data is not what the others have: nobody knows what would be right to write.
#[graded]
fn with_a_corrupt_member_nothing_is_written() {
    assert_snapshot!(run("
        put a 1
        grant 7 10
        alarm corrupt 1
        alarm nospace 1
        put a 2
        del a
        txn version(a)=1 ? get a
        compact 2
        grant 8 10
        revoke 7
        get a
        disarm corrupt 1
        put a 2
        del a
    "));
}

proptest! {
    /// Against one lease at a time.
    #[graded]
    fn checkpoints_come_as_they_were_planned(
        steps in proptest::collection::vec((0..2u8, 1..4i64, 1..2000i64, 0..400_000u64), 0..40),
    ) {
        let mut expiry = Expiry::default();
        // Deadline, next checkpoint, time to live.
        let mut leases = BTreeMap::<i64, (u64, u64, i64)>::new();
        let mut now = 0;
        for (what, id, ttl, later) in steps {
            now += later;
            let ttl = match leases.get(&id) {
                Some((_, _, ttl)) if what == 0 => *ttl,
                _ => ttl,
            };
            if what == 0 {
                expiry.handle_keep_alive(id, now);
            } else {
                expiry.handle_grant(id, ttl, now);
            }
            if what == 1 || leases.contains_key(&id) {
                leases.insert(id, (now + ttl as u64 * 1000, now + CHECKPOINT_INTERVAL_MS, ttl));
            }
            let due = |l: &(u64, u64, i64)| l.1 < l.0;
            let planned = leases.values().filter(|l| due(l)).map(|l| l.1).min();
            prop_assert_eq!(expiry.next_checkpoint_ms(), planned);
            now += later;
            let mut expected: Vec<(u64, i64, i64)> = Vec::new();
            for (id, lease) in leases.iter_mut().filter(|(_, l)| due(l) && l.1 <= now) {
                if now < lease.0 {
                    expected.push((lease.1, *id, ((lease.0 - now) as f64 / 1000.0).ceil() as i64));
                }
                lease.1 = if now < lease.0 { now + CHECKPOINT_INTERVAL_MS } else { u64::MAX };
            }
            expected.sort();
            let expected: Vec<_> = expected.into_iter().map(|(_, id, left)| (id, left)).collect();
            prop_assert_eq!(expiry.poll_checkpoints(now, 100), expected);
            for id in expiry.poll_expired(now, 100) {
                expiry.handle_revoke(id);
                leases.remove(&id);
            }
        }
    }

    #[graded]
    fn a_lease_holds_exactly_the_living_keys_that_name_it(history in history(40)) {
        let (mut store, mut model) = (Store::new(), Model::new());
        for command in &history {
            both(&mut store, &mut model, command)?;
        }
        let held = store.leases().iter().map(|(id, l)| {
            (id, (l.ttl, l.remaining, l.keys.iter().map(|k| k.to_vec()).collect()))
        });
        let expected =
            model.leases.iter().map(|(id, (ttl, remaining))| (*id, (*ttl, *remaining, model.attached(*id))));
        let held: BTreeMap<i64, (i64, i64, Vec<_>)> = held.collect();
        let expected: BTreeMap<_, _> = expected.collect();
        prop_assert_eq!(held, expected);
    }

    /// Against a list of deadlines.
    #[graded]
    fn leases_expire_when_their_time_is_over_and_not_before(
        steps in proptest::collection::vec((0..3u8, 1..5i64, 1..9i64, 0..4000u64), 0..60),
    ) {
        let mut expiry = Expiry::default();
        let mut deadlines = BTreeMap::<i64, (u64, i64)>::new();
        let mut now = 0;
        for (what, id, ttl, later) in steps {
            now += later;
            match what {
                0 => {
                    expiry.handle_grant(id, ttl, now);
                    deadlines.insert(id, (now + ttl as u64 * 1000, ttl));
                }
                1 => {
                    let kept = expiry.handle_keep_alive(id, now);
                    let lease = deadlines.get_mut(&id);
                    prop_assert_eq!(kept, lease.as_ref().map(|l| l.1));
                    if let Some(lease) = lease {
                        lease.0 = now + lease.1 as u64 * 1000;
                    }
                }
                _ => {
                    expiry.handle_revoke(id);
                    deadlines.remove(&id);
                }
            }
            prop_assert_eq!(expiry.next_deadline_ms(), deadlines.values().map(|l| l.0).min());
            let mut due: Vec<_> = deadlines.iter().filter(|(_, l)| l.0 <= now).map(|(id, l)| (l.0, *id)).collect();
            due.sort();
            let due: Vec<i64> = due.into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(expiry.poll_expired(now, 100), due.clone());
            for id in due {
                expiry.handle_revoke(id);
                deadlines.remove(&id);
            }
        }
    }
}
