//! The real kubectl as the second oracle: it holds upstream's own code for all of this, and
//! needs no cluster to run it. Not graded, since a student's machine need not have it; a test
//! that cannot ask says so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::heart::labels::Selector;
use crate::heart::patch::{GroupKind, PatchError, apply, json_merge, json_patch, strategic, strategic_diff};
use crate::heart::patch::{json_merge_diff, schema};
use crate::heart::quantity::Quantity;
use crate::{any_deployment, any_json, deployment};

/// What it wrote on its two outputs, or nothing if there is no kubectl here.
fn kubectl(args: &[&str], input: &str) -> Option<Result<String, String>> {
    let mut command = Command::new("kubectl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.env("KUBECONFIG", "/dev/null").spawn() else {
        println!("there is no kubectl here, so its answer is not compared: {args:?}");
        return None;
    };
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("kubectl reads");
    let output = child.wait_with_output().expect("kubectl ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Some(Ok(text(&output.stdout))) } else { Some(Err(text(&output.stderr))) }
}

/// The same values in every run.
fn samples<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

#[test]
fn quantities_have_upstreams_canonical_form() {
    let texts =
        samples("-?[1-9][0-9]{0,6}(\\.[0-9]{1,6})?(n|u|m||k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|Ei|e3|e-4|e7|e20)", 400);
    let fixed = [
        "0",
        "00",
        "0Ki",
        "0.0",
        "0.5Ki",
        "8Ei",
        "-8Ei",
        "9223372036854775808",
        "0.1n",
        "-0.1n",
        "1e-12",
        "1.1Ei",
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).chain(fixed).collect();
    let hard: Vec<String> = texts.iter().enumerate().map(|(at, text)| format!("r{at}={text}")).collect();
    let args =
        ["create", "quota", "q", &format!("--hard={}", hard.join(",")), "--dry-run=client", "-o", "json"];
    let Some(answer) = kubectl(&args, "") else { return };
    let quota: Value = serde_json::from_str(&answer.expect("all are quantities")).expect("JSON");
    let mut compared = 0;
    for (at, text) in texts.iter().enumerate() {
        let ours = Quantity::parse(text).expect("a quantity").to_string();
        let theirs = &quota["spec"]["hard"][format!("r{at}")];
        // Upstream does not touch a text that it believes to be canonical, such as `1.000001G`.
        if theirs != text {
            assert_eq!(*theirs, json!(ours), "{text}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} of {} say something", texts.len());
}

#[test]
fn what_is_no_quantity_is_refused_in_upstreams_words() {
    for text in
        ["1.2.3", "abc", "1i", "1KI", "1K", "--1", "1e", "1e1e1", "1Ee3", "1 ", "1e99999999999999999999"]
    {
        let args = ["create", "quota", "q", &format!("--hard=r={text}"), "--dry-run=client", "-o", "json"];
        let Some(answer) = kubectl(&args, "") else { return };
        let error = Quantity::parse(text).expect_err("no quantity");
        assert_eq!(answer, Err(format!("error: {error}\n")), "{text:?}");
    }
}

#[test]
fn label_selectors_are_refused_in_upstreams_words() {
    let texts = [
        ",",
        "a,",
        ",a",
        "a b",
        "a in",
        "a in b",
        "a in (b",
        "a in (b c)",
        "=",
        "!",
        "!a=b",
        "a=b=c",
        "a=(b)",
        "a>x",
        "a>",
        "-a",
        "a=-b",
        "UPPER.case/x",
        "/x",
        "x/",
        "a/b/c",
        "a=b!",
        "a=b,,c",
        "(a)",
        "a===b",
        "a=<",
        "a in (<)",
        "a in (b,<)",
        "a in (-b,_c)",
        "a=)",
        "!-a",
        "a in (",
    ];
    for text in texts {
        let args =
            ["create", "pdb", "p", "--min-available=1", "--selector", text, "--dry-run=client", "-o", "json"];
        let Some(answer) = kubectl(&args, "") else { return };
        let error = Selector::parse(text).expect_err("no selector");
        assert_eq!(answer, Err(format!("error: couldn't parse the selector string \"{text}\": {error}\n")));
    }
}

/// What kubectl makes of a document and a patch; an error is its text.
fn patched(document: &Value, patch: &Value, dialect: &str) -> Option<Result<Value, String>> {
    let patch = patch.to_string();
    let args = ["patch", "--local", "-f", "-", "--type", dialect, "-p", &patch, "-o", "json"];
    let answer = kubectl(&args, &document.to_string())?;
    Some(answer.map(|text| serde_json::from_str(&text).expect("JSON")))
}

/// A type and a name, without which kubectl takes no document.
fn whole(mut object: Value, kind: &str, version: &str) -> Value {
    object["kind"] = json!(kind);
    object["apiVersion"] = json!(version);
    object["metadata"]["name"] = json!("web");
    object
}

#[test]
fn strategic_patches_do_what_upstreams_do() {
    for (live, from, to) in samples((any_deployment(), any_deployment(), any_deployment()), 40) {
        // A diff of any two, on a third: all directives, and little that fits.
        let live = whole(live, "Deployment", "apps/v1");
        let patch = strategic_diff(&from, &to, &deployment()).expect("objects");
        let Some(theirs) = patched(&live, &patch, "strategic") else { return };
        let ours = strategic(&live, &patch, &deployment());
        match (ours, theirs) {
            // A deletion shifts the list in which upstream then looks up where the others stood
            // (two Go slices share an array), so what the patch does not name may stand elsewhere.
            (Ok(ours), Ok(theirs)) if patch.to_string().contains("$patch") => {
                assert_eq!(unordered(&ours), unordered(&cleaned(&theirs)), "{patch} on {live}");
            }
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, cleaned(&theirs), "{patch} on {live}"),
            (ours, theirs) => panic!("{ours:?} against {theirs:?}: {patch} on {live}"),
        }
    }
}

/// Upstream leaves nulls and directives in what is new, and loses them when it decodes the
/// result into a struct. Ours are gone at once.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
            Value::Object(kept.map(|(name, value)| (name.clone(), cleaned(value))).collect())
        }
        Value::Array(items) => {
            let kept = items.iter().filter(|item| item.get("$patch").is_none());
            kept.map(cleaned).collect()
        }
        other => other.clone(),
    }
}

