//! The forms of one object: as it was asked for (served), as it is worked on (hub, see
//! `heart::kind::Kind::hub`), and as the store has it (stored). Built-in kinds are worked on in
//! their stored form; custom kinds in the form that was asked for.
//!
//! A custom object may be stored in any version that its definition ever stored, and may be older
//! than a default of its schema: both are mended when it is read. Between versions that differ in
//! more than their name somebody has to be asked, which is why reading can wait, and fail.

use crate::app::{self, App};
use crate::heart::convert;
use crate::heart::custom::{self, Conversion};
use crate::heart::kind::Kind;
use crate::heart::status::ApiError;
use crate::heart::stored::Stored;
use crate::webhooks;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a conversion webhook may take (upstream's, in `conversion/webhook_converter.go`).
const CONVERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// From hub to served.
pub fn served(kind: &Kind, hub: Value) -> Value {
    convert::from_storage(kind.resource, hub)
}

/// From served to hub.
pub fn hub(kind: &Kind, served: Value) -> Value {
    convert::to_storage(kind.resource, served)
}

impl App {
    /// From stored to hub.
    pub async fn hub_form(&self, kind: &Kind, stored: Value) -> Result<Value, ApiError> {
        if kind.custom.is_none() {
            return Ok(stored);
        }
        let mut converted = self.converted(kind, vec![stored]).await?;
        let mut object = converted.pop().unwrap_or_default();
        kind.apply_defaults(&mut object);
        Ok(object)
    }

    /// From hub to stored.
    pub async fn stored_form(&self, kind: &Kind, hub: Value) -> Result<Value, ApiError> {
        let stored = kind.custom.as_ref().and_then(|custom| custom.definition.stored());
        match stored {
            Some(stored) => Ok(self.converted(&stored, vec![hub]).await?.pop().unwrap_or_default()),
            None => Ok(hub),
        }
    }

    /// What the store has, in a form that can be rendered as `kind`.
    pub async fn shown(&self, kind: &Kind, stored: Arc<Stored>) -> Result<Arc<Stored>, ApiError> {
        let mut shown = self.all_shown(kind, vec![stored]).await?;
        shown.pop().ok_or_else(|| ApiError::internal("an object was lost in its conversion"))
    }

    /// The same for a whole page: a webhook is asked once.
    pub async fn all_shown(
        &self,
        kind: &Kind,
        stored: Vec<Arc<Stored>>,
    ) -> Result<Vec<Arc<Stored>>, ApiError> {
        if kind.custom.is_none() || kind.is_shown_as_stored() {
            return self.as_stored(kind, stored).await;
        }
        let values = stored.iter().map(|stored| stored.value()).collect();
        let converted = self.converted(kind, values).await?;
        let shown = stored.iter().zip(converted).map(|(stored, mut value)| {
            kind.apply_defaults(&mut value);
            Arc::new(Stored::new(kind, &stored.key, stored.revision, value))
        });
        Ok(shown.collect())
    }

    /// Objects of a kind that is shown as it is stored. Those of a custom kind may have been stored
    /// when another version was.
    async fn as_stored(
        &self,
        kind: &Kind,
        mut stored: Vec<Arc<Stored>>,
    ) -> Result<Vec<Arc<Stored>>, ApiError> {
        let Some(own) = &kind.custom else { return Ok(stored) };
        if own.definition.versions.len() == 1 {
            return Ok(stored);
        }
        let wanted = kind.resource.api_version();
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for (i, object) in stored.iter().enumerate() {
            let value = object.value();
            if value["apiVersion"] != wanted.as_str() {
                places.push(i);
                values.push(value);
            }
        }
        for (i, value) in places.into_iter().zip(self.converted(kind, values).await?) {
            stored[i] = Arc::new(Stored::new(kind, &stored[i].key, stored[i].revision, value));
        }
        Ok(stored)
    }

    /// Objects in the version of a custom kind; all that are in another one are asked for together.
    pub async fn converted(&self, kind: &Kind, mut objects: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        let Some(own) = &kind.custom else { return Ok(objects) };
        let wanted = kind.resource.api_version();
        let Conversion::Webhook { client_config, .. } = &own.definition.conversion else {
            return Ok(objects.into_iter().map(|object| custom::unchanged(object, &wanted)).collect());
        };
        // A webhook is asked about one version at a time.
        loop {
            let Some(from) =
                objects.iter().map(|o| &o["apiVersion"]).find(|v| **v != wanted.as_str()).cloned()
            else {
                return Ok(objects);
            };
            let places: Vec<usize> =
                (0..objects.len()).filter(|i| objects[*i]["apiVersion"] == from).collect();
            let asked: Vec<Value> = places.iter().map(|i| objects[*i].clone()).collect();
            let uid = app::new_uid();
            let review = custom::review(&own.definition, &uid, &wanted, &asked);
            let answer = self.ask_converter(client_config, &review).await?;
            for (i, object) in places.into_iter().zip(review.read(&answer)?) {
                objects[i] = object;
            }
        }
    }

    async fn ask_converter(&self, config: &Value, review: &custom::Review<'_>) -> Result<Value, ApiError> {
        let asked = webhooks::call(self, config, &review.request(), CONVERSION_TIMEOUT).await;
        asked.map_err(|why| review.failed(&why))
    }
}
