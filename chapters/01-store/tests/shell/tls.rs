//! TLS: only clients with a certificate of the right authority are served.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::support::{Server, have};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes `NAME.crt` and `NAME.key`.
    fn issue(&self, dir: &Path, name: &str, usage: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("a name");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).expect("written");
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

#[test]
fn clients_need_a_certificate_of_the_authority() {
    if !have("etcdctl") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
    let (right, wrong) = (Authority::new(), Authority::new());
    std::fs::write(at("ca.crt"), right.0.pem()).expect("written");
    right.issue(dir.path(), "server", ExtendedKeyUsagePurpose::ServerAuth);
    right.issue(dir.path(), "client", ExtendedKeyUsagePurpose::ClientAuth);
    wrong.issue(dir.path(), "stranger", ExtendedKeyUsagePurpose::ClientAuth);
    let (cert, key, ca) = (at("server.crt"), at("server.key"), at("ca.crt"));
    let flags = ["--cert-file", &cert, "--key-file", &key, "--trusted-ca-file", &ca, "--client-cert-auth"];
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let ctl = |who: Option<&str>| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &server.endpoint(), "--cacert", &ca]);
        if let Some(who) = who {
            command.args(["--cert", &at(&format!("{who}.crt")), "--key", &at(&format!("{who}.key"))]);
        }
        let output = command.args(["--dial-timeout=1s", "--command-timeout=1s", "put", "a", "1"]).output();
        output.expect("etcdctl").status.success()
    };
    assert!(ctl(Some("client")));
    assert!(!ctl(None), "without a certificate");
    assert!(!ctl(Some("stranger")), "with a certificate of another authority");
    assert!(ctl(Some("client")), "and goes on serving");
}
