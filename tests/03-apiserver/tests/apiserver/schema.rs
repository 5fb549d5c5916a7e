//! What the server knows of its kinds. Given to students; tested here, graded nowhere.

use crate::heart::kind::Kind;
use crate::heart::schema::book::{BOOK, referred};
use crate::heart::schema::{self, Scalar, Shape, enums};
use objects::patch::GroupKind;
use objects::patch::schema::{Field, Type, of_kind};
use objects::resources;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The shape at the end of a path of field names; lists and maps are entered, names resolved.
fn at(root: &str, path: &str) -> Shape {
    let mut shape = schema::named(root);
    for step in path.split('.').filter(|step| !step.is_empty()) {
        shape = match inside(shape) {
            Shape::Struct(fields) => {
                fields.get(step).cloned().unwrap_or_else(|| panic!("{root} has no {step}"))
            }
            other => panic!("{step} of {root}: {other:?} has no fields"),
        };
    }
    shape
}

fn inside(shape: Shape) -> Shape {
    match shape {
        Shape::Named(name) => inside(schema::named(name)),
        Shape::ListMap { items, .. } => inside((*items).clone()),
        Shape::Map(values) => inside((*values).clone()),
        other => other,
    }
}

fn keys(shape: &Shape) -> Vec<(String, Option<Value>)> {
    let Shape::ListMap { keys, .. } = shape else { panic!("{shape:?} is no list with keys") };
    keys.iter().map(|key| (key.name.clone(), key.default.clone())).collect()
}

#[test]
fn lists_fall_apart_by_their_keys() {
    let pod = "io.k8s.api.core.v1.Pod";
    assert_eq!(keys(&at(pod, "spec.containers")), [("name".into(), None)]);
    let tcp = Some(Value::from("TCP"));
    assert_eq!(
        keys(&at(pod, "spec.containers.ports")),
        [("containerPort".into(), None), ("protocol".into(), tcp.clone())],
    );
    let service = "io.k8s.api.core.v1.Service";
    assert_eq!(keys(&at(service, "spec.ports")), [("port".into(), None), ("protocol".into(), tcp)]);
    assert_eq!(keys(&at(pod, "spec.imagePullSecrets")), [("name".into(), Some("".into()))]);
    assert_eq!(at(pod, "metadata.finalizers"), Shape::Set);
    assert_eq!(at(pod, "spec.tolerations"), Shape::Leaf);
    assert_eq!(at(pod, "spec.containers.command"), Shape::Leaf);
}

#[test]
fn maps_are_granular_unless_they_say_otherwise() {
    let pod = "io.k8s.api.core.v1.Pod";
    assert!(
        matches!(at(pod, "metadata.labels"), Shape::Map(values) if *values == Shape::Scalar(Scalar::Text))
    );
    assert!(matches!(
        inside(at(pod, "spec.containers.resources")),
        Shape::Struct(fields) if matches!(fields["limits"], Shape::Map(_)),
    ));
    assert_eq!(at(pod, "spec.nodeSelector"), Shape::Leaf);
    assert_eq!(inside(at("io.k8s.api.apps.v1.Deployment", "spec.selector")), Shape::Leaf);
    assert_eq!(inside(at(pod, "metadata.ownerReferences")), Shape::Leaf);
    // An object reference is one value everywhere but here.
    assert_eq!(inside(at("io.k8s.api.core.v1.Event", "involvedObject")), Shape::Leaf);
    assert!(matches!(inside(at("io.k8s.api.core.v1.PersistentVolume", "spec.claimRef")), Shape::Struct(_)));
}

#[test]
fn what_has_no_form_falls_apart_by_what_is_there() {
    // As a real server shows it: raw JSON is one field.
    assert_eq!(inside(at("io.k8s.api.apps.v1.ControllerRevision", "data")), Shape::Leaf);
    assert_eq!(schema::named("io.k8s.api.core.v1.Nonsense"), Shape::Unknown);
    assert_eq!(schema::named("io.k8s.apimachinery.pkg.api.resource.Quantity"), Shape::Leaf);
    assert_eq!(schema::named("io.k8s.apimachinery.pkg.util.intstr.IntOrString"), Shape::Leaf);
    let schema = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    assert_eq!(inside(at(schema, "default")), Shape::Unknown);
}

#[test]
fn every_kind_of_the_table_has_a_form() {
    for resource in resources::all() {
        let shape = inside(schema::shape_of(resource));
        let Shape::Struct(fields) = shape else { panic!("{} is {shape:?}", resource.kind) };
        assert!(fields.contains_key("metadata"), "{} has no metadata", resource.kind);
    }
}

/// Items of a list cannot be told apart by what they do not have, nor by what is no scalar.
#[test]
fn keys_of_lists_are_scalars_of_their_items() {
    let mut count = 0;
    for name in BOOK.keys() {
        let Shape::Struct(fields) = schema::named(name) else { continue };
        for (field, shape) in fields.iter() {
            let Shape::ListMap { keys, items } = shape else { continue };
            let Shape::Named(item) = **items else { panic!("{name}.{field} is a list of {items:?}") };
            for key in keys.iter() {
                count += 1;
                let scalar = &BOOK[item]["properties"][&key.name]["type"];
                assert!(
                    ["string", "integer"].iter().any(|kind| scalar == kind),
                    "{name}.{field}: {}",
                    key.name
                );
            }
        }
    }
    assert!(count > 50, "{count} keys");
}

/// Every schema inside a schema, itself included.
fn each(schema: &Value, visit: &mut impl FnMut(&Value)) {
    visit(schema);
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    for inner in fields.chain(schema.get("items")).chain(schema.get("additionalProperties")) {
        each(inner, visit);
    }
}

