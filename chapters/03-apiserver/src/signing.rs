//! Signed tokens: JSON Web Tokens with ES256 (RFC 7515, RFC 7518). One algorithm is enough for a
//! server that believes nobody's tokens but its own.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::path::Path;

pub struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    /// Names the key: the beginning of its hash.
    id: String,
}

impl Signer {
    /// The key in this file, or a new one.
    pub fn new(file: Option<&Path>) -> anyhow::Result<Signer> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = match file {
            Some(file) => PrivatePkcs8KeyDer::from_pem_file(file)
                .with_context(|| format!("reading {}", file.display()))?
                .secret_pkcs8_der()
                .to_vec(),
            None => {
                let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random);
                made.map_err(|_| anyhow::anyhow!("no randomness for a key"))?.as_ref().to_vec()
            }
        };
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &random)
            .map_err(|error| anyhow::anyhow!("the key is not a P-256 key in PKCS#8: {error}"))?;
        let hash = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
        Ok(Signer { key, random, id })
    }

    /// `HEADER.CLAIMS.SIGNATURE`.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| anyhow::anyhow!("no randomness for a signature"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// The claims of a token that this key has signed.
    pub fn open(&self, token: &str) -> Result<Value, String> {
        let malformed = || "the token is not a signed JSON Web Token".to_string();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| malformed());
        if read(header)?["alg"] != "ES256" {
            return Err("the token is signed by another algorithm".into());
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "the token's signature is not this server's".to_string())?;
        read(claims)
    }

    /// `/openid/v1/jwks`: the key with which others can check a token (RFC 7517).
    pub fn jwks(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }] })
    }
}
