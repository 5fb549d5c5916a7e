//! What can be asked of each kind: paths, methods, parameters and bodies, for both forms of
//! document. The deprecated `/watch/` paths are served but not described.

use super::definitions::{META, list_name_of, name_of};
use crate::kind::Kind;
use crate::schema::definition_name;

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    pub path: String,
    pub method: &'static str,
    /// `x-kubernetes-action`.
    pub action: &'static str,
    /// `x-kubernetes-group-version-kind`: a subresource's may be another kind than the object's.
    pub kind: (String, String, String),
    /// As upstream names it; generators of clients make functions of it.
    pub id: String,
    pub tag: String,
    pub description: String,
    pub query: Vec<Parameter>,
    /// The media types of a body and the definition of what it holds.
    pub body: Option<(&'static [&'static str], String)>,
    /// What comes back; plain text where there is none.
    pub answer: Option<String>,
    pub codes: &'static [&'static str],
}

/// `(name, type, description)`.
pub type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "All: do everything but store the result.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "Who makes the change; needed to apply, at most 128 characters.");
const FIELD_VALIDATION: Parameter =
    ("fieldValidation", "string", "What unknown and duplicate fields are: Ignore, Warn (default) or Strict.");
const FORCE: Parameter = ("force", "boolean", "Take fields over from their owners. Only to apply.");
const GRACE: Parameter =
    ("gracePeriodSeconds", "integer", "How long the object may take to end; zero deletes it at once.");
const ORPHAN: Parameter = ("orphanDependents", "boolean", "Deprecated, see propagationPolicy.");
const PROPAGATION: Parameter =
    ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground.");
const BOOKMARKS: Parameter = (
    "allowWatchBookmarks",
    "boolean",
    "The watch may send BOOKMARK events, which carry a version and no change.",
);
const CONTINUE: Parameter = ("continue", "string", "Where the previous page of this list ended.");
const FIELDS: Parameter = ("fieldSelector", "string", "Only objects whose fields are so.");
const LABELS: Parameter = ("labelSelector", "string", "Only objects whose labels are so.");
const LIMIT: Parameter = ("limit", "integer", "At most so many objects; the rest with continue.");
const VERSION: Parameter = ("resourceVersion", "string", "The state to read, or the one to watch from.");
const MATCH: Parameter =
    ("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan.");
const INITIAL: Parameter =
    ("sendInitialEvents", "boolean", "The watch begins with all objects, and a bookmark after them.");
const TIMEOUT: Parameter = ("timeoutSeconds", "integer", "When a list or watch ends, whatever happens.");
const WATCH: Parameter = ("watch", "boolean", "Send the changes instead of a list.");

const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: &[Parameter] = &[DRY_RUN, GRACE, ORPHAN, PROPAGATION];
const LIST: &[Parameter] =
    &[BOOKMARKS, CONTINUE, FIELDS, LABELS, LIMIT, VERSION, MATCH, INITIAL, TIMEOUT, WATCH];
const DELETE_COLLECTION: &[Parameter] =
    &[CONTINUE, DRY_RUN, FIELDS, GRACE, LABELS, LIMIT, ORPHAN, PROPAGATION, VERSION, MATCH, INITIAL, TIMEOUT];
