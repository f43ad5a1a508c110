//! The CRD: what is committed is what the types say, and it is fit to be read by people.

use clinic_phone_operator::{api, yaml};
use serde_json::Value;

use crate::{Outcome, hold};

/// The schema of the one version.
pub fn schema() -> Result<Value, Box<dyn std::error::Error>> {
    let crd = serde_json::to_value(api::crd::clinic_phone_numbers()?)?;
    Ok(crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().ok_or("the CRD has no schema")?)
}

/// Calls `see` with every schema in the schema, and its path: `.spec.search.areaCodes[]`.
pub fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), see);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), see);
    }
}

#[test]
fn committed_crds_are_the_generated_one() -> Outcome {
    let expected = yaml::to_string(&api::crd::clinic_phone_numbers()?)?;
    hold("crds/telephony.chiroflow.io_clinicphonenumbers.yaml", &expected)?;
    hold("charts/clinic-phone-operator/files/crd.yaml", &expected)
}

#[test]
fn nothing_in_it_makes_an_api_server_complain() -> Outcome {
    let mut wrong = Vec::new();
    walk(&schema()?, "", &mut |path, schema| {
        if schema.get("nullable").is_some() {
            wrong.push(format!("{path}: nullable; an explicit null would then be kept instead of the default"));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array)
            && values.iter().any(Value::is_null)
        {
            wrong.push(format!("{path}: null is one of its values; there is no such value to write"));
        }
        let format = schema.get("format").and_then(Value::as_str);
        if !matches!(format, None | Some("int32" | "int64" | "date-time")) {
            wrong.push(format!("{path}: format {format:?}, which API servers do not know"));
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn everything_in_it_is_described() -> Outcome {
    let mut undescribed = Vec::new();
    walk(&schema()?, "", &mut |path, schema| {
        let described = schema.get("description").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        // What a list holds is described by the list.
        if !described && !path.ends_with("[]") {
            undescribed.push(if path.is_empty() { "the resource itself".to_owned() } else { path.to_owned() });
        }
    });
    assert!(undescribed.is_empty(), "`kubectl explain` has no word for: {}", undescribed.join(", "));
    Ok(())
}
