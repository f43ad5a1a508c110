//! A double of the API server, in memory and without I/O: one call in, one answer out.
//!
//! It has the semantics that a controller's safety rests on: versions and conflicts, the status subresource, generations,
//! finalizers and deletion, merge patches, field selectors, discovery. Nothing compares it with a real kube-apiserver yet: what
//! is proved over it is proved for these semantics, and the lives in `tests/apiserver` are what ties them to the real ones.
//!
//! Left out, because nobody here looks at it: schemas and defaults (a caller creates whole objects), server-side apply,
//! watches, managed fields, admission, paging.

pub mod kinds;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Looks at a write of an object, before and after; an error is answered as 422.
pub type Rule = fn(&Value, &Value) -> Result<(), String>;

/// A kind of object.
#[derive(Debug, Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Plural name, as in paths.
    pub plural: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Whether it is a custom resource: it has generations, a status subresource, and no update without a version.
    pub custom: bool,
    /// Field paths, such as `status.phoneNumber`, that lists may select by.
    pub selectable: &'static [&'static str],
    /// The status that a new object starts with.
    pub initial_status: Option<Value>,
    /// A rule over changes.
    pub rule: Option<Rule>,
    /// Whether the kind itself is being deleted: it takes no new objects and no updates of the old ones.
    pub terminating: bool,
}

impl Resource {
    /// A kind of the core group.
    pub fn core(plural: &'static str, kind: &'static str) -> Self {
        Self {
            group: "",
            version: "v1",
            plural,
            kind,
            custom: false,
            selectable: &[],
            initial_status: None,
            rule: None,
            terminating: false,
        }
    }

    fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Which object: the kind's place in the list of kinds, namespace, name.
type Key = (usize, String, String);

/// An answer: HTTP status and body.
pub type Answer = (u16, Value);

/// The double.
#[derive(Debug, Clone, Default)]
pub struct ApiServer {
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Value>,
    version: u64,
    uids: u64,
}

struct Failure {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Failure {
    fn answer(self) -> Answer {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        (self.code, body)
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty())
}

fn finalizers(object: &Value) -> Vec<&str> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn set(object: &mut Value, field: &str, value: Value) {
    let metadata = object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| json!({})));
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        if value.is_null() {
            metadata.remove(field);
        } else {
            metadata.insert(field.to_owned(), value);
        }
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => drop(map.insert(field.to_owned(), value)),
            None => drop(map.remove(field)),
        }
    }
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
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

/// Everything of an object but what the server itself keeps and what does not count as a change of the wish.
fn wish(object: &Value) -> Value {
    let mut rest = object.clone();
    put(&mut rest, "metadata", None);
    put(&mut rest, "status", None);
    rest
}

impl ApiServer {
    /// A server that knows these kinds and holds nothing.
    pub fn new(resources: Vec<Resource>) -> Self {
        Self { resources, ..Self::default() }
    }

    /// Marks a kind as being deleted, or not.
    pub fn terminate(&mut self, plural: &str, terminating: bool) {
        for resource in self.resources.iter_mut().filter(|r| r.plural == plural) {
            resource.terminating = terminating;
        }
    }

