//! What the server says of itself, as the bytes that go out. A document is made when somebody first
//! asks for it and kept with the catalog that it describes; another catalog means other documents.
//! Its tag is a hash of its bytes: it is the `ETag`, and stands in the addresses of OpenAPI's index,
//! so that clients keep what has not changed.

use crate::catalog::Catalog;
use crate::stored::encode;
use crate::{discovery, openapi};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::{Arc, LazyLock, OnceLock};

#[derive(Debug, Clone)]
pub struct Document {
    pub body: Bytes,
    /// Changes when the body does.
    pub tag: String,
}

impl Document {
    fn new(body: Bytes) -> Document {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&body);
        Document { body, tag: format!("{:016X}", hasher.finish()) }
    }

    fn json(value: &Value) -> Document {
        Document::new(encode(value))
    }
}

/// The documents about one catalog.
#[derive(Debug)]
pub struct Documents {
    catalog: Arc<Catalog>,
    /// Of the core group and of all others, in each form.
    discovery: [[OnceLock<Document>; discovery::AGGREGATED.len()]; 2],
    v2_json: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
    v3_index: OnceLock<Document>,
    v3: BTreeMap<String, OnceLock<Document>>,
}

/// OpenAPI of the group versions to which no definition adds anything: every catalog has the same.
static BUILTIN: LazyLock<BTreeMap<String, OnceLock<Document>>> =
    LazyLock::new(|| places(&Catalog::default()));

fn places(catalog: &Catalog) -> BTreeMap<String, OnceLock<Document>> {
    openapi::group_versions(catalog).into_iter().map(|path| (path, OnceLock::new())).collect()
}

impl Documents {
    pub fn new(catalog: Arc<Catalog>) -> Documents {
        let v3 = places(&catalog);
        let (discovery, v2_json, v2_protobuf, v3_index) = Default::default();
        Documents { catalog, discovery, v2_json, v2_protobuf, v3_index, v3 }
    }

    /// Whether these are the documents about this very catalog.
    pub fn describe(&self, catalog: &Arc<Catalog>) -> bool {
        Arc::ptr_eq(&self.catalog, catalog)
    }

    /// Aggregated discovery under `/api` (the core group) or `/apis`, in a version of its form.
    pub fn discovery(&self, core: bool, form: &str) -> &Document {
        let form = discovery::AGGREGATED.iter().position(|(version, _)| *version == form).unwrap_or(0);
        self.discovery[usize::from(core)][form].get_or_init(|| {
            Document::json(&discovery::aggregated(&self.catalog, core, discovery::AGGREGATED[form].0))
        })
    }

    /// `/openapi/v3`: where the documents are. The tag stands in each address, so all are made.
    pub fn v3_index(&self) -> &Document {
        self.v3_index.get_or_init(|| {
            let here = self.v3.keys().map(|path| {
                let tag = self.v3(path).map_or("", |document| &document.tag);
                (path.clone(), format!("/openapi/v3/{path}?hash={tag}"))
            });
            let there = self.catalog.aggregated.iter().filter(|found| found.fresh).map(|found| {
                let path = openapi::path_of(&found.group, &found.version);
                (path.clone(), format!("/openapi/v3/{path}"))
            });
            let place = |(path, url)| (path, json!({ "serverRelativeURL": url }));
            let paths: Map<String, Value> = here.chain(there).map(place).collect();
            Document::json(&json!({ "paths": paths }))
        })
    }

    /// `/openapi/v3/PATH`; `None` if nothing here is described there.
    pub fn v3(&self, path: &str) -> Option<&Document> {
        let path = path.trim_matches('/');
        let own = self.v3.get(path)?;
        let kinds = openapi::kinds_of(&self.catalog, path);
        let builtin = kinds.iter().all(|kind| kind.custom.is_none());
        let place = BUILTIN.get(path).filter(|_| builtin).unwrap_or(own);
        Some(place.get_or_init(|| Document::json(&openapi::v3(&kinds))))
    }

    pub fn v2_json(&self) -> &Document {
        self.v2_json.get_or_init(|| Document::json(&openapi::v2(&self.catalog)))
    }

    pub fn v2_protobuf(&self) -> &Document {
        self.v2_protobuf.get_or_init(|| Document::new(openapi::v2_protobuf(&self.catalog).into()))
    }
}
