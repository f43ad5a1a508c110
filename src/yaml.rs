//! The one place that reads and writes YAML.
//!
//! What it writes survives `kubectl apply`: text that YAML would read as something else (`NO`, `012`, `+14185551234`,
//! `1e3`) is quoted. What it reads is what apply would take: several documents, no duplicate keys.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A document that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("YAML: {0}")]
pub struct Error(String);

/// Writes one document.
///
/// # Errors
/// When a value has no YAML form.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_yaml::to_string(value).map_err(|e| Error(e.to_string()))
}

/// Reads one document.
///
/// # Errors
/// Names line and column, and what was expected there.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_yaml::from_str(text).map_err(|e| Error(e.to_string()))
}

/// Reads every document of a stream; empty ones are passed over, as `kubectl apply` does.
///
/// # Errors
/// Names line and column, and what was expected there.
pub fn all_from_str<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, Error> {
    let documents: Vec<Option<T>> = serde_yaml::from_multiple(text).map_err(|e| Error(e.to_string()))?;
    Ok(documents.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn text_that_looks_like_something_else_reads_back_as_text() {
        for text in [
            "NO",
            "no",
            "y",
            "012",
            "418",
            "+14185551234",
            "1e3",
            "null",
            "~",
            "true",
            "0x1F",
            "1_000",
            "",
            " a",
            "a: b",
            "# c",
            "12:30:45",
            "2026-11-23",
            "é",
            "- x",
            "%",
            "\n",
        ] {
            let written = to_string(&BTreeMap::from([("k", text)])).unwrap();
            let read: BTreeMap<String, serde_json::Value> = from_str(&written).unwrap();
            assert_eq!(read["k"], serde_json::Value::String(text.to_owned()), "{written}");
        }
        // What a YAML 1.1 reader (kubectl's) would misread must be quoted, not merely read back by ourselves.
        for text in ["NO", "no", "y", "on", "012", "+14185551234", "1e3", "12:30:45"] {
            let written = to_string(&BTreeMap::from([("k", text)])).unwrap();
            assert!(written.contains('"') || written.contains('\''), "{written}");
        }
    }

    #[test]
    fn several_documents() {
        let all: Vec<BTreeMap<String, i32>> = all_from_str("a: 1\n---\n---\nb: 2\n").unwrap();
        assert_eq!(all.len(), 2);
        assert!(from_str::<BTreeMap<String, i32>>("a: 1\na: 2\n").is_err(), "duplicate keys");
    }
}
