//! What a run measured, and the middle of several runs.

use std::time::Duration;

/// How long something took, in time and in the servers' processor time.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    pub seconds: f64,
    pub cpu: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Calls, or events, a second.
    pub rate: f64,
    /// Milliseconds; events have none.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// Microseconds of the servers' processors a call, or an event; unknown of servers elsewhere.
    pub cpu: Option<f64>,
}

impl Figures {
    pub fn of_calls(mut latencies: Vec<Duration>, Lap { seconds, cpu }: Lap) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = (latencies.len() as f64 * share) as usize;
            latencies.get(place).map(|latency| latency.as_secs_f64() * 1e3)
        };
        let (p50, p99) = (at(0.50), at(0.99));
        Figures { p50, p99, ..Self::of_events(latencies.len() as u64, Lap { seconds, cpu }) }
    }

    pub fn of_events(count: u64, Lap { seconds, cpu }: Lap) -> Self {
        let count = count as f64;
        let cpu = cpu.filter(|_| count > 0.0).map(|cpu| cpu.as_secs_f64() * 1e6 / count);
        Figures { rate: count / seconds, p50: None, p99: None, cpu }
    }

    /// Each figure's median.
    pub fn median(runs: &[Figures]) -> Self {
        let each = |of: fn(&Figures) -> Option<f64>| median(runs.iter().filter_map(of).collect());
        Figures {
            rate: each(|run| Some(run.rate)).unwrap_or_default(),
            p50: each(|run| run.p50),
            p99: each(|run| run.p99),
            cpu: each(|run| run.cpu),
        }
    }
}

pub fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}
