//! Guards that stand at all times: the account lock, a number that is lost, a field that is fought over, a changed
//! installation id, accounts that recover, the purchase fuse. One test for each promise.

use std::time::Duration;

use super::lives::{a_bought as bought, live_on, stop_after_stamp, until};
use super::pass::{Turn, restart, run};
use super::twilio::CallFault;
use super::world::{World, account, credentials, key, number, search};
use crate::api::v1alpha1::{AdoptionPolicy, ClaimOutcome, PurchasePolicy};
use crate::api::{FORGET_NUMBER, REQUESTED_AT};
use crate::domain::{Class, E164, InstallationId};

const BUY: &str = "CreateIncomingPhoneNumber";

fn exact() -> serde_json::Value {
    serde_json::json!({"phoneNumber": number(2).as_str(), "search": {"country": "CA", "areaCodes": ["418"]}})
}

fn message(w: &World, name: &str) -> String {
    let ready = w.status(name).conditions.into_iter().find(|c| c.type_ == "Ready");
    ready.map(|c| c.message).unwrap_or_default()
}

fn calls(w: &World, operation: &str) -> usize {
    w.twilio.calls.get(operation).copied().unwrap_or_default()
}

const HOURS: Duration = Duration::from_secs(6 * 3600);

// Never.

#[test]
fn never_sends_nothing_more_for_a_purchase_that_is_unresolved() {
    let mut w = World::new();
    w.apply("a", exact());
    stop_after_stamp(&mut w);
    w.edit("a", |o| o.spec.purchase_policy = PurchasePolicy::Never);
    until(&mut w, |w| w.reason("a") == "NumberUnavailable").unwrap();
    assert_eq!((w.twilio.sales.len(), calls(&w, BUY)), (0, 0));
    assert!(message(&w, "a").contains("spec.purchasePolicy"), "{}", message(&w, "a"));
    let claim = w.status("a").claim.unwrap();
    assert!(!matches!(claim.outcome, ClaimOutcome::Unknown), "{claim:?}");
}

#[test]
fn never_buys_nothing_however_long_it_waits_and_takes_over_what_comes() {
    let mut w = World::new();
    let mut spec = exact();
    spec["purchasePolicy"] = "Never".into();
    spec["adoptionPolicy"] = "IfOwned".into();
    w.apply("a", spec);
    live_on(&mut w, HOURS, |w| assert_eq!((w.reason("a").as_str(), w.status("a").claim), ("NumberUnavailable", None)));
    let now = w.now;
    w.twilio.give(&account(1), &number(2), "reception", now);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((calls(&w, BUY), w.twilio.sales.len()), (0, 0));
}

// The account lock.

#[test]
fn an_unresolved_purchase_is_looked_for_in_its_own_account_only() {
    let mut w = World::new();
    w.apply("a", search());
    stop_after_stamp(&mut w);
    w.secrets.insert(key("a"), credentials(2));
    let before = w.twilio.calls.clone();
    live_on(&mut w, Duration::from_secs(3600), |w| assert_eq!(w.reason("a"), "AccountMismatch"));
    assert_eq!(w.twilio.calls, before, "the other account is not even looked at");
    assert!(w.status("a").claim.unwrap().outcome == ClaimOutcome::Unknown, "an absence there proves nothing");
    w.secrets.insert(key("a"), credentials(1));
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.twilio.sales.len(), 1);
}

#[test]
fn the_lock_lifts_where_nothing_was_sent() {
    let mut w = World::new();
    w.limit = 0;
    w.apply("a", search());
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    assert_eq!(w.status("a").claim.unwrap().account_sid, Some(account(1).to_string()));
    w.limit = 30;
    w.secrets.insert(key("a"), credentials(2));
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.status("a").account_sid, Some(account(2).to_string()));
}

