//! Whole lives without faults: which steps are taken, how they end, and that rest is rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pass::{Pass, Turn, restart, run};
use super::twilio::CallFault;
use super::world::{WINDOW, World, account, credentials, key, number, search};
use crate::api::v1alpha1::{
    ClaimOutcome, ClinicPhoneNumber, ClinicPhoneNumberStatus, DeletionPolicy, Origin, Price, PurchasePolicy,
    SmsManagement,
};
use crate::api::{FORGET_NUMBER, REQUESTED_AT};
use crate::domain::{Class, HttpMethod, InstallationId, MessagingService, MessagingServiceSid, Moment};
use crate::plan::ObjectKey;
use crate::plan::observed::CredentialsView;

/// One thing that happens to the world, and what must be reached by itself after it.
pub type Act = (fn(&mut World), fn(&World) -> bool);

/// A life: acts in order, and how many numbers it may buy in all.
pub struct Life {
    pub name: &'static str,
    pub acts: Vec<Act>,
    pub sales: usize,
    /// Whether refusals may keep it from buying: then fewer sales are right too.
    pub exact: bool,
}

const PASSES: usize = 700;

/// Runs passes of process 0 until the goal is reached.
pub fn until(world: &mut World, goal: fn(&World) -> bool) -> Result<(), String> {
    let now = world.now.boot;
    let mut due: BTreeMap<ObjectKey, Moment> = world.objects.keys().map(|k| (k.clone(), now)).collect();
    let mut quick = 0;
    for pass in 0..PASSES {
        if !world.violations.is_empty() {
            return Err(world.violations.join("; "));
        }
        if pass >= world.objects.len() && goal(world) && quiet(world) {
            return Ok(());
        }
        let Some((next, at)) = due.iter().min_by_key(|(k, at)| (**at, (*k).clone())).map(|(k, at)| (k.clone(), *at))
        else {
            return if goal(world) { Ok(()) } else { Err("nothing is left and the goal is not reached".into()) };
        };
        let wait = at.until(world.now.boot);
        world.advance(wait.max(Duration::from_millis(10)));
        match run(world, 0, &next) {
            Turn::Ended(at) => {
                quick = if at.until(world.now.boot) < Duration::from_millis(200) { quick + 1 } else { 0 };
                due.insert(next, at);
            }
            _ => drop(due.remove(&next)),
        }
        if quick > 20 {
            return Err("a hot loop".into());
        }
        // A poke or a change is a pass at once.
        for (key, (_, memory)) in &world.processes[0].memories {
            if memory.suspect && world.objects.contains_key(key) {
                let at = due.entry(key.clone()).or_insert(world.now.boot);
                *at = (*at).min(world.now.boot.after(Duration::from_secs(1)));
            }
        }
    }
    Err(format!("no end after {PASSES} passes"))
}

fn quiet(world: &World) -> bool {
    world.twilio.late.is_empty()
}

impl Life {
    pub fn live(&self, world: &mut World) -> Result<(), String> {
        for (index, (act, goal)) in self.acts.iter().enumerate() {
            world.log.push(format!("--- act {index}"));
            act(world);
            until(world, *goal).map_err(|why| format!("act {index}: {why}"))?;
            if world.twilio.sales.len() > self.sales {
                return Err(format!("act {index}: {} sales", world.twilio.sales.len()));
            }
        }
        Ok(())
    }
}

/// Ten more passes, each when the plan asks for it: nothing is written, nothing is sent that changes anything.
fn at_rest(world: &mut World) -> Result<(), String> {
    let (writes, updates) = (world.writes_in_all(), world.twilio.updates.len());
    let before = world.objects.clone();
    for key in world.objects.keys().cloned().collect::<Vec<_>>() {
        for _ in 0..10 {
            let Turn::Ended(at) = run(world, 0, &key) else { break };
            let wait = at.until(world.now.boot);
            if wait < Duration::from_millis(500) {
                return Err(format!("a hot loop at rest: {wait:?}"));
            }
            world.advance(wait);
        }
    }
    for (key, object) in &world.objects {
        let lines = |o: &ClinicPhoneNumber| {
            let status = o.status.clone().unwrap_or_default();
            let mut lines: Vec<_> = status.conditions.iter().map(|c| format!("{c:?}")).collect();
            lines.push(format!("{:?}", ClinicPhoneNumberStatus { conditions: Vec::new(), ..status }));
            lines
        };
        let (old, new) = (lines(&before[key]), lines(object));
        let changed: Vec<_> =
            new.iter().filter(|l| !old.contains(l)).chain(old.iter().filter(|l| !new.contains(l))).collect();
        if !changed.is_empty() {
            return Err(format!("status changed at rest: {changed:#?}"));
        }
    }
    let did = (world.writes_in_all() - writes, world.twilio.updates.len() - updates);
    if did == (0, 0) { Ok(()) } else { Err(format!("{did:?} writes and updates at rest")) }
}

