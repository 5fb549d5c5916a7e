//! Servers that answer in this one's place, or are asked by it: found by a URL or by a Service,
//! and spoken to over TLS. Webhooks and aggregated API servers are such.

use crate::app::App;
use crate::heart::kind::Kind;
use crate::heart::{keys, meta};
use crate::writing::Target;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use store::tls::ClientFiles;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Where a server is, and who it must prove to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub host: String,
    pub port: u16,
    /// The name that its certificate must have.
    pub name: String,
}

impl App {
    /// A server behind a Service: one of its ready endpoints, else its cluster IP. The texts of
    /// errors are upstream's (`apiserver/pkg/util/proxy`).
    pub fn behind_service(&self, namespace: &str, name: &str, port: u16) -> Result<Place, String> {
        let server_name = format!("{name}.{namespace}.svc");
        let place = |host: &str, port: u16| Place { host: host.into(), port, name: server_name.clone() };
        let kind = Kind::named("", "v1", "Service").ok_or("services are not served")?;
        let target = Target { kind: &kind, namespace: Some(namespace), name };
        let stored = self.cached(target).ok_or_else(|| format!("service \"{name}\" not found"))?;
        let service = stored.value();
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" {
            return Ok(place(spec["externalName"].as_str().unwrap_or_default(), port));
        }
        let ports = spec["ports"].as_array().into_iter().flatten();
        let found = ports.into_iter().find(|p| p["port"] == port);
        let found = found.ok_or_else(|| format!("no service port {port} found for service \"{name}\""))?;
        let port_name = found["name"].as_str().unwrap_or_default();
        if let Some((host, port)) = self.ready_endpoint(namespace, name, port_name) {
            return Ok(place(&host, port));
        }
        match spec["clusterIP"].as_str() {
            // Without a selector somebody else may stand behind the address.
            Some(ip) if ip != "None" && !ip.is_empty() && spec["selector"].is_null() => Ok(place(ip, port)),
            _ => Err(format!("no endpoints available for service \"{name}\"")),
        }
    }

    /// An address and a port of the service's slices, the first in order.
    pub fn ready_endpoint(&self, namespace: &str, service: &str, port_name: &str) -> Option<(String, u16)> {
        let kind = Kind::named("discovery.k8s.io", "v1", "EndpointSlice")?;
        let cache = self.caches.of(kind.resource)?;
        let prefix = keys::list_prefix(kind.resource, Some(namespace)).ok()?;
        let slices: Vec<Value> = cache.read(|cache| {
            let ours = |labels: &std::collections::BTreeMap<String, String>| {
                labels.get("kubernetes.io/service-name").is_some_and(|name| name == service)
            };
            cache.list(&prefix).filter(|s| ours(&s.labels)).map(|s| s.value()).collect()
        });
        slices.iter().find_map(|slice| {
            let mut ports = slice["ports"].as_array()?.iter();
            let port = ports.find(|p| p["name"].as_str().unwrap_or_default() == port_name)?;
            let port = port["port"].as_u64().and_then(|p| u16::try_from(p).ok())?;
            let mut endpoints = slice["endpoints"].as_array()?.iter();
            let ready = endpoints.find(|e| e["conditions"]["ready"] != false)?;
            Some((ready["addresses"][0].as_str()?.to_string(), port))
        })
    }

    /// The labels of a namespace, as the cache has it.
    pub fn namespace_of(&self, name: &str) -> Option<Value> {
        let kind = Kind::named("", "v1", "Namespace")?;
        let stored = self.cached(Target { kind: &kind, namespace: None, name })?;
        Some(stored.value()).filter(|namespace| meta::name(namespace) == name)
    }
}

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Certificates in PEM. This server has none of its own: with none here, nobody is believed.
    Bundle(Vec<u8>),
    Anybody,
}

/// How to speak to a server, with a client certificate if there is one to show.
pub fn client_config(trust: &Trust, identity: &ClientFiles) -> Result<ClientConfig, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let pem = match trust {
        Trust::Anybody => {
            let files = ClientFiles { ca: None, ..identity.clone() };
            return store::tls::client_config(&files, &[b"http/1.1"]).map_err(|e| text(&e));
        }
        Trust::Bundle(pem) => pem,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate
            .map_err(|_| "unable to load root certificates: unable to parse bytes as PEM block")?;
        roots.add(certificate).map_err(|e| text(&e))?;
    }
    store::tls::client_config_with(roots, identity, &[b"http/1.1"]).map_err(|e| text(&e))
}

/// Connect. The text of an error is as Go's HTTP client has it.
pub async fn dial(place: &Place, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, String> {
    let refused = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_string(),
            _ => error.to_string(),
        };
        format!("dial tcp {}:{}: {why}", place.host, place.port)
    };
    let host = place.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, place.port)).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let name = place.name.trim_start_matches('[').trim_end_matches(']').to_string();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| handshake_failure(&error, &place.name))
}

fn handshake_failure(error: &io::Error, name: &str) -> String {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "tls: failed to verify certificate: x509: certificate signed by unknown authority".into(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("tls: failed to verify certificate: x509: certificate is not valid for {name}"),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "tls: failed to verify certificate: x509: certificate has expired or is not yet valid".into(),
        _ => error.to_string(),
    }
}
