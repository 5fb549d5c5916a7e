//! Step 5: from one table to the next in the fewest words.

use graded::graded;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use crate::heart::{Installed, Rules, Snapshot, Table, build, restore, sync};
use crate::tracer::Tables;
use crate::world::{self, NODE, Upto, pod, service, slice};

fn rules(snapshot: &Snapshot) -> Rules {
    build(snapshot, &world::config())
}

fn full(rules: &Rules) -> Tables {
    let mut tables = Tables::default();
    tables.restore(&restore(&Installed::default(), rules)).expect("a full restore");
    tables
}

/// The names of all chains, as a restarted kube-proxy finds them.
fn chains_of(rules: &Rules) -> Vec<(Table, String)> {
    let of = |table: &Table, chains: &BTreeMap<String, Vec<String>>| -> Vec<(Table, String)> {
        chains.keys().map(|chain| (*table, chain.clone())).collect()
    };
    rules.tables().iter().flat_map(|(table, chains)| of(table, chains)).collect()
}

fn mentioned(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next()).collect()
}

/// One pod more is two chains to write, however many services there are.
#[graded]
fn a_new_endpoint_rewrites_its_services_chain_and_adds_one() {
    let with = |pods: serde_json::Value| {
        let other = json!({
            "metadata": {"namespace": "shop", "name": "other"},
            "spec": {"clusterIP": "10.96.0.11", "ports": [{"port": 80}]},
        });
        let other = serde_json::from_value(other).expect("a Service");
        rules(&Snapshot::collect([&service(json!({})), &other], [&slice(pods)], NODE))
    };
    let before = with(json!([pod("10.244.0.5", NODE)]));
    let after = with(json!([pod("10.244.0.5", NODE), pod("10.244.1.5", "node-2")]));
    insta::assert_snapshot!(restore(&Installed::exactly(&before), &after));
}

/// What nobody needs any more is deleted, or the table would only ever grow.
#[graded]
fn the_last_endpoint_that_goes_takes_its_chains_along() {
    let before = Snapshot::collect([&service(json!({}))], [&slice(json!([pod("10.244.0.5", NODE)]))], NODE);
    let after = Snapshot::collect([&service(json!({}))], [], NODE);
    insta::assert_snapshot!(restore(&Installed::exactly(&rules(&before)), &rules(&after)));
}

/// Unknown is what a restarted kube-proxy finds: it knows the name, and trusts nothing in it.
#[graded]
fn a_chain_is_written_if_it_is_missing_different_or_unknown_and_goes_if_nobody_wants_it() {
    let chain = |name: &str, rule: &str| (name.to_owned(), vec![rule.to_owned()]);
    let wanted =
        BTreeMap::from([chain("same", "a"), chain("other", "b"), chain("new", "c"), chain("found", "d")]);
    let written = |name: &str, rule: &str| (name.to_owned(), Some(vec![rule.to_owned()]));
    let present = BTreeMap::from([
        written("same", "a"),
        written("other", "x"),
        ("found".to_owned(), None),
        written("stale", "y"),
    ]);
    let (changed, stale) = sync::difference(&present, &wanted);
    assert_eq!(changed, ["found", "new", "other"]);
    assert_eq!(stale, ["stale"]);
}

/// Network plugins and Docker keep their rules in the same tables.
#[graded]
fn chains_of_others_are_never_touched() {
    let foreign = ["KUBE-ROUTER-X", "DOCKER", "KUBE-FIREWALL", "CNI-HOSTPORT-DNAT"];
    let found = Installed::found(foreign.map(|chain| (Table::Nat, chain.to_owned())));
    assert_eq!(
        restore(&found, &rules(&Snapshot::default())),
        restore(&Installed::default(), &rules(&Snapshot::default()))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// From any table to any other by the difference alone must arrive where writing all of it would.
    #[graded]
    fn incremental_equals_full(a in world::snapshot(Upto::Affinity), b in world::snapshot(Upto::Affinity)) {
        let (a, b) = (rules(&a), rules(&b));
        let mut tables = full(&a);
        let step = restore(&Installed::exactly(&a), &b);
        tables.restore(&step).map_err(|why| TestCaseError::fail(format!("{why}\n{step}")))?;
        prop_assert_eq!(tables, full(&b));
    }

    /// The rules outlive the process; the next one must neither keep what is stale nor stumble over
    /// it.
    #[graded]
    fn a_restart_takes_over_what_it_finds(a in world::snapshot(Upto::Affinity), b in world::snapshot(Upto::Affinity)) {
        let (a, b) = (rules(&a), rules(&b));
        let mut tables = full(&a);
        let step = restore(&Installed::found(chains_of(&a)), &b);
        tables.restore(&step).map_err(|why| TestCaseError::fail(format!("{why}\n{step}")))?;
        prop_assert_eq!(tables, full(&b));
    }

    /// Thousands of services, and one changed: the kernel should read a few lines.
    #[graded]
    fn what_did_not_change_is_not_mentioned(a in world::snapshot(Upto::Affinity), b in world::snapshot(Upto::Affinity)) {
        let (a, b) = (rules(&a), rules(&b));
        for (table, chains) in b.tables() {
            let text = restore(&Installed::exactly(&a), &b);
            let of_table = text.split('*').find(|part| part.starts_with(table.as_str())).unwrap_or_default();
            let same = chains.iter().filter(|(chain, rules)| a.tables()[table].get(*chain) == Some(rules));
            for (chain, _) in same {
                prop_assert!(!mentioned(of_table).contains(chain.as_str()), "{}", chain);
            }
        }
        prop_assert_eq!(restore(&Installed::exactly(&b), &b), "");
    }
}
