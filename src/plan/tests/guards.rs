//! The guards that stand before a purchase: what a number may cost, and that a person chooses it.

use std::time::Duration;

use super::lives::{live_on, until};
use super::pass::{Turn, run};
use super::twilio::CallFault;
use super::world::{Fault, World, account, key, number, search};
use crate::api::REQUESTED_AT;
use crate::api::v1alpha1::{Price, PurchasePolicy};
use crate::domain::Class;

fn limited(amount: &str) -> serde_json::Value {
    let mut spec = search();
    spec["maxMonthlyPrice"] = serde_json::json!({"amount": amount, "currency": "USD"});
    spec
}

fn by_hand() -> serde_json::Value {
    let mut spec = search();
    spec["purchasePolicy"] = "Manual".into();
    spec
}

fn with(mut spec: serde_json::Value, field: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    spec[field] = value.into();
    spec
}

fn message(w: &World) -> String {
    let ready = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready");
    ready.map(|c| c.message).unwrap_or_default()
}

fn price(w: &World) -> Option<String> {
    w.status("a").monthly_price.map(|p| format!("{} {}", p.amount, p.currency))
}

fn offered(w: &World) -> Vec<String> {
    w.status("a").candidates.into_iter().map(|c| c.phone_number).collect()
}

fn numbers(of: &[u32]) -> Vec<String> {
    of.iter().map(|n| number(*n).to_string()).collect()
}

fn steps(w: &World) -> Vec<String> {
    w.log.iter().filter_map(|l| l.split(" a ").nth(1)).map(str::to_owned).collect()
}

fn calls(w: &World, operation: &str) -> usize {
    w.twilio.calls.get(operation).copied().unwrap_or_default()
}

const SEARCH: &str = "ListAvailablePhoneNumberLocal";
const PRICES: &str = "FetchPhoneNumberCountry";

/// One pass, and the time until the next.
fn pass(w: &mut World) -> Duration {
    let Turn::Ended(at) = run(w, 0, &key("a")) else { panic!("gone") };
    at.until(w.now.boot)
}

/// Whatever is wrong with the price: nothing is announced, reserved or bought, and these words tell why.
fn held_back(w: &mut World, reason: &str, words: &[&str]) {
    for _ in 0..3 {
        let wait = pass(w);
        assert!(wait > Duration::from_secs(60), "only the slow probe: {wait:?}");
        assert_eq!(w.condition("a", "Stalled").map(|c| c.1).as_deref(), Some(reason), "{}", message(w));
        assert_eq!((w.status("a").claim, w.twilio.sales.len(), w.ledger.len()), (None, 0, 0));
        assert!(w.processes[0].reserved.is_empty(), "{:?}", w.processes[0].reserved);
        for word in words {
            assert!(message(w).contains(word), "{word:?} is not in {:?}", message(w));
        }
        w.advance(wait);
    }
}

#[test]
fn a_price_is_read_before_anything_is_announced() {
    let mut w = World::new();
    w.apply("a", limited("1.15"));
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(
        steps(&w),
        ["finalizer", "secret", "search", "prices", "announce", "list", "rivals", "stamp", "post", "record"]
    );
    assert_eq!(price(&w).as_deref(), Some("1.15 USD"));
    let mut w = World::new();
    w.apply("a", with(limited("1.15"), "phoneNumber", number(2).as_str()));
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(
        steps(&w),
        [
            "finalizer",
            "secret",
            "list",
            "offer",
            "prices",
            "rivals",
            "announce",
            "list",
            "rivals",
            "stamp",
            "post",
            "record"
        ]
    );
    let status = w.status("a");
    assert_eq!((price(&w).as_deref(), status.region.as_deref()), (Some("1.15 USD"), Some("QC")));
}

#[test]
fn without_a_limit_no_price_is_read_and_none_is_shown() {
    let mut w = World::new();
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((calls(&w, PRICES), price(&w)), (0, None));
}

#[test]
fn a_limit_is_compared_to_the_last_digit() {
    for (amount, bought) in [("1.15", true), ("1.1500", true), ("1.1499", false), ("2", true), ("0.0001", false)] {
        let mut w = World::new();
        w.apply("a", limited(amount));
        if bought {
            until(&mut w, |w| w.ready("a")).unwrap();
        } else {
            held_back(&mut w, "PriceAboveLimit", &["1.15 USD", &format!("{amount} USD"), "Raise the limit"]);
            assert_eq!(price(&w).as_deref(), Some("1.15 USD"), "what was read is shown");
        }
    }
}

