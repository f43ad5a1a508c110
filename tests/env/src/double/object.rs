//! An object as JSON: what is read from it, and what a write makes of it.

use serde_json::{Map, Value, json};

use super::Resource;

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty())
}

pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(super) fn set(object: &mut Value, field: &str, value: Value) {
    let metadata = object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| json!({})));
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        if value.is_null() {
            metadata.remove(field);
        } else {
            metadata.insert(field.to_owned(), value);
        }
    }
}

pub(super) fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => drop(map.insert(field.to_owned(), value)),
            None => drop(map.remove(field)),
        }
    }
}

/// JSON merge patch (RFC 7386).
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(map) = target.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                map.remove(key);
            } else {
                merge(map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

/// Takes out what is not stored: nulls, and what is empty in the metadata.
pub(super) fn tidy(object: &mut Value) {
    without_nulls(object);
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let at = object.pointer(&format!("/metadata/{field}"));
        let empty =
            at.is_some_and(|v| v.as_object().is_some_and(Map::is_empty) || v.as_array().is_some_and(Vec::is_empty));
        if empty {
            set(object, field, Value::Null);
        }
    }
    set(object, "managedFields", Value::Null);
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The version that an object names; "0" names none.
pub(super) fn version(object: &Value) -> Option<&str> {
    text(object, "/metadata/resourceVersion").filter(|version| *version != "0")
}

/// Everything of an object but what the server itself keeps and what does not count as a change of the wish.
pub(super) fn wish(object: &Value) -> Value {
    let mut rest = object.clone();
    put(&mut rest, "metadata", None);
    put(&mut rest, "status", None);
    rest
}

pub(super) fn bump_generation(object: &mut Value) {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    set(object, "generation", (generation + 1).into());
}

/// What is asked for, with what the server keeps as it was, whatever is asked for.
pub(super) fn kept(resource: &Resource, asked: Value, old: &Value) -> Value {
    let mut new = asked;
    let of = |field: &str| old.pointer(&format!("/metadata/{field}")).cloned();
    for field in ["creationTimestamp", "generation", "resourceVersion", "namespace"] {
        set(&mut new, field, of(field).unwrap_or_default());
    }
    if let Some(since) = of("deletionTimestamp") {
        set(&mut new, "deletionTimestamp", since);
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if new.pointer(&format!("/metadata/{field}")).is_none_or(|v| v.is_null() || v == "") {
            set(&mut new, field, of(field).unwrap_or_default());
        }
    }
    put(&mut new, "apiVersion", Some(resource.api_version().into()));
    put(&mut new, "kind", Some(resource.kind.into()));
    if resource.custom {
        put(&mut new, "status", old.get("status").cloned());
    }
    new
}

/// What may not change, and did.
pub(super) fn immutable(new: &Value, old: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let known = finalizers(old);
    let mut extra: Vec<_> = finalizers(new).into_iter().filter(|f| !known.contains(f)).collect();
    if text(old, "/metadata/deletionTimestamp").is_some() && !extra.is_empty() {
        extra.sort_unstable();
        extra.dedup();
        let list: Vec<_> = extra.iter().map(|f| format!("\"{f}\"")).collect();
        wrong.push(format!(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{{{}}}",
            list.join(", ")
        ));
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let at = format!("/metadata/{field}");
        if let Some(value) = new.pointer(&at).filter(|v| Some(*v) != old.pointer(&at)) {
            wrong.push(format!("metadata.{field}: Invalid value: {value}: field is immutable"));
        }
    }
    wrong
}
