//! The table of situations: each is led to, and shows the conditions, the kstatus result and the Argo CD health that the
//! documentation promises.

use std::collections::BTreeMap;

use super::lives::{buy_into, lives, service, until};
use super::twilio::CallFault;
use super::world::{World, key, search};
use crate::api::REQUESTED_AT;
use crate::api::v1alpha1::ClinicPhoneNumber;
use crate::domain::Class;
use crate::plan::Kind;

type Shown = (bool, bool, bool, &'static str, &'static str, &'static str);

/// Ready, Reconciling, Stalled, the reason, kstatus, Argo CD.
fn promised(kind: Kind) -> Shown {
    const PROGRESS: (&str, &str) = ("InProgress", "Progressing");
    const FAILED: (&str, &str) = ("Failed", "Degraded");
    const ENDING: (&str, &str) = ("Terminating", "Progressing");
    let (ready, reconciling, stalled, reason, (kstatus, argo)) = match kind {
        Kind::WaitingForCredentials => (false, true, false, "WaitingForCredentials", PROGRESS),
        Kind::Searching => (false, true, false, "Searching", PROGRESS),
        Kind::Purchasing => (false, true, false, "Purchasing", PROGRESS),
        Kind::ResolvingPurchase => (false, true, false, "ResolvingPurchase", PROGRESS),
        Kind::ConfiguringNumber => (false, true, false, "ConfiguringNumber", PROGRESS),
        Kind::NoNumbersAvailable => (false, true, false, "NoNumbersAvailable", PROGRESS),
        Kind::RateLimited => (false, true, false, "RateLimited", PROGRESS),
        Kind::TwilioUnavailable => (false, true, false, "TwilioUnavailable", PROGRESS),
        Kind::PurchaseLimitReached => (false, true, false, "PurchaseLimitReached", PROGRESS),
        Kind::AwaitingApproval => (false, false, false, "AwaitingApproval", ("InProgress", "Suspended")),
        Kind::Suspended => (false, false, false, "Suspended", ("InProgress", "Suspended")),
        Kind::Available | Kind::Unobserved => (true, false, false, "Available", ("Current", "Healthy")),
        Kind::Rewiring => (true, true, false, "ConfiguringNumber", PROGRESS),
        Kind::CredentialsRejected => (false, false, true, "CredentialsRejected", FAILED),
        Kind::AccountSuspended => (false, false, true, "AccountSuspended", FAILED),
        Kind::AccountMismatch => (false, false, true, "AccountMismatch", FAILED),
        Kind::PriceAboveLimit => (false, false, true, "PriceAboveLimit", FAILED),
        Kind::NumberUnavailable => (false, false, true, "NumberUnavailable", FAILED),
        Kind::NumberClaimedElsewhere => (false, false, true, "NumberClaimedElsewhere", FAILED),
        Kind::HeldNumberDiffers => (false, false, true, "HeldNumberDiffers", FAILED),
        Kind::RegulatoryDataRequired => (false, false, true, "RegulatoryDataRequired", FAILED),
        Kind::NumberLost => (false, false, true, "NumberLost", FAILED),
        Kind::DriftContested => (false, false, true, "DriftContested", FAILED),
        Kind::MessagingServiceRefused => (false, false, true, "MessagingServiceRefused", FAILED),
        Kind::InvalidSpec => (false, false, true, "InvalidSpec", FAILED),
        Kind::DeletionResolving => (false, true, false, "ResolvingPurchase", ENDING),
        Kind::ConfirmationRequired => (false, true, false, "ConfirmationRequired", ENDING),
        Kind::DeletionWaitingForCredentials => (false, true, false, "WaitingForCredentials", ENDING),
        Kind::Releasing => (false, true, false, "Releasing", ENDING),
    };
    (ready, reconciling, stalled, reason, kstatus, argo)
}

fn condition<'a>(object: &'a ClinicPhoneNumber, kind: &str) -> Option<&'a str> {
    let conditions = &object.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str())
}

fn behind(object: &ClinicPhoneNumber) -> bool {
    object.status.as_ref().and_then(|s| s.observed_generation) != object.metadata.generation
}

/// As kstatus computes it.
fn kstatus(object: &ClinicPhoneNumber) -> &'static str {
    if object.metadata.deletion_timestamp.is_some() {
        return "Terminating";
    }
    if behind(object) {
        return "InProgress";
    }
    for c in object.status.iter().flat_map(|s| &s.conditions) {
        match (c.type_.as_str(), c.status.as_str()) {
            ("Reconciling", "True") => return "InProgress",
            ("Stalled", "True") => return "Failed",
            _ => {}
        }
    }
    match condition(object, "Ready") {
        Some("True") | None => "Current",
        Some(_) => "InProgress",
    }
}

/// As the health check for Argo CD computes it.
fn argo(object: &ClinicPhoneNumber) -> &'static str {
    let is = |kind| condition(object, kind) == Some("True");
    let reasons = object.status.iter().flat_map(|s| &s.conditions).filter(|c| c.type_ == "Ready");
    let waits = reasons.map(|c| c.reason.as_str()).any(|r| r == "AwaitingApproval" || r == "Suspended");
    if object.metadata.deletion_timestamp.is_some() || behind(object) {
        "Progressing"
    } else if is("Stalled") {
        "Degraded"
    } else if is("Paused") || waits {
        "Suspended"
    } else if is("Ready") && !is("Reconciling") {
        "Healthy"
    } else {
        "Progressing"
    }
}

