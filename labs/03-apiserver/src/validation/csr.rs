//! What a certificate is asked for with: a PKCS#10 request (RFC 2986) in PEM (upstream: `ParseCSR`
//! in `pkg/apis/certificates/helpers.go`). The words are those of Go's `encoding/asn1`, as far as
//! the outer parts; what the request says and whether its signature holds is for the signer to see.

use base64::Engine;

const BLOCK: &str = "CERTIFICATE REQUEST";
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// What is wrong with it, if anything is.
pub fn fault(pem: &[u8]) -> Option<String> {
    match first_block(&String::from_utf8_lossy(pem)) {
        Some((kind, bytes)) if kind == BLOCK => request(&bytes).err(),
        _ => Some(format!("PEM block type must be {BLOCK}")),
    }
}

/// The type and the content of the first block that is whole. What stands around blocks is passed over.
fn first_block(text: &str) -> Option<(&str, Vec<u8>)> {
    let mut rest = text;
    loop {
        let begin = rest.find("-----BEGIN ").filter(|at| *at == 0 || rest.as_bytes()[at - 1] == b'\n')?;
        rest = &rest[begin + "-----BEGIN ".len()..];
        let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let Some(kind) = line.trim_end().strip_suffix("-----") else { continue };
        let Some((inside, after)) = body.split_once(&format!("-----END {kind}-----")) else { continue };
        if !after.split('\n').next().unwrap_or_default().trim_end().is_empty() {
            continue;
        }
        // Headers come before the content, a line each.
        let content: String = inside.lines().filter(|line| !line.contains(':')).collect();
        let content = content.replace([' ', '\t', '\r'], "");
        if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(content) {
            return Some((kind, bytes));
        }
    }
}

/// `CertificationRequest ::= SEQUENCE { info SEQUENCE, algorithm SEQUENCE, signature BIT STRING }`
fn request(bytes: &[u8]) -> Result<(), String> {
    let (inside, rest) = element(bytes, SEQUENCE, "certificateRequest")?;
    let (_, inside) = element(inside, SEQUENCE, "tbsCertificateRequest")?;
    let (_, inside) = element(inside, SEQUENCE, "AlgorithmIdentifier")?;
    element(inside, BIT_STRING, "BitString")?;
    if rest.is_empty() { Ok(()) } else { Err("asn1: syntax error: trailing data".into()) }
}

/// The content of the first element, which must have this tag, and what comes after it.
fn element<'b>(bytes: &'b [u8], wanted: u8, name: &str) -> Result<(&'b [u8], &'b [u8]), String> {
    let syntax = |why: &str| format!("asn1: syntax error: {why}");
    let Some((tag, rest)) = bytes.split_first() else { return Err(syntax("sequence truncated")) };
    let Some((first, mut rest)) = rest.split_first() else { return Err(syntax("truncated tag or length")) };
    let mut length = usize::from(*first);
    let mut before = 2;
    if length >= 0x80 {
        let count = length & 0x7f;
        if count == 0 {
            return Err(syntax("indefinite length found (not DER)"));
        }
        length = 0;
        for _ in 0..count {
            let Some((byte, next)) = rest.split_first() else {
                return Err(syntax("truncated tag or length"));
            };
            if length >= 1 << 23 {
                return Err("asn1: structure error: length too large".into());
            }
            (length, rest, before) = (length << 8 | usize::from(*byte), next, before + 1);
            if length == 0 {
                return Err("asn1: structure error: superfluous leading zeros in length".into());
            }
        }
        if length < 0x80 {
            return Err("asn1: structure error: non-minimal length".into());
        }
    }
    if *tag != wanted {
        let found = format!(
            "{{class:{} tag:{} length:{length} isCompound:{}}}",
            tag >> 6,
            tag & 0x1f,
            tag & 0x20 != 0
        );
        return Err(format!(
            "asn1: structure error: tags don't match ({} vs {found}) {{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> stringType:0 timeType:0 set:false omitEmpty:false}} {name} @{before}",
            wanted & 0x1f
        ));
    }
    if length > rest.len() {
        return Err(syntax("data truncated"));
    }
    Ok(rest.split_at(length))
}
