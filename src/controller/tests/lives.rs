//! Whole lives: what happens to resources, and what must come of it whatever goes wrong in between.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::fault::{RELEASING, STAMPED};
use super::world::{WEBHOOK, WINDOW, World, account, number, other_mark};
use crate::api::FORGET_NUMBER;
use crate::api::v1alpha1::{ClaimOutcome, Origin};
use crate::domain::{E164, InstallationId};
use crate::simulator::AccountStatus;

/// One thing that happens.
#[derive(Clone, Copy)]
pub enum Act {
    /// Something in the cluster or at Twilio.
    Do(fn(&mut World)),
    /// The same, and the operators are started again, as after a change of their flags.
    Restart(fn(&mut World)),
    /// The first; then the operator works and dies as soon as it has stamped a purchase; then the second.
    StopAfterStamp(fn(&mut World), fn(&mut World)),
    /// The same with the stamp of a release.
    StopAfterRelease(fn(&mut World), fn(&mut World)),
}
use Act::{Do, Restart, StopAfterRelease, StopAfterStamp};

/// A life: what happens, what is reached by itself after each, and how many numbers are bought in all.
pub struct Life {
    pub name: &'static str,
    pub acts: Vec<(Act, fn(&World) -> bool)>,
    pub sales: usize,
    /// A refusal of the one number that is asked for is an answer: the life then ends otherwise, unsold.
    pub exact: bool,
    /// Its sale may not come about: it is ended before.
    pub unsold: bool,
    /// How many resources buy numbers.
    pub resources: usize,
}

impl Life {
    /// Lives it.
    ///
    /// # Errors
    /// When something happened that must not, or what must come does not.
    pub async fn live(&self, world: &mut World) -> Result<(), String> {
        for (index, (act, goal)) in self.acts.iter().enumerate() {
            world.note(&format!("act {index}"));
            {
                let mut inner = world.hub.inner();
                let calls = inner.calls.len();
                inner.acts.push(calls);
            }
            match act {
                Do(act) => act(world),
                Restart(act) => {
                    act(world);
                    world.start(1).await;
                    world.restart().await;
                }
                // Or it was overtaken: another operator stamped, or the answer to the stamp was lost.
                StopAfterStamp(first, then) => {
                    first(world);
                    let stamped = |w: &World| w.status("a").claim.is_some_and(|c| c.attempts > 0);
                    stop_after(world, STAMPED, stamped).await?;
                    then(world);
                    // As after a change of their flags, should that be one.
                    world.start(1).await;
                    world.restart().await;
                }
                StopAfterRelease(first, then) => {
                    first(world);
                    let stamped = |w: &World| w.status("a").claim.is_none_or(|c| c.releasing > 0);
                    stop_after(world, RELEASING, stamped).await?;
                    then(world);
                }
            }
            world.until(*goal).await.map_err(|why| format!("act {index}: {why}"))?;
            for (tag, sold) in world.hub.sales() {
                if sold.len() > self.sales {
                    return Err(format!("act {index}: {} sales for {tag}", sold.len()));
                }
            }
        }
        Ok(())
    }
}

/// The operator works until it has written this, and dies then.
async fn stop_after(world: &mut World, name: &'static str, written: fn(&World) -> bool) -> Result<(), String> {
    world.hub.inner().dies_after = Some(name);
    let goal = move |w: &World| w.hub.inner().dies_after.is_none() || written(w);
    let stopped = world.go(&goal, 400).await;
    world.hub.inner().dies_after = None;
    stopped
}

pub fn search() -> Value {
    json!({"search": {"country": "CA", "areaCodes": ["418"]}})
}

pub fn bought(w: &World) -> bool {
    w.ready("a")
}

pub fn buy(w: &mut World) {
    w.apply("a", &search());
}

fn exact(policy: &str) -> Value {
    json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": policy})
}

fn wired(w: &World) -> bool {
    let row = w.holds("a").and_then(|n| w.row(&n));
    bought(w) && row.is_some_and(|r| r.sms_url == super::world::WEBHOOK)
}

