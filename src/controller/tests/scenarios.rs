//! Named schedules: each is survived, and each is not survived without the rules that it is about.
//!
//! The letters are those of the cases in which a model of the protocol was found to need a rule (docs/money-safety.md). Every
//! rule of `plan::rules` has to be caught by a schedule here: without that nothing would tell that the watch can see.

use http::Method;

use super::exhaustive::{Case, run};
use super::fault::{ANNOUNCED, Fault, RELEASING, STAMPED};
use super::hub::{Hub, Strike};
use super::lives::{lives, lives_of_scenarios, search};
use super::world::{LAGGING, Mode, PLAIN, World, number, other_mark};
use crate::domain::E164;
use crate::plan::rules::{Rule, without};

/// What is taken out: a rule of the protocol, or one that the HTTP client keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Rule(Rule),
    /// The client sends again by itself what was interrupted.
    NoRetry,
    /// The client follows redirects.
    NoRedirect,
}
use Cut::{NoRedirect, NoRetry};

/// A number that the account holds is refused, and lists lag for almost the whole window.
const SLOW: Mode = Mode { upsert: false, lag: 110, ..PLAIN };
/// The same, and wall clocks are wrong.
const SLOW_AND_WRONG: Mode = Mode { wrong_clock: true, ..SLOW };
const REFUSING: Mode = Mode { upsert: false, ..LAGGING };

struct Scenario {
    name: &'static str,
    life: &'static str,
    mode: Mode,
    script: &'static [Strike],
    meanwhile: Option<fn(&Hub)>,
    needs: Vec<Cut>,
}

/// A person strips the resource of its finalizer and applies it anew, with another search.
fn strip_and_apply(hub: &Hub) {
    let mut spec = serde_json::to_value(&hub.objects()[0].spec).unwrap();
    spec["search"]["areaCodes"] = serde_json::json!(["581"]);
    hub.strip("a");
    hub.apply_spec("a", &spec);
}

fn delete(hub: &Hub) {
    hub.delete("a");
}

fn edit(hub: &Hub) {
    hub.edit("a", &serde_json::json!({"friendlyName": "front desk"}));
}

fn search_instead(hub: &Hub) {
    hub.edit("a", &serde_json::json!({"phoneNumber": null, "search": search()["search"]}));
}

fn keep(hub: &Hub) {
    hub.edit("a", &serde_json::json!({"deletionPolicy": "Retain", "releaseConfirmation": null}));
}

/// Another installation marks the number that is about to be taken over.
fn mark_by_another(hub: &Hub) {
    mark(hub, &number(9));
}

/// Another installation marks the number that is held.
fn mark_held_by_another(hub: &Hub) {
    mark(hub, &E164::parse(&hub.objects()[0].status.clone().unwrap().phone_number.unwrap()).unwrap());
}

fn mark(hub: &Hub, number: &E164) {
    let label = format!("{} theirs", other_mark());
    assert_eq!(hub.about(number, Method::POST, &[("FriendlyName", &label)]), 200);
}

fn rule(rule: Rule) -> Cut {
    Cut::Rule(rule)
}

