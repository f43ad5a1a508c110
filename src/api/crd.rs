//! The CustomResourceDefinition, as `crds/` and the chart hold it and `clinic-phone-operator crd` prints it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use super::ClinicPhoneNumber;

/// The CRD of [`ClinicPhoneNumber`].
///
/// # Errors
/// When the generated schema is not valid JSON for a CRD; the test suite shows that it is.
pub fn clinic_phone_numbers() -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut json = serde_json::to_value(ClinicPhoneNumber::crd())?;
    tidy(&mut json);
    serde_json::from_value(json)
}

/// Two clean-ups that hold at every depth.
///
/// * `nullable` goes: an explicit `null` is then pruned before defaults are set, so `null` and absent are one thing.
/// * Integer `format`s other than `int32` and `int64` go: API servers warn about formats they do not know.
fn tidy(value: &mut serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.remove("nullable");
        if object.get("format").and_then(serde_json::Value::as_str).is_some_and(|f| f.starts_with("uint")) {
            object.remove("format");
        }
        object.values_mut().for_each(tidy);
    } else if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(tidy);
    }
}
