//! What both are asked: every semantic that the operator rests on, one call after the other.
//!
//! Each line has the HTTP status that is expected of both, so that two servers that agree in an error do not pass for two
//! that do the work.

use clinic_phone_operator::api::{ClinicPhoneNumberSpec, FINALIZER};
use serde_json::{Value, json};

use super::both::put;
use crate::harness::{merge, number};

/// Status, method, path, body: see [`super::both::Both::call`].
pub type Line = (u16, &'static str, String, Value);

const GROUP: &str = "/apis/telephony.chiroflow.io/v1alpha1";
const NOTHING: Value = Value::Null;

/// A whole spec: the double fills in no defaults.
pub fn spec(change: &Value) -> Value {
    let mut spec = json!({"credentialsSecretRef": {"name": "twilio"}, "phoneNumber": "+14185550100"});
    merge(&mut spec, change);
    serde_json::from_value::<ClinicPhoneNumberSpec>(spec).and_then(serde_json::to_value).unwrap_or_default()
}

/// A status with a claim on a number.
pub fn claimed(number: &str, attempts: u32, outcome: &str) -> Value {
    let claim = json!({"phoneNumber": number, "tag": "abcdefghijk", "attempts": attempts, "outcome": outcome});
    json!({"observedGeneration": 1, "claim": claim})
}

fn with_metadata(mut object: Value, metadata: Value) -> Value {
    put(&mut object, "metadata", metadata);
    object
}

/// The numbers of a namespace, or of all.
pub fn numbers(namespace: &str) -> String {
    in_namespace(GROUP, namespace, "clinicphonenumbers")
}

/// The `ConfigMaps` of a namespace.
pub fn config_maps(namespace: &str) -> String {
    in_namespace("/api/v1", namespace, "configmaps")
}

fn in_namespace(group: &str, namespace: &str, plural: &str) -> String {
    if namespace.is_empty() { format!("{group}/{plural}") } else { format!("{group}/namespaces/{namespace}/{plural}") }
}

/// Everything, in two namespaces.
pub fn whole(here: &str, there: &str) -> Vec<Line> {
    [
        creation(here, there),
        replacement(here),
        status(here),
        patches(here),
        core_kinds(here),
        deletion(here),
        lists(here, there),
        rule(here),
        discovery(),
    ]
    .concat()
}

fn creation(here: &str, there: &str) -> Vec<Line> {
    let (all, a) = (numbers(here), format!("{}/a", numbers(here)));
    let new = |change: Value| {
        let mut object = number("a", &spec(&json!({})));
        merge(&mut object, &change);
        object
    };
    // What a manifest from a backup carries.
    let kept = json!({
        "uid": "11111111-2222-4333-8444-555555555555", "generation": 7, "creationTimestamp": "2020-01-01T00:00:00Z",
        "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0, "labels": null,
    });
    vec![
        (404, "GET", a.clone(), NOTHING),
        (201, "POST", all.clone(), new(json!({"status": claimed("+14185550100", 2, "Unknown"), "metadata": kept}))),
        (409, "POST", all.clone(), new(json!({}))),
        (200, "GET", a.clone(), NOTHING),
        (200, "GET", format!("{a}/status"), NOTHING),
        (422, "POST", all.clone(), new(json!({"metadata": {"name": null}}))),
        (500, "POST", all.clone(), new(json!({"metadata": {"name": "versioned", "resourceVersion": "1"}}))),
        (500, "POST", all.clone(), new(json!({"metadata": {"resourceVersion": "1"}}))),
        (400, "POST", all.clone(), new(json!({"metadata": {"name": "elsewhere", "namespace": there}}))),
        (201, "POST", all.clone(), new(json!({"metadata": {"name": "here", "namespace": here}}))),
        (400, "POST", all.clone(), new(json!({"kind": null}))),
        (400, "POST", all.clone(), new(json!({"apiVersion": null}))),
        (400, "POST", all, new(json!({"apiVersion": "telephony.chiroflow.io/v2"}))),
        (404, "POST", format!("{GROUP}/namespaces/{here}/others"), new(json!({}))),
        (404, "GET", format!("{GROUP}/namespaces/{here}/others/a"), NOTHING),
        (404, "GET", format!("{a}/scale"), NOTHING),
    ]
}

fn replacement(here: &str) -> Vec<Line> {
    let (a, c) = (format!("{}/a", numbers(here)), format!("{}/c", numbers(here)));
    let seen = |change: Value| json!({"@seen": change});
    let before = json!({"metadata": {"resourceVersion": "@version before"}});
    vec![
        // The first write after the creation is one whatever it says; the second changes nothing: no version, no generation.
        (200, "PUT", a.clone(), seen(json!({}))),
        (200, "PUT", a.clone(), seen(json!({}))),
        (200, "PUT", a.clone(), seen(json!({"spec": {"suspend": true}}))),
        (409, "PUT", a.clone(), seen(before.clone())),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"labels": {"team": "front"}, "annotations": {"note": "x"}}}))),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"labels": {}}}))),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"annotations": null}}))),
        // A status in there is not looked at, there or not.
        (200, "PUT", a.clone(), seen(json!({"status": {"observedGeneration": 9}}))),
        (200, "PUT", a.clone(), seen(json!({"status": null}))),
        (200, "PUT", a.clone(), seen(json!({"status": null, "spec": {"suspend": false}}))),
        (422, "PUT", a.clone(), seen(json!({"metadata": {"resourceVersion": null}}))),
        (422, "PUT", a.clone(), seen(json!({"metadata": {"resourceVersion": ""}}))),
        (422, "PUT", a.clone(), seen(json!({"metadata": {"resourceVersion": "0"}}))),
        // The uid is looked at before the version.
        (409, "PUT", a.clone(), seen(json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}}))),
        (
            409,
            "PUT",
            a.clone(),
            seen(json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555", "resourceVersion": "1"}})),
        ),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"uid": null}}))),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"generation": 40}}))),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}))),
        (422, "PUT", a.clone(), seen(json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}))),
        (422, "PUT", a.clone(), seen(json!({"metadata": {"deletionGracePeriodSeconds": 5}}))),
        (200, "PUT", a.clone(), seen(json!({"metadata": {"namespace": null}}))),
        (400, "PUT", a.clone(), seen(json!({"metadata": {"namespace": "elsewhere"}}))),
        (400, "PUT", a.clone(), seen(json!({"metadata": {"name": "b"}}))),
        (400, "PUT", a.clone(), seen(json!({"metadata": {"name": null}}))),
        (400, "PUT", a.clone(), seen(json!({"kind": null}))),
        (400, "PUT", a.clone(), seen(json!({"apiVersion": "telephony.chiroflow.io/v2"}))),
        (404, "PUT", c.clone(), number("c", &spec(&json!({})))),
        (
            404,
            "PUT",
            c,
            json!({
                "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber", "spec": spec(&json!({})),
                "metadata": {"name": "c", "uid": "11111111-2222-4333-8444-555555555555", "resourceVersion": "1"},
            }),
        ),
        (200, "GET", a, NOTHING),
    ]
}