fn scenarios() -> Vec<Scenario> {
    let plain = |name, life, needs| Scenario { name, life, mode: PLAIN, script: &[], meanwhile: None, needs };
    let struck = |name, life, mode, script, needs| Scenario { mode, script, ..plain(name, life, needs) };
    vec![
        plain("a purchase without faults", "purchase", vec![rule(Rule::StampBeforeSend), rule(Rule::Ledger)]),
        struck(
            "the answer to the purchase is lost",
            "purchase",
            PLAIN,
            &[("buy", 1, Fault::ResetAfter)],
            vec![NoRetry],
        ),
        struck("the purchase is sent elsewhere", "purchase", PLAIN, &[("buy", 1, Fault::Redirect)], vec![NoRedirect]),
        Scenario {
            meanwhile: Some(search_instead),
            ..struck(
                "a second purchase of one number is late, and another operator knows the first one",
                "refused for want of an address, suspended, then with an address",
                PLAIN,
                &[
                    ("buy", 1, Fault::RefuseOther),
                    ("put status", 2, Fault::Overtaken),
                    ("buy", 2, Fault::LateOvertaken),
                ],
                vec![rule(Rule::SightOfThisStamp)],
            )
        },
        struck(
            "a late purchase",
            "purchase",
            PLAIN,
            &[("buy", 1, Fault::Late)],
            vec![rule(Rule::AmbiguousIsNoRefusal), rule(Rule::SameNumberAgain)],
        ),
        struck(
            "T0: the second attempt is refused because the first one bought the number, which no list shows yet",
            "purchase",
            REFUSING,
            &[("buy", 1, Fault::TimeoutAfter)],
            vec![rule(Rule::RefusalOfEveryAttempt)],
        ),
        struck(
            "T1: a refusal of the second attempt while the first is under way",
            "purchase",
            PLAIN,
            &[("buy", 1, Fault::Late), ("buy", 2, Fault::Refuse)],
            vec![rule(Rule::RefusalOfEveryAttempt)],
        ),
        Scenario {
            meanwhile: Some(delete),
            ..struck(
                "T2: stands still between stamp and purchase while the resource is deleted",
                "purchase, or deletion",
                PLAIN,
                &[(STAMPED, 1, Fault::OvertakenMeanwhile)],
                vec![rule(Rule::SendFence)],
            )
        },
        struck(
            "T2a: lists lag for almost the whole window, and every further attempt is refused",
            "purchase",
            SLOW,
            &[("buy", 1, Fault::TimeoutAfter)],
            vec![rule(Rule::SettleWindow)],
        ),
        Scenario {
            meanwhile: Some(delete),
            ..struck(
                "T2a: deleted while its purchase is under way, and an older list is at hand",
                "purchase, or deletion",
                LAGGING,
                &[("buy", 1, Fault::LateMeanwhile)],
                vec![rule(Rule::FreshLookUp)],
            )
        },
        plain(
            "T2b: released right after the purchase",
            "create, relabel, release",
            vec![rule(Rule::LetGoAfterWindow), rule(Rule::StampBeforeRelease)],
        ),
        plain(
            "T3: a backup from before the purchase is restored",
            "a backup from before the purchase is restored",
            vec![rule(Rule::OwnTagFirst)],
        ),
        plain(
            "T4: the Secret names another account while a purchase is unresolved",
            "the Secret names another account while a purchase is unresolved",
            vec![rule(Rule::AccountLock)],
        ),
        Scenario {
            meanwhile: Some(strip_and_apply),
            ..struck(
                "T5: stripped and applied again while a purchase is under way",
                "purchase",
                PLAIN,
                &[("buy", 1, Fault::LateMeanwhile)],
                vec![rule(Rule::Ledger)],
            )
        },
        struck(
            "T6: refused as held, lagging lists, an answer lost, a refusal for another reason",
            "deleted while a purchase is unresolved",
            REFUSING,
            &[("buy", 1, Fault::TimeoutAfter), ("buy", 2, Fault::RefuseOther)],
            vec![rule(Rule::FinalizerFirst)],
        ),
        Scenario {
            meanwhile: Some(strip_and_apply),
            ..struck(
                "T7: acts as an update, stripped and applied again, the second answer lost too",
                "purchase",
                LAGGING,
                &[("buy", 1, Fault::LateMeanwhile), ("buy", 2, Fault::TimeoutAfter)],
                vec![],
            )
        },
        struck(
            "T8: restored, refused as held, lagging lists, a refusal for another reason",
            "a backup from before the purchase is restored",
            REFUSING,
            &[("buy", 1, Fault::TimeoutAfter), ("buy", 2, Fault::RefuseOther)],
            vec![],
        ),
        Scenario {
            meanwhile: Some(edit),
            ..struck(
                "a process whose clock is seven hours behind buys, one whose clock is ahead resolves, for another spec",
                "purchase",
                SLOW_AND_WRONG,
                &[("search", 1, Fault::CrashBefore), ("buy", 1, Fault::DiesMeanwhile)],
                vec![rule(Rule::WindowByOwnSight)],
            )
        },
        struck("two operators stamp at once", "purchase", PLAIN, &[(STAMPED, 1, Fault::Second)], vec![]),
        struck(
            "two operators buy at once, and the Secret names another account before it is settled",
            "the Secret names another account while a purchase is unresolved",
            PLAIN,
            &[("list", 1, Fault::Second)],
            vec![rule(Rule::CompareAndSwap)],
        ),
        Scenario {
            meanwhile: Some(keep),
            ..struck(
                "release: taken back right before its stamp",
                "create, release or retain",
                PLAIN,
                &[(RELEASING, 1, Fault::Meanwhile)],
                vec![],
            )
        },
        struck(
            "S3: another resource takes the number over between look and announcement",
            "two resources adopt one number",
            PLAIN,
            &[(ANNOUNCED, 1, Fault::Neighbour)],
            // The look before it is taken over would notice too.
            vec![],
        ),
        Scenario {
            meanwhile: Some(mark_by_another),
            ..struck(
                "S3: another installation takes the number over between look and stamp",
                "adoption, or somebody else's",
                PLAIN,
                &[(STAMPED, 1, Fault::Meanwhile)],
                vec![rule(Rule::AdoptionLooks)],
            )
        },
        Scenario {
            meanwhile: Some(mark_held_by_another),
            ..struck(
                "stands still between the look and a repair while another installation takes the number over",
                "drift, or somebody else's",
                PLAIN,
                &[("get", 1, Fault::OvertakenMeanwhile)],
                vec![rule(Rule::SendFence)],
            )
        },
        struck(
            "S4: another resource announces the same adoption and dies",
            "two resources adopt one number",
            PLAIN,
            &[(ANNOUNCED, 1, Fault::NeighbourDies)],
            vec![],
        ),
        plain("S4b: held without a tag", "adoption that was not asked for", vec![rule(Rule::AdoptAsAsked)]),
        plain(
            "S4c: held without a tag, as if it were absent",
            "adoption that was not asked for",
            vec![rule(Rule::HeldIsNotOurs)],
        ),
        plain(
            "S5, S6: another installation's tag",
            "a foreign tag, then ours again",
            vec![rule(Rule::ForeignTagUntouched)],
        ),
        plain("S7: and then ours again", "a foreign tag, then ours again", vec![]),
        struck(
            "two resources choose one number, one buys it before the other announces",
            "two resources, one number on offer, then more",
            LAGGING,
            &[(ANNOUNCED, 1, Fault::Neighbour)],
            vec![rule(Rule::AnnounceThenLook)],
        ),
        struck(
            "two resources choose one number, one dies after its announcement, the other's purchase is late",
            "two resources, one number on offer, then more",
            PLAIN,
            &[(STAMPED, 1, Fault::NeighbourDies), ("buy", 1, Fault::Late)],
            vec![rule(Rule::SentNeverYields)],
        ),
        struck(
            "an exact number is refused",
            "exact number chosen from a search",
            PLAIN,
            &[("buy", 1, Fault::Refuse)],
            vec![rule(Rule::ExactIsExact)],
        ),
        plain(
            "suspended while a purchase is unresolved",
            "suspended while a purchase is unresolved, then not",
            vec![rule(Rule::WishStopsAttempts)],
        ),
        plain(
            "the installation id changes while a purchase is unresolved",
            "the installation id changes while a purchase is unresolved",
            vec![rule(Rule::ClaimsOwnTag)],
        ),
        plain("the fuse", "the fuse, then an hour later", vec![rule(Rule::Fuse)]),
        plain("the price limit", "a price above the limit, then a higher limit", vec![rule(Rule::PriceLimit)]),
        plain("a person chooses", "a person chooses", vec![rule(Rule::PersonChooses)]),
        plain("two writers", "two writers", vec![rule(Rule::ContestEnds)]),
        plain("lost and found", "lost and found", vec![rule(Rule::LostIsNotReplaced)]),
        struck(
            "another operator still has the list of before the loss",
            "lost and forgotten",
            LAGGING,
            &[("patch clinicphonenumbers", 1, Fault::Overtaken), ("get secrets", 6, Fault::Second)],
            vec![rule(Rule::FreshLookOfLost)],
        ),
        plain(
            "a word that came before the loss",
            "a word that came before the loss, then one that came after",
            vec![rule(Rule::WordAfterLoss)],
        ),
        plain(
            "an adopted number is found again",
            "an adopted number is found again and stays adopted",
            vec![rule(Rule::AdoptedStaysAdopted), rule(Rule::ReleaseBoughtOnly)],
        ),
        struck(
            "a list without numbers when a resource that was lost is applied again",
            "beside a resource in service",
            PLAIN,
            &[("list", 3, Fault::Hole)],
            vec![rule(Rule::IncompleteList)],
        ),
        plain(
            "a release that nobody confirmed",
            "a release that is not confirmed, then Retain",
            vec![rule(Rule::ReleaseConfirmed)],
        ),
        plain(
            "a release of a number that carries another tag",
            "a foreign tag, and a release",
            vec![rule(Rule::ReleaseOwnTag)],
        ),
        Scenario {
            meanwhile: Some(keep),
            ..struck(
                "release: taken back while it is under way",
                "create, release or retain",
                PLAIN,
                &[("release", 1, Fault::DiesMeanwhile)],
                vec![rule(Rule::RetainLooks)],
            )
        },
        plain("release: the resource type goes away", "the CRD goes away", vec![rule(Rule::CrdStays)]),
    ]
}

