//! `crd`: prints the CustomResourceDefinition, exactly as `crds/` holds it.

use crate::{api, yaml};

/// The text.
///
/// # Errors
/// When the schema cannot be written, which the test suite rules out.
pub fn text() -> anyhow::Result<String> {
    Ok(yaml::to_string(&api::crd::clinic_phone_numbers()?)?)
}
