//! One `kubectl apply`, followed through every function that touches it. The book tells it with
//! what this test prints.

use crate::heart::access::{User, authorize};
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::managed::{self, Writer};
use crate::heart::meant;
use crate::heart::patches::{self, PatchType};
use crate::heart::query::Query;
use crate::heart::reading;
use crate::heart::render::{self, View};
use crate::heart::request::{RequestInfo, Route};
use crate::heart::selection::Selection;
use crate::heart::stored::Stored;
use crate::heart::tables::Include;
use crate::heart::watch_cache::{Change, Interest, WatchCache};
use crate::heart::write::{self, Context, Part};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

const MANIFEST: &str = "\
# ANCHOR: manifest
kind: Deployment
apiVersion: apps/v1
metadata:
  name: web
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: coracle/web:1, ports: [{containerPort: 8080}]}
# ANCHOR_END: manifest
";

/// The pages of a story, each between two anchors for the book.
#[derive(Default)]
struct Story {
    text: String,
}

impl Story {
    fn page(&mut self, anchor: &str, text: &str) {
        let _ = writeln!(self.text, "ANCHOR: {anchor}\n{}\nANCHOR_END: {anchor}", text.trim_end());
    }

    /// What a step changed.
    fn change(&mut self, anchor: &str, before: &Value, after: &Value) {
        self.page(anchor, &difference(&lines(before), &lines(after)));
    }
}

/// An object as YAML, no line longer than a page is wide.
fn lines(object: &Value) -> Vec<String> {
    let yaml = objects::yaml::dump(object).expect("it has a form in YAML");
    let cut = |line: &str| match line.char_indices().nth(88) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_string(),
    };
    yaml.lines().map(cut).collect()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// Lines that came (`+`) and went (`-`), each below those that it belongs to.
fn difference(before: &[String], after: &[String]) -> String {
    // The longest common subsequence, by its table.
    let mut longest = vec![vec![0usize; after.len() + 1]; before.len() + 1];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            longest[i][j] = match before[i] == after[j] {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marked: Vec<(char, &String)> = Vec::new();
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            marked.push((' ', &after[j]));
            (i, j) = (i + 1, j + 1);
        } else if i < before.len() && (j == after.len() || longest[i + 1][j] >= longest[i][j + 1]) {
            marked.push(('-', &before[i]));
            i += 1;
        } else {
            marked.push(('+', &after[j]));
            j += 1;
        }
    }
    let mut shown = vec![false; marked.len()];
    for at in (0..marked.len()).filter(|at| marked[*at].0 != ' ') {
        shown[at] = true;
        let mut outer = indent(marked[at].1);
        for above in (0..at).rev() {
            if indent(marked[above].1) < outer {
                outer = indent(marked[above].1);
                shown[above] = true;
            }
        }
    }
    let kept = marked.iter().zip(shown).filter(|(_, shown)| *shown);
    kept.map(|((mark, line), _)| format!("{mark} {line}\n")).collect()
}

fn at(second: i64) -> Timestamp {
    crate::common::now() + jiff::SignedDuration::from_secs(second)
}

