//! Clients, each with one call under way, on a few connections, in one thread.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::http2::{Connection, Got, StreamId};

/// More connections than this are not made: clients share them, as goroutines share a client.
const MAX_CONNECTIONS: usize = 8;
const READ_BYTES: usize = 256 << 10;
/// A server that is silent for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Clients {
    connections: Vec<Connection>,
    /// Who has begun the calls that are under way.
    callers: Vec<HashMap<StreamId, Caller>>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Caller {
    client: usize,
    begun: Instant,
    answered: bool,
}

/// Something that a client got.
pub struct Answer<'a> {
    pub client: usize,
    pub message: &'a [u8],
    pub begun: Instant,
}

impl Clients {
    /// For so many clients; they are spread over the members.
    pub fn connect(members: &[SocketAddr], clients: usize) -> Result<Self> {
        let count = clients.min(MAX_CONNECTIONS.max(members.len()));
        let members = members.iter().cycle().take(count);
        let connections = members.map(|member| Connection::open(*member)).collect::<Result<Vec<_>>>()?;
        let callers = connections.iter().map(|_| HashMap::new()).collect();
        Ok(Clients { connections, callers, buffer: vec![0; READ_BYTES] })
    }

    /// `last`: the client sends no other message in this call.
    pub fn call(&mut self, client: usize, path: &str, message: &[u8], last: bool) {
        let at = client % self.connections.len();
        let stream = self.connections[at].call(path, message, last);
        self.callers[at].insert(stream, Caller { client, begun: Instant::now(), answered: false });
    }

    /// Waits until something comes, but not longer than `until`, and tells of each message. A call
    /// that ends without one has failed.
    pub fn wait(&mut self, until: Option<Instant>, mut each: impl FnMut(Answer<'_>)) -> Result<()> {
        let mut ready = Vec::with_capacity(self.connections.len());
        for connection in &mut self.connections {
            connection.write()?;
            let write = if connection.wants_to_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
            ready.push(PollFd::new(connection.fd(), PollFlags::POLLIN | write));
        }
        let patience = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
        if ppoll(&mut ready, Some(TimeSpec::from_duration(patience)), None)? == 0 && until.is_none() {
            bail!("the server has not answered for {} s", PATIENCE.as_secs());
        }
        let readable: Vec<bool> = ready.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(ready);
        for (at, _) in readable.iter().enumerate().filter(|(_, readable)| **readable) {
            let callers = &mut self.callers[at];
            let mut failed = false;
            self.connections[at].read(&mut self.buffer, |stream, got| match got {
                Got::Message(message) => {
                    let Some(caller) = callers.get_mut(&stream) else { return };
                    caller.answered = true;
                    each(Answer { client: caller.client, message, begun: caller.begun });
                }
                Got::End => failed |= callers.remove(&stream).is_some_and(|caller| !caller.answered),
            })?;
            if failed {
                bail!("the server has refused a call");
            }
        }
        Ok(())
    }
}
