//! The one transition rule: while a purchase is unresolved, nobody's status write may drop its claim or roll it back. And
//! it may stand in the way of nothing else: not of an edit, not of the finalizer, not of a deletion.

use std::error::Error;

use clinic_phone_operator::api::FINALIZER;
use serde_json::{Value, json};

use crate::harness::{Outcome, Space, merge, number, refusal, with_temp_ns};

/// What users read. The rule's key in the table of `admission.rs`, which it is no part of.
pub const MESSAGE: &str =
    "a purchase is unresolved: its claim may not be dropped or rolled back; let the operator resolve it";

/// The manager of the fields of status, for server-side apply.
const MANAGER: (&str, &str) = ("fieldManager", "operator");

fn spec() -> Value {
    json!({"credentialsSecretRef": {"name": "twilio"}, "search": {"country": "CA", "areaCodes": ["418"]}})
}

fn claim() -> Value {
    json!({"phoneNumber": "+14185550100", "tag": "abcdefghijk", "attempts": 2, "unanswered": 1, "outcome": "Unknown"})
}

/// One way to write.
enum Write {
    /// Reads, changes and PUTs the status.
    Put(fn(&mut Value)),
    /// As [`Write::Put`], with kubectl: what `kubectl edit --subresource=status` does at its end.
    Replace(fn(&mut Value)),
    Merge(Value),
    Json(Value),
    /// Server-side apply by the manager who wrote the claim: what is left out is removed.
    Apply(Value),
    /// Server-side apply by somebody else, with force.
    ForcedApply(Value),
}

impl Write {
    /// Writes the status of a number.
    async fn send(&self, space: &Space, name: &str) -> Result<Value, Box<dyn Error>> {
        let place = space.path(name, "status");
        let apply = |status: &Value| {
            let mut body = number(name, &Value::Null);
            if let Some(body) = body.as_object_mut() {
                body.remove("spec");
                body.insert("status".to_owned(), status.clone());
            }
            body
        };
        match self {
            Self::Put(change) => {
                let mut object = space.get(name).await?;
                change(&mut object);
                space.send("PUT", &place, &[], &object).await
            }
            Self::Replace(change) => {
                let mut object = space.get(name).await?;
                change(&mut object);
                let arguments = ["replace", "--subresource=status", "--output=json", "--filename=-"];
                Ok(serde_json::from_str(&space.kubectl_stdin(&arguments, &object.to_string())?.ok()?)?)
            }
            Self::Merge(patch) => space.send("PATCH merge", &place, &[], patch).await,
            Self::Json(patch) => space.send("PATCH json", &place, &[], patch).await,
            Self::Apply(status) => space.send("PATCH apply", &place, &[MANAGER], &apply(status)).await,
            Self::ForcedApply(status) => {
                let query = [("fieldManager", "somebody-else"), ("force", "true")];
                space.send("PATCH apply", &place, &query, &apply(status)).await
            }
        }
    }
}

fn drop_claim(object: &mut Value) {
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("claim");
    }
}

fn drop_status(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
}

/// Sets one field of the claim.
fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(claim) = object.pointer_mut("/status/claim").and_then(Value::as_object_mut) {
        claim.insert(field.to_owned(), value);
    }
}

/// A number with the finalizer and an unresolved purchase, written by server-side apply so that a later apply could
/// remove it.
async fn unresolved(space: &Space, name: &str) -> Outcome {
    space.create(name, &spec()).await?;
    let finalizer = json!({"metadata": {"finalizers": [FINALIZER]}});
    space.send("PATCH merge", &space.path(name, ""), &[], &finalizer).await?;
    Write::Apply(json!({"observedGeneration": 1, "claim": claim()})).send(space, name).await?;
    Ok(())
}

fn of<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