/// Lives a scenario, without what is cut out, and returns what was seen that must not be.
fn lived(scenario: &Scenario, cut: Option<Cut>) -> Option<String> {
    let all = lives().into_iter().chain(lives_of_scenarios());
    let life = all.into_iter().find(|l| l.name == scenario.life).unwrap_or_else(|| panic!("no life {}", scenario.life));
    let case = Case {
        script: scenario.script.to_vec(),
        meanwhile: scenario.meanwhile,
        retries: cut == Some(NoRetry),
        redirects: cut == Some(NoRedirect),
        ..Case::default()
    };
    let rule = match cut {
        Some(Cut::Rule(rule)) => Some(rule),
        _ => None,
    };
    let ran = without(rule, || run(&life, scenario.mode, &case));
    ran.problem.map(|problem| format!("{problem}\n{}", ran.log))
}

#[test]
fn every_scenario_is_survived() {
    let failed: Vec<_> = scenarios().iter().filter_map(|s| Some(format!("{}: {}", s.name, lived(s, None)?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn without_its_rule_no_scenario_is_survived() {
    let mut survived = Vec::new();
    let mut seeded = 0;
    for scenario in scenarios() {
        for cut in &scenario.needs {
            seeded += 1;
            let what = match cut {
                Cut::Rule(rule) => format!("{rule:?}"),
                other => format!("{other:?}"),
            };
            match lived(&scenario, Some(*cut)) {
                Some(seen) => {
                    println!("{what:22} | {} | {}", scenario.name, seen.lines().next().unwrap_or_default());
                }
                None => survived.push(format!("{what} | {}", scenario.name)),
            }
        }
    }
    println!("{} of {seeded} seeded mutations caught", seeded - survived.len());
    assert!(survived.is_empty(), "nobody noticed:\n{}", survived.join("\n"));
}

/// S1, S2: two operators, each at work on one of two resources that name the same number, call for call.
fn in_lockstep() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(PLAIN).await;
        let number = world.on_offer(2);
        for name in ["a", "b"] {
            world.apply(name, &serde_json::json!({"phoneNumber": number.as_str()}));
        }
        for _ in 0..20 {
            world.lockstep(["a", "b"]).await;
        }
        world.sound().unwrap();
        world.purchases() == 1 && world.ready("a") != world.ready("b")
    })
}

#[test]
fn of_two_in_lockstep_one_gets_the_number() {
    assert!(in_lockstep());
    assert!(!without(Some(Rule::OneYields), in_lockstep), "both yield, and nobody ever gets it");
}

#[test]
fn every_rule_has_a_scenario() {
    let needed: Vec<_> = scenarios().iter().flat_map(|s| s.needs.clone()).collect();
    let without: Vec<_> = Rule::ALL.iter().filter(|r| !needed.contains(&Cut::Rule(**r))).collect();
    // Two operators that yield to each other are tried in lockstep.
    assert_eq!(without, [&Rule::OneYields]);
}
