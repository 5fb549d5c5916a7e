//! `cargo kit up --mine 5`: the student's scheduler, as far as it is written, in the real cluster.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use e2e::{Cluster, PATIENCE, binary, retry, workload};
use serde_json::json;

/// Whether the lab still has holes: a fresh clone's has, and a student's that is done has none.
fn has_holes(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).expect("the lab has sources");
    entries.map(|entry| entry.expect("an entry").path()).any(|path| match std::fs::read_to_string(&path) {
        Ok(text) => text.contains("todo!("),
        Err(_) => has_holes(&path),
    })
}

#[test]
fn the_students_core_runs_beside_reference_ones() {
    let inode = || binary().metadata().expect("the program of reference is built").ino();
    let reference = inode();
    let cluster = Cluster::up_by_kit(&["--mine", "5"]);
    assert_eq!(inode(), reference, "who runs the program of reference meanwhile must find it in its place");
    let status = cluster.coracle(&["status", "--output", "json"]).json();
    assert_eq!(status["mine"], json!(["05"]));
    for component in status["components"].as_array().expect("components") {
        let expected = if component["name"] == "scheduler" { json!(["05"]) } else { json!([]) };
        assert_eq!(component["mine"], expected, "{component}");
    }
    let table = cluster.coracle(&["status"]).ok();
    assert!(table.contains("yours       chapters 05"), "{table}");

    // The rest of the cluster stands, whatever the scheduler does.
    let ns = cluster.namespace("mine");
    cluster.apply(&ns, &workload::web("web", 1, ""));
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/05-scheduler/src");
    if has_holes(&lab) {
        let pods = cluster.wait_for_all(&ns, &["pods"], |pods| pods.len() == 1);
        assert_eq!(pods[0]["spec"]["nodeName"], json!(null));
        retry("the hole says its name in the log", PATIENCE, || {
            cluster.coracle(&["logs", "scheduler"]).stdout.contains("lab 05.").then_some(())
        });
    } else {
        cluster.wait_for_all(&ns, &["pods"], |pods| workload::count_running(pods, 1));
    }
}
