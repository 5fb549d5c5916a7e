//! # Objects: amounts, selectors and patches
//!
//! Everything in Kubernetes is an object: a JSON document with a kind, a name, labels, what
//! is wished (`spec`) and what is (`status`). Before there is a server there must be
//! answers to three questions about such documents, and every component asks them:
//!
//! ```text
//!   "64Mi" and "0.5"     how much is that?                quantity   exact numbers
//!   "app=web,tier!=db"   is this object among those?      labels, fields
//!   {"spec": {…}}        what does it look like after?    patch      three dialects, and apply
//! ```
//!
//! All of it is pure: values in, values out. That makes it the best place to learn how
//! Kubernetes thinks, and the worst place for a small mistake, because whatever is rounded
//! wrong here is scheduled wrong three chapters later.
//!
//! ## Reading order
//!
//! 1. [`quantity`]: amounts with suffixes; [`notation`] holds the digits' arithmetic.
//! 2. [`labels`]: what a Service or a ReplicaSet calls its own; [`tokens`] reads the text,
//!    [`names`] says what a key and a value may look like.
//! 3. [`fields`]: the few fields that can be selected by; [`escaping`] for its backslashes.
//! 4. [`patch`]: RFC 7386, RFC 6902 with its [`pointer`](patch::pointer)s, and Kubernetes'
//!    own strategic merge with its [`schema`](patch::schema) and
//!    [`directives`](patch::directives). Then the way back, from documents to a patch, of two
//!    and of three: what `kubectl apply` does.
//!
//! ## Invariants
//!
//! 1. A quantity is exact to 10⁻⁹; what is finer was rounded away from zero, never to it.
//! 2. What a quantity or a selector prints can be read back, and is equal.
//! 3. Two quantities are equal when their amounts are, whatever their suffixes.
//! 4. A selector that exists and is empty matches everything; an absent one matches nothing.
//! 5. A patch leaves its document untouched and gives a new one, or an error: never half.
//! 6. Members that a patch does not name keep their value and their place.
//! 7. The same merge patch, or strategic merge patch, applied again changes nothing.
//! 8. After `apply` the object has all that the file has, has lost what left the file, and
//!    keeps what was never in it.
//!
//! ## What is left out
//!
//! - Server-side apply, which remembers owners instead of a last text; see
//!   sigs.k8s.io/structured-merge-diff.
//! - Decimal quantities beyond 10²⁹, which upstream keeps in arbitrary precision
//!   (k8s.io/apimachinery/pkg/api/resource/quantity.go).
//! - Conflicts of a three-way merge (`overwrite=false`), which kubectl does not ask for, and
//!   lists with one key twice, on which upstream's own patches are known to fail.
//! - Merge keys as struct tags (`patchStrategy`, `patchMergeKey`): here they are a table.

pub mod escaping;
pub mod fields;
pub mod labels;
pub mod names;
pub mod notation;
pub mod patch;
pub mod quantity;
pub mod tokens;
