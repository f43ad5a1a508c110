//! Whether the double of the API server (`tests/env/src/double.rs`) answers as the real one: the same calls are made of
//! both, and every answer is compared.
//!
//! Hundreds of thousands of lives under faults run over the double alone. They prove as much as it is true.

mod both;
mod chance;
mod script;

use serde_json::{Value, json};

use crate::harness::{Outcome, PATIENCE, with_own_env, with_temp_ns};
use both::Both;
use cpn_env::process::wait_until;
use script::Line;

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clinicphonenumbers.telephony.chiroflow.io";

/// Makes all calls, and tells of every difference at once.
async fn play(both: &mut Both, lines: Vec<Line>) -> Outcome {
    let calls = lines.len();
    let mut wrong = Vec::new();
    for (expected, method, path, body) in lines {
        match both.call(method, &path, &body).await {
            Ok((code, _)) if code == expected => {}
            Ok((code, answer)) => {
                wrong.push(format!("{method} {path} {body}\n  both {code}, not {expected}: {answer}"));
            }
            Err(differs) => wrong.push(differs.to_string()),
        }
    }
    eprintln!("{calls} calls, {} of them wrong", wrong.len());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n").into()) }
}

/// Prints an error as it is meant to be read.
fn told(outcome: Outcome) -> Outcome {
    outcome.map_err(|error| {
        eprintln!("{error}");
        "the double is not as the real one".into()
    })
}

#[test]
fn every_call_of_the_script_is_answered_alike() -> Outcome {
    with_temp_ns(async |space| {
        let here = space.namespace.clone();
        // Its name starts as the other's does: lists are in the order of the whole path.
        let there = format!("{here}-too");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there}});
        space.send("POST", "/api/v1/namespaces", &[], &namespace).await?;
        let mut both = Both::new(space.clone(), &[&here, &there]);
        let played = play(&mut both, script::whole(&here, &there)).await;
        space.send("DELETE", &format!("/api/v1/namespaces/{there}"), &[], &Value::Null).await?;
        told(played)
    })
}

#[test]
fn chance_finds_no_difference() -> Outcome {
    with_temp_ns(async |space| {
        let here = space.namespace.clone();
        told(chance::play(&mut Both::new(space, &[&here]), &here).await)
    })
}

/// On a control plane of its own, which loses its CRD.
#[test]
fn a_crd_that_goes_away_is_alike() -> Outcome {
    with_own_env(async |space| {
        let here = space.namespace.clone();
        let mut both = Both::new(space.clone(), &[&here]);
        play(&mut both, script::before_the_end(&here)).await?;
        both.real("DELETE", CRD, &Value::Null).await?;
        // The real one says so a moment later, and then deletes every resource.
        let going = ["a", "b"].map(|name| format!("{}/{name}", script::numbers(&here)));
        wait_until("the end of every resource", PATIENCE, || {
            let list = space.env.control_plane.kubectl(["get", "--raw", &script::numbers(&here)])?.stdout;
            let list: Value = serde_json::from_str(&list).unwrap_or_default();
            let all = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
            let ends = |item: &Value| item.pointer("/metadata/deletionTimestamp").is_some();
            Ok((all.len() == going.len() && all.iter().all(ends)).then_some(()))
        })?;
        for name in ["a", "b", "gone"] {
            both.double.answer("DELETE", &format!("{}/{name}", script::numbers(&here)), &[], both::NOW);
        }
        both.double.terminate("clinicphonenumbers", true);
        told(play(&mut both, script::at_the_end(&here)).await)
    })
}
