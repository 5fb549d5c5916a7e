//! What may be asked of a log (`PodLogOptions`), checked before a kubelet is asked.
//!
//! Upstream: `ValidatePodLogOptions` in `pkg/apis/core/validation`, `LogLocation` in
//! `pkg/registry/core/pod/strategy.go`.

use crate::fields::Errors;
use crate::query::Query;
use crate::status::ApiError;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::json;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub since_seconds: Option<i64>,
    pub since_time: Option<Timestamp>,
    pub tail_lines: Option<i64>,
    pub limit_bytes: Option<i64>,
    stream: bool,
}

impl LogOptions {
    pub fn parse(query: &Query) -> Result<LogOptions, ApiError> {
        let number = |key: &str| -> Result<Option<i64>, ApiError> {
            let Some(text) = query.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
            let wrong =
                || ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
            text.parse().map(Some).map_err(|_| wrong())
        };
        let since_time = match query.get("sinceTime").unwrap_or_default().trim_matches('"') {
            "" | "null" => None,
            text => Some(text.parse().map_err(|_| {
                ApiError::bad_request(format!(
                    "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                ))
            })?),
        };
        Ok(LogOptions {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            since_seconds: number("sinceSeconds")?,
            since_time,
            tail_lines: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
            stream: query.get("stream").is_some(),
        })
    }

    /// `pod` is whose log it is. Upstream's checks, in its order.
    pub fn validate(&self, pods: &Resource, pod: &str) -> Result<(), ApiError> {
        let mut errors = Errors::default();
        if let Some(lines @ ..0) = self.tail_lines {
            errors.invalid("tailLines", &json!(lines), "must be greater than or equal to 0");
        }
        if let Some(bytes @ ..1) = self.limit_bytes {
            errors.invalid("limitBytes", &json!(bytes), "must be greater than 0");
        }
        match (self.since_seconds, self.since_time) {
            (Some(_), Some(_)) => {
                errors.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified");
            }
            (Some(seconds @ ..1), None) => {
                errors.invalid("sinceSeconds", &json!(seconds), "must be greater than 0");
            }
            _ => {}
        }
        // One stream of the two is a feature that is off by default (KEP-3288).
        if self.stream {
            errors.forbidden("stream", "may not be specified");
        }
        errors.into_result(&Resource { kind: "PodLogOptions", ..*pods }, pod)
    }

    /// The kubelet's query.
    pub fn to_query(&self) -> String {
        let mut pairs = Vec::new();
        for (key, set) in
            [("follow", self.follow), ("previous", self.previous), ("timestamps", self.timestamps)]
        {
            if set {
                pairs.push(format!("{key}=true"));
            }
        }
        for (key, value) in [
            ("sinceSeconds", self.since_seconds),
            ("tailLines", self.tail_lines),
            ("limitBytes", self.limit_bytes),
        ] {
            pairs.extend(value.map(|value| format!("{key}={value}")));
        }
        pairs.extend(self.since_time.map(|time| format!("sinceTime={}", Query::encode(&time.to_string()))));
        pairs.join("&")
    }
}