#[test]
fn no_write_drops_or_rolls_back_an_unresolved_claim() -> Outcome {
    let lower = json!({"claim": {"phoneNumber": "+14185550100", "attempts": 1}});
    let other = json!({"claim": {"phoneNumber": "+14185550199", "attempts": 2}});
    let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let writes = [
        ("PUT without the claim", Write::Put(drop_claim)),
        ("PUT without any status", Write::Put(drop_status)),
        ("PUT of an empty status", Write::Put(|object| object["status"] = json!({}))),
        ("PUT with fewer attempts", Write::Put(|object| set(object, "attempts", json!(1)))),
        ("PUT with no attempts", Write::Put(|object| set(object, "attempts", json!(0)))),
        ("PUT with another number", Write::Put(|object| set(object, "phoneNumber", json!("+14185550199")))),
        (
            "PUT with another number and more attempts",
            Write::Put(|object| {
                set(object, "phoneNumber", json!("+14185550199"));
                set(object, "attempts", json!(3));
            }),
        ),
        (
            "PUT that settles and rolls back at once",
            Write::Put(|object| {
                set(object, "outcome", json!("Refused"));
                set(object, "attempts", json!(0));
            }),
        ),
        (
            "PUT that settles and takes another number at once",
            Write::Put(|object| {
                set(object, "outcome", json!("Held"));
                set(object, "phoneNumber", json!("+14185550199"));
            }),
        ),
        ("kubectl replace without the claim", Write::Replace(drop_claim)),
        ("kubectl replace with fewer attempts", Write::Replace(|object| set(object, "attempts", json!(1)))),
        ("merge patch of the claim", Write::Merge(json!({"status": {"claim": null}}))),
        ("merge patch of the whole status", Write::Merge(json!({"status": null}))),
        ("merge patch of attempts", Write::Merge(json!({"status": {"claim": {"attempts": 1}}}))),
        ("merge patch of the number", Write::Merge(json!({"status": {"claim": {"phoneNumber": "+14185550199"}}}))),
        ("JSON patch of the claim", Write::Json(op("remove", "/status/claim", Value::Null))),
        ("JSON patch of the whole status", Write::Json(op("remove", "/status", Value::Null))),
        ("JSON patch of attempts", Write::Json(op("replace", "/status/claim/attempts", json!(1)))),
        ("JSON patch of the number", Write::Json(op("replace", "/status/claim/phoneNumber", json!("+14185550199")))),
        ("JSON patch that replaces status", Write::Json(op("replace", "/status", json!({"observedGeneration": 1})))),
        ("apply that leaves the claim out", Write::Apply(json!({"observedGeneration": 1}))),
        ("apply of nothing", Write::Apply(json!({}))),
        ("apply of fewer attempts", Write::Apply(lower.clone())),
        ("apply of another number", Write::Apply(other.clone())),
        ("forced apply of fewer attempts", Write::ForcedApply(lower)),
        ("forced apply of another number", Write::ForcedApply(other)),
    ];
    with_temp_ns(async |space| {
        unresolved(&space, "reception").await?;
        let before = space.get("reception").await?;
        for (words, write) in writes {
            let error = match write.send(&space, "reception").await {
                Ok(object) => return Err(format!("{words} passed: {}", of(&object, "/status")).into()),
                Err(error) => error,
            };
            let told = error.to_string();
            assert!(told.contains(MESSAGE), "{words} was refused for another reason: {told}");
            if let Some(status) = refusal(error.as_ref()) {
                assert_eq!(status.code, 422, "{words}");
                let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
                assert!(causes.iter().any(|cause| cause.field == "status.claim"), "{words}: {causes:?}");
            }
        }
        // Refused writes leave no trace at all.
        assert_eq!(space.get("reception").await?, before);

        // Without force, apply does not even get so far.
        let body = json!({"claim": {"phoneNumber": "+14185550100", "attempts": 1}});
        let mut object = number("reception", &Value::Null);
        drop_status(&mut object);
        object["status"] = body;
        object.as_object_mut().map(|object| object.remove("spec"));
        let query = [("fieldManager", "somebody-else")];
        let path = space.path("reception", "status");
        let refused = space.send("PATCH apply", &path, &query, &object).await.err().ok_or("a conflict passed")?;
        assert_eq!(refusal(refused.as_ref()).map(|status| status.code), Some(409));
        Ok(())
    })
}

