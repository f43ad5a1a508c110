//! Lives that chance makes up: several resources in two accounts, whose owners edit, delete, strip and apply them, rotate tokens and
//! move Secrets, while numbers are relabelled and lost, operators die and a second one works beside, and any call may be struck.
//!
//! What such a life comes to depends on all of that, so nothing is asked of it but what `watch` and `truth` ask always, that no
//! account holds two numbers that were sold for one resource, and that it ends: once everybody has stopped and what people broke
//! is mended, every resource is in service. A failure prints its seed, and `CPN_SEED=… cargo test --lib made_up` lives it again.

use std::collections::BTreeMap;
use std::time::Duration;

use cpn_env::chance::Chance;
use http::Method;
use serde_json::{Value, json};

use super::chance::survive_all;
use super::exhaustive::{At, Case, Drawn, Ran, within};
use super::lives::search;
use super::world::{MODES, WINDOW, World, account, number, other_mark};
use crate::api::FORGET_NUMBER;
use crate::api::v1alpha1::Origin;
use crate::domain::E164;
use crate::domain::tag::Mark;
use crate::simulator::AccountStatus;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The Secret that a resource names, and whose account that is while nobody moves it.
fn secret(name: &str) -> (&'static str, u32) {
    match name {
        "a" => ("first", 1),
        "b" => ("second", 1),
        _ => ("third", 2),
    }
}

/// The number that a resource holds, as long as the account has it too.
fn held(w: &World, name: &str) -> Option<E164> {
    w.holds(name).filter(|n| w.row(n).is_some())
}

/// Whether every number that was sold still carries the label that it was sold with: what loses status finds its number by it.
fn labels_are_whole(w: &World) -> bool {
    let sold = w.hub.simulator.ledger().purchases;
    let mark = |label: &str| Mark::read(label).map(|m| m.tag);
    w.rows().iter().all(|r| sold.iter().all(|s| s.sid != r.sid || mark(&s.friendly_name) == mark(&r.friendly_name)))
}

fn spec(name: &str, wish: &Value) -> Value {
    let mut whole = wish.clone();
    whole["credentialsSecretRef"] = json!({"name": secret(name).0});
    whole
}

/// Something that people do to a resource; false: there was no occasion for it.
type Act = fn(&mut World, &mut Chance, &str) -> bool;