fn status(here: &str) -> Vec<Line> {
    let (a, place) = (format!("{}/a", numbers(here)), format!("{}/a/status", numbers(here)));
    let seen = |change: Value| json!({"@seen": change});
    vec![
        (200, "PUT", place.clone(), seen(json!({}))),
        (200, "PUT", place.clone(), seen(json!({"status": {"observedGeneration": 3}}))),
        (409, "PUT", place.clone(), seen(json!({"metadata": {"resourceVersion": "@version before"}}))),
        (422, "PUT", place.clone(), seen(json!({"metadata": {"resourceVersion": null}}))),
        (409, "PUT", place.clone(), seen(json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}}))),
        // Of everything else in there nothing is taken.
        (200, "PUT", place.clone(), seen(json!({"spec": {"suspend": true}, "metadata": {"labels": {"a": "b"}}}))),
        (
            200,
            "PUT",
            place.clone(),
            seen(json!({"spec": {"suspend": true}, "status": {"phoneNumber": "+14185550100"}})),
        ),
        (200, "PUT", place.clone(), seen(json!({"metadata": {"finalizers": [FINALIZER], "generation": 70}}))),
        (200, "PUT", place.clone(), seen(json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}))),
        (400, "PUT", place.clone(), seen(json!({"metadata": {"name": "b"}}))),
        (400, "PUT", place.clone(), seen(json!({"metadata": {"name": null}}))),
        (404, "PUT", format!("{}/c/status", numbers(here)), number("c", &spec(&json!({})))),
        (200, "PATCH", place.clone(), json!({"status": {"phoneNumber": null}})),
        (200, "PATCH", place.clone(), json!({"status": {"country": "CA"}, "spec": {"suspend": true}})),
        (200, "PATCH", place.clone(), json!({"metadata": {"labels": {"a": "b"}}})),
        (200, "PATCH", place.clone(), json!({"status": {}})),
        (409, "PATCH", place.clone(), json!({"metadata": {"resourceVersion": "@version before"}, "status": {}})),
        (
            200,
            "PATCH",
            place.clone(),
            json!({"metadata": {"resourceVersion": "@version"}, "status": {"country": "US"}}),
        ),
        (200, "PUT", place.clone(), seen(json!({"status": null}))),
        (200, "PATCH", place.clone(), json!({"status": {"observedGeneration": 4, "country": "CA"}})),
        (200, "PATCH", place.clone(), json!({"status": null})),
        (404, "PATCH", format!("{}/c/status", numbers(here)), json!({"status": {}})),
        (200, "GET", a, NOTHING),
    ]
}

