//! What a machine must have for the whole of Coracle, why, and where Debian and Ubuntu keep it.

use crate::place::program;

pub struct Need {
    pub program: &'static str,
    pub package: &'static str,
    pub why: &'static str,
    /// Without it the cluster does not work; without the others something is missing.
    pub vital: bool,
}

const fn need(program: &'static str, package: &'static str, vital: bool, why: &'static str) -> Need {
    Need { program, package, why, vital }
}

pub const NEEDS: &[Need] = &[
    need("cc", "gcc", true, "a C compiler: the TLS library has a little C in it"),
    need("iptables", "iptables", true, "kube-proxy writes its rules with it"),
    need("conntrack", "conntrack", false, "kube-proxy ends old UDP flows with it"),
    need("ip", "iproute2", false, "to look at links and routes inside the nodes"),
    need("busybox", "busybox-static", false, "the image busybox:1 is made of it"),
    need("etcdctl", "etcd-client", false, "to look into the store, and some tests use it"),
    need("kubectl", "kubernetes-client", false, "to drive the cluster, and some tests use it"),
];

impl Need {
    pub fn is_met(&self) -> bool {
        program(self.program).is_some()
    }
}

pub fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !need.is_met()).collect()
}