#[test]
fn the_operators_own_writes_pass() -> Outcome {
    with_temp_ns(async |space| {
        // The first claim, on a resource that had none.
        unresolved(&space, "reception").await?;
        let steps: [(&str, Write); 6] = [
            ("one more attempt", Write::Put(|object| set(object, "attempts", json!(3)))),
            ("the same again", Write::Put(|_| {})),
            ("an answer that settles nothing", Write::Put(|object| set(object, "unanswered", json!(0)))),
            ("somebody else's field", Write::ForcedApply(json!({"billingURL": "https://billing.example.com"}))),
            (
                "the outcome taken away, which is its default",
                Write::Merge(json!({"status": {"claim": {"outcome": null}}})),
            ),
            ("the number recorded", Write::Merge(json!({"status": {"phoneNumber": "+14185550100"}}))),
        ];
        for (words, write) in steps {
            let object = write.send(&space, "reception").await.map_err(|error| format!("{words}: {error}"))?;
            assert_eq!(of(&object, "/status/claim/outcome"), "Unknown", "{words}");
        }

        // Settled in each way; then it may go, and another number may be claimed.
        for outcome in ["Refused", "Held", "Abandoned"] {
            let name = format!("settled-{}", outcome.to_lowercase());
            unresolved(&space, &name).await?;
            let settle = Write::Merge(json!({"status": {"claim": {"outcome": outcome}}}));
            settle.send(&space, &name).await.map_err(|error| format!("{outcome}: {error}"))?;
            let cleared = Write::Put(drop_claim).send(&space, &name).await?;
            assert_eq!(*of(&cleared, "/status/claim"), Value::Null, "{outcome}");
            let anew = json!({"status": {"claim": {"phoneNumber": "+14185550199", "attempts": 0}}});
            Write::Merge(anew).send(&space, &name).await?;
        }

        // Announced and never sent: nothing can have been bought, so it may be given up.
        for (name, write) in [
            ("yielded", Write::Put(drop_claim)),
            ("chosen-anew", Write::Put(|object| set(object, "phoneNumber", json!("+14185550199")))),
        ] {
            space.create(name, &spec()).await?;
            let announced = json!({"status": {"claim": {"phoneNumber": "+14185550100", "attempts": 0}}});
            Write::Merge(announced).send(&space, name).await?;
            write.send(&space, name).await.map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    })
}

#[test]
fn edits_of_everything_else_pass() -> Outcome {
    with_temp_ns(async |space| {
        unresolved(&space, "reception").await?;
        let path = space.path("reception", "");
        let whole = |change: Value| {
            let mut object = number("reception", &spec());
            merge(&mut object, &change);
            object
        };
        let edits = [
            ("PATCH merge", json!({"metadata": {"labels": {"team": "front-desk"}}})),
            ("PATCH merge", json!({"metadata": {"annotations": {"telephony.chiroflow.io/requested-at": "1"}}})),
            ("PATCH merge", json!({"spec": {"search": {"areaCodes": ["581"]}}})),
            ("PATCH merge", json!({"spec": {"search": null, "phoneNumber": "+14185550199"}})),
            ("PATCH merge", json!({"spec": {"suspend": true, "deletionPolicy": "Release"}})),
            ("PATCH json", json!([{"op": "replace", "path": "/spec/suspend", "value": false}])),
            // A status in a write of the resource itself is not looked at.
            ("PATCH merge", json!({"status": {"claim": null}})),
            ("PATCH merge", json!({"status": null, "metadata": {"labels": {"team": null}}})),
            ("PATCH apply", whole(json!({"spec": {"friendlyName": "Reception"}}))),
        ];
        for (method, edit) in edits {
            let query: &[(&str, &str)] =
                if method == "PATCH apply" { &[("fieldManager", "pipeline"), ("force", "true")] } else { &[] };
            let object =
                space.send(method, &path, query, &edit).await.map_err(|error| format!("{method} {edit}: {error}"))?;
            assert_eq!(*of(&object, "/status/claim/attempts"), json!(2), "{method} {edit}");
        }
        // A PUT of the resource, its status dropped as an old backup would have it.
        let mut object = space.get("reception").await?;
        drop_status(&mut object);
        let object = space.send("PUT", &path, &[], &object).await?;
        assert_eq!(*of(&object, "/status/claim"), claim());

        // What people and pipelines type.
        let manifest = whole(json!({"metadata": {"labels": {"applied": "twice"}}})).to_string();
        for arguments in [
            &["apply", "--filename=-"][..],
            &["apply", "--force", "--filename=-"],
            &["apply", "--server-side", "--force-conflicts", "--filename=-"],
            &["replace", "--filename=-"],
        ] {
            let told = space.kubectl_stdin(arguments, &manifest)?.ok()?;
            assert!(!told.contains("deleted"), "{arguments:?}: {told}");
        }
        let object = space.get("reception").await?;
        assert_eq!(
            (of(&object, "/status/claim"), of(&object, "/metadata/deletionTimestamp")),
            (&claim(), &Value::Null)
        );
        Ok(())
    })
}

#[test]
fn the_finalizer_and_deletion_are_not_blocked() -> Outcome {
    with_temp_ns(async |space| {
        unresolved(&space, "reception").await?;
        let path = space.path("reception", "");
        for (words, method, patch) in [
            ("off", "PATCH merge", json!({"metadata": {"finalizers": null}})),
            ("on", "PATCH merge", json!({"metadata": {"finalizers": [FINALIZER]}})),
            ("off by its place", "PATCH json", json!([{"op": "remove", "path": "/metadata/finalizers/0"}])),
            ("on again", "PATCH json", json!([{"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}])),
        ] {
            space.send(method, &path, &[], &patch).await.map_err(|error| format!("{words}: {error}"))?;
        }

        // Being deleted: the finalizer keeps it, and its claim is as safe as before.
        space.kubectl(&["delete", "cpn", "reception", "--wait=false"])?.ok()?;
        let object = space.get("reception").await?;
        assert!(of(&object, "/metadata/deletionTimestamp").is_string());
        assert!(Write::Put(drop_claim).send(&space, "reception").await.is_err(), "a claim is guarded until the end");
        Write::Put(|object| set(object, "attempts", json!(3))).send(&space, "reception").await?;
        space.send("PATCH json", &path, &[], &json!([{"op": "remove", "path": "/metadata/finalizers/0"}])).await?;
        assert!(space.get("reception").await.is_err(), "it is gone with its finalizer");

        // Without the finalizer it goes at once: the rule is no second one.
        unresolved(&space, "stripped").await?;
        let strip = json!({"metadata": {"finalizers": null}});
        space.send("PATCH merge", &space.path("stripped", ""), &[], &strip).await?;
        space.kubectl(&["delete", "cpn", "stripped"])?.ok()?;
        assert!(space.get("stripped").await.is_err());
        Ok(())
    })
}

/// `kubectl apply --force` deletes what it cannot change, and creates it anew. This is why a change of spec is never
/// refused: an edit that the schema does not take is all that is left, and then the finalizer keeps the claim.
#[test]
fn a_forced_apply_that_is_invalid_deletes_and_the_finalizer_keeps_the_claim() -> Outcome {
    with_temp_ns(async |space| {
        unresolved(&space, "reception").await?;
        let mut invalid = number("reception", &spec());
        space.kubectl_stdin(&["apply", "--filename=-"], &invalid.to_string())?.ok()?;
        merge(&mut invalid, &json!({"spec": {"search": {"country": "Canada"}}}));
        let output =
            space.kubectl_stdin(&["apply", "--force", "--timeout=1s", "--filename=-"], &invalid.to_string())?;
        assert!(!output.success(), "{}", output.stdout);
        let object = space.get("reception").await?;
        assert!(of(&object, "/metadata/deletionTimestamp").is_string(), "kubectl did not delete: {}", output.stderr);
        assert_eq!(*of(&object, "/status/claim"), claim());
        Ok(())
    })
}
