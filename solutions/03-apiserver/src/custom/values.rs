//! The conditions on single values: texts, numbers, lists, enumerations, and the junctions that
//! combine schemas (upstream: `kube-openapi/pkg/validation/validate`).

use super::formats;
use super::ratchet::Old;
use super::schema::{Pattern, Schema};
use super::validation::{check_value, field};
use crate::fields::Errors;
use serde_json::{Value, json};

pub fn check_items(items: &[Value], schema: &Schema, old: Old<'_>, path: &str, errors: &mut Errors) {
    let own = &schema.conditions;
    if let Some(inner) = &schema.items {
        for (i, item) in items.iter().enumerate() {
            check_value(item, inner, old.item(schema, item), &format!("{path}[{i}]"), errors);
        }
    }
    if let Some(least) = own.min_items.filter(|least| (items.len() as i64) < *least) {
        let why = format!("{path} in body should have at least {least} items");
        errors.invalid(field(path), &json!(items.len()), why);
    }
    if let Some(most) = own.max_items.filter(|most| items.len() as i64 > *most) {
        errors.too_many(field(path), items.len(), most);
    }
    let repeated = || (1..items.len()).any(|i| items[..i].contains(&items[i]));
    if own.unique_items && repeated() {
        errors.invalid(field(path), &json!(""), format!("{path} in body shouldn't contain duplicates"));
    }
}

pub fn check_text(text: &str, schema: &Schema, path: &str, errors: &mut Errors) {
    let own = &schema.conditions;
    let length = || text.chars().count() as i64;
    if let Some(most) = own.max_length.filter(|most| length() > *most) {
        return errors.too_long(field(path), most);
    }
    if let Some(least) = own.min_length.filter(|least| length() < *least) {
        let why = format!("{path} in body should be at least {least} chars long");
        return errors.invalid(field(path), &json!(text), why);
    }
    if let Some(Pattern { text: pattern, compiled: Ok(regex) }) = &own.pattern
        && !regex.is_match(text)
    {
        errors.invalid(field(path), &json!(text), format!("{path} in body should match '{pattern}'"));
    }
    if !formats::matches(&own.format, text) {
        let why = format!("{path} in body must be of type {}: {text:?}", own.format);
        errors.type_invalid(field(path), &json!(text), why);
    }
}

pub fn check_number(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    let own = &schema.conditions;
    let Some(number) = value.as_f64() else { return };
    let mut refuse =
        |why: String| errors.invalid(field(path), value, format!("{path} in body should be {why}"));
    if let Some(factor) = own.multiple_of.filter(|f| *f > 0.0 && !is_multiple(number, *f)) {
        refuse(format!("a multiple of {factor}"));
    }
    match own.maximum {
        Some(most) if own.exclusive_maximum && number >= most => refuse(format!("less than {most}")),
        Some(most) if number > most => refuse(format!("less than or equal to {most}")),
        _ => {}
    }
    match own.minimum {
        Some(least) if own.exclusive_minimum && number <= least => refuse(format!("greater than {least}")),
        Some(least) if number < least => refuse(format!("greater than or equal to {least}")),
        _ => {}
    }
    if !formats::number_fits(&own.format, value) {
        let why = format!("{path} in body must be of type {}: {value}", own.format);
        errors.type_invalid(field(path), value, why);
    }
}

fn is_multiple(number: f64, factor: f64) -> bool {
    let quotient = number / factor;
    (quotient - quotient.round()).abs() < 1e-9
}

pub fn check_allowed(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    let allowed = &schema.conditions.allowed;
    if allowed.is_empty() || (value.is_null() && schema.nullable) || allowed.contains(value) {
        return;
    }
    let printed = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    let texts: Vec<String> = allowed.iter().map(printed).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    errors.unsupported(field(path), value, &texts);
}

/// `allOf`, `anyOf`, `oneOf`, `not`. Of alternatives that all fail, the one that comes closest is
/// told in detail, as upstream does.
pub fn check_junctions(value: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    let own = &schema.conditions;
    let attempt = |nested: &Schema| {
        let mut found = Errors::default();
        check_value(value, nested, Old::Nothing, path, &mut found);
        found
    };
    let mut say = |why: &str| errors.invalid("<nil>", &json!(""), format!("{path:?} {why}"));
    let mut closest: Option<Errors> = None;
    let mut keep = |found: Errors| {
        if closest.as_ref().is_none_or(|best| found.len() < best.len()) {
            closest = Some(found);
        }
    };
    if !own.any_of.is_empty() {
        let failures: Vec<Errors> = own.any_of.iter().map(attempt).collect();
        if !failures.iter().any(Errors::is_empty) {
            say("must validate at least one schema (anyOf)");
            failures.into_iter().for_each(&mut keep);
        }
    }
    let mut details: Vec<Errors> = closest.take().into_iter().collect();
    if !own.one_of.is_empty() {
        let results: Vec<Errors> = own.one_of.iter().map(attempt).collect();
        match results.iter().filter(|found| found.is_empty()).count() {
            1 => {}
            0 => {
                say("must validate one and only one schema (oneOf). Found none valid");
                details.extend(results.into_iter().min_by_key(Errors::len));
            }
            many => say(&format!(
                "must validate one and only one schema (oneOf). Found {many} valid alternatives"
            )),
        }
    }
    let failures: Vec<Errors> = own.all_of.iter().map(attempt).filter(|found| !found.is_empty()).collect();
    if !failures.is_empty() {
        let none = if failures.len() == own.all_of.len() { ". None validated" } else { "" };
        say(&format!("must validate all the schemas (allOf){none}"));
        details.extend(failures);
    }
    if own.not.as_deref().is_some_and(|nested| attempt(nested).is_empty()) {
        say("must not validate the schema (not)");
    }
    details.into_iter().for_each(|found| errors.append(found));
}
