//! A netfilter small enough to be believed: it reads what `iptables-restore` reads, and walks one
//! packet, the first of its connection, through the nat and filter tables of one node.
//!
//! It shares no code with the core. What it does not know, it refuses, so that a rule that means
//! something else than the author thinks cannot slip through.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::heart::{JUMPS, Jump};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    Protocol(String),
    Source {
        not: bool,
        network: (u32, u32),
    },
    Destination {
        not: bool,
        network: (u32, u32),
    },
    DestinationPort(u16),
    SourceIsLocal,
    DestinationIsLocal,
    Mark {
        not: bool,
        value: u32,
        mask: u32,
    },
    State {
        not: bool,
        states: BTreeSet<String>,
    },
    /// Wins if a 31-bit random number is below this.
    Toss(u32),
    Seen {
        list: String,
        seconds: u64,
    },
    Remember {
        list: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Jump(String),
    Translate(SocketAddrV4),
    SetMark { value: u32, mask: u32 },
    Masquerade,
    Accept,
    Drop,
    Reject,
    Return,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub target: Option<Target>,
}

impl Rule {
    /// The same rule with its conditions in one order, as iptables-save changes theirs.
    fn normal(mut self) -> Self {
        self.matches.sort();
        self
    }

    fn parse(text: &str) -> Self {
        let mut words = split(text).into_iter();
        let mut next = |what: &str| words.next().unwrap_or_else(|| panic!("{what} is missing: {text}"));
        let mut rule = Self { matches: Vec::new(), target: None };
        let (mut not, mut list, mut check, mut seconds) = (false, String::new(), false, 0);
        // One word more than there are tells the end.
        loop {
            let word = next("the end");
            let negated = std::mem::take(&mut not);
            match word.as_str() {
                "" => break,
                "!" => not = true,
                "-m" => drop(next("a module")),
                "--comment" | "--mask" => drop(next("a value")),
                "--mode" => assert_eq!(next("a mode"), "random"),
                "--rsource" | "--reap" | "--random-fully" => {}
                "-p" => rule.matches.push(Match::Protocol(next("a protocol"))),
                "-s" => {
                    rule.matches.push(Match::Source { not: negated, network: network(&next("a source")) })
                }
                "-d" => rule
                    .matches
                    .push(Match::Destination { not: negated, network: network(&next("a destination")) }),
                "--dport" => rule.matches.push(Match::DestinationPort(next("a port").parse().expect(text))),
                "--src-type" => {
                    assert_eq!(next("a type"), "LOCAL");
                    rule.matches.push(Match::SourceIsLocal);
                }
                "--dst-type" => {
                    assert_eq!(next("a type"), "LOCAL");
                    rule.matches.push(Match::DestinationIsLocal);
                }
                "--mark" => {
                    let (value, mask) = masked(&next("a mark"));
                    rule.matches.push(Match::Mark { not: negated, value, mask });
                }
                "--ctstate" => {
                    let states = next("states").split(',').map(str::to_owned).collect();
                    rule.matches.push(Match::State { not: negated, states });
                }
                "--probability" => {
                    let probability: f64 = next("a probability").parse().expect(text);
                    rule.matches.push(Match::Toss((probability * 2f64.powi(31)).round() as u32));
                }
                "--name" => list = next("a list"),
                "--rcheck" => check = true,
                "--seconds" => seconds = next("seconds").parse().expect(text),
                "--set" => rule.matches.push(Match::Remember { list: String::new() }),
                "--or-mark" => {
                    let value = number(&next("a mark"));
                    rule.target = Some(Target::SetMark { value, mask: value });
                }
                "--xor-mark" => {
                    let value = number(&next("a mark"));
                    rule.target = Some(Target::SetMark { value, mask: 0 });
                }
                "--set-xmark" => {
                    let (value, mask) = masked(&next("a mark"));
                    rule.target = Some(Target::SetMark { value, mask });
                }
                "--to-destination" => {
                    rule.target = Some(Target::Translate(next("an address").parse().expect(text)));
                }
                "--reject-with" => assert_eq!(next("an answer"), "icmp-port-unreachable"),
                "-j" => {
                    let target = next("a target");
                    rule.target = match target.as_str() {
                        // Their option says the rest.
                        "MARK" | "DNAT" => None,
                        "MASQUERADE" => Some(Target::Masquerade),
                        "ACCEPT" => Some(Target::Accept),
                        "DROP" => Some(Target::Drop),
                        "REJECT" => Some(Target::Reject),
                        "RETURN" => Some(Target::Return),
                        _ => Some(Target::Jump(target)),
                    };
                }
                other => panic!("the tracer does not know {other:?}: {text}"),
            }
        }
        for found in &mut rule.matches {
            if let Match::Remember { list: named } = found {
                *named = list.clone();
            }
        }
        if check {
            rule.matches.push(Match::Seen { list, seconds });
        }
        rule
    }
}

/// Words, with quoted ones whole; an empty word at the end.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut word = String::new();
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    assert!(!quoted, "a quote is open: {text}");
    words.push(word);
    words.push(String::new());
    words
}

