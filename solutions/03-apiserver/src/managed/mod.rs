//! Who owns which field (KEP-555; upstream: `apimachinery/pkg/util/managedfields` and
//! `structured-merge-diff`).
//!
//! ```text
//!  managedFields:                                 who owns what, as sets of fields
//!    kubectl, Apply:    .spec.replicas, .spec.template.spec.containers[name="web"].image, …
//!    coracle-hpa, Update (scale):    .spec.replicas
//!
//!  an update owns what it changes                 compare ► settle            (update)
//!  an apply owns what it says, and nothing else   merge ► forget ► settle     (apply)
//! ```
//!
//! [`parts`] says how a value falls into parts, by its [`crate::schema::Shape`]; everything else
//! is made of that: [`fields`] which fields a value has, [`compare`](mod@compare) which changed,
//! [`merge`](mod@merge) one value laid over another, [`forget`](mod@forget) what goes with its
//! last owner, [`ownership`] who loses what. [`managers`] is the list in the object.
//!
//! What upstream does and this does not: fields of a custom kind whose versions a webhook converts
//! are not translated between its versions (entries are taken by their paths), and an applier who
//! changes the version of a built-in kind keeps what he applied in the old one.

pub mod compare;
pub mod fields;
pub mod forget;
pub mod managers;
pub mod merge;
pub mod options;
pub mod ownership;
pub mod parts;
pub mod path;
pub mod set;

mod apply;
mod conflict;
mod declared;
mod last_applied;
mod scope;
mod update;
mod versions;

pub use apply::apply;
pub use declared::check_type;
pub use update::{keep_readable, note_update};

use crate::kind::Kind;
use jiff::Timestamp;

/// Who writes, in the words of `managedFields`.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// `fieldManager`, or what the User-Agent says before its first slash.
    pub manager: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// The kind as it was asked for: its apiVersion is noted.
    pub kind: &'a Kind,
    pub now: Timestamp,
}