/// How often each is drawn, and what it is called.
const ACTS: [(usize, &str, Act); 27] = [
    (8, "apply", |w, chance, name| {
        let wish = match (chance.below(6), w.offered(0)) {
            (0, Some(number)) => json!({"phoneNumber": number.as_str()}),
            (1, _) => json!({"search": search()["search"], "purchasePolicy": "Manual"}),
            _ => search(),
        };
        // A number that was relabelled before its resource went is no resource's any more: it is not found again.
        w.gone(name) && labels_are_whole(w) && (w.apply(name, &spec(name, &wish)), true).1
    }),
    (3, "delete", |w, _, name| (w.delete(name), true).1),
    (3, "release", |w, _, name| {
        let Some(number) = held(w, name) else { return false };
        let mark = w.row(&number).and_then(|r| Mark::read(&r.friendly_name));
        if mark.is_some_and(|m| !m.adopted && w.hub.inner().tags.get(&m.tag).is_some_and(|owner| owner == name)) {
            w.hub.inner().may_release.insert(number.to_string());
        }
        w.edit(name, json!({"deletionPolicy": "Release", "releaseConfirmation": number.as_str()}));
        w.delete(name);
        true
    }),
    (2, "retain", |w, _, name| {
        w.edit(name, json!({"deletionPolicy": "Retain", "releaseConfirmation": null}));
        true
    }),
    (2, "suspend", |w, chance, name| (w.edit(name, json!({"suspend": chance.one_in(2)})), true).1),
    (2, "another webhook", |w, chance, name| {
        let url = format!("https://hooks.example.com/{}", chance.below(3));
        (w.edit(name, json!({"sms": {"webhookURL": url}})), true).1
    }),
    (2, "name a number", |w, chance, name| {
        let number = match chance.below(3) {
            0 => w.offered(chance.below(3)).map_or(Value::Null, |n| json!(n.as_str())),
            1 => held(w, name).map_or(Value::Null, |n| json!(n.as_str())),
            _ => Value::Null,
        };
        (w.edit(name, json!({"phoneNumber": number, "search": search()["search"]})), true).1
    }),
    (1, "other area codes", |w, _, name| {
        (w.edit(name, json!({"search": {"country": "CA", "areaCodes": ["581", "418"]}})), true).1
    }),
    (1, "purchase policy", |w, chance, name| {
        let policy = if chance.one_in(2) { "Manual" } else { "Automatic" };
        (w.edit(name, json!({"purchasePolicy": policy})), true).1
    }),
    (2, "adopt", |w, _, name| {
        let free = w.gone(name) && secret(name).1 == 1;
        if free {
            // Another one each time: nobody buys by hand what a resource may just be buying.
            let number = number(u32::try_from(100 + w.hub.inner().log.len()).unwrap());
            w.give(&number, "reception");
            // Nor what no list shows yet.
            w.hub.go_by(WINDOW);
            w.apply(name, &spec(name, &json!({"phoneNumber": number.as_str(), "adoptionPolicy": "IfOwned"})));
        }
        free
    }),
    (2, "the Secret goes", |w, _, name| (w.secret_of(secret(name).0, None), true).1),
    (2, "the Secret names the other account", |w, _, name| {
        let (secret, account) = secret(name);
        (w.secret_of(secret, Some(3 - account)), true).1
    }),
    (4, "the Secret is right", |w, _, name| {
        let (secret, account) = secret(name);
        (w.secret_of(secret, Some(account)), true).1
    }),
    (1, "the token is rotated", |w, _, name| (w.rotate_token(secret(name).1), true).1),
    (3, "rewritten in the console", |w, _, name| {
        let Some(number) = held(w, name) else { return false };
        w.hub.about(&number, Method::POST, &[("SmsUrl", "https://elsewhere.example.com")]) == 200
    }),
    (2, "relabelled in the console", |w, chance, name| {
        let Some(number) = held(w, name) else { return false };
        let label = if chance.one_in(2) { "renamed".to_owned() } else { format!("{} x", other_mark()) };
        w.hub.about(&number, Method::POST, &[("FriendlyName", &label)]) == 200
    }),
    (1, "released in the console", |w, _, name| {
        let Some(number) = held(w, name) else { return false };
        w.hub.inner().released_by_hand.insert(number.to_string());
        w.hub.about(&number, Method::DELETE, &[]) == 204
    }),
    (1, "given up", |w, _, name| {
        let Some(number) = w.holds(name) else { return false };
        // Of a number that is there this is heard only where it is called lost: nobody says it on a whim.
        let lost = w.row(&number).is_none() || !w.stalled(name, "NumberLost");
        lost && (w.annotate(name, FORGET_NUMBER, number.as_str()), true).1
    }),
    (4, "ask", |w, _, name| (w.ask(name), true).1),
    (2, "strip and apply", |w, _, name| labels_are_whole(w) && (w.strip_and_apply(name), true).1),
    (1, "backup", |w, _, _| (w.take_backup(), true).1),
    (1, "restore", |w, _, _| {
        let possible = labels_are_whole(w);
        if possible {
            // Whoever loses the ledger too has only the account's list, which has to have caught up.
            w.hub.go_by(WINDOW);
            w.restore_backup();
        }
        possible
    }),
    (3, "time goes by", |w, chance, _| (w.hub.go_by(Duration::from_secs(1 << chance.below(15))), true).1),
    (1, "the account is suspended", |w, _, name| (w.account_status(secret(name).1, AccountStatus::Suspended), true).1),
    (2, "the account is active", |w, _, name| (w.account_status(secret(name).1, AccountStatus::Active), true).1),
    (1, "nothing on offer", |w, _, _| (w.stock(0), true).1),
    (2, "numbers on offer", |w, _, _| (w.stock(12), true).1),
];

fn drawn_act(chance: &mut Chance) -> (&'static str, Act) {
    let all: usize = ACTS.iter().map(|(often, ..)| often).sum();
    let mut left = chance.below(all);
    for (often, name, act) in ACTS {
        if left < often {
            return (name, act);
        }
        left -= often;
    }
    unreachable!("below the sum")
}

/// Numbers that were sold for a resource and that the account still holds: one at most.
fn one_each(w: &World) -> Result<(), String> {
    let ledger = w.hub.simulator.ledger();
    let mut there: BTreeMap<_, Vec<E164>> = BTreeMap::new();
    for sale in ledger.purchases {
        if ledger.releases.iter().all(|r| r.sid != sale.sid) {
            let tag = Mark::read(&sale.friendly_name).map(|m| m.tag);
            there.entry((sale.account_sid, tag)).or_default().push(sale.phone_number);
        }
    }
    let twice = there.iter().find(|(_, numbers)| numbers.len() > 1);
    twice.map_or(Ok(()), |((account, tag), numbers)| Err(format!("{account} holds {numbers:?} for {tag:?}")))
}

