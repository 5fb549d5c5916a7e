//! Members that trust only who has a certificate of their authority.

use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use store::etcd::PutRequest;
use store::etcd::kv_client::KvClient;

use crate::clients::channel;
use crate::machines::{Machines, inside};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Writes `NAME-ca.crt`.
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        std::fs::write(dir.join(format!("{name}-ca.crt")), authority.pem()).expect("written");
        Authority(authority)
    }

    /// Writes `NAME.crt` and `NAME.key` for a member at any of the machines.
    fn issue(&self, dir: &Path, name: &str) {
        let addresses: Vec<String> = (1..=4).map(|number| format!("10.77.1.{number}")).collect();
        let mut params = CertificateParams::new(addresses).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).expect("written");
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

#[test]
fn members_speak_only_with_members_of_their_authority() {
    if !inside("tls::members_speak_only_with_members_of_their_authority") {
        return;
    }
    let mut machines = Machines::with_scheme(3, "https");
    let dir = machines.root().to_path_buf();
    Authority::new(&dir, "right").issue(&dir, "member");
    Authority::new(&dir, "wrong").issue(&dir, "stranger");
    let known = machines.initial_cluster(&[1, 2, 3]);
    let start = |who: &str| {
        let at = |file: &str| dir.join(file).display().to_string();
        let (cert, key, ca) = (at(&format!("{who}.crt")), at(&format!("{who}.key")), at("right-ca.crt"));
        format!(
            "--initial-cluster {known} --peer-cert-file {cert} --peer-key-file {key} \
             --peer-trusted-ca-file {ca} --peer-client-cert-auth"
        )
    };
    // One member and a stranger are no majority of three.
    machines.get(1).start(&start("member"));
    machines.get(3).start(&start("stranger"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let put = |machine: usize| {
        let put = PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
        runtime.block_on(async { KvClient::new(channel(machine)).put(put).await })
    };
    let alone = put(1);
    assert!(alone.is_err(), "a stranger was counted: {alone:?}");
    machines.get(2).start(&start("member"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(why) = put(2) {
        assert!(Instant::now() < deadline, "two members of three do not find each other: {why}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(put(3).is_err(), "the stranger serves writes");
    assert!(machines.get(1).is_running() && machines.get(2).is_running());
}
