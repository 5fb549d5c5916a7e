//! Probes: is it up, is it alive, can it serve?
//!
//! A probe asks again and again; single answers decide nothing. Only `failureThreshold` failures in
//! a row (or `successThreshold` successes) change the verdict. Three probes, three consequences:
//!
//! | probe | verdict before the first answers | failing means |
//! |---|---|---|
//! | startup | not yet | the container is killed; until it succeeds the other two wait |
//! | liveness | alive | the container is killed |
//! | readiness | not ready | the pod gets no traffic |
//!
//! Asking (a process, a connection) is the shell's work; this machine says whom to ask when, and
//! what the answers mean. Upstream: `pkg/kubelet/prober/worker.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

use crate::types::{SignedDuration, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

    pub fn as_str(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startup",
            ProbeKind::Liveness => "liveness",
            ProbeKind::Readiness => "readiness",
        }
    }

    /// As the `Unhealthy` event spells it.
    pub fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    pub fn of(self, container: &api::Container) -> Option<&api::Probe> {
        match self {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// The numbers of a probe, with upstream's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub initial_delay: SignedDuration,
    pub period: SignedDuration,
    pub timeout: SignedDuration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

impl Timing {
    pub fn of(probe: &api::Probe) -> Timing {
        let seconds = |value: Option<i32>, default: i32| {
            let value = value.filter(|v| *v > 0).unwrap_or(default);
            SignedDuration::from_secs(i64::from(value))
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        Timing {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// One probe of one container run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeMachine {
    timing: Timing,
    /// What counts at present; `None` while nothing is known.
    verdict: Option<bool>,
    /// The last answer, and how many equal ones came in a row.
    last: Option<bool>,
    in_a_row: u32,
    next_at: Timestamp,
    /// Asked, not yet answered.
    asking: bool,
}

impl ProbeMachine {
    /// `verdict` is what holds until the thresholds say otherwise.
    pub fn new(timing: Timing, started_at: Timestamp, verdict: Option<bool>) -> Self {
        let next_at = started_at.checked_add(timing.initial_delay).unwrap_or(started_at);
        ProbeMachine { timing, verdict, last: None, in_a_row: 0, next_at, asking: false }
    }

    pub fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// Takes in one answer and returns the verdict if it changed.
    ///
    /// The verdict changes when the answer has come as many times in a row as its threshold asks;
    /// a different answer starts the count anew.
    pub fn handle_answer(&mut self, success: bool, now: Timestamp) -> Option<bool> {
        self.asking = false;
        self.next_at = now.checked_add(self.timing.period).unwrap_or(now);
        let _ = &success;
        todo!(
            "lab 08.5: count equal answers in a row; at the threshold, and only if it differs, change the verdict"
        )
    }
}

/// All probes of one run of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerProbes {
    machines: BTreeMap<ProbeKind, ProbeMachine>,
    /// After a verdict that kills nobody is asked again: the next run gets probes of its own.
    condemned: bool,
}

impl ContainerProbes {
    /// Probes for a run that began at `started_at`. `was_ready` says that the API server already
    /// shows this very run as ready: then a kubelet that restarted does not take it out of service
    /// merely because it has not asked yet.
    pub fn new(container: &api::Container, started_at: Timestamp, was_ready: bool) -> Self {
        let machine = |kind: ProbeKind| {
            let initial = match kind {
                ProbeKind::Startup => was_ready.then_some(true),
                ProbeKind::Liveness => Some(true),
                ProbeKind::Readiness => Some(was_ready),
            };
            let timing = Timing::of(kind.of(container)?);
            Some((kind, ProbeMachine::new(timing, started_at, initial)))
        };
        ContainerProbes {
            machines: ProbeKind::ALL.into_iter().filter_map(machine).collect(),
            condemned: false,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// Which probes may be asked at all now: before the startup probe has succeeded only that one,
    /// afterwards only the others, and none once the container is condemned.
    pub fn askable(&self) -> Vec<ProbeKind> {
        todo!("lab 08.5: startup alone, or the other two, or nobody")
    }

    /// The probes to ask now. Each is marked as being asked until its answer comes.
    pub fn poll_due(&mut self, now: Timestamp) -> Vec<ProbeKind> {
        let mut due = Vec::new();
        for kind in self.askable() {
            if let Some(m) = self.machines.get_mut(&kind)
                && !m.asking
                && m.next_at <= now
            {
                m.asking = true;
                due.push(kind);
            }
        }
        due
    }

    /// When [`ContainerProbes::poll_due`] has something to say next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.askable()
            .iter()
            .filter_map(|kind| self.machines.get(kind))
            .filter(|m| !m.asking)
            .map(|m| m.next_at)
            .min()
    }

    /// Takes in an answer; returns whether a verdict changed.
    pub fn handle_answer(&mut self, kind: ProbeKind, success: bool, now: Timestamp) -> bool {
        let Some(machine) = self.machines.get_mut(&kind) else {
            return false;
        };
        let changed = machine.handle_answer(success, now);
        if changed == Some(false) && kind != ProbeKind::Readiness {
            self.condemned = true;
        }
        changed.is_some()
    }

    pub fn verdict(&self) -> Verdict {
        let of = |kind| self.machines.get(&kind).and_then(ProbeMachine::verdict);
        Verdict {
            startup: of(ProbeKind::Startup),
            liveness: of(ProbeKind::Liveness),
            readiness: of(ProbeKind::Readiness),
        }
    }
}

/// What the probes of one run say at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub startup: Option<bool>,
    pub liveness: Option<bool>,
    pub readiness: Option<bool>,
}

/// The verdicts on all runs of a pod, by container id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(pub BTreeMap<String, Verdict>);

impl Verdicts {
    fn get(&self, id: &str) -> Verdict {
        self.0.get(id).copied().unwrap_or_default()
    }

    /// Has this running container started, as its startup probe sees it?
    pub fn started(&self, container: &api::Container, id: &str) -> bool {
        container.startup_probe.is_none() || self.get(id).startup == Some(true)
    }

    /// Can this running container serve?
    pub fn ready(&self, container: &api::Container, id: &str) -> bool {
        self.started(container, id)
            && (container.readiness_probe.is_none() || self.get(id).readiness == Some(true))
    }

    /// The probe for which this container must die.
    pub fn failed(&self, id: &str) -> Option<ProbeKind> {
        let verdict = self.get(id);
        if verdict.startup == Some(false) {
            Some(ProbeKind::Startup)
        } else if verdict.liveness == Some(false) {
            Some(ProbeKind::Liveness)
        } else {
            None
        }
    }
}