#[test]
fn the_lock_lifts_when_everything_that_was_sent_was_refused() {
    let mut w = World::new();
    w.twilio.taken = vec![number(2)];
    w.apply("a", exact());
    until(&mut w, |w| w.reason("a") == "NumberUnavailable").unwrap();
    w.twilio.taken.clear();
    w.secrets.insert(key("a"), credentials(2));
    w.annotate("a", REQUESTED_AT, "now");
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.status("a").account_sid, Some(account(2).to_string()));
}

#[test]
fn the_lock_lifts_when_a_lost_number_is_given_up() {
    let mut w = bought();
    let lost = w.holds("a").unwrap();
    w.twilio.held.clear();
    w.annotate("a", REQUESTED_AT, "1");
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    // Not before: another account cannot tell that the number is lost.
    w.secrets.insert(key("a"), credentials(2));
    w.annotate("a", FORGET_NUMBER, lost.as_str());
    live_on(&mut w, Duration::from_secs(600), |w| {
        assert_eq!((w.reason("a").as_str(), w.holds("a")), ("AccountMismatch", Some(lost.clone())));
        let lost = ("False".to_owned(), "NumberLost".to_owned());
        assert_eq!(w.condition("a", "NumberAcquired"), Some(lost), "nobody has seen it since");
    });
    w.secrets.insert(key("a"), credentials(1));
    let until_forgotten = |w: &World| w.holds("a").is_none() || w.twilio.sales.len() == 2;
    until(&mut w, until_forgotten).unwrap();
}

// A number that is lost.

#[test]
fn a_list_that_lacks_the_number_does_not_make_it_lost() {
    let mut w = bought();
    w.twilio.blank_lists = true;
    w.annotate("a", REQUESTED_AT, "1");
    live_on(&mut w, HOURS, |w| assert!(w.ready("a"), "{}", message(w, "a")));
}

#[test]
fn a_sid_that_is_not_found_does_not_make_a_listed_number_lost() {
    let mut w = bought();
    w.twilio.unknown_sids = true;
    w.annotate("a", REQUESTED_AT, "1");
    live_on(&mut w, HOURS, |w| assert!(w.ready("a"), "{}", message(w, "a")));
}

#[test]
fn a_number_is_lost_only_when_it_is_missed_again_and_again() {
    let mut w = bought();
    w.advance(Duration::from_secs(600));
    let held = w.twilio.held.clone();
    for round in 0..4 {
        w.twilio.held.clear();
        w.annotate("a", REQUESTED_AT, &format!("{round}"));
        for _ in 0..2 {
            let Turn::Ended(at) = run(&mut w, 0, &key("a")) else { panic!("gone") };
            assert_ne!(w.reason("a"), "NumberLost", "after two looks");
            let wait = at.until(w.now.boot);
            w.advance(wait);
        }
        // Seen again in between: the count starts anew.
        w.twilio.held = held.clone();
        until(&mut w, |w| w.ready("a") && w.condition("a", "Observed").is_some_and(|(s, _)| s == "True")).unwrap();
    }
}

/// A list from which another resource's number is missing too is not whole.
#[test]
fn an_incomplete_list_makes_no_number_lost() {
    let mut w = bought();
    w.apply("b", search());
    until(&mut w, |w| w.ready("b")).unwrap();
    w.advance(Duration::from_secs(600));
    let gone = w.holds("a").unwrap();
    w.twilio.held.retain(|_, s| s.number.phone_number != gone);
    w.twilio.blank_lists = true;
    w.annotate("a", REQUESTED_AT, "1");
    live_on(&mut w, Duration::from_secs(3600), |w| assert_ne!(w.reason("a"), "NumberLost", "{}", message(w, "a")));
    w.twilio.blank_lists = false;
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    assert!(w.ready("b"));
}

