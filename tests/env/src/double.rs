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
mod object;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use object::{bump_generation, finalizers, immutable, kept, merge, put, set, text, tidy, version, wish};
use refusal::{
    Failure, MODIFIED, bad_request, conflict, fits, invalid, missing, named, no_such, not_allowed, same_uid,
};

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