/// Lists by key as if they had no order.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), unordered(value))).collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(unordered).collect();
            items.sort_by_key(|item| item.get("name").map(Value::to_string));
            Value::Array(items)
        }
        other => other.clone(),
    }
}

#[test]
fn strategic_patches_are_refused_in_upstreams_words() {
    let pod = json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    let pod = whole(pod, "Pod", "v1");
    let patches = [
        json!({"spec": {"containers": [{"image": "x", "args": ["1", "2"]}]}}),
        json!({"spec": {"containers": [{"$patch": "delete"}]}}),
        json!({"spec": {"containers": [{"$patch": "merge", "name": "a"}]}}),
        json!({"spec": {"containers": [{"$patch": "x", "name": "a"}]}}),
        json!({"spec": {"containers": ["a"]}}),
        json!({"spec": {"$patch": "merge", "nodeName": "x", "nodeSelector": {"b": "c", "a": null}}}),
        json!({"spec": {"$retainKeys": ["x"], "nodeName": "x"}}),
        json!({"spec": {"$retainKeys": "x"}}),
        json!({"spec": {"$setElementOrder": []}}),
        json!({"spec": {"$setElementOrder/containers": "x"}}),
        json!({"spec": {"$setElementOrder/containers": {"x": 1}}}),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}}),
        json!({"metadata": {"$deleteFromPrimitiveList": ["a"]}}),
        json!({"metadata": {"$setElementOrder/finalizers": ["a"], "finalizers": ["c"]}}),
        json!({"metadata": {"finalizers": [{"a": 1}]}}),
    ];
    for patch in patches {
        let Some(theirs) = patched(&pod, &patch, "strategic") else { return };
        let Err(PatchError::Malformed(ours)) = strategic(&pod, &patch, &GroupKind::new("", "Pod")) else {
            panic!("{patch} is refused upstream: {theirs:?}");
        };
        assert_eq!(
            theirs.map_err(|why| why.trim().to_owned()),
            Err(format!("error: {ours}").trim().to_owned())
        );
    }
}

