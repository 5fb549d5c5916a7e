use crate::heart::request::{RequestInfo, ResourcePath, Route, Verb};
use graded::graded;
use proptest::prelude::*;

fn describe(method: &str, url: &str) -> String {
    match RequestInfo::parse(method, url) {
        Err(error) => format!("{method} {url}\n    {} {}\n", error.reason.code(), error.message),
        Ok(info) => match info.route {
            Route::Plain(path) => format!("{method} {url}\n    plain {path}\n"),
            Route::Resource(p) => format!(
                "{method} {url}\n    {} group={:?} version={} namespace={:?} resource={} name={:?} subresource={:?} tail={:?}\n",
                info.verb.as_str(),
                p.group,
                p.version,
                p.namespace,
                p.resource,
                p.name,
                p.subresource,
                p.tail,
            ),
        },
    }
}

/// Every kind of request that a cluster sees.
#[graded]
fn a_url_says_what_is_asked_for() {
    let asked = [
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/dev/pods?limit=500"),
        ("GET", "/api/v1/namespaces/dev/pods/web-1"),
        ("GET", "/api/v1/namespaces/dev/pods/web-1/log?follow=true"),
        ("POST", "/api/v1/namespaces/dev/pods/web-1/binding"),
        ("PUT", "/apis/apps/v1/namespaces/dev/deployments/web/status"),
        ("PATCH", "/apis/apps/v1/namespaces/dev/deployments/web/scale"),
        ("DELETE", "/apis/apps/v1/namespaces/dev/deployments/web"),
        ("DELETE", "/apis/apps/v1/namespaces/dev/deployments"),
        ("GET", "/apis/apps/v1/deployments?watch=true"),
        ("GET", "/apis/apps/v1/deployments?watch=false"),
        ("HEAD", "/api/v1/nodes/node-1"),
        ("GET", "/api/v1/nodes/node-1/proxy/a/b%2Fc"),
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
        ("GET", "/api"),
        ("GET", "/apis/apps/v1/"),
        ("GET", "/healthz/ping"),
        ("OPTIONS", "/api/v1/pods"),
        ("GET", "/api/v1/pods/%zz"),
    ];
    let all: Vec<String> = asked.iter().map(|(method, url)| describe(method, url)).collect();
    insta::assert_snapshot!(all.concat());
}

/// `namespaces/dev/finalize` is about the namespace, and not about a resource called finalize in it.
#[graded]
fn a_namespace_has_subresources_of_its_own() {
    for (url, name, subresource) in [
        ("/api/v1/namespaces/dev/status", "dev", "status"),
        ("/api/v1/namespaces/dev/finalize", "dev", "finalize"),
    ] {
        let info = RequestInfo::parse("PUT", url).expect("a request");
        let Route::Resource(path) = info.route else { panic!("{url} is about a resource") };
        assert_eq!(path.namespace, None, "{url}: the namespace is the object here, not the scope");
        assert_eq!((path.resource.as_str(), path.name.as_deref()), ("namespaces", Some(name)));
        assert_eq!(path.subresource.as_deref(), Some(subresource));
    }
    // Without anything behind it the namespace itself is meant.
    let own = RequestInfo::parse("GET", "/api/v1/namespaces/dev").expect("a request");
    let Route::Resource(path) = own.route else { panic!("a resource") };
    assert_eq!((path.resource.as_str(), path.name.as_deref()), ("namespaces", Some("dev")));
    assert_eq!((path.namespace, path.subresource), (None, None));
}

/// Old clients still send it.
#[graded]
fn the_old_watch_path_means_the_watch_parameter() {
    let old = RequestInfo::parse("GET", "/api/v1/watch/namespaces/dev/pods").expect("a request");
    let new = RequestInfo::parse("GET", "/api/v1/namespaces/dev/pods?watch=1").expect("a request");
    assert_eq!((old.verb, old.route), (new.verb, new.route));
    assert_eq!(new.verb, Verb::Watch);
    let old = RequestInfo::parse("GET", "/apis/apps/v1/watch/deployments").expect("a request");
    let new = RequestInfo::parse("GET", "/apis/apps/v1/deployments?watch=true").expect("a request");
    assert_eq!((old.verb, old.route), (new.verb, new.route));
    let nothing = RequestInfo::parse("GET", "/api/v1/watch").expect("a request");
    let Route::Resource(path) = nothing.route else { panic!("it may be a resource of that name") };
    assert_eq!(path.resource, "watch", "nothing follows that could be watched");
}

