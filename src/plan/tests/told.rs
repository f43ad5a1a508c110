//! What status tells while something stands in the way, and what is told before a resource goes.

use std::time::Duration;

use super::lives::{a_bought as bought, goes, live_on, release, stop_after_release_stamp, stop_after_stamp, until};
use super::pass::{restart, run};
use super::twilio::CallFault;
use super::world::{WINDOW, World, account, key, number, search};
use crate::api::FORGET_NUMBER;
use crate::api::v1alpha1::DeletionPolicy;
use crate::domain::{Class, IncomingNumber};
use crate::plan::observed::CredentialsView;
use crate::plan::{Desired, Memory, Observed, Plan, Post, Step, plan};

const HOUR: Duration = Duration::from_secs(3600);

/// Another number is named than the one that is held.
fn differs() -> World {
    let mut w = bought();
    w.edit("a", |o| o.spec.phone_number = Some(number(7).to_string()));
    until(&mut w, |w| w.reason("a") == "HeldNumberDiffers").unwrap();
    w
}

fn is(w: &World, kind: &str, status: &str, reason: &str) -> bool {
    w.condition("a", kind) == Some((status.to_owned(), reason.to_owned()))
}

fn rewrite(w: &mut World) {
    let held = w.holds("a").unwrap();
    w.twilio.by_number(&held).unwrap().sms_url = "https://elsewhere.example.com".to_owned();
}

#[test]
fn a_number_is_looked_at_also_while_the_spec_names_another_one() {
    let mut w = differs();
    rewrite(&mut w);
    live_on(&mut w, 2 * HOUR, |_| {});
    assert!(is(&w, "InboundSms", "False", "NotWired"), "{:?}", w.status("a").conditions);
    assert_eq!(w.reason("a"), "HeldNumberDiffers");
    assert!(w.twilio.updates.is_empty(), "and nothing is written");
    w.twilio.held.clear();
    live_on(&mut w, 2 * HOUR, |_| {});
    assert_eq!(w.reason("a"), "NumberLost");
}

#[test]
fn what_stands_against_the_spec_still_does_while_twilio_is_away() {
    let mut w = differs();
    w.twilio.outage = Some(CallFault::ServerBefore);
    live_on(&mut w, 2 * HOUR, |_| {});
    assert_eq!(w.reason("a"), "HeldNumberDiffers");
    assert!(is(&w, "Observed", "False", "TwilioUnavailable"), "{:?}", w.status("a").conditions);
}

#[test]
fn a_repair_that_fails_is_not_called_in_service() {
    let mut w = bought();
    rewrite(&mut w);
    w.twilio.refuses = Some(Class::Unavailable);
    live_on(&mut w, 2 * HOUR, |_| {});
    assert!(is(&w, "Ready", "False", "ConfiguringNumber"), "{:?}", w.status("a").conditions);
    assert!(is(&w, "Observed", "True", "Seen") && is(&w, "InboundSms", "False", "NotWired"));
    w.twilio.refuses = None;
    until(&mut w, |w| w.ready("a")).unwrap();
}

#[test]
fn a_suspended_resource_whose_messages_go_elsewhere_is_not_called_in_service() {
    let mut w = bought();
    rewrite(&mut w);
    w.edit("a", |o| o.spec.suspend = true);
    live_on(&mut w, HOUR, |_| {});
    assert!(is(&w, "Ready", "False", "Suspended"), "{:?}", w.status("a").conditions);
}

#[test]
fn a_number_without_sms_is_not_said_to_receive_any() {
    let mut w = bought();
    let held = w.holds("a").unwrap();
    w.twilio.by_number(&held).unwrap().capabilities.sms = false;
    live_on(&mut w, 2 * HOUR, |_| {});
    let ready = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(ready.message.contains("no SMS capability"), "{}", ready.message);
    assert!(is(&w, "InboundSms", "False", "NotCapable"));
}

