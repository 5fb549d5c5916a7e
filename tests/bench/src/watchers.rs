//! Fan-out: many watchers of the same keys, each on a stream of its own, while they are written.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::clients::Clients;
use crate::figures::Figures;
use crate::load::{VALUE_BYTES, key};
use crate::system::System;
use crate::wire;

const WRITERS: usize = 16;
/// Writers wait while the watchers are, on average, so many events behind: what is measured can go
/// on for ever.
const AHEAD: u64 = 64;
/// Everybody gets everything, within this time.
const DRAIN: Duration = Duration::from_secs(10);

/// Events a second that `count` watchers get, all together.
pub fn measure(system: &System, count: usize, time: Duration) -> Result<Figures> {
    let everyone = count as u64;
    // Writers have the numbers behind the watchers', and the same connections.
    let mut clients = Clients::connect(&system.members, count + WRITERS)?;
    let create = wire::watch(b"/watched/", b"/watched0").finish();
    for watcher in 0..count {
        clients.call(watcher, wire::WATCH, &create, false);
    }
    let mut tally = Tally::default();
    let deadline = Instant::now() + DRAIN;
    while tally.created < everyone {
        if Instant::now() > deadline {
            bail!("{} of {count} watchers were created", tally.created);
        }
        clients.wait(Some(deadline), |answer| tally.count(answer.message))?;
    }

    let value = vec![b'v'; VALUE_BYTES];
    let mut free: Vec<usize> = (count..count + WRITERS).collect();
    let (mut begun, mut done) = (0, 0);
    let lap = system.lap()?;
    let until = Instant::now() + time;
    let deadline = until + DRAIN;
    loop {
        let now = Instant::now();
        while now < until && begun * everyone < tally.delivered + AHEAD * everyone {
            let Some(writer) = free.pop() else { break };
            let name = [b"/watched".as_slice(), &key(begun % 1000)].concat();
            clients.call(writer, wire::PUT, &wire::put(&name, &value).finish(), true);
            begun += 1;
        }
        if now >= until && done == begun && tally.delivered >= done * everyone {
            break;
        }
        if now > deadline || tally.lost {
            bail!("watchers got {} events of {}", tally.delivered, done * everyone);
        }
        clients.wait(Some(if now < until { until } else { deadline }), |answer| {
            if answer.client < count {
                tally.count(answer.message);
            } else {
                free.push(answer.client);
                done += 1;
            }
        })?;
    }
    Ok(Figures::of_events(tally.delivered, lap.end()?))
}

#[derive(Default)]
struct Tally {
    created: u64,
    delivered: u64,
    lost: bool,
}

impl Tally {
    fn count(&mut self, message: &[u8]) {
        let (created, cancelled, events) = wire::watched(message);
        self.created += u64::from(created);
        self.delivered += events;
        self.lost |= cancelled;
    }
}
