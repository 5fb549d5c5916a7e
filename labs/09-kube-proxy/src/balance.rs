//! Choosing one endpoint: a chain of coin tosses, with the coins weighted so that every endpoint is
//! as likely as every other; and affinity, which remembers the choice a client got.

use crate::model::{Endpoint, ServicePort};
use crate::names;

/// The rules of KUBE-SVC-… or KUBE-SVL-… that choose among `endpoints`: who has an endpoint already
/// keeps it, everybody else is given one by chance.
pub fn choose(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    match service.affinity_seconds {
        Some(seconds) => stick(service, endpoints, seconds),
        None => by_chance(service, endpoints),
    }
}

/// One jump for a single endpoint, and for several a jump each with its toss.
fn by_chance(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    match endpoints {
        [only] => vec![jump_to(service, only, "")],
        several => spread(service, several),
    }
}

/// `condition`, if there is one, ends with a space.
fn jump_to(service: &ServicePort, endpoint: &Endpoint, condition: &str) -> String {
    let chain = names::endpoint(&service.name, endpoint.address);
    format!("-m comment --comment \"{} -> {}\" {condition}-j {chain}", service.name, endpoint.address)
}

/// One jump an endpoint. The kernel tries them in order, so a rule is reached only when all before
/// it lost their toss: of `n` rules the first must win 1 in n, the second 1 in n - 1 of the rest,
/// and the last always.
pub fn spread(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    let _ = (&service, &endpoints);
    todo!("lab 09.2: a weighted toss for every endpoint, and none for the last")
}

/// 1/n as iptables reads it: ten digits after the point.
pub fn probability(n: usize) -> String {
    format!("{:0.10}", 1.0 / n as f64)
}

/// All rules for `sessionAffinity: ClientIP`. A client that was sent to an endpoint within the last
/// `seconds` goes there again; everybody else is given one `by_chance`.
///
/// The kernel's match `recent` keeps lists of source addresses, each with a name; ours are named as
/// the endpoints' chains. [`remember`] puts an address on one. `--rcheck` asks whether the packet's
/// source is on it, with `--seconds N` whether it was put there no longer ago than that, and with
/// `--reap` behind that, whoever asks also clears away what is older.
pub fn stick(service: &ServicePort, endpoints: &[&Endpoint], seconds: u32) -> Vec<String> {
    let _ = (&service, &endpoints, &seconds);
    todo!(
        "lab 09.4: first, for each endpoint, a jump under the condition that the client is on its list; then chance"
    )
}

/// The match that puts the client's address on the endpoint's list, with a space after it.
pub fn remember(service: &ServicePort, endpoint: &Endpoint) -> String {
    let list = names::endpoint(&service.name, endpoint.address);
    format!("-m recent --name {list} --set ")
}

/// KUBE-SEP-…: the translation. The first rule is for the pod that came to itself: with its own
/// address as the source it would answer itself directly, and never recognise the answer.
pub fn endpoint_chain(service: &ServicePort, endpoint: &Endpoint) -> Vec<String> {
    let name = &service.name;
    let protocol = name.protocol.as_str();
    let (ip, address) = (endpoint.address.ip(), endpoint.address);
    let remember = service.affinity_seconds.map_or_else(String::new, |_| remember(service, endpoint));
    let _ = (&protocol, &ip, &address, &remember);
    todo!("lab 09.1: mark what the endpoint sends to itself; translate everything")
}