#[test]
fn merge_and_json_patches_do_what_upstreams_do() {
    let objects = (any_json(), any_json(), any_json());
    for (live, from, to) in samples(objects, 20) {
        let live = whole(json!({"data": live}), "ConfigMap", "v1");
        // Upstream's library takes nulls out of lists too, against the RFC; these have none.
        let patch = json!({"data": json_merge_diff(&from, &to)});
        let Some(theirs) = patched(&live, &patch, "merge") else { return };
        assert_eq!(json_merge(&live, &patch).map_err(|error| error.to_string()), theirs, "{patch} on {live}");
    }
    let live = whole(json!({"list": [1, 2, 3], "a/b": {"m~n": 1}}), "ConfigMap", "v1");
    // Where upstream's library leaves the RFC (it replaces and copies what is not there) it is not asked.
    let operations = [
        json!({"op": "add", "path": "/list/1", "value": 9}),
        json!({"op": "add", "path": "/list/-", "value": 9}),
        json!({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}),
        json!({"op": "remove", "path": "/list/0"}),
        json!({"op": "remove", "path": "/a~1b/m~0n"}),
        json!({"op": "remove", "path": "/none"}),
        json!({"op": "replace", "path": "/list", "value": null}),
        json!({"op": "move", "from": "/list/0", "path": "/list/2"}),
        json!({"op": "move", "from": "/a~1b", "path": "/moved"}),
        json!({"op": "copy", "from": "/list/2", "path": "/list/0"}),
        json!({"op": "test", "path": "/list", "value": [1, 2, 3.0]}),
        json!({"op": "test", "path": "/list", "value": [1, 2]}),
        json!({"op": "test", "path": "/none", "value": null}),
        json!({"op": "test", "path": "/none", "value": 1}),
        json!({"op": "add", "path": "/none/below", "value": 1}),
        json!({"op": "add", "path": "/list/4", "value": 1}),
        json!({"op": "add", "path": "/list/-1", "value": 1}),
        json!({"op": "add", "path": "/list/-4", "value": 1}),
        json!({"op": "add", "path": "/list/-5", "value": 1}),
        json!({"op": "remove", "path": "/list/-3"}),
        json!({"op": "remove", "path": "/list/-4"}),
        json!({"op": "replace", "path": "/list/-1", "value": 1}),
        json!({"op": "replace", "path": "/list/2", "value": 1}),
        json!({"op": "replace", "path": "/metadata/labels", "value": {"a": "b"}}),
        json!({"op": "replace", "path": "/none/below", "value": 1}),
        json!({"op": "test", "path": "/list/-1", "value": 3}),
    ];
    for operation in operations {
        let patch = json!([operation]);
        let Some(theirs) = patched(&live, &patch, "json") else { return };
        let ours = json_patch(&live, &patch);
        assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{patch}");
    }
}

#[test]
fn the_table_of_merge_keys_is_upstreams() {
    let mut fields = Vec::new();
    for (group, kind, version) in [
        ("", "Pod", "v1"),
        ("", "PodTemplate", "v1"),
        ("", "Service", "v1"),
        ("", "Node", "v1"),
        ("", "Namespace", "v1"),
        ("", "ServiceAccount", "v1"),
        ("", "ReplicationController", "v1"),
        ("", "PersistentVolumeClaim", "v1"),
        ("", "ConfigMap", "v1"),
        ("apps", "Deployment", "apps/v1"),
        ("apps", "DaemonSet", "apps/v1"),
        ("batch", "Job", "batch/v1"),
        ("batch", "CronJob", "batch/v1"),
        ("policy", "PodDisruptionBudget", "policy/v1"),
        ("storage.k8s.io", "CSINode", "storage.k8s.io/v1"),
        ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1"),
    ] {
        let mut lists = Vec::new();
        keys_of(schema::of_kind(&GroupKind::new(group, kind)), &mut Vec::new(), &mut lists);
        fields.extend(lists.into_iter().map(|list| (kind, version, list)));
    }
    assert!(fields.len() > 100, "{} lists", fields.len());
    // The pod template's lists come with each workload; once is enough.
    let mut seen = BTreeMap::new();
    for (kind, version, (path, key)) in fields {
        let inside = path.iter().position(|name| name == "template" || name == "jobTemplate");
        let same =
            inside.map_or((kind.to_owned(), path.clone()), |at| (String::new(), path[at + 1..].to_vec()));
        if seen.insert((same, key), ()).is_some() {
            continue;
        }
        // An element without a key makes upstream name the key that it misses.
        let nest = |leaf: Value| {
            path.iter().rev().fold(leaf, |inner, name| match name.split_once(':') {
                Some((name, key)) => json!({name: [with_key(inner, key)]}),
                None => json!({name: inner}),
            })
        };
        let document = whole(nest(json!([{"x": 1}])), kind, version);
        let Some(answer) = patched(&document, &nest(json!([{"x": 2}])), "strategic") else { return };
        let expected = format!("error: map: map[x:2] does not contain declared merge key: {key}");
        assert_eq!(answer.map_err(|why| why.trim().to_owned()), Err(expected), "{kind} {path:?}");
    }
}

fn with_key(mut element: Value, key: &str) -> Value {
    element[key] = json!("k");
    element
}

/// Every list by key below a type: its path, where `name:key` is an element of a list.
fn keys_of(of: schema::Type, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'static str)>) {
    for (name, rule) in of {
        let (of, step) = match rule {
            schema::Field::Object(of) | schema::Field::Retained(of) => (*of, (*name).to_owned()),
            schema::Field::Keyed { key, element, .. } => {
                path.push((*name).to_owned());
                found.push((path.clone(), key));
                path.pop();
                (*element, format!("{name}:{key}"))
            }
            schema::Field::Replaced | schema::Field::Set => continue,
        };
        path.push(step);
        keys_of(of, path, found);
        path.pop();
    }
}