const LOG: &[Parameter] = &[
    ("container", "string", "Whose log; may be left out where there is one container."),
    ("follow", "boolean", "Stay and send what is logged from now on."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Do not ask the kubelet who it is."),
    ("limitBytes", "integer", "Stop after so many bytes."),
    ("previous", "boolean", "The log of the container that ran before this one."),
    ("sinceSeconds", "integer", "Only what is younger than this."),
    ("stream", "string", "Stdout, Stderr or All."),
    ("tailLines", "integer", "Only so many lines at the end."),
    ("timestamps", "boolean", "A time before each line."),
];
const ATTACH: &[Parameter] = &[
    ("container", "string", "Which container; may be left out where there is one."),
    ("stderr", "boolean", "Send what it writes to its standard error."),
    ("stdin", "boolean", "Feed its standard input."),
    ("stdout", "boolean", "Send what it writes to its standard output."),
    ("tty", "boolean", "Between client and process stands a terminal."),
];
const COMMAND: Parameter = ("command", "string", "The program, and with more of these its arguments.");
const PORTS: &[Parameter] = &[("ports", "integer", "Which ports, for clients that use WebSockets.")];
const PROXY: &[Parameter] = &[("path", "string", "The path to ask for behind the proxy.")];

const ANY: &[&str] = &["*/*"];
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PATCHES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    STRATEGIC,
];
/// Strategic patches need merge keys, which a custom kind does not have.
const CUSTOM_PATCHES: &[&str] =
    &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub fn base(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// Everything that can be asked about these kinds.
pub fn of(kinds: &[Kind]) -> Vec<Operation> {
    kinds.iter().flat_map(of_kind).collect()
}

fn of_kind(kind: &Kind) -> Vec<Operation> {
    let r = kind.resource;
    let Some(one) = name_of(kind) else { return Vec::new() };
    let base = base(r.group, r.version);
    let collection = match r.namespaced {
        true => format!("{base}/namespaces/{{namespace}}/{}", r.plural),
        false => format!("{base}/{}", r.plural),
    };
    let object = format!("{collection}/{{name}}");
    let about = About::new(kind);
    let mut out = Vec::new();
    let options = Some((ANY, format!("{META}.DeleteOptions")));
    let status = Some(format!("{META}.Status"));
    for verb in r.verbs {
        let operation = match *verb {
            "list" => about.of(&collection, "get", "list", LIST).answers(list_name_of(kind)),
            "create" => {
                about.of(&collection, "post", "create", WRITE).takes(ANY, &one).answers(Some(one.clone()))
            }
            "deletecollection" => Operation {
                body: options.clone(),
                ..about
                    .of(&collection, "delete", "deletecollection", DELETE_COLLECTION)
                    .answers(status.clone())
            },
            "get" => about.of(&object, "get", "get", &[]).answers(Some(one.clone())),
            "update" => about.of(&object, "put", "update", WRITE).takes(ANY, &one).answers(Some(one.clone())),
            "patch" => about.patch(&object, kind).answers(Some(one.clone())),
            "delete" => Operation {
                body: options.clone(),
                ..about.of(&object, "delete", "delete", DELETE).answers(status.clone())
            },
            // A watch is a list with a parameter.
            _ => continue,
        };
        if *verb == "list" && r.namespaced {
            let id = about.id("list", "", "ForAllNamespaces", false);
            let path = format!("{base}/{}", r.plural);
            out.push(Operation { path, id, ..operation.clone() });
        }
        out.push(operation);
    }
    for name in r.subresources.iter().copied() {
        out.extend(of_subresource(kind, &about, &object, name));
    }
    out
}

fn of_subresource(kind: &Kind, about: &About, object: &str, name: &str) -> Vec<Operation> {
    let Some(subresource) = kind.resource.subresource(name) else { return Vec::new() };
    let path = format!("{object}/{name}");
    let own = (subresource.group, subresource.version, subresource.kind)
        == (kind.resource.group, kind.resource.version, kind.resource.kind);
    let body = match own {
        true => name_of(kind),
        false => definition_name(subresource.group, subresource.version, subresource.kind).map(str::to_owned),
    };
    let gvk = (subresource.group.to_owned(), subresource.version.to_owned(), subresource.kind.to_owned());
    let about = About { kind: gvk, suffix: capital(name), ..about.clone() };
    let connect = |query: &[Parameter], verbs: &[(&'static str, &str)]| -> Vec<Operation> {
        let one = |(method, word): &(&'static str, &str)| Operation {
            id: about.id("connect", word, "", true),
            action: "connect",
            codes: &["200"],
            ..about.of(&path, method, "connect", query)
        };
        verbs.iter().map(one).collect()
    };
    const STREAM: &[(&str, &str)] = &[("get", "Get"), ("post", "Post")];
    const EVERY: &[(&str, &str)] =
        &[("delete", "Delete"), ("get", "Get"), ("patch", "Patch"), ("post", "Post"), ("put", "Put")];
    match name {
        "log" => vec![about.of(&path, "get", "get", LOG)],
        "exec" => connect(&[ATTACH, &[COMMAND]].concat(), STREAM),
        "attach" => connect(ATTACH, STREAM),
        "portforward" => connect(PORTS, STREAM),
        "proxy" => {
            let mut out = connect(PROXY, EVERY);
            let tails = out.iter().map(|operation| Operation {
                path: format!("{path}/{{path}}"),
                id: format!("{}WithPath", operation.id),
                ..operation.clone()
            });
            out.extend(tails.collect::<Vec<_>>());
            out
        }
        _ => {
            let Some(body) = body else { return Vec::new() };
            let of = |verb: &&'static str| match *verb {
                "get" => Some(about.of(&path, "get", "get", &[])),
                "create" => Some(about.of(&path, "post", "create", WRITE).takes(ANY, &body)),
                "update" => Some(about.of(&path, "put", "update", WRITE).takes(ANY, &body)),
                "patch" => Some(about.patch(&path, kind)),
                _ => None,
            };
            subresource.verbs.iter().filter_map(of).map(|o| o.answers(Some(body.clone()))).collect()
        }
    }
}

/// What the operations of one kind have in common.
#[derive(Clone)]
struct About {
    kind: (String, String, String),
    /// `AppsV1`
    group_version: String,
    tag: String,
    scope: &'static str,
    /// The object's kind, which a subresource's operations are named after too.
    object: &'static str,
    suffix: String,
}

impl About {
    fn new(kind: &Kind) -> About {
        let r = kind.resource;
        let group = if r.group.is_empty() { "core" } else { r.group.trim_end_matches(".k8s.io") };
        let words = group.split(['.', '-']);
        let camel: String = words.clone().map(capital).collect();
        let tag = words.enumerate().map(|(at, word)| if at == 0 { word.to_owned() } else { capital(word) });
        About {
            kind: (r.group.to_owned(), r.version.to_owned(), r.kind.to_owned()),
            group_version: format!("{camel}{}", capital(r.version)),
            tag: format!("{}_{}", tag.collect::<String>(), r.version),
            scope: if r.namespaced { "Namespaced" } else { "" },
            object: r.kind,
            suffix: String::new(),
        }
    }

    fn id(&self, word: &str, middle: &str, end: &str, scoped: bool) -> String {
        let scope = if scoped { self.scope } else { "" };
        format!("{word}{}{middle}{scope}{}{}{end}", self.group_version, self.object, self.suffix)
    }

    fn of(&self, path: &str, method: &'static str, verb: &str, query: &[Parameter]) -> Operation {
        let (action, word, middle, codes): (_, _, _, &'static [&'static str]) = match verb {
            "list" => ("list", "list", "", &["200"]),
            "create" => ("post", "create", "", &["200", "201", "202"]),
            "update" => ("put", "replace", "", &["200", "201"]),
            "patch" => ("patch", "patch", "", &["200", "201"]),
            "delete" => ("delete", "delete", "", &["200", "202"]),
            "deletecollection" => ("deletecollection", "delete", "Collection", &["200"]),
            _ => ("get", "read", "", &["200"]),
        };
        Operation {
            path: path.to_owned(),
            method,
            action,
            kind: self.kind.clone(),
            id: self.id(word, middle, "", true),
            tag: self.tag.clone(),
            description: match self.suffix.as_str() {
                "" => format!("{verb} {}", self.object),
                suffix => format!("{verb} {} of {}", suffix.to_lowercase(), self.object),
            },
            query: query.to_vec(),
            body: None,
            answer: None,
            codes,
        }
    }

    fn patch(&self, path: &str, kind: &Kind) -> Operation {
        let media = if kind.custom.is_some() { CUSTOM_PATCHES } else { PATCHES };
        self.of(path, "patch", "patch", PATCH).takes(media, &format!("{META}.Patch"))
    }
}

impl Operation {
    fn takes(self, media: &'static [&'static str], body: &str) -> Operation {
        Operation { body: Some((media, body.to_owned())), ..self }
    }

    fn answers(self, answer: Option<String>) -> Operation {
        Operation { answer, ..self }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
