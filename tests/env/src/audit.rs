//! Counts what was written through the API server, from its audit log.
//!
//! This is the API server's own account, so it also shows writes that an operator did not mean to make. Reads, watches and
//! dry runs are left out. A line may appear a moment after the client has its answer: poll with
//! [`crate::process::wait_until`] for writes that are expected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::Error;

/// The kind of a write: what is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct WriteKind {
    /// Who wrote, as the API server knows them: `system:serviceaccount:clinic:operator`.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The plural name, such as `leases`; its API group is in [`Write::group`].
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The HTTP status of the answer; 409 is a write that was refused because of a conflict.
    pub code: u16,
}

/// One completed write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Write {
    /// What it is counted as.
    pub kind: WriteKind,
    /// The API group; empty for the core group.
    pub group: String,
    /// Empty for objects without a namespace.
    pub namespace: String,
    /// Empty when the server made the name, and for collections.
    pub name: String,
    /// When the answer was complete, RFC 3339 in UTC with microseconds: comparing as text is comparing in time.
    pub at: String,
}

/// Which writes to take. What is `None` is not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only by this user.
    pub user: Option<String>,
    /// Only with this verb.
    pub verb: Option<String>,
    /// Only of this resource, by its plural name.
    pub resource: Option<String>,
    /// Only of this subresource; `Some("")` for the objects themselves.
    pub subresource: Option<String>,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only of the object with this name.
    pub name: Option<String>,
    /// Only with this HTTP status.
    pub code: Option<u16>,
}

impl Filter {
    /// Takes every write.
    pub fn all() -> Self {
        Self::default()
    }

    /// Takes only writes by this user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Takes only writes by a service account.
    pub fn service_account(self, namespace: &str, name: &str) -> Self {
        self.user(format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// Takes only writes with this verb.
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Takes only writes of this resource.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Takes only writes of this subresource.
    pub fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = Some(subresource.into());
        self
    }

    /// Takes only writes in this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Takes only writes of the object with this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Takes only writes that were answered with this HTTP status.
    pub fn code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }

    fn takes(&self, write: &Write) -> bool {
        let Self { user, verb, resource, subresource, namespace, name, code } = self;
        let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        same(user, &write.kind.user)
            && same(verb, &write.kind.verb)
            && same(resource, &write.kind.resource)
            && same(subresource, &write.kind.subresource)
            && same(namespace, &write.namespace)
            && same(name, &write.name)
            && code.is_none_or(|code| code == write.kind.code)
    }
}

/// The writes that were found, in the order of their completion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes(Vec<Write>);

impl Writes {
    /// How many there are.
    pub fn total(&self) -> usize {
        self.0.len()
    }

