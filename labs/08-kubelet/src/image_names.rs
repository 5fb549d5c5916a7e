//! Is this the name of an image?
//!
//! A name that no registry could have is found before anybody is asked for it (`InvalidImageName`).
//! Grammar: `[domain/]path[:tag][@digest]`, as `github.com/distribution/reference` has it, through
//! `pkg/util/parsers` upstream. How the runtime fills in what a short name leaves out is its affair.

/// What is wrong with the name, if anything is.
pub fn problem(image: &str) -> Option<String> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if image.len() == 64 && image.bytes().all(hex) {
        return Some(format!(
            "invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"
        ));
    }
    let (domain, rest) = split(image);
    let path = rest.split(':').next().unwrap_or_default();
    if path.to_lowercase() != path {
        return Some(format!("invalid reference format: repository name ({path}) must be lowercase"));
    }
    let (name, digest) = match rest.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (rest.as_str(), None),
    };
    let (path, tag) = match name.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (name, None),
    };
    let well_formed = (is_domain(domain) || is_path_word(domain))
        && path.split('/').all(is_path_word)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(looks_like_a_digest);
    if !well_formed {
        return Some("invalid reference format".to_owned());
    }
    if path.len() > 255 {
        return Some("repository name must not be more than 255 characters".to_owned());
    }
    digest.and_then(digest_problem).map(str::to_owned)
}

/// The registry and the rest. What stands before the first `/` is a registry if it could be nothing
/// else: with a dot, a colon or an upper-case letter, or `localhost`.
fn split(image: &str) -> (&str, String) {
    let (domain, rest) = match image.split_once('/') {
        Some(("index.docker.io", rest)) => ("docker.io", rest),
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => ("docker.io", image),
    };
    match domain == "docker.io" && !rest.contains('/') {
        true => (domain, format!("library/{rest}")),
        false => (domain, rest.to_owned()),
    }
}

/// `example.com:5000`, `[::1]:5000`.
fn is_domain(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|t| t.split_once(']'));
    let (host_is_fine, port) = match address {
        Some((ip, port)) => (!ip.is_empty() && ip.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'), port),
        None => {
            let (host, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
            let word = |w: &str| {
                !w.is_empty()
                    && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !w.starts_with('-')
                    && !w.ends_with('-')
            };
            (host.split('.').all(word), port)
        }
    };
    let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    host_is_fine && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` in between.
fn is_path_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().next_back()) else {
        return false;
    };
    let mut separators = text.split(|c: char| u8::try_from(c).is_ok_and(plain)).filter(|s| !s.is_empty());
    plain(first)
        && plain(last)
        && separators.all(|s| [".", "_", "__"].contains(&s) || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !text.starts_with(['.', '-'])
}

/// `algorithm:hex`, of at least 32 digits; whether there is such an algorithm comes later.
fn looks_like_a_digest(text: &str) -> bool {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic()) && w.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['-', '_', '+', '.']).all(word)
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn digest_problem(digest: &str) -> Option<&'static str> {
    let (algorithm, hex) = digest.split_once(':')?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Some("unsupported digest algorithm"),
    };
    if hex.len() != length {
        return Some("invalid checksum digest length");
    }
    hex.bytes().any(|b| b.is_ascii_uppercase()).then_some("invalid checksum digest format")
}
