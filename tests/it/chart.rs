//! The chart, as far as it can be read without Helm: its values, its rights, and what a Pod of it may do.

use std::collections::BTreeSet;

use clinic_phone_operator::yaml;
use serde_json::{Value, json};

use crate::{Outcome, files, read};

const CHART: &str = "charts/clinic-phone-operator";

/// Every path after `.Values.` in a template.
fn values_used(template: &str) -> BTreeSet<String> {
    let end = |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'));
    template
        .split(".Values.")
        .skip(1)
        .map(|rest| rest.get(..end(rest).unwrap_or(rest.len())).unwrap_or_default().trim_end_matches('.').to_owned())
        .collect()
}

/// Every path of a value that is no map with something in it.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        Some(_) | None => {
            found.insert(path.to_owned());
        }
    }
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[test]
fn templates_use_values_that_exist_and_all_of_them() -> Outcome {
    let mut there = BTreeSet::new();
    leaves(&yaml::from_str(&read(&format!("{CHART}/values.yaml"))?)?, "", &mut there);
    let mut used = BTreeSet::new();
    for file in files(&format!("{CHART}/templates"), "")? {
        for value in values_used(&read(&format!("{CHART}/templates/{file}"))?) {
            let known = there.iter().any(|leaf| is_at_or_below(leaf, &value) || is_at_or_below(&value, leaf));
            assert!(known, "templates/{file} uses .Values.{value}, which values.yaml does not have");
            used.insert(value);
        }
    }
    for leaf in &there {
        assert!(used.iter().any(|value| is_at_or_below(leaf, value)), "values.yaml has {leaf}, which nothing uses");
    }
    Ok(())
}

/// A right that is added is added here too, on purpose and under review.
#[test]
fn rights_are_the_reviewed_ones() -> Outcome {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let held = |file: &str| -> Result<Value, Box<dyn std::error::Error>> {
        Ok(yaml::from_str(&read(&format!("{CHART}/files/{file}"))?)?)
    };
    assert_eq!(
        held("rules-cluster.yaml")?,
        json!([
            rule("telephony.chiroflow.io", "clinicphonenumbers", &["get", "list", "watch", "patch"]),
            rule("telephony.chiroflow.io", "clinicphonenumbers/status", &["update"]),
            rule("", "secrets", &["get"]),
            rule("events.k8s.io", "events", &["create", "patch"]),
        ])
    );
    assert_eq!(held("rules-operator-namespace.yaml")?, json!([rule("", "configmaps", &["get", "create", "update"])]));
    Ok(())
}

/// The rights come from those two files alone: whoever reads them has read everything.
#[test]
fn templates_write_no_rights_of_their_own() -> Outcome {
    for file in files(&format!("{CHART}/templates"), "")? {
        let text = read(&format!("{CHART}/templates/{file}"))?;
        for word in ["verbs:", "resources: [", "cluster-admin"] {
            assert!(!text.contains(word), "templates/{file} contains {word:?}; rights belong in files/rules-*.yaml");
        }
        if file != "rbac.yaml" {
            assert!(!text.contains("kind: Role") && !text.contains("kind: ClusterRole"), "templates/{file}");
        }
    }
    let rbac = read(&format!("{CHART}/templates/rbac.yaml"))?;
    let (namespaced, cluster) = rbac.split_once("{{- else }}").ok_or("rbac.yaml has no two cases")?;
    assert!(!namespaced.contains("kind: Cluster"), "with `namespaces` set there is a cluster-wide right");
    assert!(cluster.contains("kind: ClusterRole\n") && cluster.contains("kind: ClusterRoleBinding\n"));
    Ok(())
}

/// What Pod Security *restricted* asks for, and what keeps a purchase whole.
#[test]
fn the_pod_is_restricted_and_ends_slowly() -> Outcome {
    let deployment = read(&format!("{CHART}/templates/deployment.yaml"))?;
    for line in [
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
        "type: RuntimeDefault",
        "type: Recreate",
        "replicas: 1",
        "terminationGracePeriodSeconds: 90",
        "path: /livez",
        "path: /readyz",
    ] {
        assert!(deployment.lines().any(|is| is.trim() == line), "deployment.yaml has no line {line:?}");
    }
    Ok(())
}

#[test]
fn chart_and_package_have_one_version() -> Outcome {
    let chart: Value = yaml::from_str(&read(&format!("{CHART}/Chart.yaml"))?)?;
    for key in ["version", "appVersion"] {
        assert_eq!(chart.get(key).and_then(Value::as_str), Some(env!("CARGO_PKG_VERSION")), "Chart.yaml: {key}");
    }
    Ok(())
}
