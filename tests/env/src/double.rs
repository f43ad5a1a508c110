//! A double of the API server, in memory and without I/O: one call in, one answer out.
//!
//! It has the semantics that a controller's safety rests on: versions and conflicts, the status subresource, generations,
//! finalizers and deletion, merge patches, field selectors, discovery. `tests/apiserver/double.rs` makes the same calls of it
//! and of a real kube-apiserver, by a script and by chance, and compares every answer.
//!
//! Left out, because nobody here looks at it: schemas and defaults (a caller creates whole objects), server-side apply,
//! watches, managed fields (on the real one a write that moves nothing else can still move these, and the version), admission,
//! paging, namespaces as objects (each is there), deletion of collections, generated names, the details of a failure.

pub mod kinds;

use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether the kind itself is being deleted: it takes no new objects. Discovery says that it takes no updates either,
    /// which is not so.
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

    /// How refusals of a value name it, which is by kind.
    fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Group and version, as objects carry them.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Which object: the kind's place in the list of kinds, and namespace and name as in the path, which lists are ordered by.
type Key = (usize, String);

fn key(index: usize, namespace: &str, name: &str) -> Key {
    (index, format!("{namespace}/{name}"))
}

/// An answer: HTTP status and body.
pub type Answer = (u16, Value);

