//! A resource as the API server may hand it over: any spec, any status, and whatever is found out about it.
//!
//! ```text
//! {"metadata": {"namespace": "clinic", "name": "a"}, "spec": {…}, "status": {…}}
//! %%
//! choices
//! ```
//!
//! The first part is JSON, or else YAML. Each byte of the second is a choice: of what a step finds, and how long it takes.

use super::decide::live;
use super::input::{Choices, sections};
use crate::api::v1alpha1::ClinicPhoneNumber;
use crate::plan::Desired;
use crate::yaml;

/// Reads a resource and lives with it for some passes.
pub fn resource(data: &[u8]) {
    let parts = sections(data);
    let text = parts.first().copied().unwrap_or_default();
    let read = serde_json::from_slice(text).ok();
    let Some(resource) = read.or_else(|| yaml::from_str(std::str::from_utf8(text).ok()?).ok()) else { return };
    reads_back(&resource);
    live(resource, &mut Choices(parts.get(1).copied().unwrap_or_default()));
}

/// What was read once is written and read without another loss.
fn reads_back(resource: &ClinicPhoneNumber) {
    let written = serde_json::to_value(resource).expect("a resource has a JSON form");
    let read: ClinicPhoneNumber = serde_json::from_value(written.clone()).expect("what was written reads back");
    assert_eq!(serde_json::to_value(&read).ok(), Some(written));
}

/// A template is filled in from names, which are DNS labels.
pub(super) fn fill_in(desired: &Desired) {
    if let Ok(wish) = &desired.wish {
        let template = wish.sms.url.starts_with("https://hooks.example.com/");
        assert!(!template || !wish.sms.url.contains("{namespace}"), "{}", wish.sms.url);
    }
}