#[test]
fn one_apply_is_followed_through_the_server() {
    let mut story = Story::default();
    let mut sent: Value = objects::yaml::load(MANIFEST).expect("a manifest").remove(0);
    let annotation = format!("{sent}\n");
    sent["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": annotation });

    // What is asked, and by whom.
    let url = "/apis/apps/v1/namespaces/dev/deployments?fieldManager=kubectl-client-side-apply&fieldValidation=Strict";
    let info = RequestInfo::parse("POST", url).expect("is a request");
    let Route::Resource(path) = info.route.clone() else { panic!("it is about objects") };
    let asked = [
        ("verb", info.verb.as_str()),
        ("group", &path.group),
        ("version", &path.version),
        ("namespace", path.namespace.as_deref().unwrap_or("none")),
        ("resource", &path.resource),
        ("name", path.name.as_deref().unwrap_or("none: the body has it")),
    ];
    let asked: String = asked.iter().map(|(what, value)| format!("{what:<10} {value}\n")).collect();
    story.page("request", &format!("POST {}\n\n{asked}", url.replace('?', "\n     ?")));
    let user = User::authenticated("kubernetes-admin", vec!["system:masters".into()]);
    authorize(&user, &info).expect("they may");
    story.page("user", &serde_json::to_string_pretty(&user.to_value()).expect("JSON"));

    // The object grows.
    let kind = Kind::named("apps", "v1", "Deployment").expect("a kind of the table");
    let context = |second: i64, name: Option<&'static str>| Context {
        kind: kind.clone(),
        namespace: Some("dev"),
        name,
        now: at(second),
        uid: "5a8a72b1-5a0f-4a52-9d0c-3c2a2b6f1e70",
        suffix: "",
    };
    story.page("sent", &lines(&sent).join("\n"));
    let mut typo = sent.clone();
    typo["spec"]["replica"] = json!(2);
    let unknown = reading::decode_body(&context(0, None), typo).expect("can be read").unknown;
    story.page("typo", &format!("unknown field {:?}", unknown.join(", ")));
    let mut object = reading::decode_body(&context(0, None), sent).expect("can be read").object;
    let decoded = object.clone();
    meant::place(&kind, Some("dev"), &mut object).expect("has a place");
    story.change("place", &decoded, &object);
    let writer = |second: i64| Writer {
        manager: "kubectl-client-side-apply",
        subresource: "",
        kind: &kind,
        now: at(second),
    };
    let placed = object.clone();
    managed::note_update(&writer(0), None, &mut object);
    story.change("owned", &placed, &object);
    let owned = object.clone();
    let object = write::prepare_create(&context(0, None), object).expect("is a Deployment");
    story.change("prepared", &owned, &object);
    let mut wrong = owned.clone();
    wrong["spec"]["template"]["metadata"]["labels"] = json!({ "app": "wbe" });
    let refused = write::prepare_create(&context(0, None), wrong).expect_err("the selector finds nothing");
    story.page("refused", &serde_json::to_string_pretty(&refused.to_status()).expect("JSON"));

    // It is put down, and read by others.
    let key = keys::object_key(kind.resource, Some("dev"), "web").expect("a key");
    story.page("key", &format!("if mod_revision({key}) = 0 then put({key}, …)"));
    let stored = Arc::new(Stored::new(&kind, &key, 412, object.clone()));
    let shown = stored.value();
    story.change("stored", &object, &shown);
    let mut cache = WatchCache::new(16);
    cache.replace(400, Vec::new());
    cache.apply(vec![Change { key: key.clone(), revision: 412, object: Some(stored.clone()) }]);
    let selection = Selection::parse(kind.resource, &Query::parse("")).expect("everything");
    let prefix = keys::list_prefix(kind.resource, Some("dev")).expect("a prefix");
    let interest = Interest { prefix, selection };
    let table = View::Table(Include::Nothing);
    let event = cache.since(400).expect("is remembered").next().expect("an event").clone();
    let what = interest.sees(&event).expect("is of interest");
    let line = render::watch_line(&kind, table, what, &event, true, at(1));
    let line: Value = serde_json::from_slice(&line).expect("a line is JSON");
    let titles = line["object"]["columnDefinitions"].as_array().expect("columns");
    let titles: Vec<&Value> = titles.iter().map(|column| &column["name"]).collect();
    let cells = &line["object"]["rows"][0]["cells"];
    story.page("event", &format!("{}\n{}\n{cells}", line["type"], json!(titles)));

    // The second apply changes one number: kubectl sends the difference, the server applies it.
    let patch = json!({ "spec": { "replicas": 3 } });
    story.page(
        "patch",
        &format!(
            "PATCH /apis/apps/v1/namespaces/dev/deployments/web?fieldManager=kubectl-client-side-apply\n\
             Content-Type: application/strategic-merge-patch+json\n\n{patch}"
        ),
    );
    let mut patched = patches::apply(kind.resource, PatchType::Strategic, &shown, &patch).expect("fits");
    managed::note_update(&writer(60), Some(&shown), &mut patched);
    let context = context(60, Some("web"));
    let new = write::prepare_update(&context, Part::Main, &shown, 412, patched).expect("nobody was faster");
    story.page("compare", &format!("if mod_revision({key}) = 412 then put({key}, …)"));
    let newer = Stored::new(&kind, &key, 437, new);
    story.change("second", &shown, &newer.value());
    let late = newer.value();
    let late = write::prepare_update(&context, Part::Main, &late, 437, shown).expect_err("somebody was");
    story.page("conflict", &late.message);
    insta::assert_snapshot!(story.text);
}