fn patches(here: &str) -> Vec<Line> {
    let a = format!("{}/a", numbers(here));
    let patch = |patch: Value| (200, "PATCH", a.clone(), patch);
    vec![
        patch(json!({})),
        patch(json!({"spec": {"suspend": true}})),
        patch(json!({"spec": {"suspend": true}})),
        patch(json!({"spec": {"friendlyName": "Reception"}})),
        patch(json!({"spec": {"friendlyName": null}})),
        patch(json!({"spec": {"friendlyName": null}})),
        patch(json!({"status": {"observedGeneration": 90}})),
        patch(json!({"status": null, "spec": {"suspend": false}})),
        patch(json!({"metadata": {"annotations": {"never": null}}})),
        patch(json!({"metadata": {"annotations": {"a": "1", "b": "2"}}})),
        patch(json!({"metadata": {"annotations": {"a": null}}})),
        patch(json!({"metadata": {"annotations": {"b": null}}})),
        patch(json!({"metadata": {"resourceVersion": "@version", "labels": {"a": "b"}}})),
        (409, "PATCH", a.clone(), json!({"metadata": {"resourceVersion": "@version before", "labels": {"a": "c"}}})),
        (409, "PATCH", a.clone(), json!({"metadata": {"resourceVersion": "@version before"}})),
        (422, "PATCH", a.clone(), json!({"metadata": {"resourceVersion": null}})),
        (422, "PATCH", a.clone(), json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}})),
        (400, "PATCH", a.clone(), json!({"metadata": {"name": "b"}})),
        (400, "PATCH", a.clone(), json!({"metadata": {"namespace": "elsewhere"}})),
        patch(json!({"metadata": {"uid": null}})),
        patch(json!({"metadata": {"generation": 70}})),
        patch(json!({"metadata": {"creationTimestamp": null}})),
        (422, "PATCH", a.clone(), json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}})),
        (404, "PATCH", format!("{}/c", numbers(here)), json!({"spec": {"suspend": true}})),
        patch(json!({"metadata": {"resourceVersion": "@version", "finalizers": [FINALIZER]}})),
        patch(json!({"metadata": {"finalizers": [FINALIZER, "example.com/other"]}})),
        patch(json!({"metadata": {"finalizers": ["example.com/other"]}})),
        patch(json!({"metadata": {"finalizers": []}})),
        patch(json!({"metadata": {"finalizers": []}})),
        patch(json!({"metadata": {"finalizers": null}})),
    ]
}