#[test]
fn credentials_that_may_not_look_make_no_number_lost() {
    for denied in [
        vec!["FetchIncomingPhoneNumber"],
        vec!["ListIncomingPhoneNumber"],
        vec!["FetchIncomingPhoneNumber", "ListIncomingPhoneNumber"],
    ] {
        let mut w = bought();
        w.twilio.held.clear();
        w.twilio.denied.clone_from(&denied);
        w.annotate("a", REQUESTED_AT, "1");
        live_on(&mut w, HOURS, |w| {
            assert_ne!(w.reason("a"), "NumberLost", "{denied:?}: {}", message(w, "a"));
            assert_eq!(w.condition("a", "NumberAcquired").unwrap().0, "True");
        });
    }
}

#[test]
fn trouble_and_suspension_make_no_number_lost() {
    for outage in [CallFault::ServerBefore, CallFault::Throttled, CallFault::Unauthorized, CallFault::LostBefore] {
        let mut w = bought();
        w.twilio.outage = Some(outage);
        w.annotate("a", REQUESTED_AT, "1");
        live_on(&mut w, HOURS, |w| assert_ne!(w.reason("a"), "NumberLost", "{outage:?}"));
        w.twilio.outage = None;
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

/// The parent's Secret in the place of the subaccount's: its list and its SIDs are others.
#[test]
fn a_parent_accounts_secret_makes_no_number_lost() {
    let mut w = bought();
    w.secrets.insert(key("a"), credentials(2));
    w.annotate("a", REQUESTED_AT, "1");
    live_on(&mut w, HOURS, |w| assert_eq!(w.reason("a"), "AccountMismatch"));
}

#[test]
fn a_lost_number_is_given_up_by_its_own_name_and_only_when_it_is_lost() {
    let mut w = bought();
    let own = w.holds("a").unwrap();
    // In service: the word is not taken for a wish to be rid of it.
    w.annotate("a", FORGET_NUMBER, own.as_str());
    w.annotate("a", REQUESTED_AT, "1");
    live_on(&mut w, HOURS, |w| assert!(w.ready("a") && w.holds("a").as_ref() == Some(&own)));
    let mut w = bought();
    w.twilio.held.clear();
    w.annotate("a", FORGET_NUMBER, number(9).as_str());
    w.annotate("a", REQUESTED_AT, "1");
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    live_on(&mut w, HOURS, |w| assert_eq!((w.reason("a").as_str(), w.twilio.sales.len()), ("NumberLost", 1)));
    assert!(message(&w, "a").contains("forget-number"), "{}", message(&w, "a"));
}

/// The word was given for one loss, and the number came back: it says nothing about the next loss.
#[test]
fn a_word_outlives_neither_the_loss_it_was_given_for_nor_one_that_had_not_come() {
    for healed in [true, false] {
        let mut w = bought();
        let own = w.holds("a").unwrap();
        let lose = |w: &mut World, look: &str| {
            let gone = std::mem::take(&mut w.twilio.held);
            w.annotate("a", REQUESTED_AT, look);
            gone
        };
        if healed {
            let gone = lose(&mut w, "1");
            until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
            w.twilio.held = gone;
        }
        w.annotate("a", FORGET_NUMBER, own.as_str());
        w.annotate("a", REQUESTED_AT, "2");
        until(&mut w, |w| w.ready("a")).unwrap();
        lose(&mut w, "3");
        until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
        live_on(&mut w, HOURS, |w| assert_eq!((w.reason("a").as_str(), w.twilio.sales.len()), ("NumberLost", 1)));
        assert_eq!(w.status("a").ignored_forget_number.as_deref(), Some(own.as_str()));
        assert!(message(&w, "a").contains("was there before"), "{}", message(&w, "a"));
        // Taken away and given again, now that the number is lost: a word.
        w.edit("a", |o| drop(o.metadata.annotations.as_mut().unwrap().remove(FORGET_NUMBER)));
        until(&mut w, |w| w.status("a").ignored_forget_number.is_none()).unwrap();
        assert_eq!((w.reason("a").as_str(), w.twilio.sales.len()), ("NumberLost", 1));
        w.annotate("a", FORGET_NUMBER, own.as_str());
        until(&mut w, |w| w.ready("a") && w.twilio.sales.len() == 2).unwrap();
    }
}

fn lost() -> World {
    let mut w = bought();
    w.twilio.held.clear();
    w.annotate("a", REQUESTED_AT, "1");
    until(&mut w, |w| w.reason("a") == "NumberLost").unwrap();
    w
}

#[test]
fn of_a_lost_number_nothing_false_is_told() {
    let mut w = lost();
    assert_eq!(w.condition("a", "Observed").map(|c| c.0).as_deref(), Some("True"), "it was looked for");
    // What the message advises works: bought by hand, and labelled with the mark that it names.
    let text = message(&w, "a");
    let mark = text.split('"').find(|part| part.starts_with("[cpn:")).unwrap_or_else(|| panic!("{text}"));
    let (own, mark) = (w.holds("a").unwrap(), mark.to_owned());
    w.twilio.give(&account(1), &own, &mark, w.now);
    w.annotate("a", REQUESTED_AT, "2");
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((w.holds("a"), w.twilio.sales.len()), (Some(own), 1));
    // Deleted, nothing is said to stay that is not there.
    let mut w = lost();
    w.delete("a");
    until(&mut w, |w| w.objects.is_empty()).unwrap();
    assert!(!w.log.iter().any(|line| line.contains("stays in account")), "{:?}", w.log);
}

#[test]
fn a_lost_number_is_given_up_for_another_one_that_the_spec_names() {
    let mut w = lost();
    let own = w.holds("a").unwrap();
    let next = number(if own == number(1) { 2 } else { 1 });
    w.edit("a", |o| o.spec.phone_number = Some(next.to_string()));
    w.annotate("a", FORGET_NUMBER, own.as_str());
    let ended = until(&mut w, |w| w.ready("a") && w.twilio.sales.len() == 2);
    assert_eq!((ended, w.holds("a")), (Ok(()), Some(next)));
}

// A field that is fought over.

fn disturb(w: &mut World, change: impl FnOnce(&mut crate::domain::IncomingNumber)) {
    let held = w.holds("a").unwrap();
    change(w.twilio.by_number(&held).unwrap());
    w.advance(Duration::from_secs(2 * 3600));
    drop(run(w, 0, &key("a")));
}

fn contested() -> World {
    let mut w = bought();
    for round in 0..4 {
        assert_ne!(w.reason("a"), "DriftContested", "after {round} repairs");
        disturb(&mut w, |n| n.sms_url = "https://elsewhere.example.com".into());
    }
    assert_eq!(w.condition("a", "Stalled").unwrap().1, "DriftContested");
    w
}

#[test]
fn three_repairs_in_a_day_and_no_more() {
    let mut w = contested();
    let updates = w.twilio.updates.len();
    assert!(message(&w, "a").contains("SmsUrl"), "{}", message(&w, "a"));
    live_on(&mut w, HOURS, |w| assert_eq!(w.reason("a"), "DriftContested"));
    assert_eq!((updates, w.twilio.updates.len()), (3, 3));
    // The first repair is more than a day ago: it is tried again by itself.
    live_on(&mut w, 4 * HOURS, |_| {});
    assert!(w.twilio.updates.len() > 3 && w.ready("a"), "{}", message(&w, "a"));
}

#[test]
fn a_change_of_the_spec_or_a_wish_to_look_ends_a_contest() {
    for edit in [true, false] {
        let mut w = contested();
        if edit {
            w.edit("a", |o| o.spec.sms.as_mut().unwrap().webhook_url = Some("https://new.example.com/sms".into()));
        } else {
            w.annotate("a", REQUESTED_AT, "the other writer was stopped");
        }
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

#[test]
fn repairs_of_several_fields_are_no_contest() {
    let mut w = bought();
    for _ in 0..3 {
        disturb(&mut w, |n| n.sms_url = "https://elsewhere.example.com".into());
        disturb(&mut w, |n| n.friendly_name = "renamed".into());
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

// Another resource's number.

#[test]
fn a_number_moves_to_another_name_when_the_first_resource_is_gone() {
    let mut w = bought();
    let held = w.holds("a").unwrap();
    w.apply("b", serde_json::json!({"phoneNumber": held.as_str(), "adoptionPolicy": "IfOwned"}));
    until(&mut w, |w| w.reason("b") == "NumberClaimedElsewhere").unwrap();
    w.delete("a");
    until(&mut w, |w| w.gone("a") && w.ready("b")).unwrap();
    assert_eq!((w.holds("b"), w.twilio.sales.len()), (Some(held), 1));
}

/// Not even `TakeOver` takes a number from a resource of this installation that is there.
#[test]
fn a_number_is_not_taken_from_a_resource_that_is_there() {
    let mut w = bought();
    let held = w.holds("a").unwrap();
    let label = w.twilio.by_number(&held).unwrap().friendly_name.clone();
    w.apply("b", serde_json::json!({"phoneNumber": held.as_str(), "adoptionPolicy": "TakeOver"}));
    until(&mut w, |w| w.reason("b") == "NumberClaimedElsewhere").unwrap();
    assert_eq!(w.twilio.by_number(&held).unwrap().friendly_name, label);
}

// A changed installation id.

fn rename(w: &mut World, previous: bool) {
    w.defaults.installation = InstallationId::parse("renamed").unwrap();
    w.defaults.previous_installation = previous.then(|| InstallationId::parse("prod").unwrap());
    restart(w, 0);
}

#[test]
fn without_the_old_id_an_unresolved_purchase_waits_and_with_it_goes_on() {
    let mut w = World::new();
    w.apply("a", search());
    stop_after_stamp(&mut w);
    rename(&mut w, false);
    live_on(&mut w, HOURS, |w| assert_eq!(w.reason("a"), "NumberClaimedElsewhere"));
    assert!(message(&w, "a").contains("--previous-installation-id"), "{}", message(&w, "a"));
    assert_eq!((w.twilio.sales.len(), w.ledger.len()), (0, 1));
    rename(&mut w, true);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.twilio.sales.len(), 1);
}

#[test]
fn a_cluster_rebuilt_under_another_id_finds_its_numbers_by_the_old_one() {
    let mut w = World::new();
    let (now, label) = (w.now, w.label("a", false));
    w.twilio.give(&account(1), &number(9), &label, now);
    rename(&mut w, true);
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((w.holds("a"), w.twilio.sales.len()), (Some(number(9)), 0));
    let mark = w.twilio.by_number(&number(9)).unwrap().mark().unwrap();
    assert_eq!(mark.tag, w.defaults.installation.tag("clinic", "a"), "it carries the new mark");
}

/// The tag of the old id is that of a resource that is there, and has not been marked anew yet.
#[test]
fn a_number_with_an_old_tag_is_not_taken_from_a_resource_that_is_there() {
    let mut w = bought();
    let held = w.holds("a").unwrap();
    w.edit("a", |o| o.spec.suspend = true);
    rename(&mut w, true);
    w.apply("b", serde_json::json!({"phoneNumber": held.as_str(), "adoptionPolicy": "TakeOver"}));
    until(&mut w, |w| w.reason("b") == "NumberClaimedElsewhere").unwrap();
    assert_eq!(w.holds("a"), Some(held));
}

// Accounts that recover.

#[test]
fn a_trial_account_that_is_upgraded_buys_by_itself() {
    for spec in [search(), exact()] {
        let mut w = World::new();
        w.twilio.refuses = Some(Class::AccountLimited);
        w.apply("a", spec);
        until(&mut w, |w| w.reason("a") == "NumberUnavailable").unwrap();
        live_on(&mut w, Duration::from_secs(3600), |w| assert!(w.condition("a", "Stalled").is_some()));
        let tried = calls(&w, BUY);
        assert!(tried <= 3, "{tried} purchases in an hour");
        w.twilio.refuses = None;
        let start = w.now.boot;
        until(&mut w, |w| w.ready("a")).unwrap();
        assert!(w.now.boot.since(start) <= Duration::from_secs(3600), "{:?}", w.now.boot.since(start));
        assert_eq!(w.twilio.sales.len(), 1);
    }
}

#[test]
fn a_suspended_account_that_is_paid_for_recovers_by_itself() {
    let mut w = bought();
    w.twilio.suspended = true;
    w.annotate("a", REQUESTED_AT, "1");
    w.apply("b", search());
    until(&mut w, |w| w.reason("a") == "AccountSuspended" && w.reason("b") == "AccountSuspended").unwrap();
    live_on(&mut w, HOURS, |w| {
        assert_eq!(w.reason("a"), "AccountSuspended");
        assert_eq!(w.condition("a", "OutboundSms").unwrap().0, "False");
    });
    w.twilio.suspended = false;
    let start = w.now.boot;
    until(&mut w, |w| w.ready("a") && w.ready("b")).unwrap();
    assert!(w.now.boot.since(start) <= Duration::from_secs(3700), "{:?}", w.now.boot.since(start));
}

// The fuse.

#[test]
fn the_fuse_remembers_over_a_restart_and_a_deletion_and_tells_when_it_opens() {
    let mut w = World::new();
    w.limit = 1;
    w.apply("b", search());
    until(&mut w, |w| w.ready("b")).unwrap();
    w.delete("b");
    until(&mut w, |w| w.gone("b")).unwrap();
    restart(&mut w, 0);
    w.apply("a", search());
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    assert!(w.condition("a", "Reconciling").is_some());
    let words = message(&w, "a");
    let told = words.rsplit(' ').next().unwrap().parse::<k8s_openapi::jiff::Timestamp>().unwrap();
    until(&mut w, |w| w.ready("a")).unwrap();
    let stamped = w.ledger.last().unwrap().at;
    assert!(stamped >= told, "{stamped} is before {told}");
    assert!(stamped.duration_since(told) < k8s_openapi::jiff::SignedDuration::from_secs(30), "{stamped} {told}");
}

#[test]
fn the_fuse_holds_for_numbers_that_are_named_too_and_not_for_those_that_are_taken_over() {
    let mut w = World::new();
    w.limit = 0;
    w.apply("a", exact());
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    let (now, held): (_, E164) = (w.now, number(9));
    w.twilio.give(&account(1), &held, "reception", now);
    w.apply("b", serde_json::json!({"phoneNumber": held.as_str()}));
    w.edit("b", |o| o.spec.adoption_policy = AdoptionPolicy::IfOwned);
    until(&mut w, |w| w.ready("b")).unwrap();
    assert_eq!(w.twilio.sales.len(), 0);
}

/// The window of the refused attempt is still open: what the person asks for is done when it may be.
#[test]
fn asking_right_after_a_refusal_is_not_lost() {
    for spec in [search(), exact()] {
        let mut w = World::new();
        w.twilio.refuses = Some(Class::AccountLimited);
        w.apply("a", spec);
        drop(run(&mut w, 0, &key("a")));
        assert_eq!((w.reason("a").as_str(), calls(&w, BUY)), ("NumberUnavailable", 1));
        w.twilio.refuses = None;
        w.annotate("a", REQUESTED_AT, "the account was upgraded");
        let start = w.now.boot;
        until(&mut w, |w| w.ready("a")).unwrap();
        assert!(w.now.boot.since(start) <= Duration::from_secs(180), "{:?}", w.now.boot.since(start));
    }
}
