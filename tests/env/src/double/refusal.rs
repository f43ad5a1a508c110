//! How the double says no.

use serde_json::{Value, json};

use super::object::{put, text};
use super::{Answer, Resource};

pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn answer(self) -> Answer {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        put(&mut body, "reason", Some(self.reason.into()).filter(|_| !self.reason.is_empty()));
        (self.code, body)
    }
}

pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn not_found(message: String) -> Failure {
    Failure { code: 404, reason: "NotFound", message }
}

pub(super) fn no_such() -> Failure {
    not_found("the server could not find the requested resource".to_owned())
}

pub(super) fn not_allowed() -> Failure {
    let message = "the server does not allow this method on the requested resource".to_owned();
    Failure { code: 405, reason: "MethodNotAllowed", message }
}

pub(super) fn bad_request(message: String) -> Failure {
    Failure { code: 400, reason: "BadRequest", message }
}

pub(super) fn invalid(what: &str, name: &str, why: &str) -> Failure {
    Failure { code: 422, reason: "Invalid", message: format!("{what} \"{name}\" is invalid: {why}") }
}

pub(super) fn missing(resource: &Resource, name: &str) -> Failure {
    not_found(format!("{} \"{name}\" not found", resource.qualified()))
}

pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
    let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
    Failure { code: 409, reason: "Conflict", message }
}

/// Whether a body is of this kind and this namespace. Of the core kinds' the path tells enough.
pub(super) fn fits(resource: &Resource, body: &Value, namespace: &str) -> Result<(), Failure> {
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

pub(super) fn named(body: &Value, name: &str) -> Result<(), Failure> {
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
pub(super) fn same_uid(resource: &Resource, body: &Value, there: &Value) -> Result<(), Failure> {
    let (asked, there) = (text(body, "/metadata/uid"), text(there, "/metadata/uid").unwrap_or_default());
    let Some(uid) = asked.filter(|uid| *uid != there) else { return Ok(()) };
    let name = text(body, "/metadata/name").unwrap_or_default();
    let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {there}");
    Err(conflict(resource, name, &why))
}
