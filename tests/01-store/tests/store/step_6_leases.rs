use graded::graded;
use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::Store;
use crate::heart::lease::Expiry;
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

proptest! {
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