fn messaging_services(w: &mut World) {
    for name in ["1", "2"] {
        let form = [("FriendlyName", name), ("UseInboundWebhookOnNumber", "true")];
        w.hub.messaging(&account(1), Method::POST, "Services", &form);
    }
}

/// The service of this name, and whether the number is in it.
fn services(w: &World) -> Vec<(String, Vec<Value>)> {
    let list = |path: &str, key: &str| {
        let all = w.hub.messaging(&account(1), Method::GET, path, &[]);
        all[key].as_array().unwrap().clone()
    };
    let mut services: Vec<_> = list("Services", "services");
    services.sort_by_key(|service| service["friendly_name"].to_string());
    let members = |sid: &str| list(&format!("Services/{sid}/PhoneNumbers"), "phone_numbers");
    services.iter().map(|service| service["sid"].as_str().unwrap()).map(|sid| (sid.to_owned(), members(sid))).collect()
}

fn buy_into(w: &mut World, n: usize) {
    messaging_services(w);
    let sid = services(w)[n - 1].0.clone();
    w.apply("a", &json!({"search": search()["search"], "sms": {"webhookURL": WEBHOOK, "messagingServiceSID": sid}}));
}

fn move_to(w: &mut World, n: Option<usize>) {
    let sid = n.map(|n| services(w)[n - 1].0.clone());
    w.edit("a", json!({"sms": {"messagingServiceSID": sid}}));
}

/// In service, and in this Messaging Service at Twilio as in status.
fn ready_in(w: &World, n: Option<usize>) -> bool {
    let told = w.status("a").messaging_service.filter(|told| told.joined_at.is_some()).map(|told| told.sid);
    let services = services(w);
    let right = |(at, (sid, numbers)): (usize, &(String, Vec<Value>))| {
        let wanted = n == Some(at + 1);
        numbers.len() == usize::from(wanted) && (told.as_ref() == Some(sid)) == wanted
    };
    wired(w) && w.status("a").messaging_service.is_some() == n.is_some() && services.iter().enumerate().all(right)
}

fn none(w: &World, name: &str) -> bool {
    w.reason(name) == "NoNumbersAvailable"
}

fn held(w: &World) -> E164 {
    w.holds("a").unwrap()
}

fn has_released(w: &World) -> bool {
    w.gone("a") && w.releases() == 1
}

fn has_retained(w: &World) -> bool {
    w.gone("a") && w.releases() == 0
}

fn release_wish(w: &mut World) {
    let number = held(w);
    w.hub.inner().may_release.insert(number.to_string());
    w.edit("a", json!({"deletionPolicy": "Release", "releaseConfirmation": number.as_str()}));
}

fn unasked_release_wish(w: &mut World) {
    release_wish(w);
    w.hub.inner().may_release.clear();
}

fn retain(w: &mut World) {
    w.edit("a", json!({"deletionPolicy": "Retain", "releaseConfirmation": null}));
}

fn drift(w: &mut World) {
    w.at_twilio(&held(w), &[("SmsUrl", "https://elsewhere.example.com")]);
    w.ask("a");
}

/// Another program writes its own webhook, and nobody asks for a look.
fn rewrite(w: &mut World) {
    w.at_twilio(&held(w), &[("SmsUrl", "https://elsewhere.example.com")]);
    w.hub.go_by(Duration::from_secs(7200));
}

/// Four times, and how it ends.
fn rewritten(end: fn(&World) -> bool) -> Vec<(Act, fn(&World) -> bool)> {
    vec![(Do(buy), wired), (Do(rewrite), wired), (Do(rewrite), wired), (Do(rewrite), wired), (Do(rewrite), end)]
}

fn lose(w: &mut World) {
    w.release_by_hand(&held(w));
    w.ask("a");
}

fn give_up(w: &mut World) {
    let number = held(w);
    w.annotate("a", FORGET_NUMBER, number.as_str());
}

