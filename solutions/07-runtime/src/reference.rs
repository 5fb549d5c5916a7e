//! Names of images: `nginx:1.7.9` is `docker.io/library/nginx:1.7.9`.
//!
//! The short form is Docker's; the long form is what the image store keeps and what errors show.
//! Grammar: `[registry/]path[:tag][@digest]` (distribution/reference).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A normalised name: registry and path are never empty, and there is a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub registry: String,
    pub path: String,
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

/// Why a string names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image reference {text:?}: {why}")]
pub struct BadReference {
    pub text: String,
    pub why: &'static str,
}

impl Reference {
    /// Reads a short or long name.
    ///
    /// The part before the first `/` is a registry if it has a dot or a colon or is `localhost`;
    /// else the registry is `docker.io`, and a path of one part lies in `library/`. Neither tag
    /// nor digest means `:latest`.
    pub fn parse(text: &str) -> Result<Reference, BadReference> {
        let bad = |why| BadReference { text: text.to_owned(), why };
        if text.is_empty() || text.len() > 512 {
            return Err(bad("must have 1 to 512 characters"));
        }
        let named = Reference::split(text);
        if named.digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("the digest is not sha256: and 64 hexadecimal digits"));
        }
        if named.tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag has characters that tags do not have"));
        }
        if !named.path.split('/').all(is_word) {
            return Err(bad("the path must be of lower case letters, digits and ._- between slashes"));
        }
        Ok(named)
    }

    /// Takes a name apart and puts in what it leaves out, as [`Reference::parse`] says; whether the
    /// parts are well formed is not looked at.
    pub fn split(text: &str) -> Reference {
        // lab:begin 07.4 from the right: digest, tag; from the left: registry; the rest is the path
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to a registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Reference {
            registry: registry.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        }
        // lab:end
    }

    /// Registry and path, without tag or digest: what a repo digest starts with.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !text.starts_with(['.', '-'])
}

/// A part of a path.
fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