/// The ledger's kind, which may be written without a version, and events.
fn core_kinds(here: &str) -> Vec<Line> {
    let (all, ledger) = (config_maps(here), format!("{}/ledger", config_maps(here)));
    let seen = |change: Value| json!({"@seen": change});
    let secrets = in_namespace("/api/v1", here, "secrets");
    let events = in_namespace("/apis/events.k8s.io/v1", here, "events");
    let event = json!({
        "metadata": {"name": "a.17f", "namespace": here}, "action": "Buy", "reason": "NumberPurchased", "note": "bought",
        "type": "Normal", "eventTime": "2026-11-25T12:00:00.000000Z", "reportingController": "telephony.chiroflow.io/operator",
        "reportingInstance": "operator-0",
        "regarding": {"apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber", "name": "a", "namespace": here},
    });
    vec![
        (404, "GET", ledger.clone(), NOTHING),
        (404, "PUT", ledger.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": ""}})),
        (404, "PATCH", ledger.clone(), json!({"data": {"stamps": ""}})),
        (404, "DELETE", ledger.clone(), NOTHING),
        (201, "POST", all.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": "one"}})),
        (409, "POST", all.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": "other"}})),
        (422, "POST", all.clone(), json!({"metadata": {}, "data": {"stamps": "other"}})),
        (500, "POST", all.clone(), json!({"metadata": {"name": "b", "resourceVersion": "1"}})),
        (200, "GET", ledger.clone(), NOTHING),
        (200, "PUT", ledger.clone(), seen(json!({}))),
        (200, "PUT", ledger.clone(), seen(json!({"data": {"stamps": "two"}}))),
        (
            409,
            "PUT",
            ledger.clone(),
            seen(json!({"metadata": {"resourceVersion": "@version before"}, "data": {"stamps": "three"}})),
        ),
        (409, "PUT", ledger.clone(), seen(json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}}))),
        (200, "PUT", ledger.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": "four"}})),
        (200, "PUT", ledger.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": "four"}})),
        (
            200,
            "PUT",
            ledger.clone(),
            json!({"metadata": {"name": "ledger", "resourceVersion": "0"}, "data": {"stamps": "five"}}),
        ),
        (400, "PUT", ledger.clone(), json!({"metadata": {"name": "other"}})),
        (200, "PATCH", ledger.clone(), json!({"metadata": {"annotations": {"touched": "1"}}})),
        (200, "PATCH", ledger.clone(), json!({"metadata": {"resourceVersion": null}, "data": {"stamps": "six"}})),
        (409, "PATCH", ledger.clone(), json!({"metadata": {"resourceVersion": "@version before"}})),
        (404, "PUT", format!("{ledger}/status"), seen(json!({}))),
        (404, "GET", format!("{ledger}/status"), NOTHING),
        (200, "GET", all.clone() + "?fieldSelector=metadata.name%3Dledger", NOTHING),
        (400, "GET", all.clone() + "?fieldSelector=data.stamps%3Dsix", NOTHING),
        (200, "PATCH", ledger.clone(), json!({"metadata": {"finalizers": ["example.com/hold"]}})),
        (200, "DELETE", ledger.clone(), NOTHING),
        (200, "PATCH", ledger.clone(), json!({"metadata": {"finalizers": null}})),
        (404, "GET", ledger.clone(), NOTHING),
        (201, "POST", all.clone(), json!({"metadata": {"name": "ledger"}, "data": {"stamps": "anew"}})),
        (200, "DELETE", ledger, NOTHING),
        (404, "GET", format!("{secrets}/twilio"), NOTHING),
        (
            201,
            "POST",
            secrets.clone(),
            json!({"metadata": {"name": "twilio"}, "type": "Opaque", "data": {"authToken": "eA=="}}),
        ),
        (200, "GET", format!("{secrets}/twilio"), NOTHING),
        (200, "DELETE", format!("{secrets}/twilio"), NOTHING),
        (201, "POST", events.clone(), event.clone()),
        (409, "POST", events.clone(), event),
        (200, "GET", format!("{events}/a.17f"), NOTHING),
    ]
}

fn deletion(here: &str) -> Vec<Line> {
    let (all, d, place) = (numbers(here), format!("{}/d", numbers(here)), format!("{}/d/status", numbers(here)));
    let seen = |change: Value| json!({"@seen": change});
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    let new = number("d", &spec(&json!({})));
    vec![
        (404, "DELETE", d.clone(), NOTHING),
        // Without a finalizer it goes at once.
        (201, "POST", all.clone(), new.clone()),
        (200, "DELETE", d.clone(), NOTHING),
        (404, "GET", d.clone(), NOTHING),
        (404, "DELETE", d.clone(), NOTHING),
        (404, "PUT", d.clone(), seen(json!({}))),
        (404, "PUT", place.clone(), seen(json!({}))),
        // The next of this name is another.
        (201, "POST", all.clone(), new.clone()),
        (409, "PUT", d.clone(), seen(json!({"metadata": {"uid": "@uid before"}}))),
        (409, "PUT", place.clone(), seen(json!({"metadata": {"uid": "@uid before"}}))),
        (200, "PATCH", d.clone(), finalizers(json!([FINALIZER, "example.com/other"]))),
        (200, "DELETE", d.clone(), NOTHING),
        (200, "GET", d.clone(), NOTHING),
        (200, "GET", all.clone(), NOTHING),
        (200, "DELETE", d.clone(), NOTHING),
        (409, "POST", all.clone(), new.clone()),
        (200, "PUT", d.clone(), seen(json!({}))),
        // What says that it goes stays, whoever leaves it out.
        (200, "PUT", d.clone(), seen(json!({"metadata": {"deletionTimestamp": null}}))),
        (200, "PUT", d.clone(), seen(json!({"metadata": {"deletionGracePeriodSeconds": null}}))),
        (422, "PUT", d.clone(), seen(json!({"metadata": {"deletionGracePeriodSeconds": 30}}))),
        (200, "PATCH", d.clone(), json!({"metadata": {"deletionTimestamp": null, "deletionGracePeriodSeconds": null}})),
        (200, "PUT", place.clone(), seen(json!({"status": claimed("+14185550100", 0, "Unknown")}))),
        (200, "PATCH", d.clone(), json!({"spec": {"suspend": true}})),
        (200, "PATCH", d.clone(), json!({"metadata": {"annotations": {"a": "b"}}})),
        (422, "PATCH", d.clone(), finalizers(json!([FINALIZER, "example.com/other", "example.com/new"]))),
        (422, "PATCH", d.clone(), finalizers(json!(["example.com/new"]))),
        (200, "PATCH", d.clone(), finalizers(json!(["example.com/other", FINALIZER]))),
        (200, "PATCH", d.clone(), finalizers(json!([FINALIZER]))),
        (422, "PATCH", d.clone(), finalizers(json!([FINALIZER, "example.com/other"]))),
        (409, "PATCH", d.clone(), json!({"metadata": {"resourceVersion": "@version before", "finalizers": []}})),
        // With the last one it goes, and the answer is the object.
        (200, "PATCH", d.clone(), json!({"metadata": {"resourceVersion": "@version", "finalizers": []}})),
        (404, "GET", d.clone(), NOTHING),
        (404, "PATCH", d.clone(), finalizers(json!([]))),
        (404, "PUT", place.clone(), seen(json!({}))),
        (201, "POST", all.clone(), with_metadata(new, json!({"name": "d", "finalizers": [FINALIZER]}))),
        (200, "DELETE", d.clone(), NOTHING),
        (200, "PUT", d.clone(), seen(json!({"metadata": {"finalizers": []}, "spec": {"friendlyName": "last"}}))),
        (404, "GET", d.clone(), NOTHING),
        (200, "GET", all, NOTHING),
    ]
}

fn lists(here: &str, there: &str) -> Vec<Line> {
    let claim = |of: &str, name: &str, number: &str| {
        let place = format!("{}/{name}/status", numbers(of));
        (200, "PATCH", place, json!({"status": claimed(number, 0, "Unknown")}))
    };
    let new = |name: &str, secret: &str| number(name, &spec(&json!({"credentialsSecretRef": {"name": secret}})));
    let list = |of: &str, selector: &str| (200, "GET", format!("{}?fieldSelector={selector}", numbers(of)), NOTHING);
    let mut lines = vec![
        (200, "GET", numbers(there), NOTHING),
        (201, "POST", numbers(here), new("l", "twilio")),
        (201, "POST", numbers(here), new("m", "other")),
        (201, "POST", numbers(there), new("l", "other")),
        (201, "POST", numbers(there), new("k", "twilio")),
        claim(here, "l", "+14185550101"),
        claim(there, "l", "+14185550101"),
        claim(there, "k", "+14185550102"),
        (200, "PATCH", format!("{}/m/status", numbers(here)), json!({"status": {"phoneNumber": "+14185550101"}})),
    ];
    for of in [here, there, ""] {
        lines.push((200, "GET", numbers(of), NOTHING));
        lines.push((200, "GET", format!("{}?limit=500", numbers(of)), NOTHING));
        for selector in [
            "status.claim.phoneNumber%3D%2B14185550101",
            "status.claim.phoneNumber=%2B14185550101",
            "status.claim.phoneNumber%3D%3D%2B14185550102",
            "status.claim.phoneNumber%21%3D%2B14185550101",
            "status.claim.phoneNumber%3D%2B14185550199",
            // Without the escape it is a space.
            "status.claim.phoneNumber%3D+14185550101",
            "status.claim.phoneNumber%3D",
            "status.phoneNumber%3D%2B14185550101",
            "spec.credentialsSecretRef.name%3Dother",
            "spec.credentialsSecretRef.name%3Dother%2Cstatus.claim.phoneNumber%3D%2B14185550101",
            "metadata.name%3Dl",
            "metadata.name%21%3Dl",
            "",
        ] {
            lines.push(list(of, selector));
        }
        lines.push(list(of, &format!("metadata.namespace%3D{there}")));
        for selector in
            ["status.country%3DCA", "spec.suspend%3Dtrue", "metadata.names%3Dl", "metadata.uid%3Dl", "nothing"]
        {
            lines.push((400, "GET", format!("{}?fieldSelector={selector}", numbers(of)), NOTHING));
        }
    }
    lines.push((404, "POST", numbers(""), new("l", "twilio")));
    lines
}

/// The claim of an unresolved purchase is neither dropped nor rolled back.
fn rule(here: &str) -> Vec<Line> {
    let (r, place) = (format!("{}/r", numbers(here)), format!("{}/r/status", numbers(here)));
    let seen = |change: Value| json!({"@seen": change});
    let claim = |change: Value| json!({"status": {"claim": change}});
    vec![
        (201, "POST", numbers(here), number("r", &spec(&json!({})))),
        // Announced and never sent: it may go.
        (200, "PATCH", place.clone(), json!({"status": claimed("+14185550100", 0, "Unknown")})),
        (200, "PATCH", place.clone(), claim(json!({"phoneNumber": "+14185550101"}))),
        (200, "PATCH", place.clone(), claim(Value::Null)),
        (200, "PATCH", place.clone(), json!({"status": claimed("+14185550100", 2, "Unknown")})),
        (422, "PUT", place.clone(), seen(json!({"status": null}))),
        (422, "PUT", place.clone(), seen(json!({"status": {"claim": null}}))),
        (422, "PUT", place.clone(), seen(claim(json!({"attempts": 1})))),
        (422, "PUT", place.clone(), seen(claim(json!({"phoneNumber": "+14185550101", "attempts": 3})))),
        (422, "PATCH", place.clone(), json!({"status": null})),
        (422, "PATCH", place.clone(), claim(Value::Null)),
        (422, "PATCH", place.clone(), claim(json!({"attempts": 0, "outcome": "Refused"}))),
        // The version is looked at first.
        (409, "PATCH", place.clone(), json!({"metadata": {"resourceVersion": "@version before"}, "status": null})),
        (200, "PUT", place.clone(), seen(json!({}))),
        (200, "PATCH", place.clone(), claim(json!({"attempts": 3}))),
        (200, "PUT", place.clone(), seen(json!({"status": {"phoneNumber": "+14185550100"}}))),
        (200, "PUT", r.clone(), seen(json!({"status": null, "spec": {"suspend": true}}))),
        (200, "PATCH", r.clone(), json!({"status": null, "metadata": {"finalizers": [FINALIZER]}})),
        (200, "DELETE", r.clone(), NOTHING),
        (422, "PATCH", place.clone(), claim(Value::Null)),
        (200, "PATCH", place.clone(), claim(json!({"outcome": "Refused"}))),
        (200, "PATCH", place.clone(), claim(Value::Null)),
        (200, "PATCH", place, json!({"status": claimed("+14185550101", 1, "Unknown")})),
        // An open claim does not keep the finalizer.
        (200, "PATCH", r.clone(), json!({"metadata": {"finalizers": null}})),
        (404, "GET", r, NOTHING),
    ]
}

fn discovery() -> Vec<Line> {
    vec![
        (200, "GET", GROUP.to_owned(), NOTHING),
        (200, "GET", "/api/v1".to_owned(), NOTHING),
        (200, "GET", "/apis/events.k8s.io/v1".to_owned(), NOTHING),
    ]
}

/// Before the CRD is deleted.
pub fn before_the_end(here: &str) -> Vec<Line> {
    let all = numbers(here);
    let finalizer = json!({"metadata": {"finalizers": [FINALIZER]}});
    let mut lines = discovery();
    for name in ["a", "b", "gone"] {
        lines.push((201, "POST", all.clone(), number(name, &spec(&json!({})))));
    }
    for name in ["a", "b"] {
        lines.push((200, "PATCH", format!("{all}/{name}"), finalizer.clone()));
    }
    lines
}

/// While the CRD is terminating: what is there may be written, nothing new may come.
pub fn at_the_end(here: &str) -> Vec<Line> {
    let (all, a) = (numbers(here), format!("{}/a", numbers(here)));
    let seen = |change: Value| json!({"@seen": change});
    let new = number("n", &spec(&json!({})));
    let mut lines = discovery();
    lines.extend([
        (200, "GET", all.clone(), NOTHING),
        (404, "GET", format!("{all}/gone"), NOTHING),
        (200, "GET", a.clone(), NOTHING),
        (403, "POST", all.clone(), number("gone", &spec(&json!({})))),
        (403, "POST", all.clone(), number("a", &spec(&json!({})))),
        (403, "POST", all.clone(), with_metadata(new.clone(), json!({"name": "n", "resourceVersion": "1"}))),
        (403, "POST", all.clone(), with_metadata(new, json!({}))),
        (404, "PATCH", format!("{all}/gone"), json!({"spec": {"suspend": true}})),
        (200, "PATCH", a.clone(), json!({"spec": {"suspend": true}})),
        (200, "PUT", a.clone(), seen(json!({"spec": {"suspend": false}}))),
        (200, "PUT", format!("{a}/status"), seen(json!({"status": {"observedGeneration": 2}}))),
        (200, "PATCH", format!("{a}/status"), json!({"status": {"country": "CA"}})),
        (200, "DELETE", a.clone(), NOTHING),
        (200, "GET", format!("{}?fieldSelector=metadata.name%3Da", numbers("")), NOTHING),
        (200, "PATCH", a.clone(), json!({"metadata": {"finalizers": null}})),
        (404, "GET", a, NOTHING),
        (200, "GET", all, NOTHING),
    ]);
    lines
}
