//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from `first` and stops growing at `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// For a peer that is not there: it may be starting this very moment.
    pub const UNREACHABLE: Backoff =
        Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };
    /// For a peer that answers with an error: client-go's numbers.
    pub const REFUSED: Backoff =
        Backoff { first: Duration::from_millis(800), longest: Duration::from_secs(30) };

    /// The wait after this many failures before (0 for the first), shortened by up to half
    /// as `jitter` (0 to 1) says, so that clients that failed together do not return together.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        // lab:begin 04.2 double, cap, then shorten by the jitter
        // After thirty doublings every wait is the longest one.
        let factor = 2u32.saturating_pow(failures.min(30));
        let whole = self.first.saturating_mul(factor).min(self.longest);
        let jitter = jitter.clamp(0.0, 1.0);
        let shortened_by = jitter / 2.0;
        whole.mul_f64(1.0 - shortened_by)
        // lab:end
    }
}
