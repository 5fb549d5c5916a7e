//! # kube-proxy, the core: from Services and EndpointSlices to iptables rules
//!
//! A Service's address belongs to no interface. Nobody answers ARP for 10.96.0.10 and no process
//! listens on it. It is a pattern that every node's kernel looks for: when the first packet of a
//! connection carries it, the kernel rewrites the destination to one ready pod, remembers the choice
//! in its connection table, and translates every later packet of that connection both ways. kube-proxy
//! carries no traffic at all. It only writes down which patterns mean which pods, and this crate is
//! the function that does the writing: **values in, rule text out.**
//!
//! ```text
//!   PREROUTING / OUTPUT (nat)
//!        |
//!   KUBE-SERVICES ----------------------------.---------------------.
//!        | -d 10.96.0.7 --dport 80            | -d EXTERNAL-IP      | last rule: --dst-type LOCAL
//!        |                                    |                KUBE-NODEPORTS
//!        |                                    |                     | --dport 30080
//!        |                                    '--> KUBE-EXT-x <-----'
//!        v                                           | mark for masquerade, unless Local
//!   KUBE-SVC-x <-------------------------------------'        (KUBE-SVL-x: endpoints of this node)
//!        | ! -s CLUSTER-CIDR --> KUBE-MARK-MASQ
//!        | recent: same client again --> its endpoint                         step 4
//!        | statistic: 1/3, then 1/2, then the rest                            step 2
//!        v
//!   KUBE-SEP-y   -s itself --> KUBE-MARK-MASQ (hairpin),   DNAT --to-destination 10.244.1.5:8080
//!        .
//!   POSTROUTING: KUBE-POSTROUTING   marked 0x4000?  -->  MASQUERADE
//!   INPUT, FORWARD, OUTPUT (filter): no endpoints?  -->  REJECT, so that clients fail at once
//! ```
//!
//! ## Where to read
//! [`model`] parses what the API server sent into values that are valid by construction;
//! [`names`] makes chain names; [`reach`] decides which endpoints a packet may go to;
//! [`service`] writes one service port's rules, with [`balance`] for the choice of an endpoint and
//! [`external`] for what comes from outside; [`rules`] puts them together as tables;
//! [`sync`] finds the smallest `iptables-restore` input that takes the kernel from one table to the
//! next; [`conntrack`] names the UDP flows that outlive their endpoint; [`pace`] says when to sync.
//!
//! ## Invariants
//! 1. **Pure.** The same services, endpoints and configuration give the same text, byte for byte.
//!    Nothing here knows whether iptables exists.
//! 2. **Every packet for a service with usable endpoints is sent to exactly one of them**, each with
//!    equal probability: the last rule of a balancing chain has no condition.
//! 3. **A packet that no Service names is not touched.** Every rule that changes a packet is behind
//!    a match of a service address and port, or a node port on a local address.
//! 4. **A service without endpoints answers at once** (ICMP port unreachable); one that has
//!    endpoints, only none that the traffic policy allows here, drops silently, so that a load
//!    balancer's retry can find another node.
//! 5. **A pod that reaches itself through its Service sees a foreign source address**, and so does
//!    every pod that is reached from outside the pod network: the answer has to come back through
//!    the node that translated the request.
//! 6. **Incremental equals full.** Applying the difference from A to B gives the table that writing
//!    B from nothing gives, and no chain of ours is left that B does not name.
//! 7. **No gap.** One `iptables-restore` transaction a table: a packet sees all of A or all of B.
//!
//! ## What is left out, and where to read it
//! Upstream is `pkg/proxy/iptables/proxier.go` (the chains), `pkg/proxy/topology.go` (our [`reach`]),
//! `pkg/proxy/servicechangetracker.go` and `endpointschangetracker.go`.
//! Left out: IPv6 and dual stack (a second, equal set of rules by ip6tables); topology hints and
//! `trafficDistribution` (a filter on endpoints before [`reach`]); `healthCheckNodePort` and its
//! server; node ports on 127.0.0.1, which need the sysctl `route_localnet` and upstream's
//! KUBE-FIREWALL chain to make that sysctl safe (our shape is that of
//! `--iptables-localhost-nodeports=false`); `nodePortAddresses`; the nfacct counters;
//! a load balancer address that is also an address of the node. Upstream keeps maps of what changed,
//! for tens of thousands of services; we compute the whole table and compare, which is easier to
//! trust and fast enough for thousands.

pub mod balance;
pub mod conntrack;
pub mod external;
pub mod model;
pub mod names;
pub mod pace;
pub mod reach;
pub mod rules;
pub mod service;
pub mod sync;

pub use conntrack::{StaleFlow, stale_flows};
pub use model::{Cidr, Endpoint, InvalidCidr, Protocol, ServicePort, ServicePortName, Snapshot};
pub use pace::Pace;
pub use rules::{Config, JUMPS, Jump, Rules, Table, build};
pub use sync::{Installed, restore};
