//! Whom a write concerns, what they are asked, what their answers mean, and policies.

use crate::heart::access::User;
use crate::heart::admission::policy::{self, Binding, Policy, Subject};
use crate::heart::admission::review;
use crate::heart::admission::webhook::{self, Webhook};
use crate::heart::admission::{Attributes, Operation, builtin, limits};
use crate::heart::catalog::Catalog;
use crate::heart::cel::{Budget, Program};
use crate::heart::kind::Kind;
use crate::heart::status::ApiError;
use proptest::prelude::*;
use serde_json::{Value, json};

fn kind(group: &str, version: &str, name: &str) -> Kind {
    Kind::named(group, version, name).expect("it is in the table")
}

fn write(kind: Kind, operation: Operation, subresource: &str) -> Attributes {
    Attributes {
        user: User::authenticated("jane", vec!["devs".into()]),
        operation,
        namespace: kind.resource.namespaced.then(|| "dev".to_string()),
        kind,
        name: "web".into(),
        subresource: subresource.into(),
        dry_run: false,
        options: json!({ "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" }),
    }
}

fn pod() -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "web", "namespace": "dev", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "nginx" }] } })
}

fn namespace() -> Value {
    json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "dev", "labels": { "env": "dev" } } })
}

/// The webhook of a configuration with these fields beside the usual ones.
fn webhook(fields: Value) -> Webhook {
    let mut webhook = json!({
        "name": "w.example.com", "clientConfig": { "url": "https://x" }, "sideEffects": "None",
        "rules": [{ "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"] }],
    });
    for (key, value) in fields.as_object().into_iter().flatten() {
        webhook[key] = value.clone();
    }
    Webhook::read_all(&json!({ "webhooks": [webhook] })).remove(0)
}

/// As which kind the webhook is asked about the write.
fn asked(webhook: &Webhook, attributes: &Attributes, object: &Value) -> Result<Option<String>, ApiError> {
    let found = webhook.find(&Catalog::default(), attributes, Some(object), None, Some(&namespace()))?;
    Ok(found.map(|call| format!("{}/{}", call.kind.resource.api_version(), call.kind.resource.plural)))
}

#[test]
fn rules_say_what_a_webhook_is_about() {
    let rule = |operations: &[&str], group: &str, version: &str, resource: &str, scope: &str| {
        webhook(
            json!({ "rules": [{ "operations": operations, "apiGroups": [group], "apiVersions": [version], "resources": [resource], "scope": scope }] }),
        )
    };
    let create = |kind: Kind, sub: &str| write(kind, Operation::Create, sub);
    let (pod_kind, node) = (kind("", "v1", "Pod"), kind("", "v1", "Node"));
    let deployment = kind("apps", "v1", "Deployment");
    // Operation, rule, write, whether it is about it.
    for (hook, attributes, about) in [
        (rule(&["CREATE"], "", "v1", "pods", "*"), create(pod_kind.clone(), ""), true),
        (rule(&["UPDATE"], "", "v1", "pods", "*"), create(pod_kind.clone(), ""), false),
        (rule(&["*"], "*", "*", "*", "*"), create(pod_kind.clone(), ""), true),
        (rule(&["*"], "*", "*", "*", "*"), create(pod_kind.clone(), "status"), false),
        (rule(&["*"], "*", "*", "*/*", "*"), create(pod_kind.clone(), "status"), true),
        (rule(&["*"], "", "v1", "pods/*", "*"), create(pod_kind.clone(), "exec"), true),
        (rule(&["*"], "", "v1", "pods/*", "*"), create(pod_kind.clone(), ""), true),
        (rule(&["*"], "", "v1", "pods/exec", "*"), create(pod_kind.clone(), "attach"), false),
        (rule(&["*"], "", "v1", "*/scale", "*"), create(deployment.clone(), "scale"), false),
        (rule(&["*"], "apps", "v1", "*/scale", "*"), create(deployment.clone(), "scale"), true),
        (rule(&["*"], "*", "*", "*", "Cluster"), create(pod_kind.clone(), ""), false),
        (rule(&["*"], "*", "*", "*", "Cluster"), create(node.clone(), ""), true),
        (rule(&["*"], "*", "*", "*", "Namespaced"), create(node, ""), false),
        (rule(&["*"], "", "v2", "pods", "*"), create(pod_kind, ""), false),
        (rule(&["*"], "apps", "v1", "pods", "*"), create(deployment, ""), false),
    ] {
        let found = asked(&hook, &attributes, &pod()).expect("nothing fails");
        assert_eq!(found.is_some(), about, "{hook:?} {attributes:?}");
    }
}