#[test]
fn of_a_lost_number_whose_secret_is_gone_both_are_told() {
    let mut w = bought();
    w.twilio.held.clear();
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    w.secrets.insert(key("a"), CredentialsView::Missing("Secret twilio is not there".into()));
    let held = w.holds("a").unwrap();
    w.annotate("a", FORGET_NUMBER, held.as_str());
    w.edit("a", |o| o.spec.friendly_name = Some("front desk".into()));
    live_on(&mut w, HOUR, |_| {});
    assert_eq!(w.reason("a"), "NumberLost");
    assert!(is(&w, "CredentialsValid", "False", "WaitingForCredentials"), "{:?}", w.status("a").conditions);
    assert!(is(&w, "Observed", "False", "WaitingForCredentials"));
    let object = w.object("a");
    assert_eq!(object.status.as_ref().unwrap().observed_generation, object.metadata.generation);
    assert!(w.processes[0].memories[&key("a")].1.failures > 3, "it is looked at less and less often");
}

#[test]
fn a_number_that_a_person_has_to_bring_back_is_looked_at_every_half_hour() {
    let mut w = bought();
    w.edit("a", |o| o.spec.observe_interval = Some("24h".into()));
    w.twilio.held.clear();
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    let label = w.label("a", false);
    let (held, now) = (w.holds("a").unwrap(), w.now);
    w.twilio.give(&account(1), &held, &label, now);
    live_on(&mut w, HOUR, |_| {});
    assert!(w.ready("a"), "{:?}", w.status("a").conditions);
}

#[test]
fn a_number_is_not_called_lost_right_after_a_restart() {
    let mut w = bought();
    w.twilio.held.clear();
    restart(&mut w, 0);
    let born = w.now.boot;
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    assert!(w.now.boot.since(born) >= WINDOW, "a number that the process before has just bought may lag");
}

#[test]
fn a_confirmation_that_is_taken_back_after_the_release_says_what_became_of_it() {
    for released in [true, false] {
        let mut w = bought();
        release(&mut w);
        w.advance(2 * WINDOW);
        stop_after_release_stamp(&mut w);
        // What the process sent took effect, or did not.
        if released {
            w.twilio.held.clear();
        }
        w.edit("a", |o| o.spec.release_confirmation = None);
        let stamped = w.now.boot;
        if released {
            until(&mut w, |w| w.gone("a")).unwrap();
            assert!(w.now.boot.since(stamped) >= WINDOW);
        } else {
            until(&mut w, |w| w.reason("a") == "ConfirmationRequired").unwrap();
            assert!(w.now.boot.since(stamped) >= WINDOW, "a DELETE may still be under way");
            assert_eq!(w.twilio.held.len(), 1);
        }
    }
}

#[test]
fn with_retain_an_account_out_of_reach_does_not_hold_a_resource_for_ever() {
    let mut w = World::new();
    w.apply("a", search());
    stop_after_stamp(&mut w);
    w.delete("a");
    w.twilio.outage = Some(CallFault::ServerBefore);
    live_on(&mut w, Duration::from_secs(1800), |_| {});
    let told = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready").unwrap().message;
    assert!(told.contains("within an hour"), "{told}");
    assert!(goes(&mut w, 2 * HOUR), "{:?}", w.status("a").conditions);
}

#[test]
fn with_release_a_twilio_that_is_away_is_told_with_the_way_out() {
    let mut w = bought();
    w.advance(2 * WINDOW);
    release(&mut w);
    w.twilio.outage = Some(CallFault::ServerBefore);
    live_on(&mut w, 2 * HOUR, |_| {});
    let told = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(told.reason, "Releasing");
    assert!(told.message.contains("spec.deletionPolicy: Retain"), "{}", told.message);
}

#[test]
fn what_has_to_be_read_before_a_release_and_cannot_be_is_told() {
    let mut w = bought();
    w.advance(2 * WINDOW);
    release(&mut w);
    w.unread = Some("the ledger of purchases");
    live_on(&mut w, HOUR, |_| {});
    let told = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(told.reason, "Releasing");
    for part in ["the ledger of purchases", "spec.deletionPolicy: Retain"] {
        assert!(told.message.contains(part), "{}", told.message);
    }
    assert_eq!(w.twilio.held.len(), 1);
    w.unread = None;
    until(&mut w, |w| w.gone("a")).unwrap();
    assert!(w.twilio.held.is_empty());
}