#[test]
fn a_price_in_another_currency_is_not_converted() {
    let mut w = World::new();
    w.twilio.price = Some((10, "CAD"));
    w.apply("a", limited("1.50"));
    held_back(&mut w, "InvalidSpec", &["spec.maxMonthlyPrice.currency", "USD", "0.10 CAD", "never converted"]);
    w.edit("a", |o| {
        o.spec.max_monthly_price = Some(Price { amount: "1.50".into(), currency: "CAD".into() });
    });
    until(&mut w, |w| w.ready("a")).unwrap();
}

#[test]
fn an_unknown_price_is_not_a_low_one() {
    let mut w = World::new();
    w.twilio.price = None;
    w.apply("a", limited("1.50"));
    held_back(&mut w, "InvalidSpec", &["spec.maxMonthlyPrice", "does not have a Local number in CA"]);
    for class in [Class::AccountLimited, Class::NotFound, Class::InvalidRequest] {
        let mut w = World::new();
        w.twilio.hides_prices = Some(class);
        w.apply("a", limited("1.50"));
        held_back(&mut w, "InvalidSpec", &["spec.maxMonthlyPrice", "does not tell", "Remove the limit"]);
        assert_eq!(price(&w), None);
        w.twilio.hides_prices = None;
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

#[test]
fn trouble_with_prices_is_trouble_like_any_other() {
    for (fault, reason) in [
        (CallFault::ServerBefore, "TwilioUnavailable"),
        (CallFault::LostBefore, "TwilioUnavailable"),
        (CallFault::Throttled, "RateLimited"),
        (CallFault::Unauthorized, "CredentialsRejected"),
    ] {
        let mut w = World::new();
        w.apply("a", limited("1.50"));
        w.faults.insert(3, Fault::Call(fault));
        pass(&mut w);
        assert_eq!(steps(&w).last().map(String::as_str), Some(&*format!("prices !! {:?}", Fault::Call(fault))));
        assert_eq!((w.reason("a").as_str(), w.status("a").claim), (reason, None));
        until(&mut w, |w| w.ready("a")).unwrap();
    }
}

#[test]
fn an_exact_number_of_another_kind_does_not_pass_under_the_limit() {
    let mut w = World::new();
    w.twilio.elsewhere = vec![number(2)];
    w.apply("a", with(limited("1.50"), "phoneNumber", number(2).as_str()));
    held_back(
        &mut w,
        "NumberUnavailable",
        &[number(2).as_str(), "a Local number in CA", "spec.search.country and type"],
    );
    w.edit("a", |o| o.spec.max_monthly_price = None);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(price(&w), None, "no price was read for it");
}

#[test]
fn a_raised_limit_is_noticed_at_once_and_a_fallen_price_at_the_next_probe() {
    let mut w = World::new();
    w.apply("a", limited("1.00"));
    let wait = pass(&mut w);
    w.twilio.price = Some((90, "USD"));
    w.advance(wait);
    pass(&mut w);
    assert_eq!((w.ready("a"), price(&w).as_deref()), (true, Some("0.90 USD")));
    let mut w = World::new();
    w.apply("a", limited("1.00"));
    pass(&mut w);
    w.edit("a", |o| o.spec.max_monthly_price.as_mut().unwrap().amount = "2.00".into());
    pass(&mut w);
    assert!(w.ready("a"), "{}", message(&w));
    // A person who asks need not wait for the probe.
    let mut w = World::new();
    w.apply("a", limited("1.00"));
    pass(&mut w);
    w.twilio.price = Some((90, "USD"));
    w.annotate("a", REQUESTED_AT, "now");
    pass(&mut w);
    assert!(w.ready("a"), "{}", message(&w));
}

/// The fuse may hold a purchase back for an hour; its price has to be of now.
#[test]
fn nothing_is_bought_at_a_price_of_before_a_long_wait() {
    let mut w = World::new();
    w.limit = 1;
    w.apply("b", search());
    until(&mut w, |w| w.ready("b")).unwrap();
    w.apply("a", limited("1.50"));
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    w.twilio.price = Some((200, "USD"));
    until(&mut w, |w| w.reason("a") == "PriceAboveLimit").unwrap();
    assert_eq!((w.twilio.sales.len(), w.status("a").claim, price(&w).as_deref()), (1, None, Some("2.00 USD")));
}

#[test]
fn resources_of_one_account_share_a_reading_of_prices() {
    let mut w = World::new();
    w.apply("a", limited("1.50"));
    w.apply("b", limited("1.20"));
    w.apply("c", limited("1.00"));
    until(&mut w, |w| w.ready("a") && w.ready("b") && w.reason("c") == "PriceAboveLimit").unwrap();
    assert_eq!(calls(&w, PRICES), 1);
}

#[test]
fn a_number_that_was_not_bought_for_a_price_shows_none() {
    let mut w = World::new();
    w.apply("a", limited("1.00"));
    until(&mut w, |w| w.reason("a") == "PriceAboveLimit").unwrap();
    assert_eq!(price(&w).as_deref(), Some("1.15 USD"));
    let (now, label) = (w.now, w.label("a", false));
    w.twilio.give(&account(1), &number(9), &label, now);
    w.twilio.stock.clear();
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((w.holds("a"), price(&w)), (Some(number(9)), None), "found by its tag");
}

#[test]
fn taking_a_number_over_costs_nothing_and_needs_no_price() {
    let mut w = World::new();
    let now = w.now;
    w.twilio.give(&account(1), &number(9), "reception", now);
    let spec = with(with(limited("0.01"), "phoneNumber", number(9).as_str()), "adoptionPolicy", "IfOwned");
    w.apply("a", spec);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((calls(&w, PRICES), price(&w)), (0, None));
}

#[test]
fn candidates_are_shown_with_their_price_and_nothing_else_happens() {
    let mut w = World::new();
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!(steps(&w), ["finalizer", "secret", "list", "claims", "search", "prices", "message prices"]);
    let status = w.status("a");
    let message_prices = status.sms_prices.clone().unwrap();
    assert_eq!((message_prices.inbound.as_str(), message_prices.currency.as_str()), ("0.0075", "USD"));
    assert_eq!((offered(&w), price(&w).as_deref()), (numbers(&[1, 2, 3]), Some("1.15 USD")));
    let first = &status.candidates[0];
    assert_eq!(first.friendly_name.as_deref(), Some("(418) 555-0001"));
    assert_eq!((first.locality.as_deref(), first.region.as_deref()), (Some("Québec"), Some("QC")));
    assert!(!first.capabilities.is_empty() && status.candidates_as_of.is_some() && status.claim.is_none());
    assert!(message(&w).contains("spec.phoneNumber") && message(&w).contains('3'), "{}", message(&w));
    for gone in ["Reconciling", "Stalled"] {
        assert_eq!(w.condition("a", gone), None);
    }
    assert!(w.ledger.is_empty() && w.processes[0].reserved.is_empty());
}

#[test]
fn candidates_whose_price_cannot_be_read_are_shown_without_it() {
    let mut w = World::new();
    w.twilio.hides_prices = Some(Class::AccountLimited);
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!((offered(&w), price(&w)), (numbers(&[1, 2, 3]), None));
    let mut w = World::new();
    w.apply("a", by_hand());
    w.faults.insert(5, Fault::Call(CallFault::ServerBefore));
    pass(&mut w);
    assert_eq!((w.reason("a").as_str(), price(&w)), ("AwaitingApproval", None));
}

#[test]
fn the_list_is_renewed_more_and_more_rarely_and_written_only_when_it_changed() {
    let mut w = World::new();
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    let (as_of, writes) = (w.status("a").candidates_as_of, w.writes_in_all());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let searches = calls(&w, SEARCH);
        let wait = pass(&mut w);
        assert_eq!(calls(&w, SEARCH), searches, "not before it is due");
        waits.push(wait);
        w.advance(wait);
        pass(&mut w);
        assert_eq!(calls(&w, SEARCH), searches + 1);
    }
    assert!(waits.windows(2).all(|two| two[1] * 3 > two[0] * 2), "{waits:?}");
    assert!(waits[0] <= Duration::from_secs(120) && waits[7] > Duration::from_secs(2000), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(3600)), "{waits:?}");
    assert_eq!((w.status("a").candidates_as_of, w.writes_in_all()), (as_of.clone(), writes));
    // The order of Twilio's answer is no change, another number is one.
    w.twilio.stock.reverse();
    w.annotate("a", REQUESTED_AT, "1");
    pass(&mut w);
    assert_eq!((offered(&w), w.status("a").candidates_as_of), (numbers(&[1, 2, 3]), as_of.clone()));
    w.twilio.stock = vec![number(3), number(4)];
    w.annotate("a", REQUESTED_AT, "2");
    pass(&mut w);
    assert_eq!(offered(&w), numbers(&[3, 4]));
    assert!(w.status("a").candidates_as_of.unwrap().0 > as_of.unwrap().0);
}

