//! Whole lives: what happens to resources, and what must come of it whatever goes wrong in between.

use serde_json::{Value, json};

use super::world::{WINDOW, World, number, other_mark};
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
}
use Act::{Do, Restart, StopAfterStamp};

/// A life: what happens, what is reached by itself after each, and how many numbers are bought in all.
pub struct Life {
    pub name: &'static str,
    pub acts: Vec<(Act, fn(&World) -> bool)>,
    pub sales: usize,
    /// A refusal of the one number that is asked for is an answer: the life then ends otherwise, unsold.
    pub exact: bool,
    /// Its sale may not come about: it is ended before.
    pub unsold: bool,
}

impl Life {
    /// Lives it.
    ///
    /// # Errors
    /// When something happened that must not, or what must come does not.
    pub async fn live(&self, world: &mut World) -> Result<(), String> {
        for (index, (act, goal)) in self.acts.iter().enumerate() {
            world.note(&format!("act {index}"));
            match act {
                Do(act) => act(world),
                Restart(act) => {
                    act(world);
                    world.start(1).await;
                    world.restart().await;
                }
                StopAfterStamp(first, then) => {
                    first(world);
                    world.hub.inner().dies_after_stamp = true;
                    // Or it was overtaken: another operator stamped, or the answer to the stamp was lost.
                    let stopped = world
                        .go(
                            |w| !w.hub.inner().dies_after_stamp || w.status("a").claim.is_some_and(|c| c.attempts > 0),
                            400,
                        )
                        .await;
                    world.hub.inner().dies_after_stamp = false;
                    stopped?;
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

/// Every life. Names are what schedules are told by.
pub fn lives() -> Vec<Life> {
    let life = |name, sales, acts| Life { name, acts, sales, exact: false, unsold: false };
    let exactly = |name, sales, acts| Life { name, acts, sales, exact: true, unsold: false };
    let unsold = |name, acts| Life { name, acts, sales: 1, exact: false, unsold: true };
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
                    w.hub.inner().tags.insert(w.defaults.installation.tag("clinic", "old"));
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
                        w.account_status(AccountStatus::Suspended);
                        w.ask("a");
                    }),
                    |w| w.stalled("a", "AccountSuspended"),
                ),
                (Do(|w| w.account_status(AccountStatus::Active)), wired),
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
                        w.hub.clock.jump(WINDOW);
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
                        w.hub.clock.jump(WINDOW);
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
                        w.hub.inner().tags.insert(w.defaults.installation.tag("clinic", "a"));
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
        life(
            "the fuse, then an hour later",
            1,
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
        life(
            "two resources, few numbers on offer",
            1,
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
    ]
}
