//! Papers that a country asks for: what is missing is told before anything is searched or bought.

use std::time::Duration;

use super::lives::{live_on, until};
use super::twilio::CallFault;
use super::world::{Fault, World, account, number};
use crate::api::v1alpha1::{PurchasePolicy, RegulatoryRefs};
use crate::domain::{Bundle, BundleSid, Papers, Regulation, RegulationSid};

pub fn in_france() -> serde_json::Value {
    serde_json::json!({"search": {"country": "FR", "contains": "418"}})
}

fn bundle_sid() -> BundleSid {
    BundleSid::parse(&format!("BU{:032x}", 1)).unwrap()
}

fn regulation(n: u32) -> Regulation {
    let sid = RegulationSid::parse(&format!("RN{n:032x}")).unwrap();
    Regulation { sid, name: "France: Local - Business".to_owned(), asks: true }
}

fn bundle(status: &str) -> Bundle {
    Bundle {
        sid: bundle_sid(),
        name: "Clinique".to_owned(),
        regulation: regulation(1).sid.to_string(),
        status: status.to_owned(),
        valid_until: None,
    }
}

/// A country that asks for a bundle, and the one that the account has.
pub fn papers(status: Option<&str>) -> Papers {
    Papers { regulations: vec![regulation(1)], bundle: status.map(bundle), approved: Vec::new() }
}

pub fn name_bundle(w: &mut World) {
    w.edit("a", |o| {
        let refs = RegulatoryRefs { bundle_sid: Some(bundle_sid().to_string()), ..RegulatoryRefs::default() };
        o.spec.regulatory = Some(refs);
    });
}

fn message(w: &World) -> String {
    let ready = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready");
    ready.map(|c| c.message).unwrap_or_default()
}

fn stalled(w: &World) -> bool {
    w.condition("a", "Stalled").is_some_and(|(_, reason)| reason == "RegulatoryDataRequired")
}

fn calls(w: &World, operation: &str) -> usize {
    w.twilio.calls.get(operation).copied().unwrap_or_default()
}

fn nothing_was_asked_for(w: &World) {
    let calls: Vec<_> = w.twilio.calls.keys().collect();
    assert!(calls.iter().all(|call| ["ListRegulation", "ListIncomingPhoneNumber"].contains(call)), "{calls:?}");
    assert_eq!(w.status("a").claim, None);
}

#[test]
fn a_missing_bundle_is_told_before_anything_is_searched_and_those_that_would_do_are_named() {
    let mut w = World::new();
    w.twilio.papers = Papers { approved: vec![bundle("twilio-approved")], ..papers(None) };
    w.apply("a", in_france());
    until(&mut w, stalled).unwrap();
    nothing_was_asked_for(&w);
    for words in ["spec.regulatory.bundleSID", "France: Local - Business", bundle_sid().as_str(), "(Clinique)"] {
        assert!(message(&w).contains(words), "{words}: {}", message(&w));
    }
}

#[test]
fn a_reading_that_failed_is_not_made_again_at_once() {
    let mut w = World::new();
    w.twilio.papers = papers(None);
    w.twilio.stock.clear();
    w.apply("a", in_france());
    let readings = |w: &World| w.log.iter().filter(|line| line.contains(" papers")).count();
    let mut probe = w.clone();
    until(&mut probe, stalled).unwrap();
    let line = probe.log.iter().find(|line| line.ends_with(" papers")).unwrap();
    let at = line.split('#').nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    w.faults.insert(at, Fault::Call(CallFault::Unauthorized));
    live_on(&mut w, Duration::from_secs(14 * 60), |w| assert!(!stalled(w)));
    assert_eq!((readings(&w), w.reason("a").as_str()), (1, "NoNumbersAvailable"), "and the account's gate is open");
    live_on(&mut w, Duration::from_secs(20 * 60), |_| {});
    assert!(readings(&w) > 1 && stalled(&w), "it is read again later");
}

#[test]
fn a_person_who_is_to_choose_sees_the_numbers_and_what_is_missing() {
    let mut w = World::new();
    w.twilio.papers = papers(None);
    w.apply("a", in_france());
    w.edit("a", |o| o.spec.purchase_policy = PurchasePolicy::Manual);
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert!(!w.status("a").candidates.is_empty());
    assert!(message(&w).contains("Before that: Twilio asks for a regulatory bundle"), "{}", message(&w));
}

/// What is not certain is Twilio's to say.
#[test]
fn where_one_sort_of_customer_is_asked_for_nothing_or_other_papers_are_named_twilio_decides() {
    let free = Regulation { asks: false, ..regulation(2) };
    let some = Papers { regulations: vec![regulation(1), free], ..Papers::default() };
    let address = |w: &mut World| {
        w.edit("a", |o| {
            let address_sid = Some(format!("AD{:032x}", 1));
            o.spec.regulatory = Some(RegulatoryRefs { address_sid, ..RegulatoryRefs::default() });
        });
    };
    for (papers, edit) in [(some, None), (papers(None), Some(address as fn(&mut World)))] {
        let mut w = World::new();
        w.twilio.papers = papers;
        w.apply("a", in_france());
        if let Some(edit) = edit {
            edit(&mut w);
        }
        until(&mut w, |w| w.ready("a")).unwrap();
        assert_eq!(w.twilio.sales.len(), 1);
    }
}