#[test]
fn a_resource_without_status_finds_its_number_before_it_goes() {
    let mut w = World::new();
    let (label, now) = (w.label("a", false), w.now);
    w.twilio.give(&account(1), &number(9), &label, now);
    w.secrets.insert(key("a"), CredentialsView::Missing("Secret twilio is not there".into()));
    w.apply("a", search());
    run(&mut w, 0, &key("a"));
    w.secrets.insert(key("a"), super::world::credentials(1));
    w.may_release.insert(number(9));
    w.edit("a", |o| {
        o.spec.deletion_policy = DeletionPolicy::Release;
        o.spec.release_confirmation = Some(number(9).to_string());
    });
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    assert!(w.twilio.held.is_empty(), "released, as it was asked for");
}

#[test]
fn the_place_of_another_number_is_not_told() {
    let mut w = World::new();
    let (label, now) = (w.label("a", false), w.now);
    w.twilio.give(&account(1), &number(9), &label, now);
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap();
    // Another one was announced before the list showed this one.
    assert!(w.log.iter().any(|line| line.ends_with("announce")), "{:?}", w.log);
    assert_eq!((w.holds("a"), w.status("a").locality), (Some(number(9)), None));
}

#[test]
fn a_number_that_is_bought_back_by_hand_is_found_and_not_bought() {
    let mut w = bought();
    let (held, label) = (w.holds("a").unwrap(), w.label("a", false));
    w.twilio.held.clear();
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    let now = w.now;
    w.twilio.give(&account(1), &held, &label, now);
    w.advance(HOUR);
    until(&mut w, |w| w.ready("a")).unwrap();
    let acquired = w.status("a").acquired_at.unwrap().0;
    assert!(acquired <= now.wall, "as old as Twilio says, not as its recording: {acquired}");
}

#[test]
fn a_number_that_vanishes_while_it_is_taken_over_is_bought_like_any_other() {
    let mut w = World::new();
    let now = w.now;
    w.twilio.give(&account(1), &number(9), "reception", now);
    w.apply("a", serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": "IfOwned"}));
    stop_after_stamp(&mut w);
    assert_eq!(w.status("a").claim.unwrap().attempts, 1);
    w.twilio.held.clear();
    w.twilio.stock.push(number(9));
    w.limit = 0;
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    assert!(w.twilio.sales.is_empty(), "the stamp of the taking over is no permission to buy");
    w.limit = 30;
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.twilio.sales.len(), 1);
}

#[test]
fn what_is_another_number_by_now_is_not_taken_over() {
    let mut w = World::new();
    let now = w.now;
    w.twilio.give(&account(1), &number(9), "reception", now);
    w.apply("a", serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": "IfOwned"}));
    stop_after_stamp(&mut w);
    let (object, mine) = (w.object("a").clone(), w.label("a", true));
    let desired = Desired::read(&object, &w.defaults);
    // In the pass that stamped: the look between stamp and update.
    for (seen, label, sent) in [(9, "reception", true), (8, "reception", false), (8, mine.as_str(), false)] {
        let row = w.twilio.by_number(&number(9)).unwrap();
        let looked = IncomingNumber { phone_number: number(seen), friendly_name: label.to_owned(), ..row.clone() };
        let mut observed = Observed::begin(object.status.as_ref(), Memory::default(), w.now.boot, WINDOW);
        observed.credentials = super::world::credentials(1);
        let (claim, sid) = (observed.claim.clone().unwrap(), looked.sid.clone());
        observed.learn_stamp(claim, Post::Adopt { sid, fields: Vec::new() }, w.now.boot);
        observed.learn_number(Some(looked));
        let decided = plan(&desired, &observed, w.now);
        let posts = matches!(decided, Plan::Act { step: Step::Post(_), .. });
        assert_eq!(posts, sent, "{decided:?}");
        assert!(posts || matches!(decided, Plan::Rest { .. }), "{decided:?}");
    }
}
