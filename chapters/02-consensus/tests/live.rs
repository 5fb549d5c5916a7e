//! Members as real processes on machines of their own, which are network namespaces: under load, with
//! faults; with real etcdctl; over TLS.

#[path = "live/campaign.rs"]
mod campaign;
#[path = "live/clients.rs"]
mod clients;
#[path = "live/machines.rs"]
mod machines;
#[path = "live/membership.rs"]
mod membership;
#[path = "live/tls.rs"]
mod tls;
#[path = "live/users.rs"]
mod users;
#[path = "live/watchers.rs"]
mod watchers;