#[test]
fn an_exact_number_is_judged_by_its_own_country_and_not_by_the_search_beside_it() {
    let mut w = World::new();
    w.twilio.papers = papers(None);
    let mut spec = in_france();
    spec["phoneNumber"] = number(2).as_str().into();
    w.apply("a", spec);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((calls(&w, "ListRegulation"), w.twilio.sales.len()), (0, 1));
}

#[test]
fn a_bundle_that_is_named_has_to_be_there_approved_current_and_of_the_right_regulation() {
    let expired = Bundle { valid_until: Some(World::new().now.wall), ..bundle("twilio-approved") };
    let other = Bundle { regulation: regulation(9).sid.to_string(), ..bundle("twilio-approved") };
    let unnamed = Bundle { regulation: String::new(), ..bundle("twilio-approved") };
    let table = [
        (None, Some("has no bundle")),
        (Some(bundle("draft")), Some("Twilio says draft")),
        (Some(bundle("pending-review")), Some("Twilio says pending-review")),
        (Some(bundle("twilio-rejected")), Some("Twilio says twilio-rejected")),
        (Some(bundle("")), Some("is not approved")),
        (Some(expired), Some("has expired")),
        (Some(other), None),
        (Some(unnamed), None),
        (Some(bundle("twilio-approved")), None),
        (Some(bundle("provisionally-approved")), None),
    ];
    for (bundle, told) in table {
        let mut w = World::new();
        w.twilio.papers = Papers { bundle: bundle.clone(), ..papers(None) };
        w.apply("a", in_france());
        name_bundle(&mut w);
        until(&mut w, |w| stalled(w) || w.ready("a")).unwrap();
        assert_eq!(stalled(&w), told.is_some(), "{bundle:?}: {}", message(&w));
        match told {
            Some(words) => {
                assert!(message(&w).contains(words), "{words}: {}", message(&w));
                nothing_was_asked_for(&w);
            }
            None => assert_eq!(w.twilio.sales.len(), 1),
        }
    }
}

#[test]
fn what_cannot_be_read_stands_in_nobodys_way() {
    for fault in [CallFault::NotSent, CallFault::LostBefore, CallFault::RefusedOtherwise, CallFault::ServerBefore] {
        let mut w = World::new();
        w.twilio.papers = papers(None);
        w.apply("a", in_france());
        let mut probe = w.clone();
        until(&mut probe, stalled).unwrap();
        let line = probe.log.iter().find(|line| line.ends_with(" papers")).unwrap();
        let at = line.split('#').nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        w.faults.insert(at, Fault::Call(fault));
        until(&mut w, |w| w.ready("a")).unwrap();
        assert_eq!(w.twilio.sales.len(), 1, "{fault:?}");
    }
}

#[test]
fn canada_and_the_united_states_are_not_even_asked() {
    for country in ["CA", "US"] {
        let mut w = World::new();
        w.twilio.papers = papers(None);
        w.apply("a", serde_json::json!({"search": {"country": country, "areaCodes": ["418"]}}));
        until(&mut w, |w| w.ready("a")).unwrap();
        assert_eq!(calls(&w, "ListRegulation"), 0);
    }
}

#[test]
fn numbers_that_ask_for_an_address_are_not_tried_without_one() {
    for (requirement, words) in [("any", "an address before"), ("local", "own area"), ("foreign", "outside")] {
        let mut w = World::new();
        w.twilio.address = requirement;
        w.apply("a", in_france());
        until(&mut w, stalled).unwrap();
        assert!(message(&w).contains(words) && message(&w).contains("spec.regulatory.addressSID"), "{}", message(&w));
        assert_eq!((calls(&w, "CreateIncomingPhoneNumber"), w.status("a").claim), (0, None));
        w.edit("a", |o| {
            let address_sid = Some(format!("AD{:032x}", 1));
            o.spec.regulatory = Some(RegulatoryRefs { address_sid, ..RegulatoryRefs::default() });
        });
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

#[test]
fn a_number_that_the_account_holds_with_the_tag_needs_no_papers() {
    for address in ["none", "any"] {
        let mut w = World::new();
        w.twilio.address = address;
        w.twilio.papers = if address == "none" { papers(None) } else { Papers::default() };
        let (label, now) = (w.label("a", false), w.now);
        w.twilio.give(&account(1), &number(2), &label, now);
        w.apply("a", in_france());
        until(&mut w, |w| w.ready("a")).unwrap();
        assert_eq!((w.holds("a"), w.twilio.sales.len()), (Some(number(2)), 0));
    }
}