#[test]
fn every_reference_in_the_book_leads_somewhere() {
    let mut count = 0;
    for (name, definition) in BOOK.iter() {
        each(definition, &mut |schema| {
            if let Some(target) = schema.get("$ref") {
                count += 1;
                let found = referred(schema).is_some_and(|target| BOOK.contains_key(target));
                assert!(found, "{name} refers to {target}");
            }
        });
    }
    assert!(count > 700, "{count} references");
}

#[test]
fn facts_are_about_fields_that_there_are() {
    for (name, discriminator, members) in schema::facts::UNIONS {
        for field in members.iter().map(|(field, _)| field).chain([discriminator]) {
            assert!(BOOK[*name]["properties"][*field].is_object(), "{name} has no {field}");
        }
    }
    for (package, name, fields) in schema::facts::all() {
        let definition = BOOK.get(&format!("{package}.{name}"));
        let definition = definition.unwrap_or_else(|| panic!("the book has no {package}.{name}"));
        for (field, _) in fields {
            let property = definition.pointer(&format!("/properties/{field}"));
            assert!(property.is_some(), "{package}.{name} has no {field}");
        }
    }
}

/// Chapter 00's table of merge keys and the book describe the same strategies: the book follows
/// upstream's OpenAPI, the table upstream's Go tags.
#[test]
fn strategic_patches_follow_the_book() {
    for resource in resources::all() {
        let kind = GroupKind { group: resource.group.into(), kind: resource.kind.into() };
        let name = schema::definition_name(resource.group, resource.version, resource.kind);
        let name = name.unwrap_or_else(|| panic!("{} has no definition", resource.kind));
        compare(name, of_kind(&kind), resource.kind, &mut BTreeSet::new());
    }
}

fn compare(name: &str, table: Type, path: &str, above: &mut BTreeSet<String>) {
    let definition = &BOOK[name];
    // Types that contain themselves (a CRD's schemas) have no rule inside that a patch could reach.
    if !above.insert(name.to_owned()) {
        return;
    }
    for (field, property) in definition["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{field}");
        let strategy = property["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
        let key = property["x-kubernetes-patch-merge-key"].as_str();
        let rule = Field::of(table, field);
        let item = referred(property).or_else(|| referred(&property["items"]));
        let inside = match (rule, strategy, key) {
            (None | Some(Field::Object(_)), "", None) => rule.map_or(&[] as Type, Field::inside),
            (Some(Field::Retained(inside)), "retainKeys", None) => inside,
            (Some(Field::Replaced), "replace", None) | (Some(Field::Set), "merge", None) => continue,
            (Some(Field::Keyed { key: by, element, retain }), _, Some(key)) => {
                assert_eq!(by, key, "{path}");
                assert_eq!(strategy, if retain { "merge,retainKeys" } else { "merge" }, "{path}");
                element
            }
            (rule, ..) => panic!("{path}: the book says {strategy:?} by {key:?}, the table {rule:?}"),
        };
        // Inside a list that is replaced whole no rule applies.
        let replaced = property["type"] == "array" && key.is_none();
        if let (Some(item), false) = (item, replaced) {
            compare(item, inside, &path, above);
        }
    }
    above.remove(name);
}

#[test]
fn what_may_stand_in_a_field_is_told_of_fields_that_there_are() {
    for (package, place, values) in enums::all() {
        let (name, field) = place.split_once('.').expect("a type and a field");
        let property = &BOOK[&format!("io.k8s.api.{package}.{name}")]["properties"][field];
        let said = if property["type"] == "array" { &property["items"] } else { property };
        assert_eq!(said["type"], "string", "{package}.{place}");
        assert_eq!(said["enum"], json!(values), "{package}.{place}: the first row with it counts");
        assert!(values.is_sorted(), "{package}.{place}");
        if let Some(default) = property["default"].as_str() {
            assert!(values.contains(&default), "{package}.{place}: {default}");
        }
    }
}

/// What validation knows is a second table of the same.
#[test]
fn what_may_stand_in_a_field_is_what_validation_takes() {
    let pod = |pointer: &str, value: &str| {
        let mut pod = json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "c", "image": "i", "ports": [{ "containerPort": 1 }] }], "tolerations": [{ "key": "k" }] },
        });
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        pod.pointer_mut(parent).expect("a place")[key] = json!(value);
        Kind::named("", "v1", "Pod").expect("a kind").apply_defaults(&mut pod);
        let refused = Kind::named("", "v1", "Pod").expect("a kind").validate_create(&pod);
        let path = pointer[1..].replace("/0", "[0]").replace('/', ".");
        !refused.err().is_some_and(|error| error.message.contains(&format!("{path}: Unsupported value")))
    };
    for (name, field, pointer) in [
        ("PodSpec", "restartPolicy", "/spec/restartPolicy"),
        ("PodSpec", "dnsPolicy", "/spec/dnsPolicy"),
        ("Container", "imagePullPolicy", "/spec/containers/0/imagePullPolicy"),
        ("Container", "terminationMessagePolicy", "/spec/containers/0/terminationMessagePolicy"),
        ("ContainerPort", "protocol", "/spec/containers/0/ports/0/protocol"),
    ] {
        let values = enums::of(&format!("io.k8s.api.core.v1.{name}"), field).expect("it is told");
        for value in values {
            assert!(pod(pointer, value), "{pointer}: {value}");
        }
        assert!(!pod(pointer, "Nonsense"), "{pointer}");
    }
}
