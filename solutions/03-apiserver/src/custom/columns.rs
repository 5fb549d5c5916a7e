//! The columns that a definition adds to `kubectl get` (upstream:
//! `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).

use super::cells::{cell, shown};
use super::jsonpath::JsonPath;
use jiff::Timestamp;
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    /// `integer`, `number`, `string`, `boolean` or `date`.
    pub kind: String,
    pub format: String,
    pub description: String,
    /// More than 0 is shown by `-o wide` alone.
    pub priority: i64,
    /// None when the path is one that is not understood: the cell stays empty.
    path: Option<JsonPath>,
}

impl Column {
    /// The columns of a version. One that names none shows when an object was made.
    pub fn parse_all(columns: &[Value]) -> Vec<Column> {
        if columns.is_empty() {
            return vec![Column {
                name: "Age".into(),
                kind: "date".into(),
                format: String::new(),
                description: "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata".into(),
                priority: 0,
                path: JsonPath::parse(".metadata.creationTimestamp"),
            }];
        }
        columns.iter().map(Column::parse).collect()
    }

    fn parse(column: &Value) -> Column {
        let text = |key: &str| column[key].as_str().unwrap_or_default().to_string();
        let description = match text("description") {
            empty if empty.is_empty() => {
                format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath"))
            }
            given => given,
        };
        Column {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description,
            priority: column["priority"].as_i64().unwrap_or(0),
            path: JsonPath::parse(&text("jsonPath")),
        }
    }

    pub fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }

    /// The cell of one object: of several things that the path finds the first, except that texts
    /// are all shown, separated by commas, if the column is one of texts.
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().map(|path| path.find(object)).unwrap_or_default();
        match found.as_slice() {
            [] => Value::Null,
            [one] => cell(&self.kind, one, now),
            many if self.kind == "string" => {
                let texts: Vec<String> = many.iter().map(|value| shown(value)).collect();
                json!(texts.join(","))
            }
            many => cell(&self.kind, many[0], now),
        }
    }
}