    /// How many there are of each kind.
    pub fn by_kind(&self) -> BTreeMap<&WriteKind, usize> {
        let mut counts = BTreeMap::new();
        for write in &self.0 {
            *counts.entry(&write.kind).or_default() += 1;
        }
        counts
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Write> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Writes {
    type Item = &'a Write;
    type IntoIter = std::slice::Iter<'a, Write>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Reads the completed writes that the filter takes from an audit log.
///
/// A last line without an end is one that the server is still writing, and is left out.
pub fn writes(path: &Path, filter: &Filter) -> Result<Writes, Error> {
    let mut reader = BufReader::new(File::open(path).map_err(Error::at("open", path))?);
    let mut found = Vec::new();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        reader.read_line(&mut text).map_err(Error::at("read", path))?;
        if !text.ends_with('\n') {
            break;
        }
        let event: Value =
            serde_json::from_str(&text).map_err(|source| Error::Audit { path: path.to_owned(), line, source })?;
        found.extend(completed_write(&event).filter(|write| filter.takes(write)));
    }
    Ok(Writes(found))
}

fn completed_write(event: &Value) -> Option<Write> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let verb = text("/verb");
    let is_write = matches!(verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
    // The audit event has no field for dry runs; the query is the only place that tells.
    let dry_run = text("/requestURI").split_once('?').is_some_and(|(_, query)| query.contains("dryRun="));
    if !is_write || dry_run || text("/stage") != "ResponseComplete" {
        return None;
    }
    let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
    Some(Write {
        kind: WriteKind {
            user: text("/user/username"),
            verb,
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
        },
        group: text("/objectRef/apiGroup"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        at: text("/stageTimestamp"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::TempFolder;
    use serde_json::json;

    fn event(verb: &str, resource: &str, subresource: &str, code: u16) -> Value {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
            "requestURI": format!("/apis/x/v1/namespaces/n/{resource}/a?fieldManager=m"), "verb": verb,
            "user": {"username": "system:serviceaccount:n:operator", "groups": ["system:authenticated"]},
            "objectRef": {"resource": resource, "namespace": "n", "name": "a", "apiGroup": "x", "subresource": subresource},
            "responseStatus": {"code": code}, "stageTimestamp": "2026-11-23T17:00:00.000001Z"
        })
    }

    fn read(text: &str, filter: &Filter) -> Result<Writes, Error> {
        let folder = TempFolder::new("cpn-env-test", false)?;
        let path = folder.path().join("audit.log");
        std::fs::write(&path, text).map_err(Error::at("write", &path))?;
        writes(&path, filter)
    }

    fn lines(events: &[Value]) -> String {
        events.iter().flat_map(|event| [event.to_string(), "\n".to_owned()]).collect()
    }

    #[test]
    fn counts_completed_writes_by_kind() {
        let mut started = event("patch", "clinicphones", "status", 200);
        started["stage"] = json!("ResponseStarted");
        let mut dry = event("create", "clinicphones", "", 201);
        dry["requestURI"] = json!("/apis/x/v1/namespaces/n/clinicphones?dryRun=All&fieldManager=m");
        let text = lines(&[
            event("get", "clinicphones", "", 200),
            event("watch", "clinicphones", "", 200),
            event("patch", "clinicphones", "status", 200),
            event("patch", "clinicphones", "status", 409),
            event("patch", "clinicphones", "status", 200),
            event("create", "events", "", 201),
            started,
            dry,
        ]);
        let found = read(&text, &Filter::all()).unwrap();
        let counts: Vec<_> = found
            .by_kind()
            .into_iter()
            .map(|(kind, count)| {
                (kind.verb.as_str(), kind.resource.as_str(), kind.subresource.as_str(), kind.code, count)
            })
            .collect();
        assert_eq!(
            counts,
            [
                ("create", "events", "", 201, 1),
                ("patch", "clinicphones", "status", 200, 2),
                ("patch", "clinicphones", "status", 409, 1)
            ]
        );
        assert_eq!(found.total(), 4);
        let first = found.iter().next().unwrap();
        assert_eq!((first.group.as_str(), first.namespace.as_str(), first.name.as_str()), ("x", "n", "a"));
    }

    #[test]
    fn every_part_of_a_filter_filters() {
        let text = lines(&[event("patch", "clinicphones", "status", 200), event("create", "events", "", 201)]);
        let total = |filter: Filter| read(&text, &filter).unwrap().total();
        assert_eq!(total(Filter::all()), 2);
        assert_eq!(total(Filter::all().service_account("n", "operator")), 2);
        assert_eq!(total(Filter::all().user("admin")), 0);
        assert_eq!(total(Filter::all().verb("create")), 1);
        assert_eq!(total(Filter::all().resource("events")), 1);
        assert_eq!(total(Filter::all().subresource("")), 1);
        assert_eq!(total(Filter::all().subresource("status")), 1);
        assert_eq!(total(Filter::all().namespace("other")), 0);
        assert_eq!(total(Filter::all().name("a")), 2);
        assert_eq!(total(Filter::all().code(201)), 1);
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_out_and_a_broken_one_is_an_error() {
        let whole = lines(&[event("create", "events", "", 201)]);
        let half: String = whole.chars().take(40).collect();
        assert_eq!(read(&format!("{whole}{half}"), &Filter::all()).unwrap().total(), 1);
        let told = read(&format!("{whole}{half}\n"), &Filter::all()).unwrap_err().to_string();
        assert!(told.contains("line 2 is no audit event"), "{told}");
    }

    #[test]
    fn events_without_an_object_are_read_too() {
        let bare = json!({"stage": "ResponseComplete", "verb": "create", "requestURI": "/x"});
        let found = read(&lines(&[bare]), &Filter::all()).unwrap();
        assert_eq!(found.iter().next().unwrap().kind.resource, "");
    }
}
