//! The life, or lives, of one key.
//!
//! ```text
//!            a generation            a generation
//!          ┌───────────────┐        ┌──────────┐
//!   put@4   put@6   delete@9   put@12   put@15
//!   v1      v2      tombstone  v1       v2
//!   create 4                   create 12
//! ```
//!
//! A generation begins with a put, numbers its versions from 1, and ends with a tombstone. Reading
//! at revision 7 finds `put@6`; at 9, 10 or 11 nothing; at 3 nothing.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::types::Record;

/// What is remembered of one key, oldest first, by rising revision. Most keys have one version: that
/// one needs no list of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    records: SmallVec<[Arc<Record>; 1]>,
}

/// By rising revision.
impl FromIterator<Arc<Record>> for History {
    fn from_iter<I: IntoIterator<Item = Arc<Record>>>(records: I) -> Self {
        History { records: records.into_iter().collect() }
    }
}

impl History {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    /// The key as it is now; `None` when it is deleted.
    pub fn latest(&self) -> Option<&Arc<Record>> {
        self.records.last().filter(|r| !r.is_tombstone())
    }

    /// The key as it was at main revision `at`, with all that happened in that revision; `None`
    /// when it did not exist then.
    pub fn at(&self, at: i64) -> Option<&Arc<Record>> {
        let _ = &at;
        todo!(
            "lab 01.1: find the newest record that is not younger than `at`; a tombstone means there was no key"
        )
    }

    /// Adds what happened next.
    pub(crate) fn push(&mut self, record: Arc<Record>) {
        if let Some(last) = self.records.last() {
            assert!(last.revision < record.revision, "a key's revisions rise");
        }
        self.records.push(record);
    }

    /// Forgets what no read at `at` or later can see: everything older than the newest record at
    /// or before `at`, and that record too when it is a tombstone. Returns what went.
    pub fn compact(&mut self, at: i64) -> Vec<Arc<Record>> {
        let _ = &at;
        todo!("lab 01.2: keep the one record that a read at `at` still finds, and everything younger")
    }
}
