//! What runs on a machine of the world.

use crate::disk::{Disk, Full, Target};
use crate::random::Random;
use crate::trace::Trace;

/// A program, driven from outside: something comes in, then it is asked for outputs, one at a time,
/// until there is none. Between any two of them the machine may die.
pub trait Process: Sized {
    /// What the machine's administrator has configured: the same at each start.
    type Setup;
    /// From one machine to another.
    type Message: Clone;
    /// What clients ask, and are told.
    type Ask;
    type Answer;

    /// Started from what the disk holds.
    fn start(setup: &Self::Setup, here: &mut Here<'_>) -> Result<Self, NotStarted>;

    fn handle(&mut self, input: Input<Self>, here: &mut Here<'_>);

    /// The next thing to do. Writes to [`Here::disk`] are done in here; say [`Output::Wrote`] for each,
    /// so that a crash can come behind it.
    fn poll(&mut self, here: &mut Here<'_>) -> Option<Output<Self>>;

    /// For the trace; `None` is not worth a line.
    fn describe(message: &Self::Message) -> Option<String>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStarted {
    /// A fault is in the way, such as a full disk: it is tried again.
    Later(String),
    /// A finding: no crash may leave a disk that cannot be read.
    Broken(String),
}

impl From<Full> for NotStarted {
    fn from(_: Full) -> Self {
        NotStarted::Later("the disk is full".into())
    }
}

/// The machine, as its process finds it at a moment.
pub struct Here<'a> {
    pub machine: usize,
    /// The machine's own clock, which may be wrong but never goes back.
    pub now_us: u64,
    pub disk: &'a mut Disk,
    pub random: &'a mut Random,
    pub trace: &'a mut Trace,
}

impl Here<'_> {
    /// A line of the trace.
    pub fn note(&mut self, words: impl FnOnce() -> String) {
        self.trace.note(Some(self.machine), words);
    }
}

pub enum Input<P: Process> {
    Tick,
    Message {
        from: usize,
        message: P::Message,
    },
    /// A message could not be delivered. Not all failures are noticed.
    Unreachable {
        to: usize,
    },
    /// `client` names who waits for an answer.
    Ask {
        client: u64,
        ask: P::Ask,
    },
    Synced {
        token: u64,
    },
    Woken {
        token: u64,
    },
}

pub enum Output<P: Process> {
    Send {
        to: usize,
        message: P::Message,
    },
    Answer {
        client: u64,
        answer: P::Answer,
    },
    /// Something was written to the disk, or some other step was done that nobody outside sees.
    Wrote,
    /// Wait for the disk: [`Input::Synced`] with this token tells the end. Other inputs come meanwhile.
    Sync {
        target: Target,
        token: u64,
    },
    /// [`Input::Woken`] with this token comes then, by the world's clock.
    Wake {
        in_us: u64,
        token: u64,
    },
    /// The process ends itself, and is started again after a while.
    Stop(String),
}
