//! Choosing one endpoint: a chain of coin tosses, with the coins weighted so that every endpoint is
//! as likely as every other; and affinity, which remembers the choice a client got.

use crate::model::{Endpoint, ServicePort};
use crate::names;

/// The rules of KUBE-SVC-… or KUBE-SVL-… that choose among `endpoints` (not empty): who has an
/// endpoint already keeps it, everybody else is given one by chance.
pub fn choose(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    let mut rules = stick(service, endpoints);
    rules.extend(spread(service, endpoints));
    rules
}

/// One jump an endpoint. The kernel tries them in order, so a rule is reached only when all before
/// it lost their toss: of `n` rules the first must win 1 in n, the second 1 in n - 1 of the rest,
/// and the last always.
pub fn spread(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    // lab:begin 09.2 a weighted toss for every endpoint, and none for the last
    let mut rules = Vec::with_capacity(endpoints.len());
    for (index, endpoint) in endpoints.iter().enumerate() {
        let comment = format!("-m comment --comment \"{} -> {}\"", service.name, endpoint.address);
        let chain = names::endpoint(&service.name, endpoint.address);
        let remaining = endpoints.len() - index;
        if remaining > 1 {
            let toss = format!("-m statistic --mode random --probability {}", probability(remaining));
            rules.push(format!("{comment} {toss} -j {chain}"));
        } else {
            rules.push(format!("{comment} -j {chain}"));
        }
    }
    rules
    // lab:end
}

/// 1/n as iptables reads it: ten digits after the point.
pub fn probability(n: usize) -> String {
    // lab:begin 09.2 one n-th, with ten digits after the point
    format!("{:0.10}", 1.0 / n as f64)
    // lab:end
}

/// For `sessionAffinity: ClientIP`: a jump to each endpoint whose list holds the client's address,
/// no older than the timeout. (`recent` keeps one list of source addresses a name; ours is named as
/// the endpoint's chain.) Nothing for a service without affinity.
pub fn stick(service: &ServicePort, endpoints: &[&Endpoint]) -> Vec<String> {
    // lab:begin 09.4 before any toss: who is on an endpoint's list goes there again
    let Some(seconds) = service.affinity_seconds else { return Vec::new() };
    let mut rules = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let chain = names::endpoint(&service.name, endpoint.address);
        let comment = format!("-m comment --comment \"{} -> {}\"", service.name, endpoint.address);
        rules.push(format!(
            "{comment} -m recent --name {chain} --rcheck --seconds {seconds} --reap -j {chain}"
        ));
    }
    rules
    // lab:end
}

/// The match that puts the client's address on the endpoint's list, for the rule that translates;
/// empty without affinity, otherwise with a space after it.
pub fn remember(service: &ServicePort, endpoint: &Endpoint) -> String {
    // lab:begin 09.4 the other half of affinity: whoever is sent here is put on the list
    match service.affinity_seconds {
        Some(_) => format!("-m recent --name {} --set ", names::endpoint(&service.name, endpoint.address)),
        None => String::new(),
    }
    // lab:end
}

/// KUBE-SEP-…: the translation. The first rule is for the pod that came to itself: with its own
/// address as the source it would answer itself directly, and never recognise the answer.
pub fn endpoint_chain(service: &ServicePort, endpoint: &Endpoint) -> Vec<String> {
    let name = &service.name;
    let protocol = name.protocol.as_str();
    let (ip, address) = (endpoint.address.ip(), endpoint.address);
    let remember = remember(service, endpoint);
    // lab:begin 09.1 mark what the endpoint sends to itself; translate everything
    vec![
        format!("-m comment --comment {name} -s {ip} -j {}", names::MARK_MASQ),
        format!(
            "-m comment --comment {name} {remember}-m {protocol} -p {protocol} \
             -j DNAT --to-destination {address}"
        ),
    ]
    // lab:end
}
