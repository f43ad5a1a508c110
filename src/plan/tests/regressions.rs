//! Single stories that once went wrong.

use std::time::Duration;

use super::lives::{a_bought as bought, release, stop_after_release_stamp, stop_after_stamp, until};
use super::pass::{Pass, Turn, run};
use super::twilio::CallFault;
use super::world::{Fault, WINDOW, World, account, credentials, key, number, search};
use crate::api::v1alpha1::{ClaimOutcome, DeletionPolicy, Origin};
use crate::api::{FORGET_NUMBER, REQUESTED_AT};
use crate::domain::{Class, InstallationId, Moment};
use crate::plan::observed::CredentialsView;

fn lost() -> World {
    let mut w = bought();
    w.twilio.held.clear();
    w.annotate("a", REQUESTED_AT, "lost");
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    w
}

fn within(w: &mut World, span: Duration, goal: fn(&World) -> bool) {
    let start = w.now.boot;
    until(w, goal).unwrap();
    assert!(w.now.boot.since(start) <= span, "it took {:?}", w.now.boot.since(start));
}

fn other(w: &World) -> String {
    let _ = w;
    format!("{} x", InstallationId::parse("other").unwrap().mark("x", "y", false))
}

#[test]
fn another_accounts_secret_is_read_again_within_seconds() {
    let mut w = bought();
    w.secrets.insert(key("a"), credentials(2));
    w.annotate("a", REQUESTED_AT, "1");
    until(&mut w, |w| w.reason("a") == "AccountMismatch").unwrap();
    w.secrets.insert(key("a"), credentials(1));
    within(&mut w, Duration::from_secs(10), |w| w.ready("a"));
}

#[test]
fn giving_up_a_lost_number_works_at_once() {
    let mut w = lost();
    let number = w.holds("a").unwrap();
    w.annotate("a", FORGET_NUMBER, number.as_str());
    within(&mut w, Duration::from_secs(30), |w| w.ready("a") && w.twilio.sales.len() == 2);
}

#[test]
fn a_number_that_does_not_serve_is_not_called_ready_because_it_cannot_be_seen() {
    for outage in [None, Some(CallFault::ServerBefore), Some(CallFault::Throttled)] {
        let mut w = lost();
        w.twilio.outage = outage;
        if outage.is_none() {
            w.secrets.insert(key("a"), CredentialsView::Missing("gone".into()));
        }
        w.annotate("a", REQUESTED_AT, "again");
        for _ in 0..5 {
            let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!() };
            assert!(!w.ready("a"), "{outage:?}: {:?}", w.status("a").conditions);
            let wait = at.until(w.now.boot);
            w.advance(wait);
        }
    }
}

#[test]
fn a_number_that_never_served_is_not_called_ready_while_it_cannot_be_wired() {
    let mut w = World::new();
    let (label, now) = (w.label("a", false), w.now);
    w.twilio.give(&account(1), &number(9), &label, now);
    w.twilio.refuses = Some(Class::Unavailable);
    w.apply("a", search());
    for _ in 0..4 {
        drop(run(&mut w, 0, &key("a")));
        assert_ne!(w.condition("a", "Ready").unwrap().0, "True", "{:?}", w.status("a").conditions);
        w.advance(Duration::from_secs(60));
    }
}

#[test]
fn an_upsert_whose_answer_is_lost_is_adopted_and_never_released() {
    let mut w = World::new();
    w.twilio.stock = vec![number(1)];
    w.apply("a", search());
    // Somebody bought the number long ago, and no list shows it yet.
    let now = w.now;
    let sid = w.twilio.give(&account(1), &number(1), "", now);
    w.twilio.stock = vec![number(1)];
    w.advance(Duration::from_secs(3600));
    w.twilio.held.get_mut(&sid).unwrap().listed = w.now.boot.after(Duration::from_secs(30));
    w.faults.insert(7, Fault::Call(CallFault::LostAfter));
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.status("a").origin, Some(Origin::Adopted), "{}", w.log.join("\n"));
    assert!(w.twilio.held[&sid].number.mark().unwrap().adopted, "the mark says so too");
}

