//! YAML that somebody wrote, and what this program writes itself.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::v1alpha1::ClinicPhoneNumber;
use crate::yaml;

/// Reads a text as YAML; whatever value it has reads back after it is written, and so does the text itself.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(yaml::from_str::<ClinicPhoneNumber>(text));
    for value in yaml::all_from_str::<Value>(text).unwrap_or_default() {
        reads_back(&value);
    }
    if let Ok(value) = yaml::from_str::<Value>(text) {
        reads_back(&value);
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        reads_back(&value);
    }
    reads_back(&Value::from(text));
    let map = BTreeMap::from([("key", text), ("other", "x")]);
    reads_back(&serde_json::to_value(map).unwrap());
    let list = vec![BTreeMap::from([(text, vec![text, ""])])];
    reads_back(&serde_json::to_value(list).unwrap());
}

fn reads_back(value: &Value) {
    let written = yaml::to_string(value).expect("JSON has a YAML form");
    let read = yaml::from_str::<Value>(&written);
    assert_eq!(read.ok().as_ref(), Some(value), "{written}");
}
