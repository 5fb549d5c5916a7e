//! OpenAPI v2 in protobuf: `openapi.v2.Document` of gnostic (`openapiv2/OpenAPIv2.proto`), the form
//! that clients in Go ask for. It is made of the JSON document, message by message; a number in
//! here is a field's number there.

use serde_json::{Map, Value};

/// The document as a message. What the messages have no field for is left out.
pub fn document(json: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &json["swagger"]);
    out.message(2, |info| {
        info.text(1, &json["info"]["title"]);
        info.text(2, &json["info"]["version"]);
    });
    // Paths: 2 path. Definitions: 1 additional_properties.
    out.message(8, |paths| paths.named(2, &json["paths"], path_item));
    out.message(9, |definitions| definitions.named(1, &json["definitions"], schema));
    out.bytes
}

/// A message under construction.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    fn raw(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A field that is a message of its own, even if nothing is in it.
    fn message(&mut self, number: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.raw(number, &inner.bytes);
    }

    fn text(&mut self, number: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.raw(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u32, values: &Value) {
        values.as_array().into_iter().flatten().for_each(|value| self.text(number, value));
    }

    fn flag(&mut self, number: u32, value: &Value) {
        if value == &Value::Bool(true) {
            self.tag(number, 0);
            self.varint(1);
        }
    }

    fn integer(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_i64() {
            self.tag(number, 0);
            self.varint(value as u64);
        }
    }

    fn double(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_f64() {
            self.tag(number, 1);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A map as a list of entries: 1 name, 2 value.
    fn named(&mut self, number: u32, entries: &Value, fill: fn(&mut Message, &Value)) {
        for (name, value) in entries.as_object().into_iter().flatten() {
            self.message(number, |entry| {
                entry.raw(1, name.as_bytes());
                entry.message(2, |inner| fill(inner, value));
            });
        }
    }

    /// What a document says in words that are nobody's but its own: any JSON is YAML.
    fn extensions(&mut self, number: u32, of: &Value) {
        let mine = |(name, _): &(&String, &Value)| name.starts_with("x-");
        let found: Map<String, Value> = of
            .as_object()
            .into_iter()
            .flatten()
            .filter(mine)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.named(number, &Value::Object(found), any);
    }
}

/// `Any`: 2 yaml.
fn any(out: &mut Message, value: &Value) {
    out.raw(2, value.to_string().as_bytes());
}

fn schema(out: &mut Message, of: &Value) {
    out.text(1, &of["$ref"]);
    out.text(2, &of["format"]);
    out.text(3, &of["title"]);
    out.text(4, &of["description"]);
    out.double(6, &of["multipleOf"]);
    out.double(7, &of["maximum"]);
    out.flag(8, &of["exclusiveMaximum"]);
    out.double(9, &of["minimum"]);
    out.flag(10, &of["exclusiveMinimum"]);
    out.integer(11, &of["maxLength"]);
    out.integer(12, &of["minLength"]);
    out.text(13, &of["pattern"]);
    out.integer(14, &of["maxItems"]);
    out.integer(15, &of["minItems"]);
    out.flag(16, &of["uniqueItems"]);
    out.integer(17, &of["maxProperties"]);
    out.integer(18, &of["minProperties"]);
    out.texts(19, &of["required"]);
    of["enum"].as_array().into_iter().flatten().for_each(|value| out.message(20, |item| any(item, value)));
    if of["additionalProperties"].is_object() {
        // AdditionalPropertiesItem: 1 schema.
        out.message(21, |item| item.message(1, |inner| schema(inner, &of["additionalProperties"])));
    }
    if of["type"].is_string() {
        // TypeItem: 1 value.
        out.message(22, |item| item.text(1, &of["type"]));
    }
    if of["items"].is_object() {
        // ItemsItem: 1 schema.
        out.message(23, |item| item.message(1, |inner| schema(inner, &of["items"])));
    }
    of["allOf"].as_array().into_iter().flatten().for_each(|of| out.message(24, |inner| schema(inner, of)));
    if of["properties"].is_object() {
        out.message(25, |properties| properties.named(1, &of["properties"], schema));
    }
    out.extensions(31, of);
}

fn path_item(out: &mut Message, of: &Value) {
    for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if of[method].is_object() {
            out.message(number, |inner| operation(inner, &of[method]));
        }
    }
    parameters(out, 9, &of["parameters"]);
    out.extensions(10, of);
}

fn operation(out: &mut Message, of: &Value) {
    out.texts(1, &of["tags"]);
    out.text(3, &of["description"]);
    out.text(5, &of["operationId"]);
    out.texts(6, &of["produces"]);
    out.texts(7, &of["consumes"]);
    parameters(out, 8, &of["parameters"]);
    // Responses: 1 response_code, each a ResponseValue: 1 response.
    out.message(9, |responses| {
        responses.named(1, &of["responses"], |value, of| value.message(1, |inner| response(inner, of)));
    });
    out.texts(10, &of["schemes"]);
    out.extensions(13, of);
}

fn response(out: &mut Message, of: &Value) {
    out.text(1, &of["description"]);
    if of["schema"].is_object() {
        // SchemaItem: 1 schema.
        out.message(2, |item| item.message(1, |inner| schema(inner, &of["schema"])));
    }
}

/// `ParametersItem`: 1 parameter; `Parameter`: 1 body_parameter, 2 non_body_parameter.
fn parameters(out: &mut Message, number: u32, list: &Value) {
    for of in list.as_array().into_iter().flatten() {
        out.message(number, |item| {
            item.message(1, |parameter| match of["in"].as_str() {
                Some("body") => parameter.message(1, |body| body_parameter(body, of)),
                // QueryParameterSubSchema has a field more than PathParameterSubSchema before its type.
                Some("path") => parameter.message(2, |p| p.message(4, |path| plain(path, of, [5, 19]))),
                _ => parameter.message(2, |p| p.message(3, |query| plain(query, of, [6, 20]))),
            });
        });
    }
}

fn body_parameter(out: &mut Message, of: &Value) {
    out.text(2, &of["name"]);
    out.text(3, &of["in"]);
    out.flag(4, &of["required"]);
    out.message(5, |inner| schema(inner, &of["schema"]));
}

fn plain(out: &mut Message, of: &Value, [kind, unique]: [u32; 2]) {
    out.flag(1, &of["required"]);
    out.text(2, &of["in"]);
    out.text(3, &of["description"]);
    out.text(4, &of["name"]);
    out.text(kind, &of["type"]);
    out.flag(unique, &of["uniqueItems"]);
}