#[test]
fn an_edit_or_a_wish_to_look_renews_the_list_at_once() {
    let mut w = World::new();
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    w.twilio.stock = vec![number(4)];
    pass(&mut w);
    assert_eq!(offered(&w), numbers(&[1, 2, 3]), "not due");
    w.annotate("a", REQUESTED_AT, "now");
    pass(&mut w);
    assert_eq!(offered(&w), numbers(&[4]));
    assert_eq!(w.status("a").last_handled_reconcile_at.as_deref(), Some("now"));
    w.twilio.stock = vec![number(5)];
    w.edit("a", |o| o.spec.search.as_mut().unwrap().contains = Some("0005$".into()));
    pass(&mut w);
    assert_eq!(offered(&w), numbers(&[5]));
    // What an edited search would find is not known while Twilio is down: the old list is not what it describes.
    w.twilio.outage = Some(CallFault::ServerBefore);
    w.edit("a", |o| o.spec.search.as_mut().unwrap().contains = Some("0006$".into()));
    pass(&mut w);
    assert_eq!((w.reason("a").as_str(), offered(&w), price(&w)), ("TwilioUnavailable", Vec::new(), None));
    assert_eq!(w.status("a").candidates_as_of, None);
}

#[test]
fn what_others_claim_and_what_was_tried_is_not_offered() {
    let mut w = World::new();
    w.limit = 0;
    // Announced and held back: claimed, although nothing was sent for it.
    w.apply("b", serde_json::json!({"phoneNumber": number(1).as_str()}));
    until(&mut w, |w| w.reason("b") == "PurchaseLimitReached").unwrap();
    w.limit = 30;
    w.twilio.taken = vec![number(2)];
    w.apply("a", with(by_hand(), "phoneNumber", number(2).as_str()));
    for _ in 0..4 {
        pass(&mut w);
        w.advance(Duration::from_secs(1));
    }
    assert_eq!((w.reason("a").as_str(), offered(&w)), ("NumberUnavailable", numbers(&[3])));
    assert!(message(&w).contains(number(2).as_str()), "{}", message(&w));
    // The list is no reason to try another number.
    assert_eq!((w.twilio.sales.len(), calls(&w, "CreateIncomingPhoneNumber")), (0, 1));
    w.edit("a", |o| o.spec.phone_number = None);
    pass(&mut w);
    assert_eq!((w.reason("a").as_str(), offered(&w)), ("AwaitingApproval", numbers(&[3])));
}

