//! From what the kernel holds to what it should hold, in the fewest words.
//!
//! `iptables-restore --noflush` reads `:CHAIN` as "make this chain, or empty it", `-A` as "append"
//! and `-X` as "delete this (empty, unreferenced) chain", and commits a table at once or not at all.
//! Chains that the input does not name stay as they are; that is what makes a small input possible.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::names;
use crate::rules::{Rules, Table};

type Chains = BTreeMap<String, Option<Vec<String>>>;

/// Our chains as the kernel has them. `None` is a chain that is there with contents that we did not
/// write in this life: it has to be written anew, whatever it should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    tables: BTreeMap<Table, Chains>,
}

impl Installed {
    /// What is known when only the chains' names are: after a start, or to repair what others did.
    /// Chains that are not kube-proxy's are left out, and so will never be touched.
    pub fn found(chains: impl IntoIterator<Item = (Table, String)>) -> Self {
        let mut installed = Self::default();
        for (table, chain) in chains {
            if names::is_of_a_service(&chain) {
                installed.tables.entry(table).or_default().insert(chain, None);
            }
        }
        installed
    }

    /// What is known right after `rules` were restored.
    pub fn exactly(rules: &Rules) -> Self {
        let known = |chains: &BTreeMap<String, Vec<String>>| -> Chains {
            chains.iter().map(|(chain, rules)| (chain.clone(), Some(rules.clone()))).collect()
        };
        Self { tables: rules.tables().iter().map(|(table, chains)| (*table, known(chains))).collect() }
    }
}

/// The input for `iptables-restore --noflush` that turns `installed` into `desired`; empty if
/// nothing is to be done. A chain whose rules are the same is not mentioned; stale chains are
/// emptied first, all of them, so that none still refers to another when they are deleted.
pub fn restore(installed: &Installed, desired: &Rules) -> String {
    let mut text = String::new();
    let nothing = Chains::new();
    for (table, wanted) in desired.tables() {
        let present = installed.tables.get(table).unwrap_or(&nothing);
        let (changed, stale) = difference(present, wanted);
        if changed.is_empty() && stale.is_empty() {
            continue;
        }
        let _ = writeln!(text, "*{table}");
        for chain in changed.iter().chain(&stale) {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for chain in &changed {
            for rule in &wanted[*chain] {
                let _ = writeln!(text, "-A {chain} {rule}");
            }
        }
        for chain in &stale {
            let _ = writeln!(text, "-X {chain}");
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// The chains of `wanted` that must be written, and those of `present` that must go, each in order.
/// Only a service's chain is ever stale: the fixed ones are in every table.
pub fn difference<'a>(
    present: &'a BTreeMap<String, Option<Vec<String>>>,
    wanted: &'a BTreeMap<String, Vec<String>>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    // lab:begin 09.5 what is missing or different is written; what nobody wants any more goes
    let differs = |chain: &String, rules: &Vec<String>| match present.get(chain) {
        Some(Some(written)) => written != rules,
        Some(None) | None => true,
    };
    let changed = wanted.iter().filter(|(chain, rules)| differs(chain, rules));
    let stale = present.keys().filter(|chain| !wanted.contains_key(*chain));
    (changed.map(|(chain, _)| chain.as_str()).collect(), stale.map(String::as_str).collect())
    // lab:end
}
