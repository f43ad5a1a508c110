//! Writes down what was asked and answered, so that it can be held to Twilio's own description of its API
//! (tests/contract).
//!
//! Exchanges that are alike are written once: a test suite makes millions of calls, and what a description speaks of (names, types,
//! shapes of values) differs in few of them. Nothing is written of calls that met a fault, nor of the control API.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::wire::{Answer, Request};

/// Where a process writes its exchanges.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    file: File,
    seen: HashSet<u64>,
}

impl Recorder {
    /// Writes into this folder, to a file of this process's own.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn into(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.jsonl", std::process::id()));
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Inner { file, seen: HashSet::new() }))))
    }

    /// The recorder of a process without a command line, which is a test: into the folder that `CPN_SIM_RECORD` names, if it does.
    ///
    /// # Panics
    /// When that folder cannot be written to: a recording with a hole proves nothing.
    #[allow(clippy::panic, reason = "tests only")]
    pub fn of_tests() -> Option<Self> {
        static SHARED: OnceLock<Option<Recorder>> = OnceLock::new();
        let open = || {
            let folder = std::env::var_os("CPN_SIM_RECORD")?;
            Some(Self::into(Path::new(&folder)).unwrap_or_else(|error| panic!("CPN_SIM_RECORD: {error}")))
        };
        SHARED.get_or_init(open).clone()
    }

    /// Writes one exchange, unless one like it was written.
    pub(super) fn note(&self, request: &Request, operation: &str, answer: &Answer) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.seen.insert(shape(request, operation, answer)) {
            return;
        }
        let form = request.content_type.is_some().then_some(&request.form);
        let line = json!({
            "operation": operation, "client": request.is_ours, "fault": null, "method": request.method.as_str(),
            "path": request.path, "query": request.query, "form": form, "contentType": request.content_type,
            "authorization": request.credentials.as_ref().map(|_| "Basic"), "status": answer.status,
            "responseType": answer.body.as_ref().map(|_| "application/json"), "body": answer.body,
        });
        // One write a line: another process's end does not cut it in two.
        let written = inner.file.write_all(format!("{line}\n").as_bytes());
        if let Err(error) = written {
            tracing::error!(%error, "an exchange could not be recorded");
        }
    }
}

/// What two exchanges that are alike have in common.
fn shape(request: &Request, operation: &str, answer: &Answer) -> u64 {
    let mut hasher = DefaultHasher::new();
    (request.method.as_str(), operation, request.is_ours, request.credentials.is_some()).hash(&mut hasher);
    (&request.content_type, answer.status).hash(&mut hasher);
    text(&request.path, &mut hasher);
    for pairs in [&request.query, &request.form] {
        pairs.len().hash(&mut hasher);
        for (name, value) in pairs {
            name.hash(&mut hasher);
            text(value, &mut hasher);
        }
    }
    value(answer.body.as_ref().unwrap_or(&Value::Null), &mut hasher);
    hasher.finish()
}

/// Digits count as one another, and so do the letters that are digits of SIDs; a long text counts by its beginning.
fn text(text: &str, hasher: &mut DefaultHasher) {
    text.len().min(64).hash(hasher);
    for c in text.bytes().take(64) {
        if c.is_ascii_hexdigit() { b'0' } else { c }.hash(hasher);
    }
}

fn value(of: &Value, hasher: &mut DefaultHasher) {
    match of {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(_) => 1_u8.hash(hasher),
        Value::Number(number) => (2_u8, number.is_f64()).hash(hasher),
        Value::String(string) => {
            3_u8.hash(hasher);
            text(string, hasher);
        }
        Value::Array(items) => {
            // Its members once each, in whatever order: a list of a thousand like numbers is a list of one.
            let mut kinds: Vec<_> = items
                .iter()
                .map(|item| {
                    let mut inner = DefaultHasher::new();
                    value(item, &mut inner);
                    inner.finish()
                })
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            (4_u8, kinds).hash(hasher);
        }
        Value::Object(fields) => {
            (5_u8, fields.len()).hash(hasher);
            for (name, field) in fields {
                name.hash(hasher);
                value(field, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, agent: &str) -> Request {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::USER_AGENT, agent.parse().unwrap());
        Request::read(http::Method::GET, &path.parse().unwrap(), &headers, b"")
    }

    #[test]
    fn exchanges_that_are_alike_are_written_once() {
        let folder = std::env::temp_dir().join(format!("cpn-record-{}", std::process::id()));
        let recorder = Recorder::into(&folder).unwrap();
        let ours = concat!(env!("CARGO_PKG_NAME"), "/1.0");
        let numbers = |all: &[&str]| Answer::ok(json!({"numbers": all}));
        let (path, other) = ("/v1/Services/MG0a?PageSize=20", "/v1/Services/MG7f?PageSize=50");
        recorder.note(&request(path, ours), "FetchService", &numbers(&["+14185550001"]));
        // Other digits, and more of the same.
        recorder.note(&request(other, ours), "FetchService", &numbers(&["+14185550002", "+14185550003"]));
        recorder.note(&request(path, "curl"), "FetchService", &numbers(&["+14185550001"]));
        recorder.note(&request(path, ours), "FetchService", &numbers(&[""]));
        recorder.note(&request(path, ours), "FetchService", &Answer { status: 204, body: None });
        let file = folder.join(format!("{}.jsonl", std::process::id()));
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> =
            lines.iter().map(|line| (line["client"] == true, line["status"].as_u64().unwrap())).collect();
        assert_eq!(told, [(true, 200), (false, 200), (true, 200), (true, 204)], "{written}");
        assert_eq!(lines[0]["query"], json!([["PageSize", "20"]]));
        assert_eq!((&lines[0]["form"], &lines[3]["body"]), (&Value::Null, &Value::Null));
    }
}
