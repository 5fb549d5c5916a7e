//! A certificate and its key that are none. Upstream tries to use them (`tls.X509KeyPair`); here is
//! looked whether they are in the form in which they are written down, and no further.

use crate::validation::at::At;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub fn secret(secret: &At<'_>, said: &mut Vec<String>) {
    if secret.get("type").text() != "kubernetes.io/tls" {
        return;
    }
    let blocks = |key: &str| {
        let content = STANDARD.decode(secret.get("data").entry(key).text()).unwrap_or_default();
        blocks(&String::from_utf8_lossy(&content))
    };
    said.extend(certificate(&blocks("tls.crt")).or_else(|| key(&blocks("tls.key"))));
}

fn certificate(blocks: &[String]) -> Option<String> {
    match blocks {
        [] => Some("tls: failed to find any PEM data in certificate input".into()),
        _ if blocks.iter().any(|block| block == "CERTIFICATE") => None,
        [one] if one.ends_with("PRIVATE KEY") => Some("tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".into()),
        _ => Some(format!("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]", blocks.join(" "))),
    }
}

fn key(blocks: &[String]) -> Option<String> {
    match blocks {
        [] => Some("tls: failed to find any PEM data in key input".into()),
        _ if blocks.iter().any(|block| block == "PRIVATE KEY" || block.ends_with(" PRIVATE KEY")) => None,
        [one] if one == "CERTIFICATE" => {
            Some("tls: found a certificate rather than a key in the PEM for the private key".into())
        }
        _ => Some(format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            blocks.join(" ")
        )),
    }
}

/// The types of the PEM blocks of a text.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        rest = begun;
        let Some((kind, body)) = begun.split_once("-----") else { break };
        let Some((body, after)) = body.split_once(&format!("-----END {kind}-----")) else { continue };
        // Lines with a colon come before the content, and are about it.
        let content: String = body.lines().filter(|line| !line.contains(':')).map(str::trim).collect();
        if STANDARD.decode(content).is_ok() {
            found.push(kind.to_string());
            rest = after;
        }
    }
    found
}