fn adopt(policy: &str, label: &str, w: &mut World) {
    w.give(&number(9), label);
    w.apply("a", &exact(policy));
}

fn adopted(w: &World) -> bool {
    bought(w) && w.status("a").origin == Some(Origin::Adopted) && w.holds("a") == Some(number(9))
}

fn purchased(w: &World) -> bool {
    bought(w) && w.status("a").origin == Some(Origin::Purchased)
}

/// Lives that only some schedules lead to their end.
pub fn lives_of_scenarios() -> Vec<Life> {
    let life = |name, acts| Life { name, acts, sales: 1, exact: false, unsold: true, resources: 1 };
    vec![
        life("purchase, or deletion", vec![(Do(buy), |w| wired(w) || w.gone("a"))]),
        life(
            "refused for want of an address, suspended, then with an address",
            vec![
                (
                    Do(|w| {
                        let number = w.on_offer(2);
                        w.apply("a", &json!({"phoneNumber": number.as_str()}));
                    }),
                    |w| w.status("a").claim.is_some_and(|c| c.outcome == ClaimOutcome::Refused) || wired(w),
                ),
                (Do(|w| w.edit("a", json!({"suspend": true}))), |w| w.condition("a", "Paused").is_some()),
                (
                    Do(|w| {
                        w.edit("a", json!({"suspend": false, "regulatory": {"addressSID": format!("AD{:032x}", 1)}}));
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "drift, or somebody else's",
            vec![(Do(buy), wired), (Do(drift), |w| wired(w) || w.stalled("a", "NumberClaimedElsewhere"))],
        ),
        Life {
            sales: 0,
            ..life(
                "adoption, or somebody else's",
                vec![(Do(|w| adopt("IfOwned", "reception", w)), |w| {
                    adopted(w) || w.stalled("a", "NumberClaimedElsewhere")
                })],
            )
        },
        life("two writers", rewritten(|w| w.stalled("a", "DriftContested"))),
    ]
}

/// Every life. Names are what schedules are told by.
pub fn lives() -> Vec<Life> {
    let life = |name, sales, acts| Life { name, acts, sales, exact: false, unsold: false, resources: 1 };
    let several = |name, resources, acts| Life { resources, ..life(name, 1, acts) };
    let exactly = |name, sales, acts| Life { exact: true, ..life(name, sales, acts) };
    let unsold = |name, acts| Life { unsold: true, ..life(name, 1, acts) };
    vec![
        life("purchase", 1, vec![(Do(buy), wired)]),
        exactly(
            "exact number",
            1,
            vec![(
                Do(|w| {
                    let number = w.on_offer(2);
                    w.apply("a", &json!({"phoneNumber": number.as_str()}));
                }),
                purchased,
            )],
        ),
        life(
            "create, drift, rewire, retain",
            1,
            vec![
                (Do(buy), wired),
                (Do(drift), wired),
                (Do(|w| w.edit("a", json!({"sms": {"webhookURL": "https://new.example.com/sms"}}))), |w| {
                    bought(w) && w.rows().iter().any(|r| r.sms_url == "https://new.example.com/sms")
                }),
                (Do(|w| w.delete("a")), has_retained),
            ],
        ),
        // Not exact but as good as: two answers in a row that are not so (404, twice) leave the number in the service that it was in, and
        // Twilio then refuses the other one for good.
        exactly(
            "put into a Messaging Service, then into another, then into none",
            1,
            vec![
                (Do(|w| buy_into(w, 1)), |w| ready_in(w, Some(1))),
                (Do(|w| move_to(w, Some(2))), |w| ready_in(w, Some(2))),
                (Do(|w| move_to(w, None)), |w| ready_in(w, None)),
            ],
        ),
        life(
            "put into a Messaging Service, and released",
            1,
            vec![
                (Do(|w| buy_into(w, 1)), |w| ready_in(w, Some(1))),
                (
                    Do(|w| {
                        release_wish(w);
                        w.delete("a");
                    }),
                    has_released,
                ),
            ],
        ),
        life(
            "create, relabel, release",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        w.at_twilio(&held(w), &[("FriendlyName", "renamed")]);
                        w.ask("a");
                    }),
                    |w| bought(w) && w.row(&held(w)).is_some_and(|r| r.friendly_name.starts_with("[cpn:")),
                ),
                (
                    Do(|w| {
                        release_wish(w);
                        w.delete("a");
                    }),
                    has_released,
                ),
            ],
        ),
        life(
            "create, release or retain",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        release_wish(w);
                        w.delete("a");
                    }),
                    |w| w.gone("a"),
                ),
            ],
        ),
        life(
            "a release, then Retain",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        release_wish(w);
                        w.secret(None);
                        w.delete("a");
                    }),
                    |w| w.reason("a") == "WaitingForCredentials",
                ),
                (Do(retain), has_retained),
            ],
        ),
        exactly(
            "adoption of an untagged number, then a release that is refused",
            0,
            vec![
                (Do(|w| adopt("IfOwned", "reception", w)), adopted),
                (
                    Do(|w| {
                        unasked_release_wish(w);
                        w.delete("a");
                    }),
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
                (Do(retain), has_retained),
            ],
        ),
        exactly(
            "adoption from a resource that is gone",
            0,
            vec![(
                Do(|w| {
                    let label = w.label("old", false);
                    w.hub.inner().tags.insert(w.defaults.installation.tag("clinic", "old"), "old".to_owned());
                    adopt("IfOwned", &label, w);
                }),
                adopted,
            )],
        ),
        exactly(
            "adoption from another installation",
            0,
            vec![(
                Do(|w| {
                    w.hub.inner().may_take_over.insert(number(9).to_string());
                    adopt("TakeOver", &format!("{} x", other_mark()), w);
                }),
                adopted,
            )],
        ),
        exactly(
            "adoption that was not asked for",
            0,
            vec![(Do(|w| adopt("Never", "reception", w)), |w| w.stalled("a", "NumberClaimedElsewhere"))],
        ),
        exactly(
            "adoption of another installation's number that was not asked for",
            0,
            vec![(Do(|w| adopt("IfOwned", &format!("{} x", other_mark()), w)), |w| {
                w.stalled("a", "NumberClaimedElsewhere")
            })],
        ),
        life(
            "an adopted number is found again and stays adopted",
            0,
            vec![
                (
                    Do(|w| {
                        let label = w.label("a", true);
                        w.give(&number(9), &label);
                        buy(w);
                    }),
                    adopted,
                ),
                (
                    Do(|w| {
                        unasked_release_wish(w);
                        w.delete("a");
                    }),
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
            ],
        ),
        life(
            "the token is rotated",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        w.rotate_token(1);
                        w.ask("a");
                    }),
                    |w| {
                        w.stalled("a", "CredentialsRejected")
                            || w.condition("a", "Observed").is_some_and(|(s, _)| s == "False")
                    },
                ),
                (
                    Do(|w| {
                        w.secret(Some(1));
                        drift(w);
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "another account's Secret, then the right one",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        w.secret(Some(2));
                        w.ask("a");
                    }),
                    |w| w.stalled("a", "AccountMismatch"),
                ),
                (Do(|w| w.secret(Some(1))), wired),
            ],
        ),
        life(
            "the Secret names another account while a purchase is unresolved",
            1,
            vec![
                (StopAfterStamp(buy, |w| w.secret(Some(2))), |w| w.stalled("a", "AccountMismatch")),
                (Do(|w| w.secret(Some(1))), wired),
            ],
        ),
        life(
            "the account is suspended, then paid for",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        w.account_status(1, AccountStatus::Suspended);
                        w.ask("a");
                    }),
                    |w| w.stalled("a", "AccountSuspended"),
                ),
                (Do(|w| w.account_status(1, AccountStatus::Active)), wired),
            ],
        ),
        life(
            "a foreign tag, then ours again",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        let name = format!("{} x", other_mark());
                        w.at_twilio(&held(w), &[("FriendlyName", &name), ("SmsUrl", "https://other.example.com")]);
                        w.ask("a");
                    }),
                    |w| {
                        let theirs = w.row(&held(w)).is_some_and(|r| r.sms_url == "https://other.example.com");
                        w.stalled("a", "NumberClaimedElsewhere") && theirs
                    },
                ),
                (
                    Do(|w| {
                        let label = w.label("a", false);
                        w.at_twilio(&held(w), &[("FriendlyName", &label)]);
                        w.ask("a");
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "a foreign tag, and a release",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        let name = format!("{} x", other_mark());
                        w.at_twilio(&held(w), &[("FriendlyName", &name)]);
                        unasked_release_wish(w);
                        w.delete("a");
                    }),
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
            ],
        ),
        life(
            "lost and found",
            1,
            vec![
                (Do(buy), wired),
                (Do(lose), |w| w.stalled("a", "NumberLost")),
                (
                    Do(|w| {
                        let (number, label) = (held(w), w.label("a", false));
                        w.give(&number, &label);
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "lost and forgotten",
            2,
            vec![
                (Do(buy), wired),
                (Do(lose), |w| w.stalled("a", "NumberLost")),
                (Do(give_up), |w| wired(w) && w.purchases() == 2),
            ],
        ),
        life(
            "a word that came before the loss, then one that came after",
            2,
            vec![
                (Do(buy), wired),
                (Do(give_up), |w| wired(w) && w.status("a").ignored_forget_number.is_some()),
                (Do(lose), |w| w.stalled("a", "NumberLost") && w.purchases() == 1),
                (Do(|w| w.ask("a")), |w| w.answered("a") && w.stalled("a", "NumberLost") && w.purchases() == 1),
                (Do(|w| w.unannotate("a", FORGET_NUMBER)), |w| {
                    w.stalled("a", "NumberLost") && w.status("a").ignored_forget_number.is_none() && w.purchases() == 1
                }),
                (Do(give_up), |w| wired(w) && w.purchases() == 2),
            ],
        ),
        life(
            "the CRD goes away",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        unasked_release_wish(w);
                        w.delete("a");
                        w.hub.inner().api.terminate("clinicphonenumbers", true);
                        // Nobody can apply it again before the type is there again: nothing has to be waited for.
                        w.hub.inner().watched.by_hand = true;
                    }),
                    has_retained,
                ),
            ],
        ),
        unsold(
            "deleted while a purchase is unresolved",
            vec![(StopAfterStamp(buy, |w| w.delete("a")), |w| w.gone("a"))],
        ),
        unsold(
            "deleted with its Secret while a purchase is unresolved",
            vec![(
                StopAfterStamp(buy, |w| {
                    w.secret(None);
                    w.delete("a");
                }),
                |w| w.gone("a"),
            )],
        ),
        life(
            "edited while a purchase is unresolved",
            1,
            vec![(StopAfterStamp(buy, |w| w.edit("a", json!({"friendlyName": "front desk"}))), wired)],
        ),
        life(
            "suspended while a purchase is unresolved, then not",
            1,
            vec![
                (StopAfterStamp(buy, |w| w.edit("a", json!({"suspend": true}))), |w| {
                    let settled = w.status("a").claim.is_none_or(|c| c.outcome != ClaimOutcome::Unknown);
                    w.condition("a", "Paused").is_some() && settled
                }),
                (Do(|w| w.edit("a", json!({"suspend": false}))), wired),
            ],
        ),
        life(
            "stripped and applied again while a purchase is under way",
            1,
            vec![(StopAfterStamp(buy, |w| w.strip_and_apply("a")), wired)],
        ),
        life(
            "the cluster is lost and built anew",
            1,
            vec![
                (Do(buy), wired),
                (
                    Restart(|w| {
                        // Whoever loses the ledger too has only the account's list, which has to have caught up.
                        w.hub.go_by(WINDOW);
                        w.wipe();
                        buy(w);
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "a backup from before the purchase is restored",
            1,
            vec![
                (
                    Do(|w| {
                        buy(w);
                        w.take_backup();
                    }),
                    wired,
                ),
                (
                    Restart(|w| {
                        w.hub.go_by(WINDOW);
                        w.restore_backup();
                    }),
                    wired,
                ),
            ],
        ),
        life(
            "the installation id changes",
            1,
            vec![
                (Do(buy), wired),
                (
                    Restart(|w| {
                        w.defaults.installation = InstallationId::parse("renamed").unwrap();
                        w.hub.inner().tags.insert(w.defaults.installation.tag("clinic", "a"), "a".to_owned());
                        w.ask("a");
                    }),
                    |w| w.stalled("a", "NumberClaimedElsewhere"),
                ),
                (
                    Restart(|w| {
                        w.defaults.previous_installation = Some(InstallationId::parse("prod").unwrap());
                        w.ask("a");
                    }),
                    |w| {
                        let mark = w.label("a", false);
                        wired(w) && w.row(&held(w)).is_some_and(|r| r.friendly_name[..20] == mark[..20])
                    },
                ),
            ],
        ),
        several(
            "the fuse, then an hour later",
            2,
            vec![
                (
                    Restart(|w| {
                        w.limit = 1;
                        w.apply("b", &search());
                    }),
                    |w| w.ready("b"),
                ),
                // Unless the hour was over before.
                (Do(buy), |w| w.reason("a") == "PurchaseLimitReached" || wired(w)),
                (Restart(|_| {}), |w| wired(w) && w.ready("b") && w.purchases() == 2),
            ],
        ),
        several(
            "two resources, few numbers on offer",
            2,
            vec![(
                Do(|w| {
                    // One more than they need, should one be refused.
                    w.stock(3);
                    buy(w);
                    w.apply("b", &search());
                }),
                |w| wired(w) && w.ready("b") && w.holds("a") != w.holds("b"),
            )],
        ),
        life(
            "no numbers, then some",
            1,
            vec![
                (
                    Do(|w| {
                        w.stock(0);
                        buy(w);
                    }),
                    |w| w.reason("a") == "NoNumbersAvailable",
                ),
                (Do(|w| w.stock(4)), wired),
            ],
        ),
        life(
            "another number is named",
            1,
            vec![
                (Do(buy), wired),
                (Do(|w| w.edit("a", json!({"phoneNumber": number(7).as_str()}))), |w| {
                    w.stalled("a", "HeldNumberDiffers")
                }),
                (Do(|w| w.edit("a", json!({"phoneNumber": null}))), wired),
            ],
        ),
        exactly(
            "exact number chosen from a search",
            1,
            vec![(
                Do(|w| {
                    let number = w.on_offer(2);
                    w.apply("a", &json!({"phoneNumber": number.as_str(), "search": search()["search"]}));
                }),
                purchased,
            )],
        ),
        Life {
            exact: true,
            ..several(
                "two resources, one exact number",
                2,
                vec![(
                    Do(|w| {
                        let number = w.on_offer(2);
                        for name in ["a", "b"] {
                            w.apply(name, &json!({"phoneNumber": number.as_str()}));
                        }
                    }),
                    |w| {
                        let ended = |n| w.ready(n) || w.stalled(n, "NumberClaimedElsewhere");
                        ended("a") && ended("b") && (w.ready("a") != w.ready("b"))
                    },
                )],
            )
        },
        several(
            "two resources, one number on offer, then more",
            2,
            vec![
                (
                    Do(|w| {
                        w.stock(1);
                        buy(w);
                        w.apply("b", &search());
                    }),
                    |w| (w.ready("a") || w.ready("b")) && (none(w, "a") || none(w, "b")),
                ),
                (Do(|w| w.stock(4)), |w| wired(w) && w.ready("b")),
            ],
        ),
        life(
            "two resources adopt one number",
            0,
            vec![(
                Do(|w| {
                    w.give(&number(9), "reception");
                    w.apply("a", &exact("IfOwned"));
                    w.apply("b", &exact("IfOwned"));
                }),
                |w| {
                    let ended = |n| w.ready(n) || w.stalled(n, "NumberClaimedElsewhere");
                    ended("a") && ended("b") && (w.ready("a") != w.ready("b")) && w.purchases() == 0
                },
            )],
        ),
        several(
            "beside a resource in service",
            2,
            vec![
                (Do(|w| w.apply("b", &search())), |w| w.ready("b")),
                (
                    Do(|w| {
                        w.hub.go_by(2 * WINDOW);
                        buy(w);
                    }),
                    wired,
                ),
                (Do(drift), wired),
                (
                    Do(|w| {
                        w.hub.go_by(2 * WINDOW);
                        w.strip_and_apply("a");
                    }),
                    wired,
                ),
                (
                    Do(|w| {
                        w.hub.go_by(2 * WINDOW);
                        release_wish(w);
                        w.delete("a");
                    }),
                    |w| has_released(w) && w.ready("b"),
                ),
            ],
        ),
        life(
            "a release that is not confirmed, then Retain",
            1,
            vec![
                (Do(buy), wired),
                (
                    Do(|w| {
                        w.edit("a", json!({"deletionPolicy": "Release", "releaseConfirmation": number(1).as_str()}));
                        w.delete("a");
                    }),
                    |w| w.reason("a") == "ConfirmationRequired",
                ),
                (Do(retain), has_retained),
            ],
        ),
        life(
            "a release is stamped, then Retain",
            1,
            vec![
                (Do(buy), wired),
                (
                    StopAfterRelease(
                        |w| {
                            release_wish(w);
                            w.delete("a");
                        },
                        retain,
                    ),
                    |w| w.gone("a"),
                ),
            ],
        ),
        life(
            "somebody keeps changing it back",
            1,
            // Or wired once more: repairs are not remembered over a restart.
            rewritten(|w| w.stalled("a", "DriftContested") || wired(w)),
        ),
        life(
            "a price above the limit, then a higher limit",
            1,
            vec![
                (
                    Do(|w| {
                        w.apply(
                            "a",
                            &json!({
                                "search": search()["search"], "maxMonthlyPrice": {"amount": "0.50", "currency": "USD"},
                            }),
                        );
                    }),
                    |w| w.stalled("a", "PriceAboveLimit") && w.purchases() == 0,
                ),
                (Do(|w| w.edit("a", json!({"maxMonthlyPrice": {"amount": "5.00"}}))), wired),
            ],
        ),
        exactly(
            "a person chooses",
            1,
            vec![
                (Do(|w| w.apply("a", &json!({"search": search()["search"], "purchasePolicy": "Manual"}))), |w| {
                    w.reason("a") == "AwaitingApproval" && w.purchases() == 0 && !w.status("a").candidates.is_empty()
                }),
                (
                    Do(|w| {
                        let chosen = w.status("a").candidates[1].phone_number.clone();
                        w.edit("a", json!({"phoneNumber": chosen}));
                    }),
                    purchased,
                ),
            ],
        ),
        unsold(
            "the installation id changes while a purchase is unresolved",
            vec![
                (
                    StopAfterStamp(buy, |w| {
                        w.defaults.installation = InstallationId::parse("renamed").unwrap();
                        w.hub.inner().tags.insert(w.defaults.installation.tag("clinic", "a"), "a".to_owned());
                    }),
                    |w| w.stalled("a", "NumberClaimedElsewhere"),
                ),
                (
                    Restart(|w| {
                        w.defaults.previous_installation = Some(InstallationId::parse("prod").unwrap());
                        w.ask("a");
                    }),
                    wired,
                ),
            ],
        ),
    ]
}