#[test]
fn another_version_of_the_same_objects_counts_unless_it_must_be_exact() {
    let rules = json!([{ "operations": ["*"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"] }]);
    let attributes = write(kind("autoscaling", "v2", "HorizontalPodAutoscaler"), Operation::Create, "");
    let find = |policy: &str| {
        asked(&webhook(json!({ "rules": rules, "matchPolicy": policy })), &attributes, &json!({}))
            .expect("no failure")
    };
    assert_eq!(find("Equivalent").as_deref(), Some("autoscaling/v1/horizontalpodautoscalers"));
    assert_eq!(find("Exact"), None);
}

#[test]
fn selectors_look_at_the_object_and_at_its_namespace() {
    let labels = |key: &str, value: &str| json!({ "matchLabels": { key: value } });
    let attributes = write(kind("", "v1", "Pod"), Operation::Create, "");
    let find = |fields: Value| asked(&webhook(fields), &attributes, &pod()).expect("no failure").is_some();
    assert!(find(json!({ "objectSelector": labels("app", "web") })));
    assert!(!find(json!({ "objectSelector": labels("app", "db") })));
    assert!(find(json!({ "namespaceSelector": labels("env", "dev") })));
    assert!(!find(json!({ "namespaceSelector": labels("env", "prod") })));
    // Who loses the label is still asked about.
    let mut without = pod();
    without["metadata"]["labels"] = json!({});
    let hook = webhook(json!({ "objectSelector": labels("app", "web") }));
    let found = hook.find(&Catalog::default(), &attributes, Some(&without), Some(&pod()), None);
    assert!(found.expect("no failure").is_some());
    // A Namespace is judged by its own labels; what is in none is always selected.
    let find_in = |attributes: &Attributes, object: &Value| {
        asked(&webhook(json!({ "namespaceSelector": labels("env", "prod") })), attributes, object)
            .expect("no failure")
    };
    let mut own = namespace();
    own["metadata"]["labels"]["env"] = json!("prod");
    assert!(find_in(&write(kind("", "v1", "Namespace"), Operation::Create, ""), &own).is_some());
    assert!(find_in(&write(kind("", "v1", "Namespace"), Operation::Create, ""), &namespace()).is_none());
    assert!(find_in(&write(kind("", "v1", "Node"), Operation::Create, ""), &json!({})).is_some());
}

#[test]
fn conditions_decide_and_their_failures_are_up_to_the_policy() {
    let attributes = write(kind("", "v1", "Pod"), Operation::Create, "");
    let find = |policy: &str, expressions: &[&str]| {
        let conditions: Vec<Value> =
            expressions.iter().map(|e| json!({ "name": "c", "expression": e })).collect();
        let hook = webhook(json!({ "failurePolicy": policy, "matchConditions": conditions }));
        asked(&hook, &attributes, &pod()).map(|found| found.is_some()).map_err(|error| error.message)
    };
    assert_eq!(
        find("Fail", &["object.metadata.name == 'web'", "request.userInfo.username == 'jane'"]),
        Ok(true)
    );
    assert_eq!(
        find("Fail", &["object.spec.nothing == 1", "false"]),
        Ok(false),
        "one that does not hold decides"
    );
    assert_eq!(find("Ignore", &["object.spec.nothing == 1"]), Ok(false));
    let refused = "pods \"web\" is forbidden: no such key: nothing";
    assert_eq!(find("Fail", &["object.spec.nothing == 1"]), Err(refused.into()));
}

#[test]
fn nobody_decides_about_those_who_decide() {
    for name in [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ] {
        let attributes = write(kind("admissionregistration.k8s.io", "v1", name), Operation::Delete, "");
        assert_eq!(asked(&webhook(json!({})), &attributes, &json!({})), Ok(None), "{name}");
    }
}

#[test]
fn a_trial_run_is_no_business_of_those_who_act() {
    let attributes = Attributes { dry_run: true, ..write(kind("", "v1", "Pod"), Operation::Create, "") };
    let refused =
        asked(&webhook(json!({ "sideEffects": "Some" })), &attributes, &pod()).expect_err("it acts");
    assert_eq!(refused.message, "admission webhook \"w.example.com\" does not support dry run");
    assert_eq!(refused.code(), 400);
    assert!(asked(&webhook(json!({ "sideEffects": "NoneOnDryRun" })), &attributes, &pod()).is_ok());
}

#[test]
fn the_question_is_complete() {
    let hook = webhook(json!({}));
    let mut all = Vec::new();
    for (attributes, object, old) in [
        (write(kind("", "v1", "Pod"), Operation::Create, ""), Some(pod()), None),
        (
            write(kind("apps", "v1", "Deployment"), Operation::Update, "scale"),
            Some(json!({ "kind": "Scale" })),
            Some(json!({ "kind": "Scale" })),
        ),
        (write(kind("", "v1", "Namespace"), Operation::Delete, ""), None, Some(namespace())),
        (
            write(kind("", "v1", "Pod"), Operation::Connect, "exec"),
            Some(json!({ "kind": "PodExecOptions" })),
            None,
        ),
    ] {
        let namespace = namespace();
        let call =
            hook.find(&Catalog::default(), &attributes, object.as_ref(), old.as_ref(), Some(&namespace));
        let call = call.expect("no failure").expect("it is asked");
        let question = review::question("U", &attributes, &call, object.as_ref(), old.as_ref());
        all.push(serde_json::to_string_pretty(&question).expect("JSON"));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn answers_are_read_strictly() {
    let answer = |response: Value| json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response });
    let patch = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX1d";
    let told = |mutating: bool, answer: Value| {
        let read = review::read_answer("w.example.com", "U", mutating, &answer);
        match read {
            Ok(verdict) => match verdict.decision {
                Ok(patch) => {
                    format!("allowed, patch {}, warnings {:?}", patch.unwrap_or_default(), verdict.warnings)
                }
                Err(error) => error.to_status().to_string(),
            },
            Err(why) => format!("failed: {why}"),
        }
    };
    let all = [
        told(true, answer(json!({ "uid": "U", "allowed": true, "warnings": ["w"] }))),
        told(true, answer(json!({ "uid": "U", "allowed": true, "patchType": "JSONPatch", "patch": patch }))),
        told(true, answer(json!({ "uid": "U", "allowed": true, "patch": patch }))),
        told(true, answer(json!({ "uid": "U", "allowed": true, "patchType": "JSONPatch" }))),
        told(true, answer(json!({ "uid": "U", "allowed": true, "patchType": "Merge", "patch": patch }))),
        told(false, answer(json!({ "uid": "U", "allowed": true, "patchType": "JSONPatch", "patch": patch }))),
        told(false, answer(json!({ "uid": "V", "allowed": true }))),
        told(false, answer(Value::Null)),
        told(
            false,
            json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1", "response": { "uid": "U" } }),
        ),
        told(false, answer(json!({ "uid": "U", "allowed": false }))),
        told(
            false,
            answer(json!({ "uid": "U", "allowed": false, "status": { "reason": "Forbidden", "code": 403 } })),
        ),
        told(
            false,
            answer(
                json!({ "uid": "U", "allowed": false, "status": { "message": "no", "code": 200, "details": { "name": "x" } } }),
            ),
        ),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

fn judge(spec: Value, binding: Value, params: Result<&[Value], &str>) -> (Result<(), String>, Vec<String>) {
    let policy = Policy::read(&json!({ "metadata": { "name": "p" }, "spec": spec }));
    let binding = Binding::read(&json!({ "metadata": { "name": "b" }, "spec": binding }));
    let attributes = write(kind("", "v1", "Pod"), Operation::Create, "");
    let (object, namespace) = (pod(), namespace());
    let subject =
        Subject { attributes: &attributes, object: Some(&object), old: None, namespace: Some(&namespace) };
    let mut warnings = Vec::new();
    let verdict =
        policy::evaluate(&policy, &binding, &subject, params, &Budget::new(1_000_000), &mut warnings);
    (verdict.map_err(|e| format!("{} {:?}: {}", e.code(), e.reason, e.message)), warnings)
}

/// Who writes, and accounts besides, may do everything; nobody in particular may not.
#[test]
fn expressions_ask_what_somebody_may_do() {
    let decide = |user: &User, expression: &str| {
        let program = Program::compile_typed(expression, &webhook::VARIABLES).map_err(|e| e.to_string())?;
        let budget = Budget::per_call();
        let scope = webhook::scope(&budget, user, None, None, &Value::Null);
        scope.eval(&program).map(|value| value.to_json()).map_err(|error| error.to_string())
    };
    let jane = User::authenticated("jane", vec![]);
    for expression in [
        "authorizer.group('apps').resource('deployments').check('create').allowed()",
        "authorizer.group('').resource('pods').subresource('log').namespace('dev').name('web').check('get').allowed()",
        "authorizer.group('').resource('pods').labelSelector('app=web').fieldSelector('spec.nodeName=a').check('list').allowed()",
        "authorizer.path('/metrics').check('get').allowed()",
        "authorizer.requestResource.check('approve').allowed()",
    ] {
        assert_eq!(decide(&jane, expression), Ok(json!(true)), "{expression}");
        assert_eq!(decide(&User::anonymous(), expression), Ok(json!(false)), "{expression}");
    }
    let account = "authorizer.serviceAccount('dev', 'default').path('/x').check('get')";
    let told = format!(
        "!{account}.errored() && {account}.error() + {account}.reason() == '' && {account}.allowed()"
    );
    assert_eq!(decide(&User::anonymous(), &told), Ok(json!(true)));
    let wrong = [
        "authorizer.serviceAccount('dev', 'A b').path('/x').check('get').allowed()",
        "authorizer.serviceAccount('de.v', 'a').path('/x').check('get').allowed()",
        "authorizer.path('').check('get').allowed()",
        "authorizer.group('').resource('').check('get').allowed()",
        "authorizer.check('get').allowed()",
        "authorizer.group('').check('get')",
        "authorizer.requestResources",
        "authorizer.path(1)",
    ];
    let told = wrong.map(|expression| format!("{}\n", decide(&jane, expression).expect_err("is refused")));
    insta::assert_snapshot!(told.concat());
}

#[test]
fn policies_refuse_in_upstreams_words() {
    let deny = json!({ "policyName": "p", "validationActions": ["Deny"] });
    let one = |validation: Value| json!({ "validations": [validation] });
    let mut all = Vec::new();
    for spec in [
        one(json!({ "expression": "object.metadata.name == 'web'" })),
        one(json!({ "expression": " object.metadata.name == 'db' " })),
        one(json!({ "expression": "false", "message": "never", "reason": "Unauthorized" })),
        one(json!({ "expression": "false", "messageExpression": "'it is ' + object.metadata.name" })),
        one(json!({ "expression": "false", "messageExpression": "object.nothing", "message": "plain" })),
        one(json!({ "expression": "object.nothing == 1" })),
        one(json!({ "expression": "object.nothing ==" })),
        one(json!({ "expression": "'text'" })),
        one(json!({ "expression": "true", "messageExpression": "1 + 1" })),
        json!({ "matchConditions": [{ "name": "n", "expression": "'text'" }], "validations": [{ "expression": "true" }] }),
        json!({ "auditAnnotations": [{ "key": "n", "valueExpression": "1" }] }),
        json!({ "auditAnnotations": [{ "key": "n", "valueExpression": "object.nothing" }, { "key": "m", "valueExpression": "null" }] }),
        json!({ "failurePolicy": "Ignore", "validations": [{ "expression": "object.nothing == 1" }] }),
        one(
            json!({ "expression": "!authorizer.requestResource.check('update').allowed()", "message": "asked" }),
        ),
        json!({ "matchConditions": [{ "name": "n", "expression": "false" }], "validations": [{ "expression": "false" }] }),
        json!({ "variables": [{ "name": "a", "expression": "object.spec.containers.size()" }, { "name": "b", "expression": "variables.a + 1" }],
            "validations": [{ "expression": "variables.b == 2 && namespaceObject.metadata.labels.env == 'dev'" }, { "expression": "variables.c" }] }),
        json!({ "variables": [{ "name": "a", "expression": "object.nothing" }], "validations": [{ "expression": "true || variables.a" }, { "expression": "variables.a == 1" }] }),
        one(
            json!({ "expression": "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, true))))))" }),
        ),
    ] {
        let shown = spec.to_string();
        let (verdict, warnings) = judge(spec, deny.clone(), Ok(&[]));
        assert!(warnings.is_empty());
        all.push(format!("{shown}\n    {}\n", verdict.map_or_else(|e| e, |()| "allowed".into())));
    }
    insta::assert_snapshot!(all.concat());
}

#[test]
fn parameters_are_taken_one_after_the_other() {
    let spec = json!({ "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" }, "validations": [{ "expression": "object.spec.containers.size() <= int(params.data.most)" }] });
    let binding = |action: &str| json!({ "policyName": "p", "validationActions": ["Deny"], "paramRef": { "selector": {}, "parameterNotFoundAction": action } });
    let map = |most: &str| json!({ "data": { "most": most } });
    assert!(judge(spec.clone(), binding("Deny"), Ok(&[map("1"), map("2")])).0.is_ok());
    assert!(
        judge(spec.clone(), binding("Deny"), Ok(&[map("1"), map("0")])).0.is_err(),
        "each must be content"
    );
    assert!(judge(spec.clone(), binding("Allow"), Ok(&[])).0.is_ok());
    let (refused, _) = judge(spec.clone(), binding("Deny"), Ok(&[]));
    assert!(refused.is_err_and(|why| why.contains("no params found")));
    assert!(judge(spec, binding("Allow"), Err("gone")).0.is_err_and(|why| why.ends_with("gone")));
}

#[test]
fn a_binding_may_only_warn() {
    let (verdict, warnings) = judge(
        json!({ "validations": [{ "expression": "false", "message": "hm" }] }),
        json!({ "policyName": "p", "validationActions": ["Warn", "Audit"] }),
        Ok(&[]),
    );
    assert_eq!(verdict, Ok(()));
    assert_eq!(warnings, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm"]);
}

#[test]
fn a_new_node_takes_no_pods_until_it_is_ready() {
    let not_ready = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    let other = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" });
    for (sent, expected) in [
        (Value::Null, json!([not_ready])),
        (json!([other]), json!([other, not_ready])),
        (json!([not_ready, other]), json!([not_ready, other])),
    ] {
        let mut node = json!({ "metadata": { "name": "n" }, "spec": { "taints": sent } });
        builtin::taint_until_ready(&mut node);
        assert_eq!(node["spec"]["taints"], expected);
        let once = node.clone();
        builtin::taint_until_ready(&mut node);
        assert_eq!(node, once, "twice is once");
    }
}

#[test]
fn every_pod_has_a_priority() {
    let class = |name: &str, value: i64, default: bool| json!({ "metadata": { "name": name }, "value": value, "globalDefault": default, "preemptionPolicy": "Never" });
    let classes = [class("high", 1000, false), class("usual", 10, true), class("also", 20, true)];
    let with = |spec: Value| {
        let mut pod = json!({ "spec": spec });
        builtin::priority(&mut pod, &classes).map(|()| pod["spec"].to_string())
    };
    let usual = r#"{"priorityClassName":"usual","priority":10,"preemptionPolicy":"Never"}"#;
    assert_eq!(with(json!({})).as_deref(), Ok(usual), "of two defaults the lower");
    assert_eq!(
        with(json!({ "priorityClassName": "system-cluster-critical" })).as_deref(),
        Ok(
            r#"{"priorityClassName":"system-cluster-critical","priority":2000000000,"preemptionPolicy":"PreemptLowerPriority"}"#
        )
    );
    assert_eq!(
        with(json!({ "priorityClassName": "x" })),
        Err("no PriorityClass with name x was found".into())
    );
    assert_eq!(
        with(json!({ "priorityClassName": "high", "priority": 5 })),
        Err("the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name".into())
    );
    let mut twice = json!({ "spec": {} });
    builtin::priority(&mut twice, &classes).expect("once");
    let once = twice.clone();
    builtin::priority(&mut twice, &classes).expect("twice");
    assert_eq!(once, twice);
}

/// Any value, small.
fn garbage() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "*",
            "CREATE",
            "pods",
            "",
            "U",
            "JSONPatch",
            "AdmissionReview",
            "admission.k8s.io/v1",
            "false",
            "a/b",
            "é"
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "rules",
        "operations",
        "apiGroups",
        "apiVersions",
        "resources",
        "scope",
        "matchPolicy",
        "objectSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "matchConditions",
        "expression",
        "response",
        "uid",
        "allowed",
        "status",
        "patch",
        "patchType",
        "warnings",
        "kind",
        "apiVersion",
        "spec",
        "validations",
        "variables",
        "name",
        "paramKind",
        "paramRef",
        "metadata",
        "labels",
        "message",
        "code",
        "webhooks",
        "validationActions",
        "matchConstraints",
        "resourceRules",
    ]);
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_sent_makes_it_panic(a in garbage(), b in garbage(), object in garbage()) {
        let attributes = write(kind("", "v1", "Pod"), Operation::Update, "");
        for hook in Webhook::read_all(&a).into_iter().chain(Webhook::read_all(&json!({ "webhooks": [a.clone()] }))) {
            let _ = hook.find(&Catalog::default(), &attributes, Some(&object), Some(&b), Some(&b));
        }
        let _ = review::read_answer("w", "U", true, &a);
        let _ = review::apply_patch(&object, &a);
        let (policy, binding) = (Policy::read(&a), Binding::read(&b));
        let subject = Subject { attributes: &attributes, object: Some(&object), old: None, namespace: Some(&b) };
        let _ = policy::concerns(&policy, &binding, &Catalog::default(), &subject);
        let _ = policy::evaluate(&policy, &binding, &subject, Ok(&[]), &Budget::per_call(), &mut Vec::new());
        let _ = policy::check(&a);
        for admit in [builtin::priority, builtin::runtime_class] {
            let _ = admit(&mut object.clone(), std::slice::from_ref(&b));
        }
        builtin::storage_class(&mut object.clone(), std::slice::from_ref(&b));
        let _ = builtin::overhead(&object, std::slice::from_ref(&b));
        builtin::ingress_class(&mut object.clone(), &[b]);
    }
}

fn range(entries: Value) -> Vec<Value> {
    vec![json!({ "spec": { "limits": entries } })]
}

fn asking(resources: &[Value]) -> Value {
    let containers: Vec<Value> = resources
        .iter()
        .enumerate()
        .map(|(i, resources)| json!({ "name": format!("c{i}"), "resources": resources }))
        .collect();
    json!({ "metadata": { "name": "web" }, "spec": { "containers": containers } })
}

/// What does not match is said at once, what has nothing to match when everything else is right.
#[test]
fn the_class_of_a_pod_says_what_it_costs_and_where_it_runs() {
    let classes = [
        json!({ "metadata": { "name": "plain" } }),
        json!({ "metadata": { "name": "dear" }, "overhead": { "podFixed": { "cpu": "1" } },
            "scheduling": { "nodeSelector": { "disk": "ssd" } } }),
    ];
    let none = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    let other = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
    let conflict =
        "conflict: runtimeClass.scheduling.nodeSelector[disk] = ssd; pod.spec.nodeSelector[disk] = hdd";
    for (spec, refused_at_first, refused_at_last) in [
        (json!({}), None, None),
        (json!({ "overhead": {} }), None, Some(none)),
        (json!({ "overhead": { "cpu": "1" } }), None, Some(none)),
        (json!({ "runtimeClassName": "plain", "overhead": { "cpu": "1" } }), None, Some(none)),
        (json!({ "runtimeClassName": "dear" }), None, None),
        (json!({ "runtimeClassName": "dear", "overhead": { "cpu": "1" } }), None, None),
        (json!({ "runtimeClassName": "dear", "overhead": { "cpu": "2" } }), Some(other), None),
        (json!({ "runtimeClassName": "dear", "nodeSelector": { "disk": "hdd" } }), Some(conflict), None),
    ] {
        let mut pod = json!({ "metadata": { "name": "web" }, "spec": spec });
        let first = builtin::runtime_class(&mut pod, &classes).err();
        let last = builtin::overhead(&pod, &classes).err();
        assert_eq!((first.as_deref(), last.as_deref()), (refused_at_first, refused_at_last), "{pod}");
    }
}

#[test]
fn limit_ranges_give_and_bound() {
    let ranges = range(json!([
        { "type": "Container", "default": { "cpu": "500m", "memory": "1Gi" }, "defaultRequest": { "cpu": "100m" }, "max": { "cpu": "2" }, "min": { "cpu": "50m" }, "maxLimitRequestRatio": { "cpu": "10" } },
        { "type": "Pod", "max": { "cpu": "3" } },
    ]));
    let mut pod = asking(&[json!({}), json!({ "limits": { "cpu": "1" }, "requests": { "cpu": "200m" } })]);
    limits::fill(&mut pod, &ranges);
    insta::assert_snapshot!(serde_json::to_string_pretty(&pod).expect("JSON"));
    assert_eq!(limits::check_pod(&pod, &ranges), Ok(()));
    let once = pod.clone();
    limits::fill(&mut pod, &ranges);
    assert_eq!(once, pod, "twice is once");
    let check = |resources: &[Value]| limits::check_pod(&asking(resources), &ranges);
    let amount =
        |request: &str, limit: &str| json!({ "requests": { "cpu": request }, "limits": { "cpu": limit } });
    assert_eq!(
        check(&[amount("1", "2500m")]),
        Err("maximum cpu usage per Container is 2, but limit is 2500m".into())
    );
    assert_eq!(
        check(&[amount("10m", "50m")]),
        Err("minimum cpu usage per Container is 50m, but request is 10m".into())
    );
    assert_eq!(
        check(&[amount("100m", "1500m")]),
        Err("cpu max limit to request ratio per Container is 10, but provided ratio is 15.000000".into())
    );
    assert_eq!(
        check(&[amount("1", "2"), amount("1", "2")]),
        Err("maximum cpu usage per Pod is 3, but limit is 4".into())
    );
    assert_eq!(
        check(&[json!({})]),
        Err("[minimum cpu usage per Container is 50m.  No request is specified, maximum cpu usage per Container is 2.  No limit is specified, cpu max limit to request ratio per Container is 10, but no request is specified or request is 0, maximum cpu usage per Pod is 3.  No limit is specified]".into())
    );
    let claims = range(
        json!([{ "type": "PersistentVolumeClaim", "max": { "storage": "2Gi" }, "min": { "storage": "1Gi" } }]),
    );
    let claim = |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
    assert_eq!(limits::check_claim(&claim("1.5Gi"), &claims), Ok(()));
    assert_eq!(
        limits::check_claim(&claim("500Mi"), &claims),
        Err("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi".into())
    );
}