/// What the access rules call a request, and what HTTP calls it, lead to each other.
#[graded]
fn every_verb_is_asked_for_by_its_method() {
    use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
    let (pod, pods, watch) =
        ("/api/v1/namespaces/d/pods/p", "/api/v1/namespaces/d/pods", "/api/v1/namespaces/d/pods?watch=1");
    for (verb, word, url) in [
        (Get, "get", pod),
        (List, "list", pods),
        (Watch, "watch", watch),
        (Create, "create", pods),
        (Update, "update", pod),
        (Patch, "patch", pod),
        (Delete, "delete", pod),
        (DeleteCollection, "deletecollection", pods),
    ] {
        assert_eq!(verb.as_str(), word);
        let asked = RequestInfo::parse(verb.method(), url).expect("a request").verb;
        assert_eq!(asked, verb, "{} {url}", verb.method());
    }
}

/// `kubectl get --raw` is typed by people.
#[graded]
fn a_trailing_slash_is_forgiven() {
    let with = RequestInfo::parse("GET", "/api/v1/namespaces/dev/pods/").expect("a request");
    let without = RequestInfo::parse("GET", "/api/v1/namespaces/dev/pods").expect("a request");
    assert_eq!(with, without);
}

fn segment() -> impl Strategy<Value = String> {
    "[a-z0-9._ %/é-]{1,10}"
}

prop_compose! {
    fn any_path()(
        group in prop_oneof![Just(String::new()), "[a-z.]{1,12}"],
        version in "v[12](beta1)?",
        namespace in prop::option::of(segment()),
        resource in "[a-z]{1,12}",
        rest in prop::collection::vec(segment(), 0..3),
        tail in prop::option::of("[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}"),
    ) -> ResourcePath {
        let at = |i: usize| rest.get(i).cloned();
        let tail = tail.filter(|_| rest.len() >= 2);
        ResourcePath { group, version, namespace, resource, name: at(0), subresource: at(1), tail }
    }
}

proptest! {
    /// Two directions, each the oracle of the other.
    #[graded]
    fn what_is_printed_is_read_back(path in any_path(), verb in prop_oneof![Just("GET"), Just("PATCH"), Just("DELETE")]) {
        // A namespace is only told from a resource called "namespaces" by what follows.
        prop_assume!(path.resource != "namespaces" && path.resource != "watch");
        let info = RequestInfo::parse(verb, &path.to_string()).expect("a request");
        prop_assert_eq!(info.route, Route::Resource(path));
    }

    /// A rule that allows `delete` on one object must not allow `deletecollection`.
    #[graded]
    fn a_name_decides_between_the_object_and_the_collection(path in any_path()) {
        prop_assume!(path.resource != "namespaces" && path.resource != "watch");
        let verb = |method: &str| RequestInfo::parse(method, &path.to_string()).expect("a request").verb;
        let named = path.name.is_some();
        prop_assert_eq!(verb("GET"), if named { Verb::Get } else { Verb::List });
        prop_assert_eq!(verb("DELETE"), if named { Verb::Delete } else { Verb::DeleteCollection });
        prop_assert_eq!(verb("POST"), Verb::Create);
    }

    /// A URL comes from anybody who can reach the port.
    #[graded]
    fn no_url_makes_it_panic(method in "[A-Z]{0,6}", url in "\\PC{0,60}", path in "(/(api|apis|watch|namespaces|%|v1|\\?|&|watch=1)){0,8}") {
        let _ = RequestInfo::parse(&method, &url);
        let _ = RequestInfo::parse("GET", &path);
    }
}