#[test]
fn apply_sends_what_kubectl_sends() {
    let built_in: Vec<_> = samples((any_deployment(), any_deployment(), any_deployment()), 40)
        .into_iter()
        .map(|documents| (documents, "Deployment", "apps/v1", Some(deployment())))
        .collect();
    let custom: Vec<_> = samples((any_json(), any_json(), any_json()), 20)
        .into_iter()
        .map(|(a, b, c)| {
            (
                (json!({"spec": {"x": a}}), json!({"spec": {"x": b}}), json!({"spec": {"x": c}})),
                "Boat",
                "example.com/v1",
                None,
            )
        })
        .collect();
    let mut files = Vec::new();
    let mut live = BTreeMap::new();
    let mut ours = BTreeMap::new();
    for (at, ((before, now, current), kind, version, of)) in built_in.into_iter().chain(custom).enumerate() {
        let name = format!("x{at}");
        let named = |object: Value| {
            let mut object = whole(object, kind, version);
            object["metadata"]["name"] = json!(name);
            object["metadata"]["namespace"] = json!("default");
            object
        };
        let (file, mut current) = (named(now), named(current));
        let remembered = crate::heart::patch::with_last_applied(&named(before)).expect("an object");
        current["metadata"]["annotations"] = remembered["metadata"]["annotations"].clone();
        current["metadata"]["resourceVersion"] = json!("1");
        ours.insert(name.clone(), apply(&file, &current, of.as_ref()).expect("objects"));
        files.push(file);
        live.insert(name, current);
    }
    let Some(theirs) = patches_of_apply(&json!({"kind": "List", "apiVersion": "v1", "items": files}), live)
    else {
        return;
    };
    for (name, ours) in ours {
        let theirs = theirs.get(&name).cloned().unwrap_or(json!({}));
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Runs `kubectl apply` against an API server that knows just enough, and gives what it sent.
fn patches_of_apply(files: &Value, live: BTreeMap<String, Value>) -> Option<BTreeMap<String, Value>> {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", server.local_addr().expect("bound"));
    let (live, sent) = (Arc::new(live), Arc::new(Mutex::new(BTreeMap::new())));
    let results = Arc::clone(&sent);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for client in server.incoming().flatten() {
            let (live, sent) = (Arc::clone(&live), Arc::clone(&sent));
            std::thread::spawn(move || serve(client, &live, &sent));
        }
    });
    let cache = std::env::temp_dir().join(format!("objects-tests-{}", std::process::id()));
    let cache_dir = format!("--cache-dir={}", cache.display());
    let args =
        ["apply", "--server", &address, "--validate=false", "--openapi-patch=false", &cache_dir, "-f", "-"];
    let answer = kubectl(&args, &files.to_string())?;
    let _ = std::fs::remove_dir_all(cache);
    answer.unwrap_or_else(|why| panic!("kubectl apply: {why}"));
    let results = results.lock().expect("no panic holds it").clone();
    Some(results)
}

fn serve(
    client: TcpStream,
    live: &BTreeMap<String, Value>,
    sent: &Mutex<BTreeMap<String, Value>>,
) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    loop {
        let mut request = String::new();
        reader.read_line(&mut request).ok().filter(|length| *length > 0)?;
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            let header = header.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = request.split(' ');
        let (verb, path) = (words.next()?, words.next()?.split('?').next()?);
        let name = path.rsplit('/').next()?;
        if verb == "PATCH" {
            sent.lock().ok()?.insert(name.to_owned(), serde_json::from_slice(&body).ok()?);
        }
        let answer = discovery(path).or_else(|| live.get(name).cloned());
        let (status, answer) = match answer {
            Some(answer) => ("200 OK", answer),
            None => (
                "404 Not Found",
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}),
            ),
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        (&client).write_all((head + &answer).as_bytes()).ok()?;
    }
}

fn discovery(path: &str) -> Option<Value> {
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    let resources = |version: &str, plural: &str, kind: &str| {
        let verbs = json!(["create", "get", "patch"]);
        let resource =
            json!({"name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs});
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [resource]})
    };
    Some(match path {
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => {
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("apps"), group("example.com")]})
        }
        "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": []}),
        "/apis/apps/v1" => resources("apps/v1", "deployments", "Deployment"),
        "/apis/example.com/v1" => resources("example.com/v1", "boats", "Boat"),
        "/version" => json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0"}),
        _ => return None,
    })
}
