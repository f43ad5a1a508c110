//! `docs/fields.md`: every field of the resource, from the CRD.

use std::fmt::Write as _;

use serde_json::Value;

use crate::crd::{schema, walk};
use crate::{Outcome, hold};

const HEAD: &str = "\
# Fields of ClinicPhoneNumber

`telephony.chiroflow.io/v1alpha1`, from the CustomResourceDefinition: the same text as `kubectl explain cpn.spec`.
Do not edit by hand: `UPDATE=1 cargo test --test it fields` writes this page.
";

#[test]
fn the_page_of_fields_is_the_schema() -> Outcome {
    let schema = schema()?;
    let mut page = String::from(HEAD);
    for (part, words) in [
        ("spec", "What users write."),
        ("status", "What the operator writes. Conditions and their reasons: [conditions.md](conditions.md)."),
    ] {
        let inner = schema.pointer(&format!("/properties/{part}")).ok_or("no such part")?;
        write!(page, "\n## {part}\n\n{words}\n")?;
        let rules = rules(inner);
        if !rules.is_empty() {
            write!(page, "\nRules about several fields:\n\n")?;
            for rule in rules {
                writeln!(page, "- {}", rule.replace('|', "\\|"))?;
            }
        }
        write!(page, "\n| field | type | default | meaning | rules |\n|---|---|---|---|---|\n")?;
        walk(inner, &format!(".{part}"), &mut |path, field| {
            let required = required(inner, path.trim_start_matches(&format!(".{part}")));
            // What is inside a condition is the same everywhere in Kubernetes.
            if path != format!(".{part}") && !path.ends_with("[]") && !path.contains(".conditions[]") {
                page.push_str(&row(path.trim_start_matches('.'), field, required));
            }
        });
    }
    hold("docs/fields.md", &page)
}

fn row(path: &str, field: &Value, required: bool) -> String {
    let mut limits = Vec::new();
    if required {
        limits.push("required".to_owned());
    }
    limits.extend(limits_of(field));
    if let Some(items) = field.get("items") {
        limits.extend(limits_of(items).into_iter().map(|limit| format!("each: {limit}")));
    }
    // Rules about several fields of the search stand in its row, as those of the whole spec stand above the table.
    limits.extend(rules(field));
    let default = field.get("default").map(|value| format!("`{}`", plain(value))).unwrap_or_default();
    let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    // Markdown would take `<public DNS name>` for a tag.
    let limits: Vec<String> = limits.into_iter().map(|limit| limit.replace('<', "&lt;")).collect();
    let cells = [format!("`{path}`"), kind(field), default, meaning, limits.join("<br>")];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn kind(field: &Value) -> String {
    let name = field.get("type").and_then(Value::as_str).unwrap_or("any");
    match (name, field.get("items")) {
        ("array", Some(items)) => format!("list of {}", kind(items)),
        ("string", _) if field.get("format").and_then(Value::as_str) == Some("date-time") => "time".to_owned(),
        _ => name.to_owned(),
    }
}

/// What the schema says besides rules, in words.
fn limits_of(field: &Value) -> Vec<String> {
    let number = |key: &str| field.get(key).and_then(Value::as_f64);
    let mut limits = Vec::new();
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        limits.push(values.iter().map(|value| format!("`{}`", plain(value))).collect::<Vec<_>>().join(", "));
    }
    for (least, most, what) in
        [("minLength", "maxLength", " characters"), ("minItems", "maxItems", " of them"), ("minimum", "maximum", "")]
    {
        match (number(least), number(most)) {
            (Some(least), Some(most)) => limits.push(format!("{least} to {most}{what}")),
            (Some(least), None) => limits.push(format!("at least {least}{what}")),
            (None, Some(most)) => limits.push(format!("at most {most}{what}")),
            (None, None) => {}
        }
    }
    if let Some(pattern) = field.get("pattern").and_then(Value::as_str) {
        limits.push(format!("`{pattern}`"));
    }
    limits
}

/// The messages of the rules of this very field.
fn rules(field: &Value) -> Vec<String> {
    let rules = field.get("x-kubernetes-validations").and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("message").and_then(Value::as_str).map(str::to_owned))
        .collect()
}

/// Whether the last name of a path is required where it stands.
fn required(root: &Value, path: &str) -> bool {
    let mut names: Vec<&str> = path.split('.').filter(|name| !name.is_empty()).collect();
    let Some(last) = names.pop() else { return false };
    let mut schema = Some(root);
    for name in names {
        let field = name.strip_suffix("[]");
        schema = schema.and_then(|s| s.get("properties")).and_then(|p| p.get(field.unwrap_or(name)));
        if field.is_some() {
            schema = schema.and_then(|s| s.get("items"));
        }
    }
    let required = schema.and_then(|s| s.get("required")).and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|name| name == last))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