fn give(world: &mut World, label: &str) {
    let now = world.now;
    world.twilio.give(&account(1), &number(9), label, now);
}

fn exact(policy: &str) -> serde_json::Value {
    serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": policy})
}

fn bought(w: &World) -> bool {
    w.ready("a")
}

/// A world in which `a` has bought its number.
pub fn a_bought() -> World {
    let mut w = World::new();
    buy(&mut w);
    until(&mut w, bought).unwrap();
    w
}

/// Passes of `a`, each when it is due, for this long, unless it goes.
fn passes(w: &mut World, span: Duration, mut see: impl FnMut(&World)) -> bool {
    let end = w.now.boot.after(span);
    while w.now.boot < end {
        let Turn::Ended(at) = run(w, 0, &key("a")) else { return false };
        see(w);
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
    true
}

/// `a` lives on for this long.
pub fn live_on(w: &mut World, span: Duration, see: impl FnMut(&World)) {
    assert!(passes(w, span, see), "gone");
}

/// Whether `a` goes within this time.
pub fn goes(w: &mut World, span: Duration) -> bool {
    !passes(w, span, |_| {})
}

/// A person asks for `a`'s number to be released, confirmed, and deletes it.
pub fn release(w: &mut World) {
    let held = w.holds("a").unwrap();
    w.may_release.insert(held.clone());
    w.edit("a", |o| {
        o.spec.deletion_policy = DeletionPolicy::Release;
        o.spec.release_confirmation = Some(held.to_string());
    });
    w.delete("a");
}

/// Passes of `a` until a release is stamped; then the process dies.
pub fn stop_after_release_stamp(w: &mut World) {
    let stamped = |w: &World| w.status("a").claim.is_some_and(|c| c.releasing > 0);
    while !stamped(w) {
        let mut pass = Pass::begin(w, 0, &key("a")).unwrap();
        let mut turn = Turn::On;
        while turn == Turn::On && !stamped(w) {
            turn = pass.turn(w);
        }
        match turn {
            Turn::On => {}
            Turn::Ended(at) => {
                let wait = at.until(w.now.boot);
                w.advance(wait);
            }
            Turn::Gone => panic!("gone"),
        }
    }
    restart(w, 0);
}

fn stalled(w: &World, reason: &str) -> bool {
    w.condition("a", "Stalled").is_some_and(|(_, r)| r == reason)
        && w.status("a").observed_generation == w.object("a").metadata.generation
}

fn buy(w: &mut World) {
    w.apply("a", search());
}

fn release_wish(w: &mut World) {
    let number = w.holds("a");
    w.may_release.extend(number.clone());
    w.edit("a", |o| {
        o.spec.deletion_policy = DeletionPolicy::Release;
        o.spec.release_confirmation = number.map(|n| n.to_string());
    });
}

fn drift(w: &mut World) {
    let number = w.holds("a").unwrap();
    w.twilio.by_number(&number).unwrap().sms_url = "https://elsewhere.example.com".into();
    w.annotate("a", REQUESTED_AT, &format!("{:?}", w.now.boot));
}

const BY_HAND: &str = "https://hooks.example.com/by-hand";

/// A person writes a webhook in the Console, and asks for a look.
fn set_by_hand(w: &mut World, url: &str) {
    let number = w.holds("a").unwrap();
    w.twilio.by_number(&number).unwrap().sms_url = url.to_owned();
    w.annotate("a", REQUESTED_AT, url);
}

fn webhook(w: &World) -> String {
    w.holds("a").and_then(|n| w.twilio.holding(&account(1), &n)).map(|n| n.sms_url.clone()).unwrap_or_default()
}

fn told(w: &World, kind: &str, reason: &str) -> bool {
    w.condition("a", kind).is_some_and(|(_, told)| told == reason)
}

fn wired(w: &World) -> bool {
    let number = w.holds("a").unwrap();
    bought(w)
        && w.twilio
            .held
            .values()
            .any(|s| s.number.phone_number == number && s.number.sms_url == "https://hooks.example.com/sms")
}

fn lose(w: &mut World) {
    let number = w.holds("a").unwrap();
    w.twilio.held.retain(|_, s| s.number.phone_number != number);
    w.annotate("a", REQUESTED_AT, "lost");
}

fn limit(amount: &str) -> Price {
    Price { amount: amount.to_owned(), currency: "USD".to_owned() }
}

fn limited(w: &mut World, amount: &str) {
    buy(w);
    w.edit("a", |o| o.spec.max_monthly_price = Some(limit(amount)));
}

fn price(w: &World) -> Option<String> {
    w.status("a").monthly_price.map(|p| format!("{} {}", p.amount, p.currency))
}

fn by_hand(w: &mut World) {
    let mut spec = search();
    spec["purchasePolicy"] = "Manual".into();
    w.apply("a", spec);
}

fn offered(w: &World) -> Vec<String> {
    w.status("a").candidates.into_iter().map(|c| c.phone_number).collect()
}

fn awaits_any(w: &World) -> bool {
    w.reason("a") == "AwaitingApproval"
        && w.status("a").observed_generation == w.object("a").metadata.generation
        && w.twilio.sales.is_empty()
        && w.status("a").claim.is_none_or(|c| !matches!(c.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held))
}

fn awaits(w: &World, numbers: &[u32]) -> bool {
    awaits_any(w)
        && offered(w) == numbers.iter().map(|n| number(*n).to_string()).collect::<Vec<_>>()
        && w.status("a").candidates_as_of.is_some()
}

pub fn service(n: u32) -> MessagingServiceSid {
    MessagingServiceSid::parse(&format!("MG{n:032x}")).unwrap()
}

/// Two services that leave messages to the number's webhook.
pub fn open_services(w: &mut World) {
    for n in [1, 2] {
        let open = MessagingService {
            sid: service(n),
            name: "reminders".to_owned(),
            inbound_url: String::new(),
            inbound_method: HttpMethod::POST,
            on_number: true,
        };
        w.twilio.services.insert(service(n), open);
    }
}

pub fn buy_into(w: &mut World, n: u32) {
    open_services(w);
    let sms = serde_json::json!({"webhookURL": "https://hooks.example.com/sms", "messagingServiceSID": service(n)});
    w.apply("a", serde_json::json!({"search": search()["search"], "sms": sms}));
}

pub fn move_to(w: &mut World, n: Option<u32>) {
    w.edit("a", |o| o.spec.sms.as_mut().unwrap().messaging_service_sid = n.map(|n| service(n).to_string()));
}

/// In service, and in this Messaging Service at Twilio as in status.
pub fn ready_in(w: &World, n: Option<u32>) -> bool {
    let told = w.status("a").messaging_service.filter(|told| told.joined_at.is_some()).map(|told| told.sid);
    bought(w) && told == n.map(|n| service(n).to_string()) && w.twilio.members.values().cloned().eq(n.map(service))
}

/// Every life. Each is run without faults here, and with each fault at each step in [`super::faults`].
pub fn lives() -> Vec<Life> {
    let life = |name, sales, exact, acts| Life { name, acts, sales, exact };
    vec![
        life("purchase", 1, false, vec![(buy, bought)]),
        life(
            "exact number",
            1,
            true,
            vec![(
                |w| w.apply("a", serde_json::json!({"phoneNumber": number(2).as_str()})),
                |w| bought(w) && w.holds("a") == Some(number(2)) && w.status("a").origin == Some(Origin::Purchased),
            )],
        ),
        life(
            "put into a Messaging Service, then into another, then into none",
            1,
            false,
            vec![
                (|w| buy_into(w, 1), |w| ready_in(w, Some(1))),
                (|w| move_to(w, Some(2)), |w| ready_in(w, Some(2))),
                (|w| move_to(w, None), |w| ready_in(w, None) && w.status("a").messaging_service.is_none()),
            ],
        ),
        life(
            "put into a Messaging Service, and released",
            1,
            false,
            vec![
                (|w| buy_into(w, 1), |w| ready_in(w, Some(1))),
                (
                    |w| {
                        let number = w.holds("a").unwrap();
                        w.may_release.insert(number.clone());
                        w.edit("a", |o| {
                            o.spec.deletion_policy = DeletionPolicy::Release;
                            o.spec.release_confirmation = Some(number.to_string());
                        });
                        w.delete("a");
                    },
                    |w| w.gone("a") && w.twilio.releases.len() == 1,
                ),
            ],
        ),
        life(
            "adoption of an untagged number",
            0,
            true,
            vec![(
                |w| {
                    give(w, "reception");
                    w.apply("a", exact("IfOwned"));
                },
                |w| bought(w) && w.status("a").origin == Some(Origin::Adopted),
            )],
        ),
        life(
            "adoption from a resource that is gone",
            0,
            true,
            vec![(
                |w| {
                    give(w, &w.label("old", false));
                    w.apply("a", exact("IfOwned"));
                },
                |w| bought(w) && w.status("a").origin == Some(Origin::Adopted),
            )],
        ),
        life(
            "adoption from another installation",
            0,
            true,
            vec![(
                |w| {
                    let other = InstallationId::parse("other").unwrap().mark("x", "y", false);
                    give(w, &format!("{other} x"));
                    w.apply("a", exact("TakeOver"));
                },
                |w| bought(w) && w.status("a").origin == Some(Origin::Adopted),
            )],
        ),
        life(
            "adoption refused: not asked for",
            0,
            true,
            vec![(
                |w| {
                    give(w, "reception");
                    w.apply("a", exact("Never"));
                },
                |w| stalled(w, "NumberClaimedElsewhere"),
            )],
        ),
        life(
            "adoption refused: another installation's",
            0,
            true,
            vec![(
                |w| {
                    let other = InstallationId::parse("other").unwrap().mark("x", "y", false);
                    give(w, &format!("{other} x"));
                    w.apply("a", exact("IfOwned"));
                },
                |w| stalled(w, "NumberClaimedElsewhere"),
            )],
        ),
        life(
            "adoption refused: its resource lives",
            0,
            true,
            vec![(
                |w| {
                    give(w, &w.label("b", false));
                    w.apply("b", serde_json::json!({"phoneNumber": number(9).as_str()}));
                    w.apply("a", exact("TakeOver"));
                },
                |w| stalled(w, "NumberClaimedElsewhere") && w.ready("b"),
            )],
        ),
        life(
            "found by its tag",
            0,
            false,
            vec![(
                |w| {
                    give(w, &w.label("a", false));
                    buy(w);
                },
                |w| bought(w) && w.status("a").origin == Some(Origin::Purchased),
            )],
        ),
        life(
            "found by its tag, adopted stays adopted",
            0,
            false,
            vec![(
                |w| {
                    give(w, &w.label("a", true));
                    buy(w);
                },
                |w| bought(w) && w.status("a").origin == Some(Origin::Adopted),
            )],
        ),
        life(
            "several numbers with our tag",
            0,
            false,
            vec![
                (
                    |w| {
                        give(w, &w.label("a", false));
                        let (label, now) = (w.label("a", false), w.now);
                        w.twilio.give(&account(1), &number(8), &label, now);
                        buy(w);
                    },
                    |w| stalled(w, "HeldNumberDiffers"),
                ),
                (
                    |w| {
                        w.twilio.by_number(&number(8)).unwrap().friendly_name = "mine".into();
                        w.annotate("a", REQUESTED_AT, "now");
                    },
                    |w| bought(w) && w.holds("a") == Some(number(9)),
                ),
            ],
        ),
        life(
            "drift repaired",
            1,
            false,
            vec![
                (buy, bought),
                (drift, wired),
                (
                    |w| {
                        let number = w.holds("a").unwrap();
                        w.twilio.by_number(&number).unwrap().friendly_name = "renamed".into();
                        w.annotate("a", REQUESTED_AT, "again");
                    },
                    |w| bought(w) && w.twilio.held.values().any(|s| s.number.mark().is_some()),
                ),
            ],
        ),
        life(
            "webhook changed",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.edit("a", |o| {
                            o.spec.sms.as_mut().unwrap().webhook_url = Some("https://new.example.com/sms".into());
                        });
                    },
                    |w| bought(w) && w.twilio.held.values().any(|s| s.number.sms_url == "https://new.example.com/sms"),
                ),
            ],
        ),
        life(
            "a webhook set by hand, changed by hand, then managed",
            1,
            false,
            vec![
                (
                    |w| {
                        let mut spec = search();
                        spec["sms"] = serde_json::json!({"webhookURL": BY_HAND, "management": "Observed"});
                        w.apply("a", spec);
                    },
                    |w| bought(w) && told(w, "InboundSms", "NotWired") && webhook(w).is_empty(),
                ),
                (|w| set_by_hand(w, BY_HAND), |w| bought(w) && told(w, "InboundSms", "Wired")),
                (
                    |w| set_by_hand(w, "https://elsewhere.example.com"),
                    |w| bought(w) && told(w, "InboundSms", "NotWired") && webhook(w) == "https://elsewhere.example.com",
                ),
                (
                    |w| w.edit("a", |o| o.spec.sms.as_mut().unwrap().management = SmsManagement::Managed),
                    |w| bought(w) && told(w, "InboundSms", "Wired") && webhook(w) == BY_HAND,
                ),
            ],
        ),
        life(
            "a foreign tag, then ours again",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        let other = InstallationId::parse("other").unwrap().mark("x", "y", false);
                        let number = w.holds("a").unwrap();
                        let it = w.twilio.by_number(&number).unwrap();
                        it.friendly_name = format!("{other} x");
                        it.sms_url = "https://other.example.com".into();
                        w.annotate("a", REQUESTED_AT, "1");
                    },
                    |w| stalled(w, "NumberClaimedElsewhere"),
                ),
                (
                    |w| {
                        let (number, label) = (w.holds("a").unwrap(), w.label("a", false));
                        w.twilio.by_number(&number).unwrap().friendly_name = label;
                        w.annotate("a", REQUESTED_AT, "2");
                    },
                    wired,
                ),
            ],
        ),
        life(
            "lost and found",
            1,
            false,
            vec![
                (buy, bought),
                (lose, |w| stalled(w, "NumberLost")),
                (
                    |w| {
                        let (number, label, now) = (w.holds("a").unwrap(), w.label("a", false), w.now);
                        w.twilio.give(&account(1), &number, &label, now);
                    },
                    wired,
                ),
            ],
        ),
        life(
            "lost and forgotten",
            2,
            false,
            vec![
                (buy, bought),
                (lose, |w| stalled(w, "NumberLost")),
                (
                    |w| {
                        let number = w.holds("a").unwrap();
                        w.annotate("a", FORGET_NUMBER, number.as_str());
                    },
                    |w| bought(w) && w.twilio.sales.len() == 2,
                ),
            ],
        ),
        life("retain", 1, false, vec![(buy, bought), (|w| w.delete("a"), |w| w.gone("a") && w.twilio.held.len() == 1)]),
        life(
            "release",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.delete("a");
                    },
                    |w| w.gone("a") && w.twilio.held.is_empty(),
                ),
            ],
        ),
        life(
            "release, confirmed later",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.edit("a", |o| {
                            o.spec.deletion_policy = DeletionPolicy::Release;
                            o.spec.release_confirmation = Some(number(7).to_string());
                        });
                        w.delete("a");
                    },
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
                (release_wish, |w| w.gone("a") && w.twilio.held.is_empty()),
            ],
        ),
        life(
            "an adopted number is never released",
            0,
            true,
            vec![
                (
                    |w| {
                        give(w, "reception");
                        w.apply("a", exact("IfOwned"));
                    },
                    bought,
                ),
                (
                    |w| {
                        release_wish(w);
                        w.may_release.clear();
                        w.delete("a");
                    },
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
                (
                    |w| {
                        w.edit("a", |o| {
                            o.spec.deletion_policy = DeletionPolicy::Retain;
                            o.spec.release_confirmation = None;
                        });
                    },
                    |w| w.gone("a") && w.twilio.held.len() == 1,
                ),
            ],
        ),
        life(
            "a hosted number is never released",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.may_release.clear();
                        let number = w.holds("a").unwrap();
                        w.twilio.by_number(&number).unwrap().origin = "hosted".into();
                        w.delete("a");
                    },
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
            ],
        ),
        life(
            "a number with a foreign tag is never released",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.may_release.clear();
                        let (number, label) = (w.holds("a").unwrap(), w.label("x", false));
                        w.twilio.by_number(&number).unwrap().friendly_name = label;
                        w.delete("a");
                    },
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
            ],
        ),
        life(
            "the CRD goes away",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.may_release.clear();
                        w.crd_stays = false;
                        w.delete("a");
                    },
                    |w| w.gone("a") && w.twilio.held.len() == 1,
                ),
            ],
        ),
        life(
            "a release without credentials, then Retain",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.secrets.insert(key("a"), CredentialsView::Missing("gone".into()));
                        w.delete("a");
                    },
                    |w| w.reason("a") == "WaitingForCredentials",
                ),
                (
                    |w| w.edit("a", |o| o.spec.deletion_policy = DeletionPolicy::Retain),
                    |w| w.gone("a") && w.twilio.held.len() == 1,
                ),
            ],
        ),
        life(
            "a release that Twilio refuses, then Retain",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        release_wish(w);
                        w.twilio.keeps = true;
                        w.delete("a");
                    },
                    |w| w.reason("a") == "Releasing" && w.status("a").claim.is_some_and(|c| c.releasing > 0),
                ),
                (|w| w.edit("a", |o| o.spec.deletion_policy = DeletionPolicy::Retain), |w| w.gone("a")),
            ],
        ),
        life(
            "deleted while a purchase is unresolved",
            1,
            false,
            vec![(
                |w| {
                    buy(w);
                    stop_after_stamp(w);
                    w.delete("a");
                },
                |w| w.gone("a"),
            )],
        ),
        life(
            "edited while a purchase is unresolved",
            1,
            false,
            vec![(
                |w| {
                    buy(w);
                    stop_after_stamp(w);
                    w.edit("a", |o| o.spec.friendly_name = Some("front desk".into()));
                },
                bought,
            )],
        ),
        life(
            "suspended before anything, then not",
            1,
            false,
            vec![
                (
                    |w| {
                        let mut spec = search();
                        spec["suspend"] = true.into();
                        w.apply("a", spec);
                    },
                    |w| w.reason("a") == "Suspended",
                ),
                (|w| w.edit("a", |o| o.spec.suspend = false), bought),
            ],
        ),
        life(
            "suspended in service, then not",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.edit("a", |o| o.spec.suspend = true);
                        let number = w.holds("a").unwrap();
                        w.twilio.by_number(&number).unwrap().sms_url = String::new();
                    },
                    |w| {
                        w.condition("a", "Paused").is_some()
                            && w.condition("a", "InboundSms").is_some_and(|(s, _)| s == "False")
                    },
                ),
                (|w| w.edit("a", |o| o.spec.suspend = false), wired),
            ],
        ),
        life(
            "suspended while a purchase is unresolved, then not",
            1,
            false,
            vec![
                (
                    |w| {
                        buy(w);
                        stop_after_stamp(w);
                        w.edit("a", |o| o.spec.suspend = true);
                    },
                    |w| {
                        let settled = w.status("a").claim.is_none_or(|c| c.outcome != ClaimOutcome::Unknown);
                        w.condition("a", "Paused").is_some() && settled
                    },
                ),
                (|w| w.edit("a", |o| o.spec.suspend = false), bought),
            ],
        ),
        life(
            "the Secret comes later",
            1,
            false,
            vec![
                (
                    |w| {
                        buy(w);
                        w.secrets.insert(key("a"), CredentialsView::Missing("not there".into()));
                    },
                    |w| w.reason("a") == "WaitingForCredentials",
                ),
                (|w| drop(w.secrets.insert(key("a"), credentials(1))), bought),
            ],
        ),
        life(
            "the Secret of a number in service goes and comes back",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.secrets.insert(key("a"), CredentialsView::Missing("not there".into()));
                        w.annotate("a", REQUESTED_AT, "1");
                    },
                    |w| w.ready("a") && w.condition("a", "Observed").is_some_and(|(s, _)| s == "False"),
                ),
                (
                    |w| drop(w.secrets.insert(key("a"), credentials(1))),
                    |w| w.ready("a") && w.condition("a", "Observed").is_some_and(|(s, _)| s == "True"),
                ),
            ],
        ),
        life(
            "another account's Secret, then the right one",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.secrets.insert(key("a"), credentials(2));
                        w.annotate("a", REQUESTED_AT, "1");
                    },
                    |w| stalled(w, "AccountMismatch"),
                ),
                (|w| drop(w.secrets.insert(key("a"), credentials(1))), bought),
            ],
        ),
        life(
            "the fuse, then an hour later",
            2,
            false,
            vec![
                (
                    |w| {
                        w.limit = 1;
                        w.apply("b", search());
                    },
                    |w| w.ready("b"),
                ),
                (buy, |w| w.reason("a") == "PurchaseLimitReached"),
                (|_| {}, bought),
            ],
        ),
        life(
            "stripped and applied again while a purchase is under way",
            1,
            false,
            vec![(
                |w| {
                    buy(w);
                    stop_after_stamp(w);
                    w.strip_and_apply("a");
                },
                bought,
            )],
        ),
        life(
            "regulatory data missing, then given",
            1,
            false,
            vec![
                (
                    |w| {
                        w.twilio.refuses = Some(Class::RegulatoryDataRequired);
                        buy(w);
                    },
                    |w| stalled(w, "RegulatoryDataRequired"),
                ),
                (
                    |w| {
                        w.twilio.refuses = None;
                        w.edit("a", |o| o.spec.friendly_name = Some("new".into()));
                    },
                    bought,
                ),
            ],
        ),
        life(
            "a bundle missing, then named",
            1,
            false,
            vec![
                (
                    |w| {
                        w.twilio.papers = super::regulatory::papers(None);
                        // Whoever could not read that meets it at the purchase.
                        w.twilio.refuses = Some(Class::RegulatoryDataRequired);
                        w.apply("a", super::regulatory::in_france());
                    },
                    |w| stalled(w, "RegulatoryDataRequired") && w.twilio.sales.is_empty(),
                ),
                (
                    |w| {
                        w.twilio.papers = super::regulatory::papers(Some("twilio-approved"));
                        w.twilio.refuses = None;
                        super::regulatory::name_bundle(w);
                    },
                    bought,
                ),
            ],
        ),
        life(
            "no numbers, then some",
            1,
            false,
            vec![
                (
                    |w| {
                        w.twilio.stock.clear();
                        buy(w);
                    },
                    |w| w.reason("a") == "NoNumbersAvailable",
                ),
                (|w| w.twilio.stock.extend([number(5), number(6), number(7)]), bought),
            ],
        ),
        life(
            "five attempts, then another number",
            1,
            false,
            vec![(
                |w| {
                    buy(w);
                    w.twilio.outage = Some(CallFault::ServerBefore);
                    w.twilio.outage = None;
                    stop_after_stamp(w);
                    for _ in 0..4 {
                        refuse_all_posts(w);
                    }
                },
                bought,
            )],
        ),
        life(
            "the installation id changes",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| {
                        w.defaults.installation = InstallationId::parse("renamed").unwrap();
                        w.annotate("a", REQUESTED_AT, "1");
                    },
                    |w| stalled(w, "NumberClaimedElsewhere"),
                ),
                (
                    |w| {
                        w.defaults.previous_installation = Some(InstallationId::parse("prod").unwrap());
                        w.annotate("a", REQUESTED_AT, "2");
                    },
                    |w| {
                        let tag = w.defaults.installation.tag("clinic", "a");
                        bought(w)
                            && w.twilio.held.values().any(|s| s.number.mark().is_some_and(|m| m.tag == tag))
                            && w.status("a").claim.is_some_and(|c| c.tag == Some(tag.to_string()))
                    },
                ),
                (
                    |w| {
                        w.defaults.previous_installation = None;
                        w.annotate("a", REQUESTED_AT, "3");
                    },
                    bought,
                ),
            ],
        ),
        life(
            "a price above the limit, then a higher limit",
            1,
            false,
            vec![
                (|w| limited(w, "1.14"), |w| stalled(w, "PriceAboveLimit") && w.status("a").claim.is_none()),
                (
                    |w| w.edit("a", |o| o.spec.max_monthly_price.as_mut().unwrap().amount = "1.15".into()),
                    |w| bought(w) && price(w).as_deref() == Some("1.15 USD"),
                ),
            ],
        ),
        life(
            "a price above the limit, then a lower price",
            1,
            false,
            vec![
                (|w| limited(w, "1.1"), |w| stalled(w, "PriceAboveLimit")),
                (|w| w.twilio.price = Some((110, "USD")), |w| bought(w) && price(w).as_deref() == Some("1.10 USD")),
            ],
        ),
        life(
            "an exact number within the limit",
            1,
            true,
            vec![(
                |w| {
                    limited(w, "1.50");
                    w.edit("a", |o| o.spec.phone_number = Some(number(2).to_string()));
                },
                |w| bought(w) && w.holds("a") == Some(number(2)),
            )],
        ),
        life(
            "a limit lowered while a purchase is unresolved, then raised",
            1,
            true,
            vec![
                (
                    |w| {
                        limited(w, "1.50");
                        w.edit("a", |o| o.spec.phone_number = Some(number(2).to_string()));
                        stop_after_stamp(w);
                        w.edit("a", |o| o.spec.max_monthly_price.as_mut().unwrap().amount = "1.00".into());
                    },
                    // A refusal or a number that was sold after all is an end too.
                    |w| stalled(w, "PriceAboveLimit") || bought(w),
                ),
                (|w| w.edit("a", |o| o.spec.max_monthly_price.as_mut().unwrap().amount = "1.50".into()), bought),
            ],
        ),
        life(
            "chosen by hand",
            1,
            true,
            vec![
                (by_hand, |w| awaits(w, &[1, 2, 3])),
                (
                    |w| w.edit("a", |o| o.spec.phone_number = Some(number(2).to_string())),
                    |w| bought(w) && w.holds("a") == Some(number(2)) && w.status("a").candidates.is_empty(),
                ),
            ],
        ),
        life(
            "chosen by hand and sold meanwhile, then another one",
            1,
            true,
            vec![
                (by_hand, |w| awaits(w, &[1, 2, 3])),
                (
                    |w| {
                        w.twilio.stock = vec![number(1), number(3), number(4)];
                        w.edit("a", |o| o.spec.phone_number = Some(number(2).to_string()));
                    },
                    |w| stalled(w, "NumberUnavailable") && offered(w) == [1, 3, 4].map(|n| number(n).to_string()),
                ),
                (
                    |w| w.edit("a", |o| o.spec.phone_number = Some(number(4).to_string())),
                    |w| bought(w) && w.holds("a") == Some(number(4)) && w.status("a").candidates.is_empty(),
                ),
            ],
        ),
        life(
            "chosen by hand within a limit and sold meanwhile, then another one",
            1,
            true,
            vec![
                (
                    |w| {
                        by_hand(w);
                        w.edit("a", |o| o.spec.max_monthly_price = Some(limit("1.50")));
                    },
                    |w| awaits(w, &[1, 2, 3]),
                ),
                (
                    |w| {
                        w.twilio.stock = vec![number(1), number(3)];
                        w.edit("a", |o| o.spec.phone_number = Some(number(2).to_string()));
                    },
                    |w| stalled(w, "NumberUnavailable") && offered(w) == [1, 3].map(|n| number(n).to_string()),
                ),
                (
                    |w| w.edit("a", |o| o.spec.phone_number = Some(number(3).to_string())),
                    |w| bought(w) && w.holds("a") == Some(number(3)) && price(w).as_deref() == Some("1.15 USD"),
                ),
            ],
        ),
        life(
            "Automatic, then by hand while a purchase is unresolved",
            1,
            true,
            vec![
                (
                    |w| {
                        buy(w);
                        stop_after_stamp(w);
                        w.edit("a", |o| o.spec.purchase_policy = PurchasePolicy::Manual);
                    },
                    |w| awaits_any(w) || bought(w),
                ),
                (
                    |w| {
                        let first = w.twilio.stock.first().cloned();
                        if w.holds("a").is_none() {
                            w.edit("a", |o| o.spec.phone_number = first.map(|n| n.to_string()));
                        }
                    },
                    bought,
                ),
            ],
        ),
        life(
            "deleted while a person is to choose",
            0,
            false,
            vec![(by_hand, |w| awaits(w, &[1, 2, 3])), (|w| w.delete("a"), |w| w.gone("a"))],
        ),
        life(
            "another number is named",
            1,
            false,
            vec![
                (buy, bought),
                (
                    |w| w.edit("a", |o| o.spec.phone_number = Some(number(7).to_string())),
                    |w| stalled(w, "HeldNumberDiffers"),
                ),
                (|w| w.edit("a", |o| o.spec.phone_number = None), bought),
            ],
        ),
    ]
}