fn number(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).expect(text)
}

fn masked(text: &str) -> (u32, u32) {
    let (value, mask) = text.split_once('/').expect(text);
    (number(value), number(mask))
}

fn network(text: &str) -> (u32, u32) {
    let (ip, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let prefix: u32 = prefix.parse().expect(text);
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    (u32::from(ip.parse::<Ipv4Addr>().expect(text)), mask)
}

fn within((network, mask): (u32, u32), ip: Ipv4Addr) -> bool {
    network & mask == u32::from(ip) & mask
}

/// The tables of one node, by table and chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables(BTreeMap<String, BTreeMap<String, Vec<Rule>>>);

impl Default for Tables {
    fn default() -> Self {
        let built_in = |chains: &[&str]| chains.iter().map(|c| ((*c).to_owned(), Vec::new())).collect();
        Self(BTreeMap::from([
            ("filter".to_owned(), built_in(&["INPUT", "FORWARD", "OUTPUT"])),
            ("nat".to_owned(), built_in(&["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"])),
        ]))
    }
}

impl Tables {
    /// What `iptables-restore --noflush` does: all of one table or an error.
    pub fn restore(&mut self, text: &str) -> Result<(), String> {
        let mut work: Option<(String, BTreeMap<String, Vec<Rule>>)> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(table) = line.strip_prefix('*') {
                let chains = self.0.get(table).ok_or(format!("no table {table}"))?;
                work = Some((table.to_owned(), chains.clone()));
                continue;
            }
            let Some((_, chains)) = &mut work else { return Err(format!("outside a table: {line}")) };
            if let Some(chain) = line.strip_prefix(':') {
                let (name, policy) = chain.split_once(' ').ok_or(format!("no policy: {line}"))?;
                assert!(name.len() <= 28, "a chain's name has at most 28 letters: {name}");
                if policy.starts_with('-') {
                    chains.insert(name.to_owned(), Vec::new());
                }
            } else if let Some(rule) = line.strip_prefix("-A ") {
                let (name, rule) = rule.split_once(' ').ok_or(format!("no rule: {line}"))?;
                let chain = chains.get_mut(name).ok_or(format!("no chain {name}"))?;
                chain.push(Rule::parse(rule));
            } else if let Some(name) = line.strip_prefix("-X ") {
                match chains.get(name) {
                    Some(rules) if rules.is_empty() => drop(chains.remove(name)),
                    Some(_) => return Err(format!("{name} is not empty")),
                    None => return Err(format!("no chain {name}")),
                }
            } else if line == "COMMIT" {
                let (table, chains) = work.take().expect("checked above");
                for (name, rule) in
                    chains.iter().flat_map(|(name, rules)| rules.iter().map(move |r| (name, r)))
                {
                    match &rule.target {
                        Some(Target::Jump(to)) if !chains.contains_key(to) => {
                            return Err(format!("{name} jumps to {to}, which is not there"));
                        }
                        _ => {}
                    }
                }
                self.0.insert(table, chains);
            } else {
                return Err(format!("not understood: {line}"));
            }
        }
        if work.is_some() { Err("no COMMIT".to_owned()) } else { Ok(()) }
    }

    pub fn insert(&mut self, jump: &Jump) {
        let table = self.0.get_mut(jump.table.as_str()).expect("a known table");
        table.get_mut(jump.from).expect("a built-in chain").insert(0, Rule::parse(&jump.rule()));
    }

    /// For comparing what was written with what iptables-save prints.
    pub fn normal(self) -> Self {
        let rules = |rules: Vec<Rule>| rules.into_iter().map(Rule::normal).collect();
        let chains =
            |chains: BTreeMap<String, Vec<Rule>>| chains.into_iter().map(|(n, r)| (n, rules(r))).collect();
        Self(self.0.into_iter().map(|(table, c)| (table, chains(c))).collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It came in over a link: from a pod of this node, or from another machine.
    Link,
    /// A process of the node itself sent it.
    Node,
}

#[derive(Clone, Debug)]
pub struct Packet {
    pub origin: Origin,
    pub protocol: &'static str,
    pub source: Ipv4Addr,
    pub destination: SocketAddrV4,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Delivered { to: SocketAddrV4, masqueraded: bool },
    Rejected,
    Dropped,
}

enum Verdict {
    Accept,
    Drop,
    Reject,
    /// The chain ended, or said RETURN.
    Back,
}

/// One node's kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub tables: Tables,
    pub addresses: Vec<Ipv4Addr>,
    /// `recent`'s lists: when each source was last put on them.
    pub lists: BTreeMap<String, BTreeMap<Ipv4Addr, u64>>,
    /// Seconds.
    pub now: u64,
}

struct Walk<'a> {
    protocol: &'static str,
    source: Ipv4Addr,
    destination: SocketAddrV4,
    mark: u32,
    masqueraded: bool,
    /// Told the threshold, says whether the toss is won.
    toss: &'a mut dyn FnMut(u32) -> bool,
}

