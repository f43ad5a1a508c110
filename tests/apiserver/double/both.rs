//! Two API servers that are asked the same: the double and the real one.
//!
//! Versions and uids differ between them, so each side has its names for them: the first version that was seen is
//! `version 0`, the next `version 1`. Two answers agree when they are equal in these names, which says that the same things
//! changed, and the same stayed as they were.

use std::collections::BTreeMap;
use std::error::Error;

use cpn_env::double::{ApiServer, kinds};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{Space, merge};

/// What times are for the double; nobody compares them.
pub const NOW: &str = "2026-11-25T12:00:00Z";

/// Where the real one tells how it stores an object. The reason comes after it.
const STORAGE: (&str, &str) = ("StorageError: ", "AdditionalErrorMsg: ");

/// What the real one adds when it did not come to the rules.
const UNCHECKED: &str = "Invalid value: null: some validation rules were not checked because the object was invalid; \
                         correct the existing errors to complete validation]";

/// How a refusal of a body that says nothing of its kind begins; then comes the body.
const UNRECOGNIZED: &str = "the object provided is unrecognized";

/// HTTP status and body, in the names of [`Side`].
pub type Answer = (u16, Value);

/// Both servers, and how they were asked.
pub struct Both {
    space: Space,
    /// Everything elsewhere belongs to other tests, and is left out of lists.
    namespaces: Vec<String>,
    pub double: ApiServer,
    of_double: Side,
    of_real: Side,
    /// Every call with its answer, as far as they agreed.
    pub log: Vec<String>,
}

/// What one server told so far.
#[derive(Default)]
struct Side {
    versions: Vec<String>,
    uids: Vec<String>,
    /// By path.
    seen: BTreeMap<String, Seen>,
}

/// An object as it was answered last, and its versions and uids from the beginning.
#[derive(Default)]
struct Seen {
    object: Value,
    versions: Vec<String>,
    uids: Vec<String>,
}

/// The place of a value in a list, to which it is added when it is new.
fn place(of: &str, all: &mut Vec<String>) -> usize {
    all.iter().position(|known| known == of).unwrap_or_else(|| {
        all.push(of.to_owned());
        all.len() - 1
    })
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Sets a field, to null too.
pub fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value);
    }
}

