//! The formats that a schema may ask of a text (upstream: `kube-openapi/pkg/validation/strfmt`).
//! One that is not known here asks for nothing, as upstream has it.

use base64::Engine as _;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a text has the format.
pub fn matches(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.to_ascii_uppercase().parse::<Timestamp>().is_ok(),
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "duration" => is_duration(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "hostname" => is_hostname(text),
        "email" => is_email(text),
        "uri" => is_uri(text),
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            [3, 6].contains(&digits.len()) && is_hex(digits)
        }
        "rgbcolor" => is_rgb(text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => is_groups(text, &[3, 2, 4]),
        _ => true,
    }
}

/// Whether a number is within what its format can hold.
pub fn number_fits(format: &str, value: &Value) -> bool {
    match (format, value.as_i64()) {
        ("int32", Some(number)) => i32::try_from(number).is_ok(),
        ("int32" | "int64", None) => !value.is_u64(),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Digits in groups of these lengths, separated by hyphens or spaces.
fn is_groups(text: &str, lengths: &[usize]) -> bool {
    let groups: Vec<&str> = text.split(['-', ' ']).collect();
    groups.len() == lengths.len() && groups.iter().zip(lengths).all(|(g, n)| g.len() == *n && is_digits(g))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => 32,
        (_, Ok(_)) => 128,
        _ => return false,
    };
    is_digits(bits) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_mac(text: &str) -> bool {
    let pairs = |separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        [6, 8, 20].contains(&parts.len()) && parts.iter().all(|p| p.len() == 2 && is_hex(p))
    };
    let dotted = || {
        let parts: Vec<&str> = text.split('.').collect();
        [3, 4, 10].contains(&parts.len()) && parts.iter().all(|p| p.len() == 4 && is_hex(p))
    };
    pairs(':') || pairs('-') || dotted()
}

/// `1h30m`, and upstream's longer words: `3 days`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 23] = [
        "ns",
        "us",
        "µs",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "w",
        "nanosecond",
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "sec",
        "min",
        "hr",
        "nano",
        "micro",
        "milli",
    ];
    let mut rest = text.trim().trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit_and_rest = number.trim_start();
        let end = unit_and_rest.find(|c: char| !c.is_alphabetic()).unwrap_or(unit_and_rest.len());
        let unit = unit_and_rest[..end].to_lowercase();
        let known = UNITS.contains(&unit.as_str()) || UNITS.iter().any(|u| unit == format!("{u}s"));
        if number.len() == rest.len() || !known {
            return false;
        }
        parts += 1;
        rest = unit_and_rest[end..].trim_start();
    }
    parts > 0
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    let grouped = !text.contains('-') || text.split('-').map(str::len).eq([8usize, 4, 4, 4, 12]);
    let of_version = version.is_none_or(|v| plain.chars().nth(12) == Some(v));
    plain.len() == 32 && is_hex(&plain) && grouped && of_version
}

fn is_hostname(text: &str) -> bool {
    let part = |part: &str| {
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        part.len() <= 63
            && ends(part.as_bytes().first())
            && ends(part.as_bytes().last())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(part)
}

fn is_email(text: &str) -> bool {
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            !local.is_empty()
                && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
                && !local.starts_with('.')
                && !local.ends_with('.')
                && is_hostname(domain)
        }
        None => false,
    }
}

/// As Go's `url.ParseRequestURI`: an absolute URI, or an absolute path.
fn is_uri(text: &str) -> bool {
    let clean = !text.bytes().any(|b| b <= b' ' || b == 0x7f);
    let scheme = |scheme: &str| {
        scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    clean
        && (text.starts_with('/')
            || text.split_once(':').is_some_and(|(s, rest)| scheme(s) && !rest.is_empty()))
}

fn is_rgb(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|t| t.strip_suffix(')'));
    let parts: Vec<&str> = inner.unwrap_or_default().split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|p| is_digits(p) && p.parse::<u8>().is_ok())
}

fn is_isbn10(text: &str) -> bool {
    let plain: Vec<char> = text.chars().filter(|c| !['-', ' '].contains(c)).collect();
    let digit = |(i, c): (usize, &char)| match c {
        'X' | 'x' if i == 9 => Some(10),
        c => c.to_digit(10),
    };
    let digits: Option<Vec<u32>> = plain.iter().enumerate().map(digit).collect();
    digits.is_some_and(|d| {
        d.len() == 10 && d.iter().zip((1..=10).rev()).map(|(d, w)| d * w).sum::<u32>() % 11 == 0
    })
}

fn is_isbn13(text: &str) -> bool {
    let plain = text.chars().filter(|c| !['-', ' '].contains(c));
    let digits: Option<Vec<u32>> = plain.map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|d| {
        let weighted = d.iter().zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w);
        d.len() == 13 && weighted.sum::<u32>() % 10 == 0
    })
}

/// Luhn's checksum.
fn is_credit_card(text: &str) -> bool {
    let plain = text.chars().filter(|c| !['-', ' '].contains(c));
    let digits: Option<Vec<u32>> = plain.map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|d| {
        let doubled = d.iter().rev().enumerate().map(|(i, d)| match i % 2 {
            0 => *d,
            _ if *d > 4 => d * 2 - 9,
            _ => d * 2,
        });
        (13..=19).contains(&d.len()) && doubled.sum::<u32>() % 10 == 0
    })
}
