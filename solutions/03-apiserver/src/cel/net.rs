//! Kubernetes' IP and CIDR libraries.

use super::functions::{Answer, Target};
use super::value::Value;
use super::{Budget, EvalError};
use std::net::IpAddr;

/// An address as Kubernetes reads it: no zone, and no IPv4 address in IPv6's clothes.
fn read_ip(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        ip => Some(ip),
    }
}

fn read_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/')?;
    let ip = read_ip(ip)?;
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u8 = bits.parse().ok().filter(|_| plain)?;
    (bits <= width(ip)).then_some((ip, bits))
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first address of the block that `ip` is in.
fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn contains(block: (IpAddr, u8), ip: IpAddr) -> bool {
    block.0.is_ipv4() == ip.is_ipv4() && masked(block.0, block.1) == masked(ip, block.1)
}

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let answer = match (target, name, args) {
        (Target::Global, "ip", [Value::String(text)]) => {
            read_ip(text.as_str()).map(Value::Ip).ok_or_else(|| {
                EvalError::failed(format!(
                    "IP Address {:?} parse error during conversion from string",
                    text.as_str()
                ))
            })
        }
        (Target::Global, "isIP", [Value::String(text)]) => Ok(Value::Bool(read_ip(text.as_str()).is_some())),
        (Target::Namespace("ip"), "isCanonical", [Value::String(text)]) => match read_ip(text.as_str()) {
            Some(ip) => Ok(Value::Bool(ip.to_string() == text.as_str())),
            None => Err(EvalError::failed(format!(
                "IP Address {:?} parse error during conversion from string",
                text.as_str()
            ))),
        },
        (Target::Global, "cidr", [Value::String(text)]) => {
            read_cidr(text.as_str()).map(|(ip, bits)| Value::Cidr(ip, bits)).ok_or_else(|| {
                EvalError::failed(format!(
                    "network address parse error during conversion from string: netip.ParsePrefix({:?})",
                    text.as_str()
                ))
            })
        }
        (Target::Global, "isCIDR", [Value::String(text)]) => {
            Ok(Value::Bool(read_cidr(text.as_str()).is_some()))
        }
        (Target::Receiver, _, [Value::Ip(ip)]) => Ok(match name {
            "family" => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
            "isUnspecified" => Value::Bool(ip.is_unspecified()),
            "isLoopback" => Value::Bool(ip.is_loopback()),
            "isLinkLocalMulticast" => Value::Bool(match ip {
                IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
                IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
            }),
            "isLinkLocalUnicast" => Value::Bool(match ip {
                IpAddr::V4(v4) => v4.is_link_local(),
                IpAddr::V6(v6) => v6.is_unicast_link_local(),
            }),
            "isGlobalUnicast" => Value::Bool(is_global_unicast(*ip)),
            _ => return None,
        }),
        (Target::Receiver, _, [Value::Cidr(ip, bits), rest @ ..]) => match (name, rest) {
            ("ip", []) => Ok(Value::Ip(*ip)),
            ("masked", []) => Ok(Value::Cidr(masked(*ip, *bits), *bits)),
            ("prefixLength", []) => Ok(Value::Int(i64::from(*bits))),
            ("containsIP", [other]) => match other {
                Value::Ip(other) => Ok(Value::Bool(contains((*ip, *bits), *other))),
                Value::String(text) => match read_ip(text.as_str()) {
                    Some(other) => Ok(Value::Bool(contains((*ip, *bits), other))),
                    None => Err(EvalError::failed(format!("IP Address {:?} parse error", text.as_str()))),
                },
                _ => return None,
            },
            ("containsCIDR", [other]) => {
                let other = match other {
                    Value::Cidr(ip, bits) => Some((*ip, *bits)),
                    Value::String(text) => read_cidr(text.as_str()),
                    _ => return None,
                };
                match other {
                    Some((other, n)) => Ok(Value::Bool(n >= *bits && contains((*ip, *bits), other))),
                    None => {
                        Err(EvalError::failed("network address parse error during conversion from string"))
                    }
                }
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(budget.spend(1).and(answer))
}

/// As Go's `IsGlobalUnicast`: private addresses are global enough.
fn is_global_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !broadcast && !link_local
}