fn shown(object: &ClinicPhoneNumber) -> (bool, bool, bool, String, &'static str, &'static str) {
    let is = |kind| condition(object, kind) == Some("True");
    let ready: Vec<_> = object.status.iter().flat_map(|s| &s.conditions).filter(|c| c.type_ == "Ready").collect();
    assert_eq!(ready.len(), 1, "exactly one Ready");
    for gone in ["Reconciling", "Stalled", "Paused"] {
        assert!(!matches!(condition(object, gone), Some("False" | "Unknown")), "{gone} is there only while True");
    }
    (is("Ready"), is("Reconciling"), is("Stalled"), ready[0].reason.clone(), kstatus(object), argo(object))
}

/// Scenarios beside the lives.
fn more() -> Vec<World> {
    let after = |outage: CallFault, goal: fn(&World) -> bool| {
        let mut w = World::new();
        w.apply("a", search());
        w.twilio.outage = Some(outage);
        until(&mut w, goal).unwrap();
        w
    };
    let mut worlds = vec![
        after(CallFault::Unauthorized, |w| w.reason("a") == "CredentialsRejected"),
        after(CallFault::Throttled, |w| w.reason("a") == "RateLimited"),
        after(CallFault::ServerBefore, |w| w.reason("a") == "TwilioUnavailable"),
    ];
    let mut suspended = World::new();
    suspended.apply("a", search());
    suspended.twilio.suspended = true;
    until(&mut suspended, |w| w.reason("a") == "AccountSuspended").unwrap();
    worlds.push(suspended);
    let mut taken = World::new();
    taken.twilio.refuses = Some(Class::AccountLimited);
    taken.apply("a", search());
    until(&mut taken, |w| w.reason("a") == "NumberUnavailable").unwrap();
    worlds.push(taken);
    let mut invalid = World::new();
    invalid.apply("a", serde_json::json!({"sms": {}, "search": {"country": "CA", "areaCodes": ["418"]}}));
    until(&mut invalid, |w| w.reason("a") == "InvalidSpec").unwrap();
    worlds.push(invalid);
    let mut unjoined = World::new();
    buy_into(&mut unjoined, 1);
    unjoined.twilio.full = Some(service(1));
    until(&mut unjoined, |w| w.reason("a") == "MessagingServiceRefused").unwrap();
    worlds.push(unjoined);
    let mut contested = World::new();
    contested.apply("a", search());
    until(&mut contested, |w| w.ready("a")).unwrap();
    for _ in 0..4 {
        let number = contested.holds("a").unwrap();
        contested.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".into();
        contested.advance(std::time::Duration::from_secs(2 * 3600));
        until(&mut contested, |w| {
            w.twilio.held.values().all(|s| s.number.sms_url.contains("hooks")) || w.reason("a") == "DriftContested"
        })
        .unwrap();
    }
    worlds.push(contested);
    worlds
}

/// What every kind shows the first time that it is met in a life or a scenario.
fn met() -> BTreeMap<Kind, ClinicPhoneNumber> {
    let mut met = BTreeMap::new();
    for life in lives() {
        let mut world = World::new();
        life.live(&mut world).unwrap();
        for (kind, object) in world.seen {
            met.entry(kind).or_insert(object);
        }
    }
    for world in more() {
        for (kind, object) in world.seen {
            met.entry(kind).or_insert(object);
        }
    }
    met
}

#[test]
fn every_kind_is_met_and_shows_what_is_promised() {
    let met = met();
    for kind in Kind::ALL {
        let object = met.get(&kind).unwrap_or_else(|| panic!("no scenario leads to {kind:?}"));
        let (ready, reconciling, stalled, reason, kstatus, argo) = shown(object);
        let promise = promised(kind);
        assert_eq!(
            (ready, reconciling, stalled, reason.as_str(), kstatus, argo),
            promise,
            "{kind:?}: {:#?}",
            object.status.as_ref().map(|s| &s.conditions)
        );
    }
}

#[test]
fn a_resource_that_nobody_looked_at_is_in_progress() {
    let mut world = World::new();
    world.apply("a", search());
    assert_eq!((kstatus(world.object("a")), argo(world.object("a"))), ("InProgress", "Progressing"));
}

#[test]
fn paused_in_service_is_current_and_suspended() {
    let mut world = World::new();
    world.apply("a", search());
    until(&mut world, |w| w.ready("a")).unwrap();
    world.edit("a", |o| o.spec.suspend = true);
    until(&mut world, |w| w.condition("a", "Paused").is_some()).unwrap();
    let object = &world.objects[&key("a")];
    assert_eq!((condition(object, "Ready"), kstatus(object), argo(object)), (Some("True"), "Current", "Suspended"));
}

#[test]
fn the_annotation_is_acknowledged() {
    let mut world = World::new();
    world.apply("a", search());
    until(&mut world, |w| w.ready("a")).unwrap();
    world.annotate("a", REQUESTED_AT, "now");
    until(&mut world, |w| w.status("a").last_handled_reconcile_at.as_deref() == Some("now")).unwrap();
}
