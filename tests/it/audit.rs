//! `docs/audit.md` names every finding, every key and every figure of the audit, and none that do not exist.

use std::collections::{BTreeMap, BTreeSet};

use clinic_phone_operator::domain::{AccountSid, InstallationId};
use clinic_phone_operator::plan::audit::{self, FindingKind, Obstacle, Others, Question, Resources, Seen};
use clinic_phone_operator::telemetry::Metrics;
use clinic_phone_operator::telemetry::audit::Figures;
use serde_json::Value;

use crate::{Outcome, read};

const PAGE: &str = "docs/audit.md";

/// What stands in backticks.
fn code(page: &str) -> BTreeSet<&str> {
    page.lines().filter(|line| !line.starts_with("    ")).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Every key below a value.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        found.insert(key.clone());
        keys(value, found);
    }
    value.as_array().into_iter().flatten().for_each(|value| keys(value, found));
}

#[test]
fn every_finding_has_a_row() -> Outcome {
    let page = read(PAGE)?;
    let section = page.split("## Findings").nth(1).and_then(|rest| rest.split("\n## ").next()).ok_or("no section")?;
    let rows: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let kinds: Vec<_> = FindingKind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
    assert_eq!(rows, kinds);
    for obstacle in [Obstacle::NoCredentials, Obstacle::CredentialsRefused, Obstacle::Unreachable] {
        assert!(code(section).contains(format!("{obstacle:?}").as_str()), "{obstacle:?}");
    }
    Ok(())
}

#[test]
fn every_key_of_the_report_is_named() -> Outcome {
    let account = AccountSid::parse(&format!("AC{}", "0".repeat(32)))?;
    let ids = audit::Ids { installation: InstallationId::parse("prod")?, previous: None };
    let mut listing = audit::Listing::default();
    let number = serde_json::json!({
        "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber",
        "metadata": {"namespace": "clinic", "name": "a"},
        "spec": {"credentialsSecretRef": {"name": "twilio"}, "phoneNumber": "+14185550001"},
        "status": {"phoneNumber": "+14185550001", "phoneNumberSID": format!("PN{}", "0".repeat(32)), "accountSID": account},
    });
    let subjects = [audit::Subject::read(&serde_json::from_value(number)?, &ids)];
    let sid = subjects.iter().find_map(|s| s.record.as_ref()).ok_or("no record")?.sid.clone();
    listing.lookups.insert(sid, audit::Lookup::Gone);
    let resources = Resources::new(&ids, &subjects, &subjects);
    let (seen, secrets) = (BTreeMap::from([(account, Seen::Listed(listing))]), BTreeMap::new());
    let question = Question { resources: &resources, others: &Others::None, secrets: &secrets, seen: &seen };
    let report = serde_json::to_value(audit::compare(&ids.installation, &question))?;
    let mut found = BTreeSet::from(["amount".to_owned(), "currency".to_owned(), "problem".to_owned()]);
    keys(&report, &mut found);
    assert!(found.contains("phoneNumberSID") && found.len() > 30, "{found:?}");
    let page = read(PAGE)?;
    let named = code(&page);
    let missing: Vec<_> = found.iter().filter(|key| !named.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{PAGE} does not name {missing:?}");
    Ok(())
}

#[test]
fn every_figure_has_a_row_and_every_row_a_figure() -> Outcome {
    let metrics = Metrics::default();
    // A figure with labels is not there before it has a value.
    let (findings, costs) = (vec![("orphan", 0)], vec![("USD".to_owned(), 0.0)]);
    metrics.audited(&Figures { findings, costs, ..Figures::default() });
    let text = metrics.render()?;
    let figures: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .filter(|name| name.contains("_audit_"))
        .map(|name| name.trim_end_matches("_total").to_owned())
        .collect();
    let page = read(PAGE)?;
    let named: BTreeSet<_> = code(&page)
        .into_iter()
        .filter(|text| text.starts_with("clinic_phone_operator_"))
        .map(|text| text.split('{').next().unwrap_or(text).trim_end_matches("_total").to_owned())
        .collect();
    assert_eq!(named, figures);
    assert_eq!(figures.len(), 6);
    let labels: BTreeSet<_> = FindingKind::ALL.iter().map(|kind| kind.label()).collect();
    assert!(labels.is_subset(&code(&page)), "{labels:?}");
    Ok(())
}