/// The double.
#[derive(Debug, Clone, Default)]
pub struct ApiServer {
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Value>,
    /// Objects that nobody wrote since they were created. Their first status is not stored but read into them, so that the
    /// first write is a change, whatever it writes.
    unwritten: BTreeSet<Key>,
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
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        put(&mut body, "reason", Some(self.reason.into()).filter(|_| !self.reason.is_empty()));
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

/// Takes out what is not stored: nulls, and what is empty in the metadata.
fn tidy(object: &mut Value) {
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
fn version(object: &Value) -> Option<&str> {
    text(object, "/metadata/resourceVersion").filter(|version| *version != "0")
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

    /// Marks a kind as being deleted, or not. That its objects are deleted with it is for the caller.
    pub fn terminate(&mut self, plural: &str, terminating: bool) {
        for resource in self.resources.iter_mut().filter(|r| r.plural == plural) {
            resource.terminating = terminating;
        }
    }

    /// One object, as it is stored.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        let index = self.resources.iter().position(|r| r.plural == plural)?;
        self.objects.get(&key(index, namespace, name))
    }

    /// Every object of a kind.
    pub fn all(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let index = self.resources.iter().position(|r| r.plural == plural);
        self.objects.iter().filter(move |((i, ..), _)| Some(*i) == index).map(|(_, object)| object)
    }

    /// Puts an object back as it once was, or takes it away, as a restored backup does: past every rule, under a new version.
    pub fn restore(&mut self, plural: &str, namespace: &str, name: &str, object: Option<Value>) {
        let Some(index) = self.resources.iter().position(|r| r.plural == plural) else { return };
        let key = key(index, namespace, name);
        let version = self.next_version();
        self.unwritten.remove(&key);
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
            _ => Err(no_such()),
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
            _ => return Err(no_such()),
        };
        let index = self.resources.iter().position(|r| known(&r) && r.plural == plural).ok_or_else(no_such)?;
        let resource = self.resources.get(index).cloned().unwrap_or_else(|| Resource::core("", ""));
        let body: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body)
                .map_err(|e| bad_request(format!("the object provided is unrecognized: {e}")))?
        };
        let (custom, at) = (resource.custom, namespace.unwrap_or_default());
        let place = key(index, at, name.unwrap_or_default());
        match (method, name, subresource) {
            ("GET", None, None) => self.list(index, &resource, namespace, query),
            (_, None, None) if namespace.is_none() => Err(if custom { no_such() } else { not_allowed() }),
            ("POST", None, None) => {
                fits(&resource, &body, at)?;
                self.create(index, &resource, at, body, now)
            }
            (_, Some(name), Some(sub)) if !(custom && sub == "status") => {
                Err(if custom { missing(&resource, name) } else { no_such() })
            }
            ("GET", Some(name), _) => {
                self.objects.get(&place).cloned().map(|o| (200, o)).ok_or_else(|| missing(&resource, name))
            }
            ("PUT", Some(name), sub) => {
                fits(&resource, &body, at)?;
                named(&body, name)?;
                let there = self.objects.get(&place).ok_or_else(|| missing(&resource, name))?;
                same_uid(&resource, &body, there)?;
                self.write(&resource, &place, name, sub.is_some(), body)
            }
            ("PATCH", Some(name), sub) => {
                // A patch that names no version applies to whatever is there.
                let mut new = self.objects.get(&place).cloned().ok_or_else(|| missing(&resource, name))?;
                merge(&mut new, &body);
                fits(&resource, &new, at)?;
                named(&new, name)?;
                self.write(&resource, &place, name, sub.is_some(), new)
            }
            ("DELETE", Some(name), None) => self.delete(&resource, &place, name, now),
            _ => Err(not_allowed()),
        }
    }

    fn discovery(&self, group: &str, version: &str) -> Value {
        let resources: Vec<Value> = self
            .resources
            .iter()
            .filter(|r| r.group == group && r.version == version)
            .flat_map(|r| {
                let all = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
                let verbs = all.into_iter();
                let verbs = verbs.filter(|verb| !(r.terminating && matches!(*verb, "patch" | "create" | "update")));
                let entry = |name: String, verbs: Vec<&str>| {
                    json!({"name": name, "singularName": "", "namespaced": true, "kind": r.kind, "verbs": verbs})
                };
                let status = r.custom.then(|| entry(format!("{}/status", r.plural), vec!["get", "patch", "update"]));
                std::iter::once(entry(r.plural.to_owned(), verbs.collect())).chain(status)
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
                let Some((field, value)) = term.split_once('=') else {
                    let message = format!("invalid selector: '{selector}'; can't understand '{term}'");
                    return Err(bad_request(message));
                };
                let (field, equal) = field.strip_suffix('!').map_or((field, true), |field| (field, false));
                let value = value.strip_prefix('=').unwrap_or(value);
                let always = ["metadata.name", "metadata.namespace"];
                if !always.contains(&field) && !resource.selectable.contains(&field) {
                    let message = if resource.custom {
                        format!("field label not supported: {field}")
                    } else {
                        format!(
                            "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                        )
                    };
                    return Err(bad_request(message));
                }
                wanted.push((format!("/{}", field.replace('.', "/")), value.to_owned(), equal));
            }
        }
        let fits =
            |o: &&Value| wanted.iter().all(|(at, value, equal)| (text(o, at).unwrap_or_default() == value) == *equal);
        let there = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let mut items: Vec<Value> = self
            .objects
            .iter()
            .filter(|((i, path), _)| *i == index && path.starts_with(&there))
            .map(|(_, o)| o)
            .filter(fits)
            .cloned()
            .collect();
        if !resource.custom {
            // The kind of a list says it.
            for item in &mut items {
                put(item, "kind", None);
                put(item, "apiVersion", None);
            }
        }
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
        if resource.terminating {
            let why = "create not allowed while custom resource definition is terminating";
            let quoted = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
            let message = format!("{}{quoted} is forbidden: {why}", resource.qualified());
            return Err(Failure { code: 403, reason: "Forbidden", message });
        }
        if name.is_empty() {
            let why = "metadata.name: Required value: name or generateName is required";
            return Err(invalid(&resource.qualified_kind(), "", why));
        }
        if version(&object).is_some() {
            let message = "resourceVersion should not be set on objects to be created".to_owned();
            return Err(Failure { code: 500, reason: "", message });
        }
        let key = key(index, namespace, &name);
        if let Some(there) = self.objects.get(&key) {
            let going =
                if text(there, "/metadata/deletionTimestamp").is_some() { "object is being deleted: " } else { "" };
            let message = format!("{going}{} \"{name}\" already exists", resource.qualified());
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
            ("deletionGracePeriodSeconds", Value::Null),
            ("generation", if resource.custom { 1.into() } else { Value::Null }),
        ] {
            set(&mut object, field, value);
        }
        put(&mut object, "apiVersion", Some(resource.api_version().into()));
        put(&mut object, "kind", Some(resource.kind.into()));
        if resource.custom {
            put(&mut object, "status", resource.initial_status.clone());
        }
        tidy(&mut object);
        if resource.initial_status.is_some() {
            self.unwritten.insert(key.clone());
        }
        self.objects.insert(key, object.clone());
        Ok((201, object))
    }

    /// An update, of the object or of its status.
    fn write(
        &mut self,
        resource: &Resource,
        key: &Key,
        name: &str,
        status: bool,
        asked: Value,
    ) -> Result<Answer, Failure> {
        let old = self.objects.get(key).cloned().ok_or_else(|| missing(resource, name))?;
        match version(&asked) {
            Some(version) if Some(version) != text(&old, "/metadata/resourceVersion") => {
                return Err(conflict(resource, name, MODIFIED));
            }
            None if resource.custom => {
                let why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
                return Err(invalid(&resource.qualified(), name, why));
            }
            _ => {}
        }
        let mut new = if status {
            let mut new = old.clone();
            let asked = asked.get("status").filter(|status| !status.is_null());
            put(&mut new, "status", asked.or(resource.initial_status.as_ref()).cloned());
            new
        } else {
            kept(resource, asked, &old)
        };
        tidy(&mut new);
        let mut wrong = immutable(&new, &old);
        wrong.extend(resource.rule.and_then(|rule| rule(&old, &new).err()));
        match wrong.as_slice() {
            [] => {}
            [why] => return Err(invalid(&resource.qualified_kind(), name, why)),
            all => return Err(invalid(&resource.qualified_kind(), name, &format!("[{}]", all.join(", ")))),
        }
        if new == old && !self.unwritten.contains(key) {
            return Ok((200, old));
        }
        self.unwritten.remove(key);
        if resource.custom && wish(&new) != wish(&old) {
            bump_generation(&mut new);
        }
        if text(&old, "/metadata/deletionTimestamp").is_some() && finalizers(&new).is_empty() {
            // What goes with its last finalizer is answered as it was asked for: under the version that it had.
            self.objects.remove(key);
            self.version += 1;
            return Ok((200, new));
        }
        let version = self.next_version();
        set(&mut new, "resourceVersion", version);
        self.objects.insert(key.clone(), new.clone());
        Ok((200, new))
    }

    fn delete(&mut self, resource: &Resource, key: &Key, name: &str, now: &str) -> Result<Answer, Failure> {
        let mut object = self.objects.get(key).cloned().ok_or_else(|| missing(resource, name))?;
        self.unwritten.remove(key);
        if finalizers(&object).is_empty() {
            self.objects.remove(key);
            let uid = object.pointer("/metadata/uid");
            let mut details = json!({"name": name, "kind": resource.plural, "uid": uid});
            put(&mut details, "group", Some(resource.group.into()).filter(|_| !resource.group.is_empty()));
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

fn no_such() -> Failure {
    not_found("the server could not find the requested resource".to_owned())
}

fn not_allowed() -> Failure {
    let message = "the server does not allow this method on the requested resource".to_owned();
    Failure { code: 405, reason: "MethodNotAllowed", message }
}

fn bad_request(message: String) -> Failure {
    Failure { code: 400, reason: "BadRequest", message }
}

fn invalid(what: &str, name: &str, why: &str) -> Failure {
    Failure { code: 422, reason: "Invalid", message: format!("{what} \"{name}\" is invalid: {why}") }
}

fn missing(resource: &Resource, name: &str) -> Failure {
    not_found(format!("{} \"{name}\" not found", resource.qualified()))
}

fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
    let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
    Failure { code: 409, reason: "Conflict", message }
}

/// Whether a body is of this kind and this namespace. Of the core kinds' the path tells enough.
fn fits(resource: &Resource, body: &Value, namespace: &str) -> Result<(), Failure> {
    let (kind, version) = (text(body, "/kind"), text(body, "/apiVersion"));
    let expected = resource.api_version();
    if resource.custom && kind.is_none() {
        return Err(bad_request("the object provided is unrecognized: Object 'Kind' is missing".to_owned()));
    }
    if version.map_or(resource.custom, |version| version != expected) {
        let version = version.unwrap_or_default();
        return Err(bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    match text(body, "/metadata/namespace") {
        Some(other) if other != namespace => Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn named(body: &Value, name: &str) -> Result<(), Failure> {
    match text(body, "/metadata/name") {
        None => Err(bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        Some(other) if other != name => {
            Err(bad_request(format!("the name of the object ({other}) does not match the name on the URL ({name})")))
        }
        Some(_) => Ok(()),
    }
}

/// Whoever replaces an object has to mean this one, whatever its version. A patch only may not change the uid.
fn same_uid(resource: &Resource, body: &Value, there: &Value) -> Result<(), Failure> {
    let (asked, there) = (text(body, "/metadata/uid"), text(there, "/metadata/uid").unwrap_or_default());
    let Some(uid) = asked.filter(|uid| *uid != there) else { return Ok(()) };
    let name = text(body, "/metadata/name").unwrap_or_default();
    let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {there}");
    Err(conflict(resource, name, &why))
}

/// What is asked for, with what the server keeps as it was, whatever is asked for.
fn kept(resource: &Resource, asked: Value, old: &Value) -> Value {
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
fn immutable(new: &Value, old: &Value) -> Vec<String> {
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
