//! Whose cores this program was built from: the reference ones, or a student's (`cargo kit up --mine`).
//!
//! The features `lab-NN` decide it when the program is compiled, so a running cluster cannot be wrong
//! about itself.

/// The chapters whose core is the student's, by number.
pub fn chapters() -> Vec<String> {
    let all = [
        ("00", cfg!(feature = "lab-00")),
        ("01", cfg!(feature = "lab-01")),
        ("02", cfg!(feature = "lab-02")),
        ("03", cfg!(feature = "lab-03")),
        ("04", cfg!(feature = "lab-04")),
        ("05", cfg!(feature = "lab-05")),
        ("06", cfg!(feature = "lab-06")),
        ("07", cfg!(feature = "lab-07")),
        ("08", cfg!(feature = "lab-08")),
        ("09", cfg!(feature = "lab-09")),
        ("12", cfg!(feature = "lab-12")),
    ];
    all.iter().filter(|(_, mine)| *mine).map(|(number, _)| (*number).to_owned()).collect()
}

/// The chapters of which a process is made: its own, and those that it uses as libraries.
///
/// `name` is that of a unit, `apiserver` or `node-1/kubelet`; a node is its init.
pub fn made_of(name: &str) -> &'static [&'static str] {
    match name.rsplit('/').next().unwrap_or(name) {
        "store" => &["01", "02"],
        "apiserver" => &["00", "03"],
        "scheduler" => &["00", "04", "05"],
        "controller-manager" => &["00", "04", "06"],
        "runtime" => &["07"],
        "node-routes" => &["00", "04", "07"],
        "kubelet" => &["00", "04", "08"],
        "kube-proxy" => &["00", "04", "09"],
        _ => &["12"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_a_cluster_is_made_of_chapters() {
        for name in crate::heart::commands::CONTROL_PLANE {
            assert!(made_of(name).len() > 1, "{name} is known");
        }
        assert_eq!(made_of("node-2/kubelet"), ["00", "04", "08"]);
        assert_eq!(made_of("node-2"), ["12"]);
    }

    #[test]
    fn without_features_all_is_the_reference() {
        let expected: &[&str] = if cfg!(feature = "lab") { &["12"] } else { &[] };
        assert_eq!(chapters(), expected);
    }
}