impl Seen {
    /// Fills in what a body may leave open: the version and the uid seen last, and those before.
    fn fill(&self, body: &mut Value) {
        let nth = |of: &[String], back: usize| of.iter().rev().nth(back).cloned().unwrap_or_default();
        match body {
            Value::Object(map) => map.values_mut().for_each(|value| self.fill(value)),
            Value::Array(list) => list.iter_mut().for_each(|value| self.fill(value)),
            Value::String(text) => match text.as_str() {
                "@version" => *text = nth(&self.versions, 0),
                "@version before" => *text = nth(&self.versions, 1),
                "@uid" => *text = nth(&self.uids, 0),
                "@uid before" => *text = nth(&self.uids, 1),
                _ => {}
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl Side {
    /// The body as this server has to be sent it: see [`Both::call`].
    fn body(&self, path: &str, body: &Value) -> Value {
        let unseen = Seen::default();
        let seen = self.seen.get(&object_path(path)).unwrap_or(&unseen);
        let mut whole = match body.get("@seen") {
            Some(change) => {
                let mut object = seen.object.clone();
                merge(&mut object, change);
                object
            }
            None => body.clone(),
        };
        seen.fill(&mut whole);
        whole
    }

    /// Whether an answer is the object as it was seen last.
    fn has_seen(&self, path: &str, answer: &Value) -> bool {
        let version = text(answer, "/metadata/resourceVersion");
        self.seen.get(&object_path(path)).is_some_and(|seen| seen.versions.last() == Some(&version))
    }

    /// Remembers an object that was answered.
    fn see(&mut self, path: &str, answer: &Value) {
        let (name, uid) = (text(answer, "/metadata/name"), text(answer, "/metadata/uid"));
        if name.is_empty() || uid.is_empty() {
            return;
        }
        let mut path = object_path(path);
        if !path.ends_with(&format!("/{name}")) {
            path = format!("{path}/{name}");
        }
        let seen = self.seen.entry(path).or_default();
        place(&text(answer, "/metadata/resourceVersion"), &mut seen.versions);
        place(&uid, &mut seen.uids);
        seen.object = answer.clone();
    }

    /// The answer without what legitimately differs.
    fn named(&mut self, mut answer: Value, namespaces: &[String]) -> Value {
        match text(&answer, "/kind").as_str() {
            "Status" => self.status(&mut answer),
            "APIResourceList" => discovery(&mut answer),
            kind if kind.ends_with("List") => {
                // Others write too.
                put(&mut answer, "metadata", Value::Null);
                if let Some(items) = answer.pointer_mut("/items").and_then(Value::as_array_mut) {
                    items.retain(|item| namespaces.contains(&text(item, "/metadata/namespace")));
                    for item in items {
                        self.object(item);
                    }
                }
            }
            _ => self.object(&mut answer),
        }
        answer
    }

    fn object(&mut self, object: &mut Value) {
        if let Some(map) = object.as_object_mut() {
            // An Event of this API carries an empty one of the old.
            map.retain(|field, _| !field.starts_with("deprecated"));
        }
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        metadata.remove("managedFields");
        for (field, value) in metadata.iter_mut() {
            let Some(told) = value.as_str() else { continue };
            match field.as_str() {
                "resourceVersion" => *value = format!("version {}", place(told, &mut self.versions)).into(),
                "uid" => *value = format!("uid {}", place(told, &mut self.uids)).into(),
                "creationTimestamp" | "deletionTimestamp" => *value = "a time".into(),
                _ => {}
            }
        }
    }

    /// Of a failure: code, reason and the essence of the message. The details repeat them.
    fn status(&self, status: &mut Value) {
        let mut message = text(status, "/message");
        if let Some((words, rest)) = message.split_once(STORAGE.0)
            && let Some((_, why)) = rest.split_once(STORAGE.1)
        {
            message = format!("{words}{why}");
        }
        if message.starts_with(UNRECOGNIZED) {
            message.truncate(UNRECOGNIZED.len());
        }
        if let Some((words, UNCHECKED)) = message.split_once(", <nil>: ") {
            message = words.replacen(": [", ": ", 1);
        }
        for (n, uid) in self.uids.iter().enumerate() {
            message = message.replace(uid, &format!("uid {n}"));
        }
        put(status, "message", message.into());
        let uid = text(status, "/details/uid");
        if text(status, "/status") == "Failure" {
            put(status, "details", Value::Null);
        } else if let Some(n) = self.uids.iter().position(|known| *known == uid)
            && let Some(details) = status.get_mut("details")
        {
            put(details, "uid", format!("uid {n}").into());
        }
    }
}

/// Which of the operator's kinds are there, and what may be done with them, in any order.
fn discovery(list: &mut Value) {
    let group = text(list, "/groupVersion");
    let kinds = kinds::operator();
    let ours: Vec<&str> = kinds.iter().filter(|kind| kind.api_version() == group).map(|kind| kind.plural).collect();
    let mut resources = Vec::new();
    for resource in list.pointer("/resources").and_then(Value::as_array).into_iter().flatten() {
        let name = text(resource, "/name");
        if !ours.contains(&name.split('/').next().unwrap_or_default()) {
            continue;
        }
        let mut verbs = resource.pointer("/verbs").and_then(Value::as_array).cloned().unwrap_or_default();
        verbs.sort_by_key(ToString::to_string);
        let (kind, namespaced) = (resource.get("kind"), resource.get("namespaced"));
        resources.push(json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": verbs}));
    }
    resources.sort_by_key(|resource| text(resource, "/name"));
    *list = json!({"groupVersion": group, "resources": resources});
}

fn object_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    path.trim_end_matches("/status").to_owned()
}

impl Both {
    /// A double that is as empty as the test's namespaces.
    pub fn new(space: Space, namespaces: &[&str]) -> Self {
        Self {
            space,
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            double: ApiServer::new(kinds::operator()),
            of_double: Side::default(),
            of_real: Side::default(),
            log: Vec::new(),
        }
    }

    /// Makes a call of both and compares their answers. A patch is a merge patch.
    ///
    /// In the body, `@version` and `@uid` stand for what was seen last at this path, `@version before` and `@uid before` for
    /// what was seen before that. `{"@seen": change}` is the object that was seen last, merged with the change.
    ///
    /// # Errors
    /// With both answers when they differ.
    pub async fn call(&mut self, method: &str, path: &str, body: &Value) -> Result<Answer, Box<dyn Error>> {
        let body_of_real = self.of_real.body(path, body);
        let mut real = self.real(method, path, &body_of_real).await?;
        let body_of_double = bytes(&self.of_double.body(path, body));
        let double = self.double.answer(method, path, &body_of_double, NOW);
        // Seen once in some hundred runs: a patch that changes nothing and names an old version is taken at first, and wrote
        // nothing. The real one's cache is behind then; asked again it has to answer as the double does.
        if (method, real.0, double.0) == ("PATCH", 200, 409) && self.of_real.has_seen(path, &real.1) {
            self.log.push(format!("{method} {path}: taken without effect at first"));
            real = self.real(method, path, &body_of_real).await?;
        }
        let line = format!("{method} {path} {body}");
        let mut named = Vec::new();
        for ((code, answer), side) in [(double, &mut self.of_double), (real, &mut self.of_real)] {
            if code < 300 {
                side.see(path, &answer);
            }
            named.push((code, side.named(answer, &self.namespaces)));
        }
        let (Some(real), Some(double)) = (named.pop(), named.pop()) else { return Err("no answers".into()) };
        // For a kind that is not there the real one has no object, but a line of text.
        let alike = if real.1.is_string() { real.0 == double.0 } else { real == double };
        if !alike {
            self.log.push(format!("{line}\n      differs"));
            let differences = differences("", &real.1, &double.1).join("\n");
            return Err(format!("{line}\n  {} real, {} double\n{differences}", real.0, double.0).into());
        }
        self.log.push(format!("{line}\n      {} {}", real.0, text(&real.1, "/message")));
        Ok(real)
    }

    /// One call of the real one alone.
    pub async fn real(&self, method: &str, path: &str, body: &Value) -> Result<Answer, Box<dyn Error>> {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .body(bytes(body).into())?;
        let (parts, body) = self.space.env.admin.send(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Ok((parts.status.as_u16(), answer))
    }
}

fn bytes(body: &Value) -> Vec<u8> {
    if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }
}

/// Where two values differ, a line each.
fn differences(at: &str, real: &Value, double: &Value) -> Vec<String> {
    match (real, double) {
        (Value::Object(left), Value::Object(right)) => {
            let mut fields: Vec<&String> = left.keys().chain(right.keys()).collect();
            fields.sort();
            fields.dedup();
            let of = |map: &serde_json::Map<String, Value>, field: &str| map.get(field).cloned().unwrap_or_default();
            fields
                .into_iter()
                .flat_map(|field| differences(&format!("{at}/{field}"), &of(left, field), &of(right, field)))
                .collect()
        }
        _ if real == double => Vec::new(),
        _ => vec![format!("  at {at}: real {real}, double {double}")],
    }
}
