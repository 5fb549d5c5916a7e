//! Makes the keys and certificates of the plan, once, and the kubeconfigs that hold them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::heart::certificates::{self, AltName, Authority, Certificate, Kubeconfig, Usage};
use crate::heart::{AddressPlan, Node};
use crate::home::{Home, read_json, write_atomically};

/// Long enough for any course; kubeadm's authorities live as long.
const YEARS: i32 = 10;

/// Makes what is missing or has changed. The number of certificates that were made.
pub fn ensure(home: &Home, addresses: &AddressPlan, nodes: &[Node]) -> Result<usize> {
    let pki = home.pki();
    let plan = pki.join("plan.json");
    let mut authorities = BTreeMap::new();
    for authority in Authority::ALL {
        let (issuer, fresh) = authority_of(&pki, authority)?;
        if fresh {
            // What an earlier authority signed is worth nothing now.
            let _ = fs::remove_file(&plan);
        }
        authorities.insert(authority, issuer);
    }
    let have: Vec<Certificate> = read_json(&plan).unwrap_or_default();
    let have: Vec<Certificate> = have
        .into_iter()
        .filter(|it| crt(&pki, &it.path).is_file() && key(&pki, &it.path).is_file())
        .collect();
    let wanted = certificates::certificates(addresses, nodes);
    let missing = certificates::to_issue(&have, &wanted);
    for certificate in &missing {
        issue(&pki, certificate, &authorities[&certificate.authority])
            .with_context(|| format!("making the certificate {}", certificate.path))?;
    }
    // Certificates of nodes that are not there now stay valid for when they come back.
    let mut all = wanted;
    for old in have {
        if !all.iter().any(|it| it.path == old.path) {
            all.push(old);
        }
    }
    write_atomically(&plan, &serde_json::to_vec_pretty(&all)?, 0o644)?;
    let accounts = key(&pki, "sa");
    if !accounts.is_file() {
        // It signs the tokens of service accounts, which must outlive the API server's process.
        write_atomically(&accounts, KeyPair::generate()?.serialize_pem().as_bytes(), 0o600)?;
    }
    Ok(missing.len())
}

/// Writes the kubeconfigs of the control plane and of the administrator, and each node's folder of
/// keys and kubeconfigs, which holds that node's and no other's.
pub fn write_kubeconfigs(home: &Home, addresses: &AddressPlan, nodes: &[Node], api_port: u16) -> Result<()> {
    let inside = format!("https://{}:6443", addresses.control_plane());
    let config = |certificate: &str, user: &str, server: &str| {
        let wanted = Kubeconfig { certificate: certificate.into(), user: user.into(), server: server.into() };
        kubeconfig(home, &wanted)
    };
    let folder = home.kubeconfigs();
    for (certificate, user) in [
        ("controller-manager", "system:kube-controller-manager"),
        ("scheduler", "system:kube-scheduler"),
        ("kube-proxy", "system:kube-proxy"),
    ] {
        let path = folder.join(format!("{certificate}.conf"));
        write_atomically(&path, config(certificate, user, &inside)?.as_bytes(), 0o600)?;
    }
    let outside = format!("https://127.0.0.1:{api_port}");
    write_atomically(&home.kubeconfig(), config("admin", "kubernetes-admin", &outside)?.as_bytes(), 0o600)?;

    let proxy = config("kube-proxy", "system:kube-proxy", &inside)?;
    for node in nodes {
        let folder = home.paths.node_kubernetes(&node.name);
        let user = format!("system:node:{}", node.name);
        let kubelet = config(&certificates::kubelet_client(node), &user, &inside)?;
        write_atomically(&folder.join("kubelet.conf"), kubelet.as_bytes(), 0o600)?;
        write_atomically(&folder.join("kube-proxy.conf"), proxy.as_bytes(), 0o600)?;
        let serving = certificates::kubelet_serving(node);
        for (from, to, mode) in [
            (crt(&home.pki(), Authority::Cluster.path()), "pki/ca.crt", 0o644),
            (crt(&home.pki(), &serving), "pki/kubelet.crt", 0o644),
            (key(&home.pki(), &serving), "pki/kubelet.key", 0o600),
        ] {
            write_atomically(&folder.join(to), &fs::read(&from)?, mode)?;
        }
    }
    Ok(())
}

fn crt(pki: &Path, path: &str) -> PathBuf {
    pki.join(format!("{path}.crt"))
}

fn key(pki: &Path, path: &str) -> PathBuf {
    pki.join(format!("{path}.key"))
}

fn kubeconfig(home: &Home, wanted: &Kubeconfig) -> Result<String> {
    let pki = home.pki();
    let encoded = |path: PathBuf| -> Result<String> {
        Ok(STANDARD.encode(fs::read(&path).with_context(|| format!("reading {}", path.display()))?))
    };
    let content = wanted.content(
        &encoded(crt(&pki, Authority::Cluster.path()))?,
        &encoded(crt(&pki, &wanted.certificate))?,
        &encoded(key(&pki, &wanted.certificate))?,
    );
    Ok(serde_yaml::to_string(&content)?)
}

/// The authority as it was, or a new one (`true`).
fn authority_of(pki: &Path, authority: Authority) -> Result<(Issuer<'static, KeyPair>, bool)> {
    let (crt, key) = (crt(pki, authority.path()), key(pki, authority.path()));
    if let (Ok(certificate), Ok(secret)) = (fs::read_to_string(&crt), fs::read_to_string(&key)) {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&secret)?)
            .with_context(|| format!("reading {}", crt.display()))?;
        return Ok((issuer, false));
    }
    let mut params = validity(CertificateParams::default());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, authority.common_name());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    let secret = KeyPair::generate()?;
    let certificate = params.self_signed(&secret)?;
    write_atomically(&key, secret.serialize_pem().as_bytes(), 0o600)?;
    write_atomically(&crt, certificate.pem().as_bytes(), 0o644)?;
    Ok((Issuer::new(params, secret), true))
}

fn issue(pki: &Path, wanted: &Certificate, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
    let mut params = validity(CertificateParams::default());
    params.distinguished_name = rcgen::DistinguishedName::new();
    for organization in &wanted.organizations {
        params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
    }
    params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
    params.subject_alt_names = wanted.alt_names.iter().map(san).collect::<Result<_>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = wanted
        .usages
        .iter()
        .map(|usage| match usage {
            Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        })
        .collect();
    let secret = KeyPair::generate()?;
    let certificate = params.signed_by(&secret, issuer)?;
    write_atomically(&key(pki, &wanted.path), secret.serialize_pem().as_bytes(), 0o600)?;
    write_atomically(&crt(pki, &wanted.path), certificate.pem().as_bytes(), 0o644)
}

fn san(name: &AltName) -> Result<SanType> {
    Ok(match name {
        AltName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// From yesterday, for clocks that disagree a little.
fn validity(mut params: CertificateParams) -> CertificateParams {
    let yesterday =
        jiff::Timestamp::now().to_zoned(TimeZone::UTC).date().yesterday().unwrap_or(jiff::civil::Date::MIN);
    let day = |years: i32| {
        rcgen::date_time_ymd(
            i32::from(yesterday.year()) + years,
            yesterday.month().unsigned_abs(),
            // 29 February exists every fourth year only.
            yesterday.day().unsigned_abs().min(28),
        )
    };
    params.not_before = day(0);
    params.not_after = day(YEARS);
    params
}