    /// One object, as it is stored.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        let index = self.resources.iter().position(|r| r.plural == plural)?;
        self.objects.get(&(index, namespace.to_owned(), name.to_owned()))
    }

    /// Every object of a kind.
    pub fn all(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let index = self.resources.iter().position(|r| r.plural == plural);
        self.objects.iter().filter(move |((i, ..), _)| Some(*i) == index).map(|(_, object)| object)
    }

    /// Puts an object back as it once was, or takes it away, as a restored backup does: past every rule, under a new version.
    pub fn restore(&mut self, plural: &str, namespace: &str, name: &str, object: Option<Value>) {
        let Some(index) = self.resources.iter().position(|r| r.plural == plural) else { return };
        let key = (index, namespace.to_owned(), name.to_owned());
        let version = self.next_version();
        match object {
            None => drop(self.objects.remove(&key)),
            Some(mut object) => {
                set(&mut object, "resourceVersion", version);
                self.objects.insert(key, object);
            }
        }
    }

    fn next_version(&mut self) -> Value {
        self.version += 1;
        self.version.to_string().into()
    }

    /// Answers one call. `now` is RFC 3339, whole seconds.
    pub fn answer(&mut self, method: &str, path_and_query: &str, body: &[u8], now: &str) -> Answer {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let answered = match parts.as_slice() {
            ["api", version, rest @ ..] => self.route(("", version), rest, method, query, body, now),
            ["apis", group, version, rest @ ..] => self.route((group, version), rest, method, query, body, now),
            _ => Err(not_found("the server could not find the requested resource".to_owned())),
        };
        answered.unwrap_or_else(Failure::answer)
    }

    fn route(
        &mut self,
        (group, version): (&str, &str),
        rest: &[&str],
        method: &str,
        query: &str,
        body: &[u8],
        now: &str,
    ) -> Result<Answer, Failure> {
        let known = |r: &&Resource| r.group == group && r.version == version;
        if rest.is_empty() && self.resources.iter().any(|r| known(&r)) {
            return Ok((200, self.discovery(group, version)));
        }
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name), None),
            ["namespaces", namespace, plural, name, sub] => (Some(*namespace), *plural, Some(*name), Some(*sub)),
            [plural] => (None, *plural, None, None),
            _ => return Err(not_found("the server could not find the requested resource".to_owned())),
        };
        let index = self
            .resources
            .iter()
            .position(|r| known(&r) && r.plural == plural)
            .ok_or_else(|| not_found("the server could not find the requested resource".to_owned()))?;
        let resource = self.resources.get(index).cloned().unwrap_or_else(|| Resource::core("", ""));
        let body: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|e| Failure {
                code: 400,
                reason: "BadRequest",
                message: format!("the object provided is unrecognized: {e}"),
            })?
        };
        let key = |name: &str| (index, namespace.unwrap_or_default().to_owned(), name.to_owned());
        match (method, name, subresource) {
            ("GET", None, None) => self.list(index, &resource, namespace, query),
            ("POST", None, None) => self.create(index, &resource, namespace.unwrap_or_default(), body, now),
            ("GET", Some(name), None) => {
                self.objects.get(&key(name)).cloned().map(|o| (200, o)).ok_or_else(|| missing(&resource, name))
            }
            ("PUT", Some(name), sub @ (None | Some("status"))) => {
                self.write(&resource, &key(name), sub.is_some(), |_| Ok(body))
            }
            ("PATCH", Some(name), sub @ (None | Some("status"))) => {
                self.write(&resource, &key(name), sub.is_some(), |old| {
                    let mut new = old.clone();
                    // A patch that names no version applies to whatever is there.
                    merge(&mut new, &body);
                    Ok(new)
                })
            }
            ("DELETE", Some(name), None) => self.delete(&resource, &key(name), now),
            _ => Err(Failure {
                code: 405,
                reason: "MethodNotAllowed",
                message: "the server does not allow this method on the requested resource".to_owned(),
            }),
        }
    }

    fn discovery(&self, group: &str, version: &str) -> Value {
        let resources: Vec<Value> = self
            .resources
            .iter()
            .filter(|r| r.group == group && r.version == version)
            .map(|r| {
                let all = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
                let verbs: Vec<_> = all
                    .into_iter()
                    .filter(|verb| !(r.terminating && matches!(*verb, "patch" | "create" | "update")))
                    .collect();
                json!({"name": r.plural, "singularName": "", "namespaced": true, "kind": r.kind, "verbs": verbs})
            })
            .collect();
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
    }

    fn list(&self, index: usize, resource: &Resource, namespace: Option<&str>, query: &str) -> Result<Answer, Failure> {
        let mut wanted = Vec::new();
        for selector in query.split('&').filter_map(|q| q.strip_prefix("fieldSelector=")) {
            let selector = decode(selector);
            for term in selector.split(',').filter(|t| !t.is_empty()) {
                let (field, value) = term.split_once('=').unwrap_or((term, ""));
                let (field, value) = (field.to_owned(), value.trim_start_matches('=').to_owned());
                if !resource.selectable.contains(&field.as_str()) && !field.starts_with("metadata.name") {
                    let message = format!("field label not supported: {field}");
                    return Err(Failure { code: 400, reason: "BadRequest", message });
                }
                wanted.push((format!("/{}", field.replace('.', "/")), value));
            }
        }
        let fits = |o: &&Value| wanted.iter().all(|(at, value)| text(o, at).unwrap_or_default() == value);
        let items: Vec<Value> = self
            .objects
            .iter()
            .filter(|((i, ns, _), _)| *i == index && namespace.is_none_or(|n| n == ns))
            .map(|(_, o)| o)
            .filter(fits)
            .cloned()
            .collect();
        let kind = format!("{}List", resource.kind);
        let metadata = json!({"resourceVersion": self.version.to_string()});
        Ok((200, json!({"kind": kind, "apiVersion": resource.api_version(), "metadata": metadata, "items": items})))
    }

    fn create(
        &mut self,
        index: usize,
        resource: &Resource,
        namespace: &str,
        mut object: Value,
        now: &str,
    ) -> Result<Answer, Failure> {
        let name = text(&object, "/metadata/name").unwrap_or_default().to_owned();
        if name.is_empty() {
            let message = format!("{} \"\" is invalid: metadata.name: Required value", resource.qualified());
            return Err(Failure { code: 422, reason: "Invalid", message });
        }
        if text(&object, "/metadata/resourceVersion").is_some() {
            let message = "resourceVersion should not be set on objects to be created".to_owned();
            return Err(Failure { code: 500, reason: "InternalError", message });
        }
        if resource.terminating {
            let message = "create not allowed while custom resource definition is terminating".to_owned();
            return Err(Failure { code: 405, reason: "MethodNotAllowed", message });
        }
        let key = (index, namespace.to_owned(), name.clone());
        if self.objects.contains_key(&key) {
            let message = format!("{} \"{name}\" already exists", resource.qualified());
            return Err(Failure { code: 409, reason: "AlreadyExists", message });
        }
        self.uids += 1;
        let version = self.next_version();
        for (field, value) in [
            ("namespace", namespace.into()),
            ("uid", format!("00000000-0000-4000-8000-{:012}", self.uids).into()),
            ("resourceVersion", version),
            ("creationTimestamp", now.into()),
            ("deletionTimestamp", Value::Null),
            ("managedFields", Value::Null),
            ("generation", if resource.custom { 1.into() } else { Value::Null }),
        ] {
            set(&mut object, field, value);
        }
        put(&mut object, "apiVersion", Some(resource.api_version().into()));
        put(&mut object, "kind", Some(resource.kind.into()));
        if resource.custom {
            put(&mut object, "status", resource.initial_status.clone());
        }
        self.objects.insert(key, object.clone());
        Ok((201, object))
    }

    /// An update or a patch, of the object or of its status.
    fn write(
        &mut self,
        resource: &Resource,
        key: &Key,
        status: bool,
        change: impl FnOnce(&Value) -> Result<Value, Failure>,
    ) -> Result<Answer, Failure> {
        let name = key.2.as_str();
        let old = self.objects.get(key).cloned().ok_or_else(|| missing(resource, name))?;
        let asked = change(&old)?;
        match text(&asked, "/metadata/resourceVersion") {
            Some(version) if Some(version) != text(&old, "/metadata/resourceVersion") => {
                return Err(conflict(resource, name, MODIFIED));
            }
            None if resource.custom => {
                let message = format!(
                    "{} \"{name}\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update",
                    resource.qualified()
                );
                return Err(Failure { code: 422, reason: "Invalid", message });
            }
            _ => {}
        }
        if let Some(uid) = text(&asked, "/metadata/uid").filter(|uid| Some(*uid) != text(&old, "/metadata/uid")) {
            let there = text(&old, "/metadata/uid").unwrap_or_default();
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {there}");
            return Err(conflict(resource, name, &why));
        }
        let mut new = if status {
            let mut new = old.clone();
            put(&mut new, "status", asked.get("status").cloned());
            new
        } else {
            let mut new = asked;
            for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion", "namespace"]
            {
                set(&mut new, field, old.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default());
            }
            for field in ["apiVersion", "kind"] {
                put(&mut new, field, old.get(field).cloned());
            }
            if resource.custom {
                put(&mut new, "status", old.get("status").cloned());
            }
            new
        };
        if finalizers(&new).is_empty() {
            set(&mut new, "finalizers", Value::Null);
        }
        let deleting = text(&old, "/metadata/deletionTimestamp").is_some();
        if deleting && finalizers(&new).iter().any(|f| !finalizers(&old).contains(f)) {
            let message = format!(
                "{} \"{name}\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted",
                resource.qualified()
            );
            return Err(Failure { code: 422, reason: "Invalid", message });
        }
        if let Some(Err(why)) = resource.rule.map(|rule| rule(&old, &new)) {
            let message = format!("{} \"{name}\" is invalid: {why}", resource.qualified());
            return Err(Failure { code: 422, reason: "Invalid", message });
        }
        if new == old {
            return Ok((200, old));
        }
        if resource.custom && wish(&new) != wish(&old) {
            bump_generation(&mut new);
        }
        let version = self.next_version();
        set(&mut new, "resourceVersion", version);
        if deleting && finalizers(&new).is_empty() {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), new.clone());
        }
        Ok((200, new))
    }

    fn delete(&mut self, resource: &Resource, key: &Key, now: &str) -> Result<Answer, Failure> {
        let name = key.2.as_str();
        let mut object = self.objects.get(key).cloned().ok_or_else(|| missing(resource, name))?;
        if finalizers(&object).is_empty() {
            self.objects.remove(key);
            let details = json!({"name": name, "group": resource.group, "kind": resource.plural, "uid": object.pointer("/metadata/uid")});
            return Ok((
                200,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
            ));
        }
        if text(&object, "/metadata/deletionTimestamp").is_none() {
            set(&mut object, "deletionTimestamp", now.into());
            set(&mut object, "deletionGracePeriodSeconds", 0.into());
            if resource.custom {
                bump_generation(&mut object);
            }
            let version = self.next_version();
            set(&mut object, "resourceVersion", version);
            self.objects.insert(key.clone(), object.clone());
        }
        Ok((200, object))
    }
}

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

fn bump_generation(object: &mut Value) {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    set(object, "generation", (generation + 1).into());
}

fn not_found(message: String) -> Failure {
    Failure { code: 404, reason: "NotFound", message }
}

fn missing(resource: &Resource, name: &str) -> Failure {
    not_found(format!("{} \"{name}\" not found", resource.qualified()))
}

fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
    let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
    Failure { code: 409, reason: "Conflict", message }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match byte {
            b'%' => {
                if let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) {
                    out.push(high * 16 + low);
                }
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
