//! One write on its way, and what may come of it.

use crate::heart::access::User;
use crate::heart::admission::{Attributes, Operation};
use crate::heart::bodies::Body;
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::managed::Writer;
use crate::heart::query::FieldValidation;
use crate::heart::reading;
use crate::heart::status::ApiError;
use crate::heart::stored::Stored;
use crate::heart::strict;
use crate::heart::write::Context;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// One object of a request.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// As served.
    pub kind: &'a Kind,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

impl Target<'_> {
    pub fn key(&self) -> Result<String, ApiError> {
        keys::object_key(self.kind.resource, self.namespace, self.name)
    }

    pub fn not_found(&self) -> ApiError {
        self.kind.not_found(self.name)
    }
}

/// One write on its way: who, what, and how.
pub struct Writing {
    pub attributes: Attributes,
    /// In whose name fields are owned.
    pub manager: String,
    /// Ownership is settled by the change itself: server-side apply.
    pub applies: bool,
    /// What is applied takes fields from other managers.
    pub force: bool,
    pub fields: FieldValidation,
}

impl Writing {
    /// A write that this server does by itself.
    pub fn own(operation: Operation, kind: &Kind, namespace: Option<&str>, name: &str) -> Writing {
        Writing {
            attributes: Attributes {
                user: User::authenticated("system:apiserver", vec!["system:masters".into()]),
                operation,
                kind: kind.clone(),
                namespace: namespace.map(str::to_string),
                name: name.to_string(),
                subresource: String::new(),
                dry_run: false,
                options: Value::Null,
            },
            manager: "kube-apiserver".into(),
            applies: false,
            force: false,
            fields: FieldValidation::Ignore,
        }
    }

    pub fn target(&self) -> Target<'_> {
        let attributes = &self.attributes;
        let namespace = attributes.namespace.as_deref();
        Target { kind: &attributes.kind, namespace, name: &attributes.name }
    }

    pub fn writer(&self) -> Writer<'_> {
        Writer {
            manager: &self.manager,
            subresource: &self.attributes.subresource,
            kind: &self.attributes.kind,
            now: Timestamp::now(),
        }
    }

    /// Read a body as its kind.
    pub fn decode(&self, body: Value) -> Result<Value, ApiError> {
        reading::decode_body(&self.context(self.attributes.kind.clone()), body).map(|decoded| decoded.object)
    }

    /// The same for a body as it came: what the kind does not have, and what stands in it twice, is
    /// refused or noted in `warnings`.
    pub fn decode_sent(&self, sent: Body, warnings: &mut Vec<String>) -> Result<Value, ApiError> {
        let kind = &self.attributes.kind;
        let (value, twice) = strict::apart(sent);
        let decoded = reading::decode_body(&self.context(kind.clone()), value)?;
        strict::judge(kind.resource, self.fields, &twice.remarks(&decoded.unknown), warnings)?;
        Ok(decoded.object)
    }

    pub fn context(&self, kind: Kind) -> Context<'_> {
        let attributes = &self.attributes;
        Context {
            kind,
            namespace: attributes.namespace.as_deref(),
            name: Some(attributes.name.as_str()).filter(|name| !name.is_empty()),
            now: Timestamp::now(),
            uid: "",
            suffix: "",
        }
    }
}

/// What a change does to the stored object.
pub enum Change {
    /// The object in its stored form.
    Put(Value),
    Remove,
    Same,
}

/// How a change ended.
pub enum Outcome {
    /// The object as it is now.
    Now(Arc<Stored>),
    /// It is gone; this is what it was last.
    Gone(Arc<Stored>),
}

impl Outcome {
    pub fn stored(&self) -> &Arc<Stored> {
        match self {
            Outcome::Now(stored) | Outcome::Gone(stored) => stored,
        }
    }
}
