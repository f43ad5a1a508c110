//! Messaging Services: what is joined and left, what is not, and what is told of it.

use std::time::Duration;

use super::lives::{buy_into, live_on, move_to, open_services, ready_in, service, until};
use super::pass::{restart, run};
use super::twilio::CallFault;
use super::world::{Fault, WINDOW, World, account, key, search};
use crate::api::REQUESTED_AT;
use crate::api::v1alpha1::SmsManagement;
use crate::domain::{Class, HttpMethod, PhoneNumberSid};
use crate::plan::Kind;

fn message(w: &World) -> String {
    let ready = w.status("a").conditions.into_iter().find(|c| c.type_ == "Ready");
    ready.map(|c| c.message).unwrap_or_default()
}

fn calls(w: &World, operation: &str) -> usize {
    w.twilio.calls.get(operation).copied().unwrap_or_default()
}

fn sid(w: &World) -> PhoneNumberSid {
    PhoneNumberSid::parse(&w.status("a").phone_number_sid.unwrap()).unwrap()
}

fn refused(w: &World) -> bool {
    w.condition("a", "Stalled").is_some_and(|(_, reason)| reason == "MessagingServiceRefused")
}

/// A number in service 1.
fn in_service() -> World {
    let mut w = World::new();
    buy_into(&mut w, 1);
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    w
}

#[test]
fn a_number_that_is_bought_is_not_ready_before_it_is_in_its_service() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    assert!(!w.log.is_empty() && w.seen.contains_key(&Kind::ConfiguringNumber));
    let order: Vec<_> = ["post", "record", "service", "membership", "join"]
        .map(|step| w.log.iter().position(|line| line.ends_with(&format!(" {step}"))).unwrap())
        .to_vec();
    assert!(order.is_sorted(), "{:#?}", w.log);
    assert_eq!((calls(&w, "CreatePhoneNumber"), w.twilio.sales.len()), (1, 1));
    // Nothing is asked again.
    let before = w.twilio.calls.clone();
    live_on(&mut w, Duration::from_secs(7200), |_| {});
    assert_eq!((calls(&w, "CreatePhoneNumber"), calls(&w, "FetchService")), (1, before["FetchService"]));
}

#[test]
fn a_service_that_would_keep_messages_from_the_webhook_is_not_joined() {
    // (its URL, whether it leaves messages to the number, whether the number may go into it)
    let table = [
        ("", true, true),
        ("https://elsewhere.example.com", true, true),
        ("https://hooks.example.com/sms", false, true),
        ("", false, false),
        ("https://elsewhere.example.com", false, false),
    ];
    for (url, on_number, joins) in table {
        for managed in [true, false] {
            let mut w = World::new();
            buy_into(&mut w, 1);
            w.edit("a", |o| {
                let by = if managed { SmsManagement::Managed } else { SmsManagement::Observed };
                o.spec.sms.as_mut().unwrap().management = by;
            });
            let of = w.twilio.services.get_mut(&service(1)).unwrap();
            (of.inbound_url, of.on_number) = (url.to_owned(), on_number);
            until(&mut w, |w| ready_in(w, Some(1)) || refused(w)).unwrap();
            assert_eq!(
                (refused(&w), calls(&w, "CreatePhoneNumber")),
                (!joins, usize::from(joins)),
                "{url} {on_number}"
            );
            if joins {
                continue;
            }
            assert!(message(&w).contains("Defer to sender's webhook"), "{}", message(&w));
            assert_eq!(w.status("a").messaging_service, None);
            assert_eq!(w.condition("a", "NumberAcquired").unwrap().0, "True");
            // Mended at Twilio: noticed without anybody's doing.
            w.twilio.services.get_mut(&service(1)).unwrap().on_number = true;
            until(&mut w, |w| ready_in(w, Some(1))).unwrap();
        }
    }
}

#[test]
fn the_same_url_by_another_method_is_another_webhook() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    let of = w.twilio.services.get_mut(&service(1)).unwrap();
    (of.inbound_url, of.inbound_method, of.on_number) =
        ("https://hooks.example.com/sms".to_owned(), HttpMethod::GET, false);
    until(&mut w, refused).unwrap();
    assert_eq!(calls(&w, "CreatePhoneNumber"), 0);
}

#[test]
fn a_number_is_never_taken_out_of_a_service_that_it_was_not_put_into() {
    let mut w = World::new();
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap();
    open_services(&mut w);
    let number = sid(&w);
    w.twilio.members.insert(number.clone(), service(2));
    w.edit("a", |o| o.spec.sms.as_mut().unwrap().messaging_service_sid = Some(service(1).to_string()));
    until(&mut w, refused).unwrap();
    assert!(message(&w).contains(service(1).as_str()), "{}", message(&w));
    live_on(&mut w, Duration::from_secs(2 * 3600), |w| assert_eq!(w.twilio.members.len(), 1));
    move_to(&mut w, None);
    until(&mut w, |w| w.ready("a")).unwrap();
    // It is asked out of the service that it was to be in, where it is not.
    assert_eq!((w.twilio.members.get(&number), w.status("a").messaging_service), (Some(&service(2)), None));
}

