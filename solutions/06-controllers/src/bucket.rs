//! A token bucket: so many at once, so many a second afterwards.

use k8s_openapi::jiff::Timestamp;

#[derive(Clone, Debug)]
pub struct TokenBucket {
    // lab:given
    per_second: f64,
    // lab:given
    most: f64,
    // lab:given
    tokens: f64,
    // lab:given
    filled: Option<Timestamp>,
}

impl TokenBucket {
    pub fn new(per_second: f64, most: u32) -> Self {
        TokenBucket { per_second, most: f64::from(most), tokens: f64::from(most), filled: None }
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        // lab:begin 06.4 first what flowed in since the last time, up to the brim; then one out, if there is a whole one
        if let Some(filled) = self.filled {
            let seconds = now.duration_since(filled).as_secs_f64().max(0.0);
            self.tokens = (self.tokens + seconds * self.per_second).min(self.most);
        }
        self.filled = Some(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
        // lab:end
    }
}
