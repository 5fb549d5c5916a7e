//! Waiting on `kubectl get -w`: each change is a JSON document on its output.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running `kubectl get -w`, ended when dropped.
pub struct Watch {
    line: String,
    child: Child,
    changes: Receiver<Value>,
}

impl Watch {
    pub fn start(mut command: Command) -> Self {
        let line = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{line} did not start: {error}"));
        let stdout = child.stdout.take().expect("its output is a pipe");
        // The reader waits when a test is slow to look: the channel is bounded on purpose.
        let (sender, changes) = sync_channel(64);
        std::thread::spawn(move || {
            for document in serde_json::Deserializer::from_reader(stdout).into_iter::<Value>() {
                let Ok(document) = document else { return };
                if sender.send(document).is_err() {
                    return;
                }
            }
        });
        Self { line, child, changes }
    }

    /// The next change, or `None` when the deadline passes or kubectl ends.
    fn next(&self, deadline: Instant) -> Option<Value> {
        self.changes.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Waits until a change satisfies `condition`, and returns it.
    #[track_caller]
    pub fn until(&self, what: &str, patience: Duration, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + patience;
        let mut last = Value::Null;
        while let Some(change) = self.next(deadline) {
            if condition(&change) {
                return change;
            }
            last = change;
        }
        panic!("{what}: not what was waited for within {patience:?} ({})\nlast seen: {last:#}", self.line);
    }

    /// Waits until all objects that live satisfy `condition` (a watch with `--output-watch-events`).
    pub fn until_all(&self, patience: Duration, condition: impl Fn(&[Value]) -> bool) -> Option<Vec<Value>> {
        let deadline = Instant::now() + patience;
        let mut living: BTreeMap<String, Value> = BTreeMap::new();
        while let Some(change) = self.next(deadline) {
            let object = &change["object"];
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            if change["type"] == "DELETED" {
                living.remove(&uid);
            } else {
                living.insert(uid, object.clone());
            }
            let objects: Vec<Value> = living.values().cloned().collect();
            if condition(&objects) {
                return Some(objects);
            }
        }
        None
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