#[test]
fn a_full_or_missing_service_is_told_and_tried_again() {
    for class in [None, Some(Class::NotFound)] {
        let mut w = World::new();
        buy_into(&mut w, 1);
        match class {
            Some(_) => drop(w.twilio.services.remove(&service(1))),
            None => w.twilio.full = Some(service(1)),
        }
        until(&mut w, refused).unwrap();
        assert!(w.holds("a").is_some() && w.condition("a", "InboundSms").unwrap().0 == "True");
        open_services(&mut w);
        w.twilio.full = None;
        until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    }
}

#[test]
fn a_number_that_is_in_the_service_already_is_this_resources_from_then_on() {
    let mut w = World::new();
    w.apply("a", search());
    until(&mut w, |w| w.ready("a")).unwrap();
    open_services(&mut w);
    let number = sid(&w);
    w.twilio.members.insert(number, service(1));
    move_to(&mut w, Some(1));
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    move_to(&mut w, None);
    until(&mut w, |w| ready_in(w, None)).unwrap();
}

#[test]
fn the_old_service_is_kept_while_the_new_one_cannot_be_had() {
    let mut w = in_service();
    w.twilio.services.remove(&service(2));
    move_to(&mut w, Some(2));
    until(&mut w, refused).unwrap();
    assert_eq!(w.twilio.members.values().next(), Some(&service(1)));
    assert_eq!(w.status("a").messaging_service.unwrap().sid, service(1).to_string());
}

#[test]
fn taken_out_by_somebody_it_is_put_back_three_times_a_day() {
    let mut w = in_service();
    w.reads_services = true;
    for _ in 0..3 {
        w.twilio.members.clear();
        w.advance(Duration::from_secs(3600));
        until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    }
    w.twilio.members.clear();
    until(&mut w, |w| w.condition("a", "Stalled").is_some()).unwrap();
    assert!(refused(&w) && message(&w).contains("three times within a day"), "{}", message(&w));
    let calls_before = calls(&w, "CreatePhoneNumber");
    live_on(&mut w, Duration::from_secs(6 * 3600), |w| assert!(w.twilio.members.is_empty()));
    assert_eq!(calls(&w, "CreatePhoneNumber"), calls_before);
    // Until a person asks.
    w.annotate("a", REQUESTED_AT, "now");
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
}

#[test]
fn put_elsewhere_by_somebody_it_stays_there_and_that_is_told() {
    let mut w = in_service();
    w.reads_services = true;
    let number = sid(&w);
    w.twilio.members.insert(number.clone(), service(2));
    until(&mut w, refused).unwrap();
    let told = w.status("a").messaging_service.unwrap();
    assert_eq!(told.joined_at, None, "it is not in the service that it was put into");
    move_to(&mut w, None);
    until(&mut w, |w| w.ready("a")).unwrap();
    assert_eq!(w.twilio.members.get(&number), Some(&service(2)));
}

#[test]
fn nothing_is_joined_or_left_while_it_is_suspended() {
    for to in [Some(2), None] {
        let mut w = in_service();
        w.edit("a", |o| o.spec.suspend = true);
        move_to(&mut w, to);
        until(&mut w, |w| w.ready("a")).unwrap();
        assert!(message(&w).contains("spec.suspend"), "{}", message(&w));
        live_on(&mut w, Duration::from_secs(7200), |w| assert!(ready_in(w, Some(1))));
        w.edit("a", |o| o.spec.suspend = false);
        until(&mut w, if to.is_some() { |w| ready_in(w, Some(2)) } else { |w| ready_in(w, None) }).unwrap();
    }
}

#[test]
fn what_was_sent_before_a_crash_is_waited_for_before_it_is_taken_out() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    let joins = |w: &World| w.log.iter().find_map(|line| line.strip_suffix(" join").map(str::to_owned));
    // A pass that dies as soon as it has sent.
    let mut probe = w.clone();
    until(&mut probe, |w| ready_in(w, Some(1))).unwrap();
    let line = joins(&probe).unwrap();
    let at = line.split(" #").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    w.faults.insert(at, Fault::RestartAfter);
    until(&mut w, |w| w.twilio.members.len() == 1).unwrap();
    assert_eq!(w.status("a").messaging_service.unwrap().joined_at, None);
    restart(&mut w, 0);
    move_to(&mut w, None);
    let since = w.now.boot;
    run(&mut w, 0, &key("a"));
    assert_eq!((w.twilio.members.len(), calls(&w, "DeletePhoneNumber")), (1, 0), "it may still take effect");
    until(&mut w, |w| ready_in(w, None)).unwrap();
    assert!(w.now.boot.since(since) >= WINDOW);
}