/// The same where only another process knows of the claim.
#[test]
fn what_another_process_claims_is_not_offered() {
    let mut w = World::new();
    w.apply("b", serde_json::json!({"phoneNumber": number(1).as_str()}));
    while !w.ready("b") {
        let Turn::Ended(at) = run(&mut w, 1, &key("b")) else { panic!("gone") };
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
    w.twilio.stock.push(number(1));
    w.apply("a", by_hand());
    pass(&mut w);
    assert_eq!(offered(&w), numbers(&[2, 3]));
}

#[test]
fn thirty_are_shown_and_no_search_is_made_that_is_not_needed() {
    let mut w = World::new();
    w.twilio.stock = (1..=40).map(number).collect();
    let mut spec = by_hand();
    spec["search"]["areaCodes"] = serde_json::json!(["418", "581"]);
    w.apply("a", spec.clone());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!((offered(&w).len(), calls(&w, SEARCH)), (30, 1));
    let mut w = World::new();
    w.apply("a", spec);
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!((offered(&w), calls(&w, SEARCH)), (numbers(&[1, 2, 3]), 2), "each number once");
}

#[test]
fn none_to_choose_from_is_told_as_ever() {
    let mut w = World::new();
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    w.twilio.stock.clear();
    w.annotate("a", REQUESTED_AT, "now");
    pass(&mut w);
    let status = w.status("a");
    assert_eq!((w.reason("a").as_str(), status.candidates.len()), ("NoNumbersAvailable", 0));
    assert!(status.candidates_as_of.is_none() && w.condition("a", "Reconciling").is_some());
    w.twilio.stock = vec![number(7)];
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!(offered(&w), numbers(&[7]));
}

#[test]
fn a_choice_above_the_limit_is_told_before_and_after_it_is_made() {
    let mut w = World::new();
    w.apply("a", with(limited("1.00"), "purchasePolicy", "Manual"));
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert!(message(&w).contains("1.15 USD") && message(&w).contains("1.00 USD"), "{}", message(&w));
    w.edit("a", |o| o.spec.phone_number = Some(number(1).to_string()));
    held_back(&mut w, "PriceAboveLimit", &["1.15 USD", "1.00 USD"]);
    w.edit("a", |o| o.spec.max_monthly_price.as_mut().unwrap().amount = "1.15".into());
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((w.holds("a"), price(&w).as_deref()), (Some(number(1)), Some("1.15 USD")));
    let status = w.status("a");
    assert!(status.candidates.is_empty() && status.candidates_as_of.is_none());
}

/// Without a limit the price of a chosen candidate is known all the same; that of another number is not.
#[test]
fn the_price_of_a_candidate_stays_with_it() {
    for (chosen, shown) in [(1, Some("1.15 USD")), (8, None)] {
        let mut w = World::new();
        w.apply("a", by_hand());
        until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
        w.twilio.stock.push(number(8));
        w.edit("a", |o| o.spec.phone_number = Some(number(chosen).to_string()));
        until(&mut w, |w| w.ready("a")).unwrap();
        assert_eq!((w.holds("a"), price(&w).as_deref()), (Some(number(chosen)), shown));
    }
}

#[test]
fn a_number_of_an_earlier_life_is_found_and_nobody_is_asked() {
    let mut w = World::new();
    let (now, label) = (w.now, w.label("a", false));
    w.twilio.give(&account(1), &number(9), &label, now);
    w.apply("a", by_hand());
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!((w.holds("a"), calls(&w, SEARCH)), (Some(number(9)), 0));
}

#[test]
fn a_suspended_resource_offers_nothing_to_choose() {
    let mut w = World::new();
    w.apply("a", with(by_hand(), "suspend", true));
    until(&mut w, |w| w.reason("a") == "Suspended").unwrap();
    assert!(offered(&w).is_empty() && w.twilio.calls.is_empty());
    w.edit("a", |o| o.spec.suspend = false);
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
}

#[test]
fn what_was_announced_before_a_person_is_to_choose_is_withdrawn() {
    let mut w = World::new();
    w.limit = 0;
    w.apply("a", search());
    until(&mut w, |w| w.reason("a") == "PurchaseLimitReached").unwrap();
    w.limit = 30;
    w.edit("a", |o| o.spec.purchase_policy = PurchasePolicy::Manual);
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    assert_eq!((w.status("a").claim, w.twilio.sales.len()), (None, 0));
    assert_eq!(offered(&w).len(), 3, "also the one that was announced");
    // And the other way round: the candidates go, and one is bought.
    w.edit("a", |o| o.spec.purchase_policy = PurchasePolicy::Automatic);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert!(offered(&w).is_empty());
}

/// The Secret goes while a person is to choose, and comes back before the list is due: status says what is so.
#[test]
fn a_wait_that_was_interrupted_is_told_again() {
    let mut w = World::new();
    w.apply("a", by_hand());
    until(&mut w, |w| w.reason("a") == "AwaitingApproval").unwrap();
    let secret = w.secrets.remove(&key("a")).unwrap();
    pass(&mut w);
    assert_eq!(w.reason("a"), "WaitingForCredentials");
    w.secrets.insert(key("a"), secret);
    pass(&mut w);
    assert_eq!((w.reason("a").as_str(), offered(&w)), ("AwaitingApproval", numbers(&[1, 2, 3])));
}

#[test]
fn numbers_that_are_refused_one_after_another_are_tried_less_and_less_often() {
    let mut w = World::new();
    w.twilio.stock = (100..130).map(number).collect();
    w.twilio.taken.extend((100..130).map(number));
    w.apply("a", search());
    live_on(&mut w, Duration::from_secs(3600), |_| {});
    let tried = calls(&w, "CreateIncomingPhoneNumber");
    assert!((8..20).contains(&tried), "{tried} purchases were tried in an hour");
    assert_eq!(w.reason("a"), "NoNumbersAvailable");
    assert!(message(&w).contains("another one is tried, but not at once"), "{}", message(&w));
    // Whoever asks is heard at once.
    w.annotate("a", REQUESTED_AT, "now");
    run(&mut w, 0, &key("a"));
    assert_eq!(calls(&w, "CreateIncomingPhoneNumber"), tried + 1);
    w.twilio.taken.clear();
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.twilio.sales.len(), 1);
}