#[test]
fn an_adoption_that_is_refused_is_not_sent_again_and_says_why() {
    let mut w = World::new();
    let now = w.now;
    w.twilio.give(&account(1), &number(9), "reception", now);
    w.twilio.refuses = Some(Class::InvalidRequest);
    w.apply("a", serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": "IfOwned"}));
    until(&mut w, |w| w.reason("a") == "InvalidSpec").unwrap();
    let start = w.now.boot;
    while w.now.boot.since(start) < Duration::from_secs(20 * 60) {
        let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!() };
        assert_eq!(w.reason("a"), "InvalidSpec");
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
    assert_eq!(w.twilio.calls["UpdateIncomingPhoneNumber"], 1);
    w.twilio.refuses = None;
    w.edit("a", |o| o.spec.friendly_name = Some("new".into()));
    until(&mut w, |w| w.ready("a")).unwrap();
}

#[test]
fn a_claim_of_another_installation_id_is_still_looked_for_when_it_is_deleted() {
    let mut w = World::new();
    w.apply("a", search());
    w.faults.insert(7, Fault::Call(CallFault::LostAfter));
    let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
    while w.twilio.sales.is_empty() {
        assert_eq!(pass.turn(&mut w), Turn::On);
    }
    w.defaults.installation = InstallationId::parse("renamed").unwrap();
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    let told = w.log.iter().any(|l| l.contains("let go") && l.contains(w.twilio.sales[0].1.as_str()));
    assert!(told, "{}", w.log.join("\n"));
}

#[test]
fn a_status_that_cannot_be_read_stays_as_it_is_and_does_not_hold_the_resource_for_ever() {
    let mut w = bought();
    w.edit("a", |o| o.status.as_mut().unwrap().claim.as_mut().unwrap().tag = Some("not a tag".into()));
    until(&mut w, |w| w.reason("a") == "InvalidSpec").unwrap();
    assert!(w.status("a").claim.is_some() && w.status("a").phone_number.is_some(), "nothing is erased");
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    assert_eq!((w.twilio.sales.len(), w.twilio.held.len()), (1, 1));
}

#[test]
fn a_lost_number_of_a_stalled_resource_does_not_keep_others_from_buying() {
    for stall in
        [(|w: &mut World| w.edit("a", |o| o.spec.phone_number = Some(number(7).to_string()))) as fn(&mut World), |w| {
            w.edit("a", |o| o.spec.sms = None);
        }]
    {
        let mut w = bought();
        stall(&mut w);
        until(&mut w, |w| w.condition("a", "Stalled").is_some()).unwrap();
        w.advance(Duration::from_secs(600));
        w.twilio.held.clear();
        w.apply("b", search());
        until(&mut w, |w| w.ready("b")).unwrap_or_else(|why| panic!("{why}\n{:?}", w.status("b").conditions));
    }
}

#[test]
fn many_refusals_take_many_passes_and_end_with_a_number() {
    let mut w = World::new();
    w.twilio.stock = (10..22).map(number).collect();
    w.twilio.taken = (10..21).map(number).collect();
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap_or_else(|why| panic!("{why}\n{}", w.log.join("\n")));
    assert_eq!(w.holds("a"), Some(number(21)));
}

#[test]
fn one_post_a_pass() {
    let mut w = World::new();
    w.twilio.taken = vec![number(1), number(2), number(3)];
    w.apply("a", search());
    for _ in 0..8 {
        let before = w.twilio.calls.get("CreateIncomingPhoneNumber").copied().unwrap_or_default();
        let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!() };
        let after = w.twilio.calls.get("CreateIncomingPhoneNumber").copied().unwrap_or_default();
        assert!(after - before <= 1, "{} POSTs in one pass", after - before);
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
}

/// An hour may lie between the announcement and the stamp; the look has to be of now.
#[test]
fn what_was_bought_by_hand_during_a_long_wait_is_not_overwritten() {
    let mut w = World::new();
    w.limit = 1;
    w.apply("b", search());
    until(&mut w, |w| w.ready("b")).unwrap();
    w.apply("a", search());
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    let claimed = crate::domain::E164::parse(&w.status("a").claim.unwrap().phone_number).unwrap();
    w.advance(Duration::from_secs(60));
    let (now, label) = (w.now, other(&w));
    w.twilio.give(&account(1), &claimed, &label, now);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_ne!(w.holds("a"), Some(claimed.clone()));
    assert_eq!(w.twilio.by_number(&claimed).unwrap().friendly_name, label);
}

#[test]
fn an_exact_number_is_given_up_after_five_attempts_and_tried_again_later() {
    let mut w = World::new();
    w.apply("a", serde_json::json!({"phoneNumber": number(2).as_str()}));
    stop_after_stamp(&mut w);
    let mut given_up = false;
    for _ in 0..200 {
        let Some(mut pass) = Pass::begin(&mut w, 0, &key("a")) else { panic!() };
        let ended = loop {
            // Every purchase is lost, everything else is answered.
            w.twilio.outage = pass.observed.stamp.is_some().then_some(CallFault::ServerBefore);
            match pass.turn(&mut w) {
                Turn::On => {}
                ended => break ended,
            }
        };
        w.twilio.outage = None;
        let claim = w.status("a").claim.unwrap();
        assert!(claim.attempts <= 5);
        if claim.outcome == ClaimOutcome::Abandoned {
            given_up = true;
            break;
        }
        let Turn::Ended(at) = ended else { panic!() };
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
    assert!(given_up, "{}", w.log.join("\n"));
    let posts = w.twilio.calls["CreateIncomingPhoneNumber"];
    assert!(posts <= 5, "{posts} attempts");
    let start = w.now.boot;
    until(&mut w, |w| w.ready("a")).unwrap();
    assert!(w.now.boot.since(start) > Duration::from_secs(600), "it rests before it tries again");
}

#[test]
fn an_announcement_that_waits_for_a_person_is_withdrawn() {
    let mut w = World::new();
    w.limit = 0;
    w.apply("a", serde_json::json!({"phoneNumber": number(1).as_str()}));
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    w.secrets.insert(key("a"), CredentialsView::Missing("gone".into()));
    w.limit = 30;
    w.advance(Duration::from_secs(4000));
    drop(run(&mut w, 0, &key("a")));
    assert_eq!(w.status("a").claim, None);
    w.apply("b", serde_json::json!({"phoneNumber": number(1).as_str()}));
    until(&mut w, |w| w.ready("b")).unwrap();
}

#[test]
fn an_edit_of_a_refused_exact_number_is_not_used_up_by_a_pass_that_failed() {
    let mut w = World::new();
    w.twilio.taken = vec![number(1)];
    w.apply("a", serde_json::json!({"phoneNumber": number(1).as_str()}));
    until(&mut w, |w| w.reason("a") == "NumberUnavailable").unwrap();
    w.twilio.taken.clear();
    w.twilio.outage = Some(CallFault::ServerBefore);
    w.edit("a", |o| o.spec.friendly_name = Some("again".into()));
    until(&mut w, |w| w.reason("a") == "TwilioUnavailable").unwrap();
    w.twilio.outage = None;
    until(&mut w, |w| w.ready("a")).unwrap();
}

#[test]
fn a_retained_release_is_never_sent_and_a_stamped_one_is_waited_for() {
    let mut w = bought();
    release(&mut w);
    w.advance(Duration::from_secs(200));
    stop_after_release_stamp(&mut w);
    w.may_release.clear();
    w.edit("a", |o| o.spec.deletion_policy = DeletionPolicy::Retain);
    let start = w.now.boot;
    until(&mut w, |w| w.gone("a")).unwrap();
    assert!(w.now.boot.since(start) >= super::world::WINDOW, "a DELETE may still be under way");
    assert_eq!(w.twilio.held.len(), 1);
}

#[test]
fn a_fresh_number_that_lags_is_not_called_lost() {
    let mut w = World::new();
    w.twilio.lag = Duration::from_secs(90);
    w.apply("a", search());
    until(&mut w, |w| w.holds("a").is_some()).unwrap();
    w.edit("a", |o| o.spec.friendly_name = Some("front desk".into()));
    let start: Moment = w.now.boot;
    while w.now.boot.since(start) < Duration::from_secs(80) {
        let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!() };
        assert_ne!(w.reason("a"), "NumberLost");
        let wait = at.until(w.now.boot).min(Duration::from_secs(10));
        w.advance(wait);
    }
    until(&mut w, |w| w.ready("a")).unwrap();
}

/// Status comes from a backup that is older than the number: the claim in it is of another number.
#[test]
fn a_status_older_than_the_number_ends_with_the_number() {
    for deleted in [false, true] {
        let mut w = World::new();
        w.apply("a", search());
        stop_after_stamp(&mut w);
        let backup = w.status("a");
        let claimed = backup.claim.clone().unwrap().phone_number;
        let (label, now) = (w.label("a", false), w.now);
        w.twilio.give(&account(1), &number(9), &label, now);
        assert_ne!(claimed, number(9).to_string());
        if deleted {
            w.delete("a");
            until(&mut w, |w| w.gone("a")).unwrap();
            assert_eq!(w.twilio.held.len(), 1);
        } else {
            until(&mut w, |w| w.ready("a")).unwrap();
            assert_eq!((w.holds("a"), w.twilio.sales.len()), (Some(number(9)), 0));
            w.may_release.insert(number(9));
            w.edit("a", |o| {
                o.spec.deletion_policy = DeletionPolicy::Release;
                o.spec.release_confirmation = Some(number(9).to_string());
            });
            w.delete("a");
            until(&mut w, |w| w.gone("a")).unwrap();
            assert!(w.twilio.held.is_empty());
        }
    }
}

#[test]
fn an_unresolved_claim_gets_its_finalizer_back() {
    let mut w = World::new();
    w.apply("a", search());
    stop_after_stamp(&mut w);
    w.edit("a", |o| o.metadata.finalizers = None);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert!(w.object("a").metadata.finalizers.as_ref().is_some_and(|f| !f.is_empty()));
}

#[test]
fn a_crd_that_goes_away_after_the_release_was_stamped_keeps_the_number() {
    let mut w = bought();
    let number = w.holds("a").unwrap();
    w.edit("a", |o| {
        o.spec.deletion_policy = DeletionPolicy::Release;
        o.spec.release_confirmation = Some(number.to_string());
    });
    w.delete("a");
    w.advance(Duration::from_secs(3600));
    let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
    while w.status("a").claim.is_none_or(|c| c.releasing == 0) {
        assert_eq!(pass.turn(&mut w), Turn::On);
    }
    w.crd_stays = false;
    while pass.turn(&mut w) == Turn::On {}
    assert!(w.gone("a"), "{:?}", w.status("a"));
    assert_eq!(w.twilio.held.len(), 1, "it is kept");
}

#[test]
fn a_new_life_does_not_record_what_an_older_list_shows() {
    let mut w = World::new();
    let (label, now) = (w.label("b", false), w.now);
    w.twilio.give(&account(1), &number(9), &label, now);
    w.apply("a", serde_json::json!({"phoneNumber": number(8).as_str(), "adoptionPolicy": "IfOwned"}));
    run(&mut w, 0, &key("a"));
    run(&mut w, 0, &key("a"));
    assert!(!w.processes[0].lists.is_empty(), "a list lies about");
    // The number is given back, and its resource is applied again within a moment.
    w.twilio.held.clear();
    w.apply("b", serde_json::json!({"phoneNumber": number(9).as_str()}));
    for _ in 0..4 {
        drop(run(&mut w, 0, &key("b")));
        assert_eq!(w.status("b").phone_number_sid, None, "{}", w.log.join("\n"));
    }
}

/// What a stamp may rest on, and until when it may be used.
#[test]
fn a_list_grows_old_also_within_a_pass() {
    use crate::domain::Now;
    use crate::plan::{AccountList, Observed};
    let w = bought();
    let desired = Pass::begin(&mut w.clone(), 0, &key("a")).unwrap().desired;
    let at = |second| Now { boot: Moment::since_boot(Duration::from_secs(second)), ..w.now };
    let list = AccountList::new(account(1), at(1_000).boot, Vec::new());
    let mut observed = Observed { list: Some(std::sync::Arc::new(list)), ..Observed::default() };
    observed.pass_started = at(1_000).boot;
    let recent = |observed: &Observed, now| observed.list_after(observed.recent(&desired, now)).is_some();
    assert!(recent(&observed, at(1_059)) && !recent(&observed, at(1_060)), "whenever the pass began");
    let within = Duration::from_secs(10);
    assert_eq!(observed.deadline(at(1_030), within), at(1_040).boot);
    assert_eq!(observed.deadline(at(1_065), within), at(1_070).boot, "the list ends it before");
    observed.owners = Some(std::collections::HashSet::new());
    let claim = w.status("a").claim.as_ref().map(crate::plan::Claim::read).unwrap().unwrap();
    let tag = claim.tag.clone();
    let announced = crate::plan::Claim::announce(number(2), tag, account(1), 1, Vec::new());
    observed.learn_saved(Some(announced), None, &desired, at(1_030).boot);
    assert_eq!(observed.owners, None, "who is there is asked again after the announcement");
}

/// The other resource is there again before anything is written: what was seen of it before a standstill counts no more.
#[test]
fn a_number_whose_resource_came_back_during_a_standstill_is_not_taken_over() {
    for last in ["owners", "rivals", "stamp", "get"] {
        let mut w = World::new();
        let (label, now) = (w.label("b", false), w.now);
        w.twilio.give(&account(1), &number(9), &label, now);
        w.apply("a", serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": "IfOwned"}));
        let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
        let done = |w: &World, name: &str| w.log.last().is_some_and(|l| l.ends_with(name));
        for name in ["announce", last] {
            while !done(&w, name) {
                assert_eq!(pass.turn(&mut w), Turn::On, "{last}: {}", w.log.join("\n"));
            }
        }
        w.advance(Duration::from_secs(3600));
        w.apply("b", search());
        for _ in 0..3 {
            drop(run(&mut w, 1, &key("b")));
        }
        assert_eq!(w.holds("b"), Some(number(9)));
        while pass.turn(&mut w) == Turn::On {}
        until(&mut w, |w| w.reason("a") == "NumberClaimedElsewhere").unwrap();
        let theirs = w.defaults.installation.tag("clinic", "b");
        let labels: Vec<_> = w.twilio.updates.iter().map(|(_, _, after)| after.clone()).collect();
        assert!(labels.iter().all(|l| l.contains(theirs.as_str())), "{last}: {labels:?}");
    }
}

/// A list, or what an earlier life sent, is waited for as where nothing was announced.
#[test]
fn a_number_of_an_earlier_life_is_looked_for_also_where_another_one_was_announced() {
    let mut w = World::new();
    let (label, now) = (w.label("a", false), w.now);
    w.twilio.give(&account(1), &number(9), &label, now);
    w.apply("a", search());
    let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
    while w.status("a").claim.is_none() {
        assert_eq!(pass.turn(&mut w), Turn::On);
    }
    assert_eq!(w.status("a").claim.unwrap().attempts, 0);
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    let told = w.log.iter().any(|l| l.contains("let go") && l.contains(number(9).as_str()));
    assert!(told, "{}", w.log.join("\n"));
}

#[test]
fn a_resource_that_waits_for_what_its_earlier_life_sent_waits_for_it_when_it_is_deleted_too() {
    let mut w = World::new();
    w.apply("a", search());
    stop_after_stamp(&mut w);
    let sent = w.now.boot;
    w.strip_and_apply("a");
    // It finds its earlier life's stamp in the ledger, and waits.
    let mut passes = 0;
    while w.reason("a") != "ResolvingPurchase" {
        let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!("gone") };
        let wait = at.until(w.now.boot);
        w.advance(wait);
        passes += 1;
        assert!(passes < 10, "{}", w.log.join("\n"));
    }
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    assert!(w.now.boot.since(sent) >= WINDOW, "{:?}", w.now.boot.since(sent));
}

/// Nothing is repaired, so nobody may read that it serves under its own name.
#[test]
fn a_suspended_resource_whose_number_lost_its_mark_is_not_ready() {
    let mut w = bought();
    w.edit("a", |o| o.spec.suspend = true);
    until(&mut w, |w| w.condition("a", "Paused").is_some()).unwrap();
    assert!(w.ready("a"));
    let number = w.holds("a").unwrap();
    w.twilio.by_number(&number).unwrap().friendly_name = "Front desk".to_owned();
    w.annotate("a", REQUESTED_AT, "1");
    until(&mut w, |w| !w.ready("a")).unwrap();
    assert_eq!(w.reason("a"), "Suspended");
    w.edit("a", |o| o.spec.suspend = false);
    until(&mut w, |w| w.ready("a")).unwrap();
}

/// Another program answers each repair with its own URL: messages go there, whatever is tried.
#[test]
fn a_number_whose_repair_does_not_last_is_not_ready_meanwhile() {
    let mut w = bought();
    let number = w.holds("a").unwrap();
    w.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".to_owned();
    w.twilio.keeps_sms_url = true;
    w.annotate("a", REQUESTED_AT, "1");
    let Turn::Ended(_) = run(&mut w, 0, &key("a")) else { panic!() };
    assert!(w.twilio.calls["UpdateIncomingPhoneNumber"] == 1, "{}", w.log.join("\n"));
    assert_eq!(w.condition("a", "InboundSms").unwrap().0, "False");
    assert_eq!(w.condition("a", "Ready").unwrap(), ("False".to_owned(), "ConfiguringNumber".to_owned()));
}

/// Whoever takes the number over next must not be overwritten by what this resource sent last.
#[test]
fn a_resource_whose_last_update_had_no_answer_is_let_go_when_it_can_have_no_effect_any_more() {
    for fault in [CallFault::LostAfter, CallFault::LostBefore, CallFault::Late] {
        let mut w = bought();
        w.advance(WINDOW);
        let number = w.holds("a").unwrap();
        w.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".to_owned();
        w.annotate("a", REQUESTED_AT, "1");
        let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
        while !w.log.last().is_some_and(|l| l.ends_with("get")) {
            assert_eq!(pass.turn(&mut w), Turn::On, "{}", w.log.join("\n"));
        }
        let (step, sent) = (w.step, w.now.boot);
        w.faults.insert(step, Fault::Call(fault));
        while pass.turn(&mut w) == Turn::On {}
        assert!(w.log.iter().any(|l| l.contains(" update !!")), "{}", w.log.join("\n"));
        w.delete("a");
        until(&mut w, |w| w.gone("a")).unwrap();
        assert!(w.now.boot.since(sent) >= WINDOW, "{fault:?}: {:?}", w.now.boot.since(sent));
    }
}

/// That a later update was answered says nothing of an earlier one that was not.
#[test]
fn an_update_without_an_answer_is_waited_for_also_behind_one_that_had_one() {
    let mut w = bought();
    w.advance(WINDOW);
    let number = w.holds("a").unwrap();
    w.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".to_owned();
    w.annotate("a", REQUESTED_AT, "1");
    let sent = w.now.boot;
    let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
    while !w.log.last().is_some_and(|l| l.ends_with("get")) {
        assert_eq!(pass.turn(&mut w), Turn::On, "{}", w.log.join("\n"));
    }
    let step = w.step;
    w.faults.insert(step, Fault::Call(CallFault::ServerBefore));
    while pass.turn(&mut w) == Turn::On {}
    assert!(w.log.iter().any(|l| l.contains(" update !!")), "{}", w.log.join("\n"));
    while w.twilio.calls["UpdateIncomingPhoneNumber"] < 2 {
        w.advance(Duration::from_secs(2));
        assert!(w.now.boot.since(sent) < Duration::from_secs(110), "{}", w.log.join("\n"));
        assert!(matches!(run(&mut w, 0, &key("a")), Turn::Ended(_)));
    }
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    assert!(w.now.boot.since(sent) >= WINDOW, "{:?}", w.now.boot.since(sent));
}