#[test]
fn one_that_is_released_is_taken_out_first_and_released_whatever_twilio_says_to_that() {
    for denied in [false, true] {
        let mut w = in_service();
        let number = w.holds("a").unwrap();
        w.may_release.insert(number.clone());
        w.edit("a", |o| {
            o.spec.deletion_policy = crate::api::v1alpha1::DeletionPolicy::Release;
            o.spec.release_confirmation = Some(number.to_string());
        });
        w.twilio.keeps_members = denied;
        w.delete("a");
        until(&mut w, |w| w.gone("a")).unwrap();
        assert_eq!((w.twilio.releases.len(), w.twilio.members.len()), (1, usize::from(denied)));
    }
}

#[test]
fn one_that_is_retained_stays_in_its_service() {
    let mut w = in_service();
    w.delete("a");
    until(&mut w, |w| w.gone("a")).unwrap();
    assert_eq!((w.twilio.members.len(), calls(&w, "DeletePhoneNumber")), (1, 0));
}

/// The step of this name in a run that goes well.
fn step_of(w: &World, name: &str, goal: fn(&World) -> bool) -> usize {
    let mut probe = w.clone();
    probe.log.clear();
    until(&mut probe, goal).unwrap();
    let line = probe.log.iter().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    line.split('#').nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap()
}

#[test]
fn what_is_refused_stays_refused_until_it_is_done_and_costs_little() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    w.twilio.full = Some(service(1));
    until(&mut w, refused).unwrap();
    let (writes, joins) = (w.writes_in_all(), calls(&w, "CreatePhoneNumber"));
    live_on(&mut w, Duration::from_secs(6 * 3600), |w| assert!(refused(w) && !w.ready("a")));
    let tries = calls(&w, "CreatePhoneNumber") - joins;
    assert!((6..=14).contains(&tries), "{tries} tries in six hours");
    assert_eq!(w.writes_in_all(), writes, "nothing new to write");
    // Nor does trouble make it look better.
    w.twilio.outage = Some(CallFault::ServerBefore);
    live_on(&mut w, Duration::from_secs(3600), |w| assert!(!w.ready("a")));
}

#[test]
fn somebody_elses_change_of_the_webhook_is_contested_also_while_the_service_is_refused() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    w.twilio.full = Some(service(1));
    until(&mut w, refused).unwrap();
    for _ in 0..4 {
        let number = w.holds("a").unwrap();
        w.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".into();
        w.advance(Duration::from_secs(2 * 3600));
        until(&mut w, |w| {
            let there = w.twilio.held.values().any(|s| s.number.sms_url == "https://elsewhere.example.com");
            !there || w.reason("a") == "DriftContested"
        })
        .unwrap();
    }
    assert_eq!(w.reason("a"), "DriftContested");
}

#[test]
fn a_number_is_not_ready_before_its_first_service_whatever_fails_first() {
    for fault in [Fault::Call(CallFault::ServerBefore), Fault::RestartBefore, Fault::Call(CallFault::LostAfter)] {
        for step in ["service", "join"] {
            let mut w = World::new();
            buy_into(&mut w, 1);
            let at = step_of(&w, step, |w| ready_in(w, Some(1)));
            w.faults.insert(at, fault);
            live_on(&mut w, Duration::from_secs(1800), |w| {
                let told = w.status("a").messaging_service.is_some_and(|told| told.joined_at.is_some());
                let ready = w.condition("a", "Ready").is_some_and(|(ready, _)| ready == "True");
                assert!(told || !ready, "{fault:?} at {step}");
            });
            assert!(ready_in(&w, Some(1)), "{fault:?} at {step}");
        }
    }
}

#[test]
fn a_field_that_is_put_back_while_the_number_leaves_puts_it_back_too() {
    // Between the answer and the record, after a crash there, and with an answer that is lost while it takes effect.
    for (step, fault) in [
        ("leave", Fault::RestartAfter),
        ("leave", Fault::Call(CallFault::LostAfter)),
        ("leave", Fault::Call(CallFault::Late)),
    ] {
        let mut w = in_service();
        w.reads_services = true;
        move_to(&mut w, None);
        let at = step_of(&w, step, |w| ready_in(w, None));
        w.faults.insert(at, fault);
        until(&mut w, |w| w.twilio.members.is_empty()).unwrap();
        move_to(&mut w, Some(1));
        until(&mut w, |w| ready_in(w, Some(1))).unwrap();
        live_on(&mut w, Duration::from_secs(3600), |w| assert!(w.twilio.members.len() == 1));
    }
}

