//! How long a key that failed waits for its next turn
//! (client-go's util/workqueue/default_rate_limiters.go).

use std::collections::BTreeMap;
use std::time::Duration;

/// A bucket that fills with `per_second` tokens up to `burst`; each turn takes one, and a
/// turn without a token waits until its token would have come.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    /// May be negative: tokens that were promised to those who wait.
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    pub fn new(per_second: f64, burst: u32) -> TokenBucket {
        TokenBucket { per_second, burst: burst.into(), tokens: burst.into(), at: Duration::ZERO }
    }

    /// Takes a token in advance and says how long to wait for it.
    pub fn reserve(&mut self, now: Duration) -> Duration {
        // lab:begin 04.7 fill by the time that passed, take one, wait for what is missing
        self.fill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.tokens / self.per_second)
        // lab:end
    }

    /// Takes a token only if there is one.
    pub fn try_take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let available = self.tokens >= 1.0;
        if available {
            self.tokens -= 1.0;
        }
        available
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.at = self.at.max(now);
    }
}

/// Each key's own exponential wait, and one token bucket for all together; the longer wait
/// counts.
#[derive(Clone, Debug)]
pub struct RateLimiter<T> {
    // lab:given
    first: Duration,
    // lab:given
    longest: Duration,
    failures: BTreeMap<T, u32>,
    // lab:given
    bucket: Option<TokenBucket>,
}

impl<T: Ord + Clone> RateLimiter<T> {
    pub fn new(first: Duration, longest: Duration, bucket: Option<TokenBucket>) -> RateLimiter<T> {
        RateLimiter { first, longest, failures: BTreeMap::new(), bucket }
    }

    /// Counts a failure of the key and says how long it waits.
    pub fn when(&mut self, item: T, now: Duration) -> Duration {
        // lab:begin 04.7 double the key's own wait; wait for a token too
        let failures = self.failures.entry(item).or_insert(0);
        let factor = 2u32.saturating_pow((*failures).min(31));
        let own = self.first.saturating_mul(factor).min(self.longest);
        *failures = failures.saturating_add(1);
        let shared = self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.reserve(now));
        own.max(shared)
        // lab:end
    }

    /// The key succeeded, or was given up: its next failure is its first.
    pub fn forget(&mut self, item: &T) {
        self.failures.remove(item);
    }

    /// How often the key failed since it was last forgotten.
    pub fn retries(&self, item: &T) -> u32 {
        self.failures.get(item).copied().unwrap_or(0)
    }
}
