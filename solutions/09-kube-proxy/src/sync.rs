//! From what the kernel holds to what it should hold, in the fewest words.
//!
//! `iptables-restore --noflush` reads `:CHAIN` as "make this chain, or empty it", `-A` as "append"
//! and `-X` as "delete this (empty, unreferenced) chain", and commits a table at once or not at all.
//! Chains that the input does not name stay as they are; that is what makes a small input possible.

use std::collections::BTreeMap;

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
/// nothing is to be done.
pub fn restore(installed: &Installed, desired: &Rules) -> String {
    let nothing = Chains::new();
    let transaction = |(table, wanted): (&Table, &BTreeMap<String, Vec<String>>)| {
        let present = installed.tables.get(table).unwrap_or(&nothing);
        transaction(*table, present, wanted)
    };
    desired.tables().iter().map(transaction).collect()
}

/// One table's part of it: from `*nat` to `COMMIT`, or nothing. A chain whose rules are the same is
/// not mentioned. Every chain that is mentioned is made or emptied (`:CHAIN - [0:0]`) before any
/// rule is written, for a rule may jump to any of them, and before any is deleted, for none that
/// goes may still be referred to by another that goes.
pub fn transaction(
    table: Table,
    present: &BTreeMap<String, Option<Vec<String>>>,
    wanted: &BTreeMap<String, Vec<String>>,
) -> String {
    // lab:begin 09.5 nothing if nothing differs; else the table, all its chains, their rules, what goes, COMMIT
    let (changed, stale) = difference(present, wanted);
    if changed.is_empty() && stale.is_empty() {
        return String::new();
    }
    let mut text = format!("*{table}\n");
    for chain in changed.iter().chain(&stale) {
        text += &format!(":{chain} - [0:0]\n");
    }
    for chain in &changed {
        for rule in &wanted[*chain] {
            text += &format!("-A {chain} {rule}\n");
        }
    }
    for chain in &stale {
        text += &format!("-X {chain}\n");
    }
    text + "COMMIT\n"
    // lab:end
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
