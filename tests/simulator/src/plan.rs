//! A run as a value: all that a seed has drawn, so that parts of it can be left out.

use crate::faults::Planned;

/// What will be tried on a world. The same plan gives the same run.
#[derive(Debug, Clone)]
pub struct Plan<R> {
    pub seed: u64,
    /// Faults and requests begin before; then the world heals.
    pub end_us: u64,
    pub faults: Vec<Planned>,
    /// By rising time.
    pub requests: Vec<(u64, R)>,
}

impl<R: Clone> Plan<R> {
    /// The smallest plan found, within so many runs, that still fails: faults, requests and time are
    /// left out, in halves, then in smaller pieces (Zeller's delta debugging).
    pub fn shrink(&self, runs: usize, mut fails: impl FnMut(&Plan<R>) -> bool) -> Plan<R> {
        let mut left = runs;
        let mut best = self.clone();
        let mut try_it = |candidate: &Plan<R>| {
            let may = left > 0;
            left = left.saturating_sub(1);
            may && fails(candidate)
        };
        loop {
            let size = (best.faults.len(), best.requests.len(), best.end_us);
            best = shorter(best, &mut try_it);
            let faults = fewer(&best.faults.clone(), |faults| {
                try_it(&Plan { faults: faults.to_vec(), ..best.clone() })
            });
            best.faults = faults;
            let requests = fewer(&best.requests.clone(), |requests| {
                try_it(&Plan { requests: requests.to_vec(), ..best.clone() })
            });
            best.requests = requests;
            if size == (best.faults.len(), best.requests.len(), best.end_us) {
                return best;
            }
        }
    }
}

/// Ends the plan as early as it still fails.
fn shorter<R: Clone>(mut best: Plan<R>, fails: &mut impl FnMut(&Plan<R>) -> bool) -> Plan<R> {
    for eighths in [1, 2, 4, 6, 7] {
        let mut candidate = best.clone();
        candidate.end_us = best.end_us / 8 * eighths;
        candidate.faults.retain(|f| f.at_us < candidate.end_us);
        candidate.requests.retain(|(at_us, _)| *at_us < candidate.end_us);
        if fails(&candidate) {
            best = candidate;
            break;
        }
    }
    best
}

fn fewer<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = all.to_vec();
    let mut piece = kept.len().div_ceil(2);
    while piece > 0 && !kept.is_empty() {
        let mut at = 0;
        while at < kept.len() {
            let mut candidate = kept.clone();
            candidate.drain(at..(at + piece).min(kept.len()));
            if fails(&candidate) {
                kept = candidate;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    kept
}
