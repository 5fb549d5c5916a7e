//! The types of all built-in kinds: what fields a message has, and of what type each is. One table
//! (`types.txt`, after upstream's Go types and `generated.proto` files of 1.32) serves both ways of
//! reading a body, JSON ([`crate::typed`]) and protobuf ([`crate::protobuf`]).

use std::collections::HashMap;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Int32,
    Int64,
    Truth,
    /// Text in base64.
    Bytes,
    Float,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// Any JSON.
    Raw,
    Message(&'static str),
    /// What JSON writes bare and protobuf wraps: an object of the message's field `schema`, or else
    /// what its other field holds. A user's "extra" is the plainest: `items`, a list.
    Union(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One,
    List,
    /// From text.
    Map,
    /// Its fields stand in its parent, in JSON.
    Inlined,
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// In protobuf; 0 when the field is not on that wire.
    pub number: u32,
    pub of: Type,
    pub shape: Shape,
    /// A pointer in Go, where a zero is not nothing. (Told of scalars, and of what is always written.)
    pub pointer: bool,
    /// Go writes it into JSON whether or not anything was said: it has no `omitempty`, or is a struct,
    /// or a time.
    pub always: bool,
}

impl Field {
    /// Whether a zero of it is written in JSON.
    pub fn keeps_zero(&self) -> bool {
        self.pointer || self.always
    }
}

#[derive(Debug)]
pub struct Message {
    /// `core.v1.PodSpec`.
    pub name: &'static str,
    pub fields: Vec<Field>,
}

impl Message {
    pub fn by_number(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number && number != 0)
    }

    /// The field as JSON names it, also when it is an inlined message's.
    pub fn by_name(&self, name: &str) -> Option<&'static Field> {
        let this = message(self.name)?;
        this.fields.iter().find_map(|field| match (field.shape, field.of) {
            (Shape::Inlined, Type::Message(inner)) => message(inner)?.by_name(name),
            _ => (field.name == name).then_some(field),
        })
    }

    /// Without its package: `PodSpec`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// All messages, by name.
pub fn all() -> &'static HashMap<&'static str, Message> {
    static TABLE: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = include_str!("types.txt").lines().filter(|line| !line.starts_with('#'));
        let messages = lines.filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            Some((name, Message { name, fields: words.filter_map(field).collect() }))
        });
        messages.collect()
    })
}

pub fn message(name: &str) -> Option<&'static Message> {
    all().get(name)
}

/// The message of a kind: a package is the first word of a group.
pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<&'static Message> {
    if kind == "DeleteOptions" {
        return message("meta.v1.DeleteOptions");
    }
    let package = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
    message(&format!("{package}.{version}.{kind}"))
}

/// One `name=number:type` of the table.
fn field(text: &'static str) -> Option<Field> {
    let (name, rest) = text.split_once('=')?;
    let (number, of) = rest.split_once(':')?;
    let (of, always) = of.strip_suffix('?').map_or((of, false), |of| (of, true));
    let (of, pointer) = of.strip_suffix('!').map_or((of, false), |of| (of, true));
    let (shape, of) = match of.split_at_checked(1)? {
        ("*", rest) => (Shape::List, rest),
        ("{", rest) => (Shape::Map, rest),
        ("+", rest) => (Shape::Inlined, rest),
        _ => (Shape::One, of),
    };
    let of = match of {
        "s" => Type::Text,
        "i" => Type::Int32,
        "l" => Type::Int64,
        "b" => Type::Truth,
        "y" => Type::Bytes,
        "d" => Type::Float,
        "Q" => Type::Quantity,
        "I" => Type::IntOrString,
        "T" => Type::Time,
        "U" => Type::MicroTime,
        "R" => Type::Raw,
        name => match name.strip_prefix('|') {
            Some(union) => Type::Union(union),
            None => Type::Message(name),
        },
    };
    Some(Field { name, number: number.parse().ok()?, of, shape, pointer, always })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_a_field_names_is_in_the_table() {
        for message in all().values() {
            for field in &message.fields {
                if let Type::Message(inner) | Type::Union(inner) = field.of {
                    assert!(all().contains_key(inner), "{}.{}: {inner}", message.name, field.name);
                }
            }
        }
    }

    #[test]
    fn every_kind_that_is_served_has_a_message() {
        for r in objects::resources::served() {
            assert!(of_kind(r.group, r.version, r.kind).is_some(), "{r:?}");
        }
    }
}