impl Kernel {
    /// A kernel with `text` loaded and the jumps in place.
    pub fn with_rules(text: &str, addresses: &[Ipv4Addr]) -> Self {
        let mut tables = Tables::default();
        tables
            .restore(text)
            .unwrap_or_else(|why| panic!("iptables-restore would refuse this: {why}\n{text}"));
        JUMPS.iter().for_each(|jump| tables.insert(jump));
        Self { tables, addresses: addresses.to_vec(), lists: BTreeMap::new(), now: 0 }
    }

    fn is_local(&self, ip: Ipv4Addr) -> bool {
        ip.is_loopback() || self.addresses.contains(&ip)
    }

    /// Walks the first packet of a connection. `toss` decides the statistic rules in turn.
    pub fn send(&mut self, packet: &Packet, toss: &mut dyn FnMut(u32) -> bool) -> Fate {
        let Packet { origin, protocol, source, destination } = *packet;
        let mut walk = Walk { protocol, source, destination, mark: 0, masqueraded: false, toss };
        let steps: &[(&str, &str)] = match origin {
            Origin::Link => &[("nat", "PREROUTING"), ("filter", "?")],
            Origin::Node => {
                &[("nat", "OUTPUT"), ("filter", "OUTPUT"), ("nat", "POSTROUTING"), ("filter", "?")]
            }
        };
        for &(table, chain) in steps {
            let local = self.is_local(*walk.destination.ip());
            let chain = match (chain, local, origin) {
                ("?", true, _) => "INPUT",
                ("?", false, Origin::Link) => "FORWARD",
                // It left the node.
                ("?", false, Origin::Node) => break,
                (fixed, _, _) => fixed,
            };
            match self.walk(table, chain, &mut walk, 0) {
                Verdict::Drop => return Fate::Dropped,
                Verdict::Reject => return Fate::Rejected,
                Verdict::Accept | Verdict::Back => {}
            }
        }
        if origin == Origin::Link && !self.is_local(*walk.destination.ip()) {
            self.walk("nat", "POSTROUTING", &mut walk, 0);
        }
        Fate::Delivered { to: walk.destination, masqueraded: walk.masqueraded }
    }

    fn walk(&mut self, table: &str, chain: &str, walk: &mut Walk<'_>, depth: usize) -> Verdict {
        assert!(depth < 16, "chains jump in a circle at {chain}");
        let rules = self.tables.0[table][chain].clone();
        for rule in &rules {
            // In order, and no further than the first that does not hold: some have effects.
            if !rule.matches.iter().all(|condition| self.holds(condition, walk)) {
                continue;
            }
            match &rule.target {
                None => {}
                Some(Target::Jump(to)) => match self.walk(table, to, walk, depth + 1) {
                    Verdict::Back => {}
                    verdict => return verdict,
                },
                Some(Target::Translate(to)) => {
                    walk.destination = *to;
                    return Verdict::Accept;
                }
                Some(Target::SetMark { value, mask }) => walk.mark = walk.mark & !mask ^ value,
                Some(Target::Masquerade) => {
                    walk.masqueraded = true;
                    return Verdict::Accept;
                }
                Some(Target::Accept) => return Verdict::Accept,
                Some(Target::Drop) => return Verdict::Drop,
                Some(Target::Reject) => return Verdict::Reject,
                Some(Target::Return) => return Verdict::Back,
            }
        }
        Verdict::Back
    }

    fn holds(&mut self, condition: &Match, walk: &mut Walk<'_>) -> bool {
        match condition {
            Match::Protocol(protocol) => protocol == walk.protocol,
            Match::Source { not, network } => within(*network, walk.source) != *not,
            Match::Destination { not, network } => within(*network, *walk.destination.ip()) != *not,
            Match::DestinationPort(port) => *port == walk.destination.port(),
            Match::SourceIsLocal => self.is_local(walk.source),
            Match::DestinationIsLocal => self.is_local(*walk.destination.ip()),
            Match::Mark { not, value, mask } => (walk.mark & mask == *value) != *not,
            Match::State { not, states } => states.contains("NEW") != *not,
            Match::Toss(threshold) => (walk.toss)(*threshold),
            Match::Seen { list, seconds } => {
                let seen = self.lists.get(list).and_then(|list| list.get(&walk.source));
                seen.is_some_and(|then| self.now - then <= *seconds)
            }
            Match::Remember { list } => {
                self.lists.entry(list.clone()).or_default().insert(walk.source, self.now);
                true
            }
        }
    }

    /// Every fate that the tosses can give, with the tosses that lead to it. Right for chains in which
    /// a toss once won ends the tossing.
    pub fn fates(&self, packet: &Packet) -> Vec<(Fate, Vec<Toss>)> {
        let mut fates = Vec::new();
        loop {
            let losses = fates.len();
            let mut tosses = Vec::new();
            let fate = self.clone().send(packet, &mut |threshold| {
                let won = tosses.len() == losses;
                tosses.push(Toss { threshold, won });
                won
            });
            let tossed_enough = tosses.len() > losses;
            fates.push((fate, tosses));
            if !tossed_enough {
                return fates;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toss {
    pub threshold: u32,
    pub won: bool,
}
