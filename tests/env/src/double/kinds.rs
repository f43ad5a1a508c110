//! The kinds that the operator reads and writes, as the double has to be told them: `crds/` in short.
//!
//! In one place, because the lives under faults in `src/controller/tests` prove what they prove over the same kinds that
//! `tests/apiserver/double.rs` compares with the real ones.

use serde_json::{Value, json};

use super::Resource;

/// Resources, Secrets, the ledger's `ConfigMaps` and events.
pub fn operator() -> Vec<Resource> {
    vec![
        Resource {
            group: "telephony.chiroflow.io",
            version: "v1alpha1",
            custom: true,
            selectable: &["spec.credentialsSecretRef.name", "status.phoneNumber", "status.claim.phoneNumber"],
            initial_status: Some(json!({"observedGeneration": -1})),
            rule: Some(claim_guard),
            ..Resource::core("clinicphonenumbers", "ClinicPhoneNumber")
        },
        Resource::core("secrets", "Secret"),
        Resource::core("configmaps", "ConfigMap"),
        Resource { group: "events.k8s.io", ..Resource::core("events", "Event") },
    ]
}

/// The rule of the CRD over the claim, in Rust: `tests/apiserver/claim_guard.rs` tries the real one.
fn claim_guard(old: &Value, new: &Value) -> Result<(), String> {
    let claim = |object: &Value| object.pointer("/status/claim").cloned();
    let (Some(before), after) = (claim(old), claim(new)) else { return Ok(()) };
    let attempts = |claim: &Value| claim.get("attempts").and_then(Value::as_i64);
    let settled = before.get("outcome").and_then(Value::as_str).is_some_and(|outcome| SETTLED.contains(&outcome));
    let open = attempts(&before).unwrap_or_default() > 0 && !settled;
    let kept = after.is_some_and(|after| {
        after.get("phoneNumber") == before.get("phoneNumber") && attempts(&after) >= attempts(&before)
    });
    if open && !kept { Err(format!("status.claim: Forbidden: {UNRESOLVED}")) } else { Ok(()) }
}

const UNRESOLVED: &str =
    "a purchase is unresolved: its claim may not be dropped or rolled back; let the operator resolve it";

/// Outcomes after which a claim may go.
const SETTLED: [&str; 3] = ["Refused", "Held", "Abandoned"];
