//! # The heart of the kubelet
//!
//! A kubelet has one job: make what runs on its machine be what the API server says should run
//! there, and say back what does. Both sides move all the time. Pods come, change and go; processes
//! die; images are missing; the kubelet itself is killed and starts again knowing nothing. So it
//! never executes a script of steps. It compares, acts a little, and compares again:
//!
//! ```text
//!   watch: my pods ──▶ sources ──▶ worker (one per pod) ──▶ Work: sync │ terminate │ clean up
//!                                      ▲                                │
//!          runtime, probes, timers ────┘                 actions::compute(pod, runtime, …)
//!                                                                       │ PodActions
//!                                            status::generate ◀── the shell carries them out (CRI)
//!                                                   │
//!                                      patch::status_patch ──▶ API server
//! ```
//!
//! This crate is the part that thinks. It opens nothing, waits for nothing and asks no clock: the
//! pod, the runtime's view, verdicts and the time come in as values, plans go out as values.
//!
//! ## Modules, in the order of the lab
//!
//! | step | module | question |
//! |---|---|---|
//! | 1 | [`sources`] | which pods are mine, and what does a watch event mean for them? |
//! | 2 | [`worker`] | where is a pod in its life, and what work comes next? |
//! | 3 | [`backoff`], [`actions::should_restart`] | may this container start again, and when? |
//! | 4 | [`actions`] | what must happen so that reality meets the spec? |
//! | 5 | [`probe`] | is it up, alive, ready? |
//! | 6 | [`status`], [`conditions`] | what do we tell the world? |
//! | 7 | [`volumes`] | how do files change under a reader's eyes? |
//! | 8 | [`termination`] | how does a container end well? |
//!
//! Given, to read: [`mod@env`], [`expand`], [`resources`], [`security`], [`dns`], [`images`],
//! [`image_names`], [`deadline`], [`hooks`], [`streams`], [`words`], [`logs`], [`node`], [`patch`],
//! [`names`], [`types`].
//!
//! ## Invariants
//!
//! 1. **A pod is its uid.** A pod of the same name with another uid is another pod.
//! 2. **Absence is not an order** until the first full list has been seen: nobody is an orphan
//!    before that.
//! 3. **There is no way back** from terminating: no container of such a pod is ever started.
//! 4. **One piece of work at a time** for a pod; what happens meanwhile leads to one more look.
//! 5. **Converged means quiet**: on a pod that is as it should be, [`actions::compute`] plans nothing.
//! 6. **A container name runs at most once**: nothing is started that has not been seen to end.
//! 7. **Delays grow, up to a bound**, and are forgiven after a good run.
//! 8. **Status is derived**, from spec, runtime and probes; what the kubelet must not forget is
//!    written on the containers as labels and annotations ([`names`]).
//! 9. **The grace period only shrinks.** The API object goes last, when nothing runs any more.
//!
//! ## Left out, compared with the real kubelet
//!
//! Static pods and mirror pods (`pkg/kubelet/pod`), admission at the node (`lifecycle/predicate.go`),
//! eviction under pressure (`pkg/kubelet/eviction`), persistent volumes and CSI
//! (`pkg/volume`, `pkg/kubelet/volumemanager`), device plugins and the cpu, memory and topology
//! managers (`pkg/kubelet/cm`), in-place resize, pull secrets (`pkg/credentialprovider`), image garbage
//! collection, gRPC probes, log rotation. The place to start reading is `syncLoop` in
//! `pkg/kubelet/kubelet.go`.

pub mod actions;
pub mod backoff;
pub mod conditions;
pub mod deadline;
pub mod dns;
pub mod env;
pub mod ephemeral;
pub mod expand;
pub mod hooks;
pub mod image_names;
pub mod images;
pub mod logs;
pub mod names;
pub mod node;
pub mod patch;
pub mod probe;
pub mod resources;
pub mod security;
pub mod sources;
pub mod status;
pub mod streams;
pub mod termination;
pub mod types;
pub mod volumes;
pub mod words;
pub mod worker;
