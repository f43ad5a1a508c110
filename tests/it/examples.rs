//! The examples: each is what it says, alone, and nothing in it is real.

use std::collections::{BTreeMap, BTreeSet};

use clinic_phone_operator::{api::ClinicPhoneNumber, yaml};
use kube::core::cel::validate_cel;
use serde_json::Value;

use crate::{Outcome, files, read};

type Documents = Vec<Value>;

fn examples() -> Result<BTreeMap<String, (String, Documents)>, Box<dyn std::error::Error>> {
    let mut all = BTreeMap::new();
    for file in files("examples", "yaml")? {
        let text = read(&format!("examples/{file}"))?;
        let documents = yaml::all_from_str(&text).map_err(|error| format!("{file}: {error}"))?;
        all.insert(file, (text, documents));
    }
    assert!(!all.is_empty());
    Ok(all)
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What is in `written` and not in `read`: names that the types do not know.
fn unknown(written: &Value, read: &Value, path: &str, found: &mut Vec<String>) {
    for (key, value) in written.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match read.get(key) {
            Some(read) => unknown(value, read, &path, found),
            None => found.push(path),
        }
    }
}

#[test]
fn every_number_is_read_by_the_types_and_passes_the_rules() -> Outcome {
    let mut count = 0;
    for (file, (_, documents)) in examples()? {
        for document in documents.iter().filter(|document| text(document, "/kind") == "ClinicPhoneNumber") {
            let number: ClinicPhoneNumber =
                serde_json::from_value(document.clone()).map_err(|error| format!("{file}: {error}"))?;
            let mut names = Vec::new();
            unknown(document, &serde_json::to_value(&number)?, "", &mut names);
            assert!(names.is_empty(), "{file} has fields that do not exist: {}", names.join(", "));
            validate_cel(&number).map_err(|error| format!("{file}: {error}"))?;
            assert_eq!(text(document, "/apiVersion"), "telephony.chiroflow.io/v1alpha1", "{file}");
            assert!(number.status.is_none(), "{file}: status is the operator's");
            count += 1;
        }
    }
    assert!(count >= 8, "{count} numbers in examples/");
    Ok(())
}

#[test]
fn every_file_stands_alone() -> Outcome {
    let mut namespaces_of_all = BTreeSet::new();
    let mut accounts_of_all = BTreeSet::new();
    for (file, (whole, documents)) in examples()? {
        assert!(whole.starts_with("# "), "{file} does not begin with a comment that says what happens");
        let mut namespaces = BTreeSet::new();
        let mut secrets: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
        for document in &documents {
            let (kind, name) = (text(document, "/kind"), text(document, "/metadata/name"));
            let namespace = text(document, "/metadata/namespace");
            match kind {
                "Namespace" => {
                    assert!(namespaces_of_all.insert(name.to_owned()), "{file}: {name} is another example's too");
                    namespaces.insert(name);
                }
                "Secret" => {
                    assert!(namespaces.contains(namespace), "{file}: {name} comes before its namespace");
                    secrets.insert((namespace, name), document);
                }
                "ClinicPhoneNumber" => {
                    let reference = document.pointer("/spec/credentialsSecretRef").ok_or("no reference")?;
                    let secret = secrets.get(&(namespace, text(reference, "/name")));
                    let secret = secret.ok_or_else(|| format!("{file}: {name} comes before its Secret"))?;
                    let key = |field: &str, default: &str| {
                        let key = reference.get(field).and_then(Value::as_str).unwrap_or(default).to_owned();
                        secret.get("stringData").and_then(|data| data.get(key)).and_then(Value::as_str)
                    };
                    let account = key("accountSidKey", "accountSid").ok_or_else(|| format!("{file}: no account"))?;
                    let token = key("authTokenKey", "authToken");
                    let api_key = key("apiKeySidKey", "apiKeySid").zip(key("apiKeySecretKey", "apiKeySecret"));
                    assert!(token.is_some() || api_key.is_some(), "{file}: {name} has no credentials");
                    if accounts_of_all.insert((namespace.to_owned(), account.to_owned())) {
                        let others = accounts_of_all.iter().filter(|(_, other)| other == account).count();
                        assert_eq!(others, 1, "{file}: the account of {namespace} is another clinic's too");
                    }
                }
                other => return Err(format!("{file}: no test knows what to think of kind {other:?}").into()),
            }
        }
    }
    Ok(())
}

/// Well-formed, so that a simulated Twilio takes them, and plainly made up.
#[test]
fn credentials_are_plainly_made_up() -> Outcome {
    for (file, (_, documents)) in examples()? {
        for secret in documents.iter().filter(|document| text(document, "/kind") == "Secret") {
            for (key, value) in secret.get("stringData").and_then(Value::as_object).into_iter().flatten() {
                let value = value.as_str().ok_or_else(|| format!("{file}: {key} is no text; quote it"))?;
                let digits = value.trim_start_matches("AC").trim_start_matches("SK");
                assert_eq!(digits.len(), 32, "{file}: {key}");
                assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "{file}: {key}");
                // A random value has a run of four like digits once in some hundred, and never three of them.
                let bytes: Vec<u8> = digits.bytes().collect();
                let runs = bytes.windows(4).filter(|four| four.iter().all(|b| Some(b) == four.first())).count();
                assert!(runs >= 3, "{file}: {key} does not look made up");
            }
        }
    }
    Ok(())
}

#[test]
fn the_readme_lists_them_all() -> Outcome {
    let readme = read("examples/README.md")?;
    let examples = examples()?;
    for file in examples.keys() {
        assert!(readme.contains(&format!("| [{file}]({file}) |")), "examples/README.md has no row for {file}");
    }
    assert_eq!(readme.matches(".yaml](").count(), examples.len(), "examples/README.md has a row for no file");
    Ok(())
}