#[test]
fn a_webhook_that_a_joined_service_would_keep_messages_from_is_told() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    let of = w.twilio.services.get_mut(&service(1)).unwrap();
    (of.inbound_url, of.on_number) = ("https://hooks.example.com/sms".to_owned(), false);
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
    w.edit("a", |o| o.spec.sms.as_mut().unwrap().webhook_url = Some("https://new.example.com/sms".to_owned()));
    until(&mut w, refused).unwrap();
    live_on(&mut w, Duration::from_secs(4 * 3600), |w| assert!(refused(w)));
    w.twilio.services.get_mut(&service(1)).unwrap().on_number = true;
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
}

#[test]
fn a_number_under_another_sid_is_in_whatever_service_it_is_in() {
    let mut w = in_service();
    let number = w.holds("a").unwrap();
    let (old, now) = (sid(&w), w.now);
    let label = w.twilio.by_number(&number).unwrap().friendly_name.clone();
    w.twilio.held.remove(&old);
    w.twilio.members.clear();
    w.twilio.give(&account(1), &number, &label, now);
    w.annotate("a", REQUESTED_AT, "bought back");
    until(&mut w, |w| w.ready("a") && !w.twilio.members.is_empty()).unwrap();
    assert_ne!(sid(&w), old);
    assert!(ready_in(&w, Some(1)));
}

#[test]
fn a_release_does_not_wait_for_a_service_that_does_not_answer() {
    use CallFault::{LostAfter, LostBefore, NotSent, RefusedOtherwise, ServerBefore, Throttled, Unauthorized};
    for fault in [ServerBefore, LostBefore, LostAfter, RefusedOtherwise, NotSent, Throttled, Unauthorized] {
        let mut w = in_service();
        // The purchase is settled.
        live_on(&mut w, WINDOW * 2, |_| {});
        let number = w.holds("a").unwrap();
        w.may_release.insert(number.clone());
        w.edit("a", |o| {
            o.spec.deletion_policy = crate::api::v1alpha1::DeletionPolicy::Release;
            o.spec.release_confirmation = Some(number.to_string());
        });
        w.delete("a");
        let at = step_of(&w, "leave", |w| w.gone("a"));
        w.faults.insert(at, Fault::Call(fault));
        let since = w.now.boot;
        until(&mut w, |w| w.gone("a")).unwrap();
        assert_eq!(w.twilio.releases.len(), 1, "{fault:?}");
        assert!(w.now.boot.since(since) < WINDOW / 2, "{fault:?}: {:?}", w.now.boot.since(since));
        assert_eq!(calls(&w, "DeletePhoneNumber"), usize::from(fault != NotSent), "asked once");
    }
}

#[test]
fn a_service_that_is_gone_has_no_number_in_it() {
    let mut w = in_service();
    w.reads_services = true;
    w.twilio.services.clear();
    w.twilio.members.clear();
    until(&mut w, refused).unwrap();
    assert_eq!(w.status("a").messaging_service.unwrap().joined_at, None);
}

#[test]
fn what_was_said_of_an_earlier_spec_is_not_said_of_this_one() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    w.twilio.services.remove(&service(1));
    until(&mut w, refused).unwrap();
    move_to(&mut w, Some(2));
    let at = step_of(&w, "join", |w| ready_in(w, Some(2)));
    w.faults.insert(at, Fault::Call(CallFault::LostBefore));
    live_on(&mut w, Duration::from_secs(600), |w| {
        let current = w.status("a").observed_generation == w.object("a").metadata.generation;
        assert!(!current || !message(w).contains(service(1).as_str()), "{}", message(w));
    });
    assert!(ready_in(&w, Some(2)));
}

#[test]
fn to_suspend_it_makes_nothing_of_a_refusal() {
    let mut w = World::new();
    buy_into(&mut w, 1);
    w.twilio.full = Some(service(1));
    until(&mut w, refused).unwrap();
    w.edit("a", |o| o.spec.suspend = true);
    until(&mut w, |w| w.condition("a", "Paused").is_some()).unwrap();
    live_on(&mut w, Duration::from_secs(7200), |w| assert!(refused(w) && !w.ready("a")));
    w.twilio.full = None;
    w.edit("a", |o| o.spec.suspend = false);
    until(&mut w, |w| ready_in(w, Some(1))).unwrap();
}

#[test]
fn trouble_with_the_service_alone_hides_no_number() {
    let mut w = in_service();
    w.reads_services = true;
    w.twilio.members.clear();
    let at = step_of(&w, "member", |w| ready_in(w, Some(1)) && !w.twilio.members.is_empty());
    w.faults.insert(at, Fault::Call(CallFault::ServerBefore));
    live_on(&mut w, Duration::from_secs(3600), |w| {
        assert!(w.condition("a", "Observed").is_none_or(|(seen, _)| seen == "True"));
    });
    assert!(ready_in(&w, Some(1)));
}
