//! The whole of both tables, as values: chains by name, rules as `iptables` reads them, without the
//! `-A CHAIN` in front.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Cidr, Snapshot};
use crate::{names, service};

/// What the node, rather than the cluster, decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The pod network. Traffic from elsewhere to a cluster IP is masqueraded; if this is not known,
    /// none is.
    pub cluster_cidr: Option<Cidr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Filter,
    Nat,
}

impl Table {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Our chains of both tables. Ordered by name, so that equal rules are equal text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    tables: BTreeMap<Table, BTreeMap<String, Vec<String>>>,
}

impl Rules {
    /// The chain, made empty if it is not there.
    pub fn chain(&mut self, table: Table, chain: &str) -> &mut Vec<String> {
        self.tables.entry(table).or_default().entry(chain.to_owned()).or_default()
    }

    pub fn push(&mut self, table: Table, chain: &str, rule: String) {
        self.chain(table, chain).push(rule);
    }

    pub fn extend(&mut self, table: Table, chain: &str, rules: Vec<String>) {
        self.chain(table, chain).extend(rules);
    }

    pub fn tables(&self) -> &BTreeMap<Table, BTreeMap<String, Vec<String>>> {
        &self.tables
    }
}

impl fmt::Display for Rules {
    /// As input for `iptables-restore --noflush`, all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, chains) in &self.tables {
            writeln!(f, "*{table}")?;
            for chain in chains.keys() {
                writeln!(f, ":{chain} - [0:0]")?;
            }
            for (chain, rules) in chains {
                for rule in rules {
                    writeln!(f, "-A {chain} {rule}")?;
                }
            }
            writeln!(f, "COMMIT")?;
        }
        Ok(())
    }
}

/// One rule in a chain of the kernel's own that leads into ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    pub table: Table,
    pub from: &'static str,
    pub to: &'static str,
    pub comment: &'static str,
    /// Only the first packet of a connection: later ones cannot meet a different fate.
    pub new_connections_only: bool,
}

impl Jump {
    /// The rule's text, without `-A CHAIN`.
    pub fn rule(&self) -> String {
        let new = if self.new_connections_only { "-m conntrack --ctstate NEW " } else { "" };
        format!("{new}-m comment --comment \"{}\" -j {}", self.comment, self.to)
    }
}

const fn jump(table: Table, from: &'static str, to: &'static str, comment: &'static str, new: bool) -> Jump {
    Jump { table, from, to, comment, new_connections_only: new }
}

/// How packets come to our chains. Each is put at the top of its chain, once.
pub const JUMPS: &[Jump] = &[
    jump(Table::Nat, "PREROUTING", names::SERVICES, "kubernetes service portals", false),
    jump(Table::Nat, "OUTPUT", names::SERVICES, "kubernetes service portals", false),
    jump(Table::Nat, "POSTROUTING", names::POSTROUTING, "kubernetes postrouting rules", false),
    jump(Table::Filter, "FORWARD", names::FORWARD, "kubernetes forwarding rules", false),
    jump(Table::Filter, "INPUT", names::NODE_PORTS, "kubernetes health check service ports", false),
    jump(Table::Filter, "FORWARD", names::SERVICES, "kubernetes service portals", true),
    jump(Table::Filter, "OUTPUT", names::SERVICES, "kubernetes service portals", true),
    jump(
        Table::Filter,
        "INPUT",
        names::EXTERNAL_SERVICES,
        "kubernetes externally-visible service portals",
        true,
    ),
    jump(
        Table::Filter,
        "FORWARD",
        names::EXTERNAL_SERVICES,
        "kubernetes externally-visible service portals",
        true,
    ),
    jump(Table::Filter, "INPUT", names::PROXY_FIREWALL, "kubernetes load balancer firewall", true),
    jump(Table::Filter, "OUTPUT", names::PROXY_FIREWALL, "kubernetes load balancer firewall", true),
    jump(Table::Filter, "FORWARD", names::PROXY_FIREWALL, "kubernetes load balancer firewall", true),
];

/// All rules for `snapshot`.
pub fn build(snapshot: &Snapshot, config: &Config) -> Rules {
    let mut rules = fixed();
    for (name, port) in &snapshot.services {
        service::write(&mut rules, config, port, snapshot.endpoints_of(name));
    }
    // Behind every service's own rules: an external IP that is also an address of this node means
    // the service, not a node port.
    rules.push(
        Table::Nat,
        names::SERVICES,
        format!(
            "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in \
             this chain\" -m addrtype --dst-type LOCAL ! -d 127.0.0.0/8 -j {}",
            names::NODE_PORTS
        ),
    );
    rules
}

/// The chains that are there even in an empty cluster, with those of their rules that never change.
fn fixed() -> Rules {
    use Table::{Filter, Nat};
    let mut rules = Rules::default();
    for (table, chain) in [
        (Filter, names::SERVICES),
        (Filter, names::EXTERNAL_SERVICES),
        (Filter, names::NODE_PORTS),
        (Filter, names::PROXY_FIREWALL),
        (Nat, names::SERVICES),
        (Nat, names::NODE_PORTS),
    ] {
        rules.chain(table, chain);
    }
    // Packets that fit no connection (a late segment, say) would pass untranslated: a client that
    // got one would reset the connection.
    rules.push(Filter, names::FORWARD, "-m conntrack --ctstate INVALID -j DROP".to_owned());
    // What we translate may pass, even where the policy of FORWARD is to drop.
    rules.push(
        Filter,
        names::FORWARD,
        "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT"
            .to_owned(),
    );
    rules.push(
        Filter,
        names::FORWARD,
        "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack \
         --ctstate RELATED,ESTABLISHED -j ACCEPT"
            .to_owned(),
    );
    // One bit of the packet's mark carries "masquerade me" from where that is known, before routing,
    // to where it can be done, after it.
    rules.push(Nat, names::MARK_MASQ, "-j MARK --or-mark 0x4000".to_owned());
    rules.push(Nat, names::POSTROUTING, "-m mark ! --mark 0x4000/0x4000 -j RETURN".to_owned());
    // A packet that a tunnel wraps comes this way again, and must not be masqueraded a second time.
    rules.push(Nat, names::POSTROUTING, "-j MARK --xor-mark 0x4000".to_owned());
    rules.push(
        Nat,
        names::POSTROUTING,
        "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully"
            .to_owned(),
    );
    rules
}
