//! Calls by chance, over few names, so that they meet: what a script's author did not think of.

use std::collections::BTreeMap;
use std::error::Error;

use clinic_phone_operator::api::FINALIZER;
use serde_json::{Value, json};

use super::both::{Both, put};
use super::script::{claimed, config_maps, numbers, spec};
use crate::harness::{Outcome, number};
use cpn_env::chance::Chance;

/// Some five seconds.
const CALLS: usize = 600;

const NAMES: [&str; 3] = ["a", "b", "c"];
const PHONES: [&str; 2] = ["+14185550100", "+14185550101"];
const OUTCOMES: [&str; 4] = ["Unknown", "Unknown", "Refused", "Held"];

/// Calls until one is answered differently.
pub async fn play(both: &mut Both, namespace: &str) -> Outcome {
    let mut chance = Chance::from_env("DRILL_SEED")?;
    eprintln!("DRILL_SEED={}", chance.seed);
    let mut answers = BTreeMap::<u16, usize>::new();
    for call in 0..CALLS {
        let (method, path, body) = draw(&mut chance, namespace)?;
        match both.call(method, &path, &body).await {
            Ok((code, _)) => *answers.entry(code).or_default() += 1,
            Err(differs) => {
                let last = both.log.len().saturating_sub(30);
                let before = both.log.get(last..).unwrap_or_default().join("\n");
                return Err(format!("{before}\n\nDRILL_SEED={}, call {call}: {differs}", chance.seed).into());
            }
        }
    }
    eprintln!("{CALLS} calls by chance, by answer: {answers:?}");
    // Otherwise they went past each other.
    let met = [200, 201, 404, 409, 422].iter().all(|code| answers.contains_key(code));
    if met { Ok(()) } else { Err(format!("no call came to some answer: {answers:?}").into()) }
}

/// One call.
fn draw(chance: &mut Chance, namespace: &str) -> Result<(&'static str, String, Value), Box<dyn Error>> {
    let name = chance.pick(&NAMES).ok_or("no name")?;
    if chance.one_in(5) {
        return Ok(config_map(chance, &config_maps(namespace), name));
    }
    let all = numbers(namespace);
    let (one, status) = (format!("{all}/{name}"), format!("{all}/{name}/status"));
    Ok(match chance.below(16) {
        0 | 1 => ("POST", all, created(chance, name)),
        2 => ("GET", one, Value::Null),
        3 | 4 => ("DELETE", one, Value::Null),
        5 | 6 => ("PUT", one, json!({"@seen": change(chance)})),
        7..=9 => ("PUT", status, json!({"@seen": change(chance)})),
        10..=12 => ("PATCH", one, change(chance)),
        13 | 14 => ("PATCH", status, change(chance)),
        _ => ("GET", format!("{all}{}", selector(chance)), Value::Null),
    })
}

/// One call of the ledger's kind.
fn config_map(chance: &mut Chance, all: &str, name: &str) -> (&'static str, String, Value) {
    let one = format!("{all}/{name}");
    let data = json!({"stamps": chance.pick(&["one", "two"])});
    match chance.below(8) {
        0 | 1 => ("POST", all.to_owned(), json!({"metadata": {"name": name}, "data": data})),
        2 => ("GET", one, Value::Null),
        3 => ("DELETE", one, Value::Null),
        4 => ("PUT", one, json!({"metadata": {"name": name}, "data": data})),
        5 | 6 => ("PUT", one, json!({"@seen": {"metadata": metadata(chance), "data": data}})),
        _ => ("PATCH", one, json!({"metadata": metadata(chance), "data": data})),
    }
}

fn created(chance: &mut Chance, name: &str) -> Value {
    let mut object = number(name, &spec(&json!({})));
    if chance.one_in(2) {
        put(&mut object, "metadata", json!({"name": name, "finalizers": finalizers(chance)}));
    }
    if chance.one_in(2) {
        put(&mut object, "status", status(chance));
    }
    object
}

/// A change of metadata, spec and status, each of them or not.
fn change(chance: &mut Chance) -> Value {
    let mut whole = json!({});
    if chance.one_in(2) {
        put(&mut whole, "metadata", metadata(chance));
    }
    if chance.one_in(2) {
        let spec = match chance.below(3) {
            0 => json!({"suspend": chance.one_in(2)}),
            1 => json!({"friendlyName": chance.pick(&[Some("Reception"), None]).flatten()}),
            _ => json!({"credentialsSecretRef": {"name": chance.pick(&["twilio", "other"])}}),
        };
        put(&mut whole, "spec", spec);
    }
    if chance.one_in(2) {
        put(&mut whole, "status", status(chance));
    }
    whole
}

fn metadata(chance: &mut Chance) -> Value {
    let word = |chance: &mut Chance| json!({"a": chance.pick(&[Some("1"), Some("2"), None]).flatten()});
    let (field, value) = match chance.below(8) {
        0 => ("labels", word(chance)),
        1 => ("annotations", word(chance)),
        2 => ("annotations", Value::Null),
        3..=5 => ("finalizers", finalizers(chance)),
        6 => ("uid", chance.pick(&[Some("@uid"), Some("@uid before"), None]).flatten().into()),
        _ => {
            let kept = ["deletionTimestamp", "creationTimestamp", "generation", "deletionGracePeriodSeconds"];
            (chance.pick(&kept).unwrap_or_default(), Value::Null)
        }
    };
    let mut metadata = json!({field: value});
    match chance.below(6) {
        0 => put(&mut metadata, "resourceVersion", "@version before".into()),
        1 => put(&mut metadata, "resourceVersion", "@version".into()),
        2 if chance.one_in(3) => put(&mut metadata, "resourceVersion", Value::Null),
        _ => {}
    }
    metadata
}

fn finalizers(chance: &mut Chance) -> Value {
    match chance.below(6) {
        0 => json!([FINALIZER, "example.com/other"]),
        1 => json!(["example.com/other", FINALIZER]),
        2 => json!([FINALIZER]),
        3 => json!(["example.com/other"]),
        4 => json!([]),
        _ => Value::Null,
    }
}

fn status(chance: &mut Chance) -> Value {
    let phone = chance.pick(&PHONES).unwrap_or_default();
    match chance.below(8) {
        0 => Value::Null,
        1 => json!({"claim": null}),
        2 => json!({"phoneNumber": phone}),
        3 => json!({"observedGeneration": chance.below(3)}),
        4 => json!({}),
        _ => {
            let attempts = u32::try_from(chance.below(3)).unwrap_or_default();
            claimed(phone, attempts, chance.pick(&OUTCOMES).unwrap_or_default())
        }
    }
}

fn selector(chance: &mut Chance) -> String {
    let phone = chance.pick(&PHONES).unwrap_or_default().replace('+', "%2B");
    match chance.below(4) {
        0 => format!("?fieldSelector=status.claim.phoneNumber%3D{phone}"),
        1 => "?fieldSelector=spec.credentialsSecretRef.name%3Dother".to_owned(),
        2 => "?fieldSelector=metadata.name%3Da".to_owned(),
        _ => String::new(),
    }
}