/// Runs one pass in which the process dies right after the stamp was written, before anything was sent.
pub fn stop_after_stamp(w: &mut World) {
    let Some(mut pass) = Pass::begin(w, 0, &key("a")) else { return };
    while w.status("a").claim.is_none_or(|c| c.attempts == 0) {
        if pass.turn(w) != Turn::On {
            return;
        }
    }
    restart(w, 0);
}

/// One pass in which Twilio does not answer.
fn refuse_all_posts(w: &mut World) {
    w.twilio.outage = Some(CallFault::LostBefore);
    if let Turn::Ended(at) = run(w, 0, &key("a")) {
        let wait = at.until(w.now.boot);
        w.advance(wait);
    }
    w.twilio.outage = None;
}

fn tail(world: &World) -> String {
    world.log[world.log.len().saturating_sub(60)..].join("\n")
}

#[test]
fn every_life_ends_well_and_rests() {
    let mut failed = Vec::new();
    for life in lives() {
        let mut world = World::new();
        if let Err(why) = life.live(&mut world) {
            failed.push(format!(
                "{}: {why}\n{}\n{:?}",
                life.name,
                tail(&world),
                world.objects.get(&key("a")).map(|o| &o.status)
            ));
            continue;
        }
        if let Err(why) = at_rest(&mut world) {
            failed.push(format!("{}: {why}\n{}", life.name, tail(&world)));
        }
        if world.twilio.sales.len() != life.sales && !life.name.starts_with("deleted while") {
            failed.push(format!("{}: {} sales", life.name, world.twilio.sales.len()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_purchase_takes_these_steps_and_no_others() {
    let mut world = World::new();
    buy(&mut world);
    until(&mut world, bought).unwrap();
    let steps: Vec<_> = world.log.iter().filter_map(|l| l.split(" a ").nth(1)).collect();
    assert_eq!(
        steps,
        ["finalizer", "secret", "search", "announce", "list", "rivals", "stamp", "post", "record"],
        "the order is the protocol"
    );
    let calls: Vec<_> = world.twilio.calls.into_iter().collect();
    assert_eq!(
        calls,
        [("CreateIncomingPhoneNumber", 1), ("ListAvailablePhoneNumberLocal", 1), ("ListIncomingPhoneNumber", 1)]
    );
    assert_eq!(world.writes.into_iter().collect::<Vec<_>>(), [("finalizer", 1), ("ledger", 1), ("status", 3)]);
}

#[test]
fn nothing_is_written_while_a_foreign_tag_is_there() {
    let mut world = World::new();
    let lives = lives();
    let life = lives.iter().find(|l| l.name.starts_with("a foreign tag")).unwrap();
    for (act, goal) in &life.acts[..2] {
        act(&mut world);
        until(&mut world, *goal).unwrap();
    }
    let before = (world.twilio.updates.len(), world.writes_in_all());
    at_rest(&mut world).unwrap();
    world.advance(WINDOW);
    assert_eq!((world.twilio.updates.len(), world.writes_in_all()), before);
}