/// A few passes, of whoever is due; a second operator may pass over everything in between.
async fn work(w: &mut World, chance: &mut Chance) -> Result<(), String> {
    for _ in 0..chance.below(7) {
        if chance.one_in(8) {
            w.note("the other operator");
            w.hub.inner().at_work = None;
            let dies = chance.one_in(3);
            w.hub.neighbours(dies).await;
        }
        let Some((key, at)) = w.next()? else { break };
        w.pass_at(&key, at).await;
        one_each(w)?;
    }
    Ok(())
}

/// What people broke is mended, and every resource asks for what all of them can have.
fn mend(w: &mut World) {
    w.note("everything is mended");
    w.hub.inner().drawn = None;
    w.stock(12);
    for n in [1, 2] {
        w.account_status(n, AccountStatus::Active);
    }
    for name in NAMES {
        let (secret, usual) = secret(name);
        let status = w.status(name);
        let bound = status.account_sid.or(status.claim.filter(|c| c.attempts > 0).and_then(|c| c.account_sid));
        let moved = bound.is_some_and(|bound| bound == account(3 - usual).as_str());
        w.secret_of(secret, Some(if moved { 3 - usual } else { usual }));
        if let Some(number) = held(w, name) {
            let adopted = w.status(name).origin == Some(Origin::Adopted);
            let label = w.label(name, adopted);
            w.at_twilio(&number, &[("FriendlyName", &label)]);
        }
        w.edit(
            name,
            json!({
                "phoneNumber": null, "search": search()["search"], "suspend": false, "purchasePolicy": "Automatic",
                "adoptionPolicy": "Never", "deletionPolicy": "Retain", "releaseConfirmation": null,
            }),
        );
        w.ask(name);
    }
}

/// In service, and seen to be.
fn serves(w: &World, name: &str) -> bool {
    w.ready(name) && w.condition(name, "Observed").is_none_or(|(observed, _)| observed == "True")
}

fn settled(w: &World) -> bool {
    NAMES.iter().all(|name| w.gone(name) || serves(w, name) || w.stalled(name, "NumberLost"))
}

fn in_service(w: &World) -> bool {
    NAMES.iter().all(|name| w.gone(name) || serves(w, name))
}

async fn made_up(w: &mut World, chance: &mut Chance) -> Result<(), String> {
    for name in NAMES {
        let tag = w.defaults.installation.tag("clinic", name);
        w.hub.inner().tags.insert(tag, name.to_owned());
        let (secret, account) = secret(name);
        w.secret_of(secret, Some(account));
    }
    w.stock(12);
    for _ in 0..4 + chance.below(16) {
        let (what, act) = drawn_act(chance);
        let name = NAMES[chance.below(NAMES.len())];
        w.note(&format!("{what}: {name}"));
        if act(w, chance, name) {
            work(w, chance).await?;
        }
    }
    mend(w);
    w.go(&settled, 600).await.map_err(|why| format!("in the end: {why}"))?;
    for name in NAMES.into_iter().filter(|name| w.stalled(name, "NumberLost")).collect::<Vec<_>>() {
        let number = w.holds(name).unwrap();
        if w.row(&number).is_some() {
            return Err(format!("{number} is called lost, and the account has it"));
        }
        w.unannotate(name, FORGET_NUMBER);
        w.go(&settled, 600).await?;
        w.annotate(name, FORGET_NUMBER, number.as_str());
    }
    w.go(&in_service, 600).await.map_err(|why| format!("after what was lost: {why}"))?;
    one_each(w)
}

fn lived(seed: u64) -> (String, Ran) {
    let mut chance = Chance::of(seed);
    let mode = MODES[chance.below(MODES.len())];
    let at = match chance.below(4) {
        0 => At::Calls([].into()),
        1 => At::OneIn(60),
        2 => At::OneIn(25),
        _ => At::OneIn(10),
    };
    let case = Case { drawn: Some(Drawn { chance: Chance::of(chance.next()), at }), ..Case::default() };
    (format!("{seed}"), within(mode, &case, async |world| made_up(world, &mut chance).await))
}

#[test]
fn lives_that_are_made_up_end_well() {
    survive_all("lives made up", 200, lived);
}

#[test]
#[ignore = "takes minutes"]
fn many_lives_that_are_made_up_end_well() {
    survive_all("lives made up", 4_000, lived);
}
