//! What the API server takes and refuses: every rule, pattern, enum, length and required field of the CRD, each with
//! manifests that pass and manifests that do not. A constraint without a case here fails the last test of this file.

use std::collections::BTreeSet;
use std::error::Error;

use clinic_phone_operator::{api, yaml};
use futures::{StreamExt as _, stream};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::response::StatusCause;
use serde_json::{Value, json};

use crate::claim_guard;
use crate::harness::{Outcome, Space, env, merge, number, refusal, repository, with_temp_ns};

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// Nothing is stored, and a field that does not exist is an error.
const TRY: [(&str, &str); 2] = [("dryRun", "All"), ("fieldValidation", "Strict")];

const PUBLIC: &str = "must be https://<public DNS name>/...: no http, no IP address, no single-label host, no user:password@, no spaces or accents (percent-encode them)";
const NOT_LOCAL: &str = "Twilio cannot reach an in-cluster or local name; use the public https URL";

/// One manifest, and what is to become of it.
struct Case {
    /// The constraint it is about: `.spec.phoneNumber pattern`, `.spec: the message of the rule`.
    key: String,
    /// The resource, status included when the status is what is tried.
    object: Value,
    /// For a refusal: the field that has to be named, and words that have to be said.
    refused: Option<(String, String)>,
}

/// A manifest with as little as possible.
fn least() -> Value {
    json!({"spec": {"credentialsSecretRef": {"name": "twilio"}, "search": {"country": "CA", "areaCodes": ["418"]}}})
}

/// A manifest and a status with everything, so that each field can be changed on its own.
fn most() -> Value {
    let sid = |prefix: &str| format!("{prefix}{}", "0".repeat(32));
    let webhook = json!({
        "webhookURL": "https://sms.example.com/a", "method": "GET",
        "fallbackURL": "https://sms.example.com/b", "fallbackMethod": "GET",
    });
    let mut sms = webhook.clone();
    merge(
        &mut sms,
        &json!({"management": "Managed", "messagingServiceSID": sid("MG"), "verification": "SignedRequest"}),
    );
    json!({
        "spec": {
            "credentialsSecretRef": {
                "name": "twilio", "accountSidKey": "a", "authTokenKey": "b", "apiKeySidKey": "c", "apiKeySecretKey": "d",
            },
            "search": {
                "country": "CA", "type": "Local", "areaCodes": ["418", "581"], "region": "QC", "postalCode": "G1V",
                "nearNumber": "+14185550100", "distanceMiles": 10, "contains": "1234", "locality": "Québec",
                "capabilities": ["SMS", "Voice"], "allowBeta": true,
            },
            "phoneNumber": "+14185550100",
            "purchasePolicy": "Manual",
            "adoptionPolicy": "IfOwned",
            "maxMonthlyPrice": {"amount": "1.50", "currency": "USD"},
            "friendlyName": "Réception",
            "sms": sms,
            "voice": webhook,
            "regulatory": {"addressSID": sid("AD"), "bundleSID": sid("BU"), "identitySID": sid("RI")},
            "deletionPolicy": "Release",
            "releaseConfirmation": "+14185550100",
            "observeInterval": "1h",
            "usage": {"scope": "Number"},
            "suspend": true,
        },
        "status": {
            "observedGeneration": 1, "phoneNumber": "+14185550100", "origin": "Purchased", "capabilities": ["SMS"],
            "claim": {
                "phoneNumber": "+14185550100", "tag": "abcdefghijk", "accountSID": sid("AC"), "generation": 1,
                "attempts": 1, "unanswered": 0, "outcome": "Held", "tried": ["+14185550199"], "releasing": 0,
            },
            "candidates": [{"phoneNumber": "+14185550101", "capabilities": ["SMS", "MMS"]}],
            "webhook": {"url": "https://sms.example.com/a", "method": "POST"},
            "messagingService": {"sid": sid("MG"), "joinedAt": "2026-11-23T00:00:00Z"},
            "monthlyPrice": {"amount": "1.15", "currency": "USD"},
            "smsPrices": {"inbound": "0.0075", "outbound": "0.0079", "currency": "USD"},
            "usage": {
                "month": "2026-11", "smsSent": 1, "smsReceived": 2, "smsCost": "0.02", "estimatedCost": "1.17",
                "currency": "USD", "scope": "Account", "numbers": 1, "asOf": "2026-11-23T00:00:00Z",
            },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Available", "message": "",
                "lastTransitionTime": "2026-11-23T00:00:00Z",
            }],
        },
    })
}

/// The place that a path of the schema means in [`most`]: the first element of a list stands for all.
fn pointer(path: &str) -> String {
    path.replace("[]", ".0").replace('.', "/")
}

/// The place as the API server names it: `spec.search.areaCodes[0]`.
fn named(path: &str) -> String {
    path.trim_start_matches('.').replace("[]", "[0]")
}

/// [`most`] with another value in one place; `null` takes the field away.
fn with(path: &str, value: Value) -> Value {
    let mut object = most();
    let pointer = pointer(path);
    let (parent, field) = pointer.rsplit_once('/').unwrap_or(("", &pointer));
    let parent = object.pointer_mut(parent);
    match (parent, field.parse::<usize>()) {
        (Some(Value::Array(list)), Ok(index)) => {
            if let Some(element) = list.get_mut(index) {
                *element = value;
            }
        }
        (Some(Value::Object(map)), _) if value.is_null() => {
            map.remove(field);
        }
        (Some(Value::Object(map)), _) => {
            map.insert(field.to_owned(), value);
        }
        (_, _) => unreachable!("{path} has no place in the manifest with everything"),
    }
    object
}

/// What the API server says when a constraint of this kind does not hold.
fn words(kind: &str) -> &'static str {
    match kind {
        "required" => "Required value",
        "enum" => "supported values: ",
        "pattern" => "should match '",
        "minLength" => "should be at least ",
        "maxLength" => "Too long: may not be more than ",
        "minItems" => "should have at least ",
        "maxItems" => "must have at most ",
        "minimum" => "should be greater than or equal to ",
        "maximum" => "should be less than or equal to ",
        "unique" => "Duplicate value",
        _ => "(a kind of constraint that no test knows)",
    }
}

/// Values of one field: good ones, and bad ones with the kind of constraint that refuses each. Every good one counts for
/// every kind.
#[allow(clippy::needless_pass_by_value, reason = "the tables below read better")]
fn field<const G: usize, const B: usize>(path: &str, good: [Value; G], bad: [(&str, Value); B]) -> Vec<Case> {
    let mut cases = Vec::new();
    let kinds: BTreeSet<&str> = bad.iter().map(|(kind, _)| *kind).collect();
    for kind in kinds {
        let key = format!("{path} {kind}");
        cases.extend(good.iter().map(|value| Case {
            key: key.clone(),
            object: with(path, value.clone()),
            refused: None,
        }));
    }
    cases.extend(bad.into_iter().map(|(kind, value)| Case {
        key: format!("{path} {kind}"),
        object: with(path, value),
        refused: Some((named(path), words(kind).to_owned())),
    }));
    cases
}

/// Fields that have to be there.
fn required(parent: &str, names: &[&str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in names {
        let path = format!("{parent}.{name}");
        let key = format!("{path} required");
        let refused = Some((named(&path), words("required").to_owned()));
        cases.push(Case { key: key.clone(), object: most(), refused: None });
        cases.push(Case { key, object: with(&path, Value::Null), refused });
    }
    cases
}

/// A rule: what it is on, what it says, the field it names (from there), and merge patches of [`least`] that it lets pass
/// and that it refuses.
#[allow(clippy::needless_pass_by_value, reason = "the tables below read better")]
fn rule<const A: usize, const R: usize>(
    path: &str,
    says: &str,
    names: &str,
    accepts: [Value; A],
    refuses: [Value; R],
) -> Vec<Case> {
    let case = |patch: &Value, refused: Option<(String, String)>| {
        let mut object = least();
        merge(&mut object, &json!({"spec": patch}));
        Case { key: format!("{path}: {says}"), object, refused }
    };
    let told = (named(&format!("{path}{names}")), says.to_owned());
    let mut cases: Vec<Case> = accepts.iter().map(|patch| case(patch, None)).collect();
    cases.extend(refuses.iter().map(|patch| case(patch, Some(told.clone()))));
    cases
}

fn text(length: usize) -> Value {
    json!("a".repeat(length))
}

fn table() -> Vec<Case> {
    [credentials(), search(), number_itself(), money_and_label(), webhooks(), the_rest(), status()]
        .into_iter()
        .flatten()
        .collect()
}

fn credentials() -> Vec<Case> {
    let root = ".spec.credentialsSecretRef";
    let mut cases = required("", &["spec"]);
    cases.extend(required(".spec", &["credentialsSecretRef"]));
    cases.extend(required(root, &["name"]));
    cases.extend(field(
        &format!("{root}.name"),
        [json!("t"), text(253)],
        [("minLength", json!("")), ("maxLength", text(254))],
    ));
    for key in ["accountSidKey", "authTokenKey", "apiKeySidKey", "apiKeySecretKey"] {
        cases.extend(field(
            &format!("{root}.{key}"),
            [json!("account-sid_1.A"), text(253)],
            [("minLength", json!("")), ("maxLength", text(254)), ("pattern", json!("a/b")), ("pattern", json!("a b"))],
        ));
    }
    cases
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn search() -> Vec<Case> {
    let path = |name: &str| format!(".spec.search{name}");
    let codes = |n: i32| Value::Array((0..n).map(|n| json!((201 + n).to_string())).collect());
    let gb = |patch: Value| {
        let mut search = json!({"country": "GB", "areaCodes": null});
        merge(&mut search, &patch);
        json!({"search": search})
    };
    let ca = |patch: Value| json!({"search": patch});
    [
        required(".spec.search", &["country"]),
        field(
            &path(".country"),
            [json!("CA"), json!("US")],
            [("pattern", json!("ca")), ("pattern", json!("C")), ("maxLength", json!("CAN"))],
        ),
        field(&path(".type"), [json!("Local"), json!("TollFree")], [("enum", json!("local")), ("enum", json!("Any"))]),
        field(&path(".areaCodes"), [codes(1), codes(16)], [("minItems", json!([])), ("maxItems", codes(17))]),
        field(
            &path(".areaCodes[]"),
            [json!("418"), json!("989")],
            [("pattern", json!("118")), ("pattern", json!("41")), ("maxLength", json!("4181"))],
        ),
        rule(
            &path(".areaCodes"),
            "each area code once",
            "",
            [ca(json!({"areaCodes": ["418", "581"]}))],
            [ca(json!({"areaCodes": ["418", "581", "418"]}))],
        ),
        field(
            &path(".region"),
            [json!("QC"), json!("NY")],
            [("pattern", json!("qc")), ("pattern", json!("Q")), ("maxLength", json!("QUE"))],
        ),
        field(
            &path(".postalCode"),
            [json!("G1V"), json!("G1V 4X5"), json!("12345-6789")],
            [("pattern", json!("G1")), ("pattern", json!("-123")), ("maxLength", json!("12345-67890"))],
        ),
        field(
            &path(".nearNumber"),
            [json!("+14185550100"), json!("+1234567")],
            [
                ("pattern", json!("14185550100")),
                ("pattern", json!("+0418555")),
                ("maxLength", json!("+1234567890123456")),
            ],
        ),
        field(
            &path(".distanceMiles"),
            [json!(1), json!(500)],
            [("minimum", json!(0)), ("minimum", json!(-1)), ("maximum", json!(501))],
        ),
        field(
            &path(".contains"),
            [json!("12"), json!("+1418%"), json!("CLINIC"), json!("1234567890123456")],
            [("minLength", json!("1")), ("maxLength", json!("12345678901234567"))],
        ),
        rule(
            &path(".contains"),
            "2-16 characters: digits or letters, * or % only at the start or end, + only first, $ only last",
            "",
            ["1234", "*1234", "1234%", "+1418*", "1234$", "%12%$", "+*12"].map(|value| ca(json!({"contains": value}))),
            ["12*34", "**", "12+", "$12", "12 34", "418-555", "é12", "%%12", "12\n"]
                .map(|value| ca(json!({"contains": value}))),
        ),
        field(
            &path(".locality"),
            [json!("Québec"), json!("St. John's"), json!("L’Ancienne-Lorette"), text(64)],
            [
                ("pattern", json!("1st Town")),
                ("pattern", json!("Québec, QC")),
                ("pattern", json!("")),
                ("maxLength", text(65)),
            ],
        ),
        field(
            &path(".capabilities"),
            [json!(["SMS"]), json!(["SMS", "MMS", "Voice", "Fax"])],
            [("minItems", json!([])), ("maxItems", json!(["SMS", "MMS", "Voice", "Fax", "SMS"]))],
        ),
        vec![
            Case { key: path(".capabilities unique"), object: most(), refused: None },
            Case {
                key: path(".capabilities unique"),
                object: with(&path(".capabilities"), json!(["SMS", "SMS"])),
                refused: Some(("spec.search.capabilities[1]".to_owned(), words("unique").to_owned())),
            },
        ],
        field(
            &path(".capabilities[]"),
            [json!("SMS"), json!("MMS"), json!("Fax")],
            [("enum", json!("sms")), ("enum", json!("Pager"))],
        ),
        rule(
            ".spec.search",
            "Twilio ignores areaCodes outside US and CA and would sell any number; use contains or locality",
            ".areaCodes",
            [ca(json!({"country": "US"})), gb(json!({})), gb(json!({"contains": "1234"}))],
            [gb(json!({"areaCodes": ["418"]}))],
        ),
        rule(
            ".spec.search",
            "region works for US and CA only; use contains or locality",
            ".region",
            [ca(json!({"region": "QC"})), gb(json!({"locality": "Leeds"}))],
            [gb(json!({"region": "QC"}))],
        ),
        rule(
            ".spec.search",
            "postalCode works for US and CA only; use contains or locality",
            ".postalCode",
            [ca(json!({"postalCode": "G1V"})), gb(json!({"locality": "Leeds"}))],
            [gb(json!({"postalCode": "LS1"}))],
        ),
        rule(
            ".spec.search",
            "nearNumber works for US and CA only; use contains or locality",
            ".nearNumber",
            [ca(json!({"nearNumber": "+14185550100"})), gb(json!({"locality": "Leeds"}))],
            [gb(json!({"nearNumber": "+441135550100"}))],
        ),
        rule(
            ".spec.search",
            "distanceMiles needs nearNumber",
            ".distanceMiles",
            [ca(json!({"nearNumber": "+14185550100", "distanceMiles": 5}))],
            [ca(json!({"distanceMiles": 5})), gb(json!({"distanceMiles": 5}))],
        ),
        rule(
            ".spec.search",
            "US and CA have no Mobile numbers at Twilio; use Local",
            ".type",
            [gb(json!({"type": "Mobile"})), ca(json!({"type": "TollFree"}))],
            [ca(json!({"type": "Mobile"})), ca(json!({"country": "US", "type": "Mobile"}))],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn number_itself() -> Vec<Case> {
    let e164 = |path: &str| {
        field(
            path,
            [json!("+14185550100"), json!("+1234567"), json!("+123456789012345")],
            [
                ("pattern", json!("4185550100")),
                ("pattern", json!("+1 418 555 0100")),
                ("pattern", json!("+04185550100")),
                ("pattern", json!("+123456")),
                ("pattern", json!("")),
                ("maxLength", json!("+1234567890123456")),
            ],
        )
    };
    let exact = |patch: Value| {
        let mut spec = json!({"search": null, "phoneNumber": "+14185550100"});
        merge(&mut spec, &patch);
        spec
    };
    // Fields that say nothing about which number is wanted.
    let vague = json!({"areaCodes": null, "capabilities": ["SMS", "Voice"], "allowBeta": true});
    let narrowed = ["contains", "locality", "region", "postalCode", "nearNumber"];
    let values = ["1234", "Montréal", "QC", "G1V", "+14185550100"];
    let mut which: Vec<Value> =
        narrowed.iter().zip(values).map(|(name, value)| json!({"search": {"areaCodes": null, *name: value}})).collect();
    which.push(json!({"search": {"areaCodes": null, "type": "TollFree"}}));
    which.push(json!({"search": {"areaCodes": null, "country": "GB"}}));
    which.push(json!({"search": vague, "phoneNumber": "+14185550100"}));
    let mut vague_us = vague.clone();
    merge(&mut vague_us, &json!({"country": "US"}));

    let say_which = "say which numbers will do: areaCodes, region, postalCode, nearNumber, contains or locality";
    let mut cases: Vec<Case> = [
        e164(".spec.phoneNumber"),
        e164(".spec.releaseConfirmation"),
        rule(
            ".spec",
            "set search, phoneNumber or both",
            "",
            [json!({}), exact(json!({})), json!({"phoneNumber": "+14185550100"})],
            [json!({"search": null})],
        ),
        rule(".spec", say_which, ".search", [json!({})], [json!({"search": vague}), json!({"search": vague_us})]),
        field(
            ".spec.purchasePolicy",
            [json!("Automatic"), json!("Manual"), json!("Never")],
            [("enum", json!("automatic")), ("enum", json!("Always"))],
        ),
        rule(
            ".spec",
            "purchasePolicy: Never only adopts: name phoneNumber",
            ".purchasePolicy",
            [exact(json!({"purchasePolicy": "Never"})), json!({"purchasePolicy": "Manual"})],
            [json!({"purchasePolicy": "Never"})],
        ),
        field(
            ".spec.adoptionPolicy",
            [json!("Never"), json!("IfOwned"), json!("TakeOver")],
            [("enum", json!("ifOwned")), ("enum", json!("Always"))],
        ),
        rule(
            ".spec",
            "adoption needs phoneNumber: the number to take over",
            ".adoptionPolicy",
            [exact(json!({"adoptionPolicy": "IfOwned"})), json!({"adoptionPolicy": "Never"})],
            [json!({"adoptionPolicy": "IfOwned"}), json!({"adoptionPolicy": "TakeOver"})],
        ),
        field(".spec.deletionPolicy", [json!("Release")], [("enum", json!("release")), ("enum", json!("Delete"))]),
        rule(
            ".spec",
            "releaseConfirmation needs deletionPolicy: Release",
            ".releaseConfirmation",
            [
                json!({"deletionPolicy": "Release", "releaseConfirmation": "+14185550100"}),
                json!({"deletionPolicy": "Release"}),
                json!({"deletionPolicy": "Retain"}),
            ],
            [
                json!({"releaseConfirmation": "+14185550100"}),
                json!({"deletionPolicy": "Retain", "releaseConfirmation": "+14185550100"}),
            ],
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    for patch in which {
        cases.extend(rule(".spec", say_which, ".search", [patch], []));
    }
    cases
}

fn money_and_label() -> Vec<Case> {
    let price = |amount: &str| json!({"maxMonthlyPrice": {"amount": amount, "currency": "USD"}});
    let currency = |code: &str| json!({"maxMonthlyPrice": {"amount": "1.50", "currency": code}});
    [
        required(".spec.maxMonthlyPrice", &["amount", "currency"]),
        field(
            ".spec.maxMonthlyPrice.amount",
            [json!("1"), json!("999999.9999")],
            [("maxLength", json!("1234567890.12"))],
        ),
        rule(
            ".spec.maxMonthlyPrice.amount",
            "a decimal above 0 with at most four decimals, such as '1.15'",
            "",
            ["1", "1.5", "0.0001", "999999.9999"].map(price),
            ["", "0", "0.0000", "-1", "1,50", "1.", ".5", "01", "1.23456", "1e3", "1.50 USD", "free"].map(price),
        ),
        field(".spec.maxMonthlyPrice.currency", [json!("USD"), json!("CAD")], [("maxLength", json!("USDT"))]),
        rule(
            ".spec.maxMonthlyPrice.currency",
            "an ISO 4217 code such as USD",
            "",
            ["USD", "CAD"].map(currency),
            ["", "usd", "US", "$"].map(currency),
        ),
        rule(
            ".spec",
            "maxMonthlyPrice needs search.country and type: they give the price",
            ".maxMonthlyPrice",
            [price("1.50")],
            [json!({
                "search": null, "phoneNumber": "+14185550100",
                "maxMonthlyPrice": {"amount": "1.50", "currency": "USD"},
            })],
        ),
        field(
            ".spec.friendlyName",
            [json!("R"), json!("Réception, 2e étage"), json!("é".repeat(40))],
            [
                ("minLength", json!("")),
                ("maxLength", json!("é".repeat(41))),
                ("pattern", json!("[cpn:abcde.abcdefghijk]")),
                ("pattern", json!("a]")),
                ("pattern", json!("two\nlines")),
            ],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn webhooks() -> Vec<Case> {
    let longest = |more: usize| {
        let start = "https://sms.example.com/";
        json!(format!("{start}{}", "a".repeat(2048 - start.len() + more)))
    };
    let mut cases = required(".spec.voice", &["webhookURL"]);
    for (parent, name) in
        [("sms", "webhookURL"), ("sms", "fallbackURL"), ("voice", "webhookURL"), ("voice", "fallbackURL")]
    {
        let path = format!(".spec.{parent}.{name}");
        let spec = |url: &str| {
            let mut webhook = json!({"webhookURL": "https://sms.example.com"});
            merge(&mut webhook, &json!({name: url}));
            json!({parent: webhook})
        };
        cases.extend(field(
            &path,
            [json!("https://a.bc"), longest(0)],
            [("minLength", json!("https://a.b")), ("maxLength", longest(1))],
        ));
        cases.extend(rule(
            &path,
            PUBLIC,
            "",
            [
                "https://sms.example.com",
                "https://sms.example.com/functions/v1/receive-sms-twilio?clinic=1&x=%20#part",
                "https://SMS.Example.com:8443/a",
                "https://a-b.c1.example.museum?x=1",
                "https://xn--clnique-e1a.example.com/",
                "https://sms.example.com/qu%C3%A9bec",
            ]
            .map(spec),
            [
                "http://sms.example.com/a",
                "HTTPS://sms.example.com/a",
                "sms.example.com/receive",
                "ftp://sms.example.com",
                "https://203.0.113.7/sms",
                "https://[2001:db8::1]/sms",
                "https://0x7f.0x0.0x0.0x1/a",
                "https://localhost/receive",
                "https://receive-sms:8080/a",
                "https://user:password@sms.example.com/a",
                "https://user@sms.example.com/a",
                "https://sms.example.com:443@evil.example.org/a",
                "https://sms.example.com\\@evil.example.org/a",
                "https://sms..example.com/a",
                "https://-sms.example.com/a",
                "https://sms_1.example.com/a",
                "https://sms.example.com./a",
                "https://clinique.québec/a",
                "https://sms.example.com:/a",
                "https:///receive-sms",
                " https://sms.example.com/a",
                "https://sms.example.com/a\nb",
                "https://sms.example.com/a b",
                "https://sms.example.com/%zz",
                "https://sms.example.com/é",
                "https://sms.example.com/a#b c",
            ]
            .map(spec),
        ));
        cases.extend(rule(
            &path,
            NOT_LOCAL,
            "",
            [
                "https://local.example.com/a",
                "https://sms.example.com/a.svc",
                "https://sms.example.com/?host=.local",
                "https://sms.svc.example.com/a",
                "https://mylocal.example/a",
            ]
            .map(spec),
            [
                "https://receive.clinic.svc/a",
                "https://receive.clinic.svc.cluster.local/a",
                "https://receive.clinic.SVC.Cluster.Local:8443/a",
                "https://nas.local/a",
                "https://sms.internal?x=1",
                "https://app.localhost:3000/a",
                "https://host.docker.internal/a#b",
            ]
            .map(spec),
        ));
    }
    for parent in ["sms", "voice"] {
        for name in ["method", "fallbackMethod"] {
            cases.extend(field(
                &format!(".spec.{parent}.{name}"),
                [json!("POST"), json!("GET")],
                [("enum", json!("post")), ("enum", json!("PUT"))],
            ));
        }
    }
    cases.extend(rule(
        ".spec.sms",
        "fallbackURL needs webhookURL",
        ".fallbackURL",
        [
            json!({"sms": {}}),
            json!({"sms": {"webhookURL": "https://sms.example.com"}}),
            json!({"sms": {"webhookURL": "https://sms.example.com", "fallbackURL": "https://b.example.com"}}),
        ],
        [json!({"sms": {"fallbackURL": "https://b.example.com"}})],
    ));
    cases.extend(field(
        ".spec.sms.management",
        [json!("Managed"), json!("Observed")],
        [("enum", json!("managed")), ("enum", json!("None"))],
    ));
    cases.extend(field(
        ".spec.sms.verification",
        [json!("None"), json!("SignedRequest")],
        [("enum", json!("none")), ("enum", json!("Ping"))],
    ));
    cases
}

/// A SID: two letters, 32 hexadecimal digits.
fn sid(path: &str, prefix: &str) -> Vec<Case> {
    field(
        path,
        [json!(format!("{prefix}{}", "0".repeat(32))), json!(format!("{prefix}{}", "aF".repeat(16)))],
        [
            ("pattern", json!(format!("XX{}", "0".repeat(32)))),
            ("pattern", json!(format!("{prefix}{}", "0".repeat(31)))),
            ("pattern", json!(format!("{prefix}{}g", "0".repeat(31)))),
            ("maxLength", json!(format!("{prefix}{}", "0".repeat(33)))),
        ],
    )
}

fn the_rest() -> Vec<Case> {
    let interval = |text: &str| json!({"observeInterval": text});
    [
        sid(".spec.sms.messagingServiceSID", "MG"),
        sid(".spec.regulatory.addressSID", "AD"),
        sid(".spec.regulatory.bundleSID", "BU"),
        sid(".spec.regulatory.identitySID", "RI"),
        field(
            ".spec.observeInterval",
            [json!("5m"), json!("1h30m"), json!("23h59m59s"), json!("0000000300s")],
            [
                ("minLength", json!("5")),
                ("maxLength", json!("0000000000300s")),
                ("pattern", json!("1d")),
                ("pattern", json!("1.5h")),
                ("pattern", json!("30m1h")),
                ("pattern", json!("-1h")),
            ],
        ),
        rule(
            ".spec.observeInterval",
            "must be between 5m and 24h",
            "",
            ["5m", "300s", "24h", "1h"].map(interval),
            ["4m59s", "0s", "24h1s", "99h", "9999999999h", "99999999h"].map(interval),
        ),
        field(
            ".spec.usage.scope",
            [json!("Account"), json!("Number")],
            [("enum", json!("account")), ("enum", json!("All"))],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn status() -> Vec<Case> {
    let claim = |name: &str| format!(".status.claim.{name}");
    let tried = |n: usize| json!(vec!["+14185550199"; n]);
    let candidates = |n: usize| json!(vec![json!({"phoneNumber": "+14185550101"}); n]);
    let twice = most().pointer("/status/conditions/0").cloned().map_or(Value::Null, |one| json!([one, one]));
    [
        required(".status.claim", &["phoneNumber", "attempts"]),
        field(&claim("phoneNumber"), [json!("+123456789012345")], [("maxLength", json!("+1234567890123456"))]),
        field(&claim("tag"), [json!("abcdefghijk"), text(16)], [("maxLength", text(17))]),
        field(&claim("accountSID"), [text(34)], [("maxLength", text(35))]),
        field(&claim("attempts"), [json!(0), json!(5)], [("minimum", json!(-1))]),
        field(&claim("unanswered"), [json!(0), json!(5)], [("minimum", json!(-1))]),
        field(&claim("releasing"), [json!(0), json!(5)], [("minimum", json!(-1))]),
        field(
            &claim("outcome"),
            ["Unknown", "Refused", "Held", "Abandoned"].map(|outcome| json!(outcome)),
            [("enum", json!("held")), ("enum", json!("Bought"))],
        ),
        field(&claim("tried"), [json!([]), tried(32)], [("maxItems", tried(33))]),
        field(&claim("tried[]"), [json!("+123456789012345")], [("maxLength", json!("+1234567890123456"))]),
        field(
            ".status.origin",
            [json!("Purchased"), json!("Adopted")],
            [("enum", json!("purchased")), ("enum", json!("Hosted"))],
        ),
        field(
            ".status.capabilities[]",
            [json!("SMS"), json!("Fax")],
            [("enum", json!("sms")), ("enum", json!("Pager"))],
        ),
        field(".status.candidates", [json!([]), candidates(30)], [("maxItems", candidates(31))]),
        required(".status.candidates[]", &["phoneNumber"]),
        field(
            ".status.candidates[].capabilities[]",
            [json!("SMS"), json!("Voice")],
            [("enum", json!("sms")), ("enum", json!("Pager"))],
        ),
        required(".status.webhook", &["url", "method"]),
        field(".status.webhook.method", [json!("GET"), json!("POST")], [("enum", json!("PUT"))]),
        required(".status.messagingService", &["sid"]),
        required(".status.monthlyPrice", &["amount", "currency"]),
        required(".status.smsPrices", &["inbound", "outbound", "currency"]),
        required(".status.usage", &["month", "smsSent", "smsReceived", "smsCost", "currency", "scope", "asOf"]),
        field(".status.usage.numbers", [json!(1), json!(500)], [("minimum", json!(0))]),
        field(".status.usage.scope", [json!("Account"), json!("Number")], [("enum", json!("All"))]),
        required(".status.conditions[]", &["type", "status", "reason", "message", "lastTransitionTime"]),
        vec![
            Case { key: ".status.conditions unique".to_owned(), object: most(), refused: None },
            Case {
                key: ".status.conditions unique".to_owned(),
                object: with(".status.conditions", twice),
                refused: Some(("status.conditions[1]".to_owned(), words("unique").to_owned())),
            },
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Tries one manifest: its status on a resource that exists when the case is about status, else as a new resource.
async fn attempt(space: &Space, case: &Case) -> Result<Value, Box<dyn Error>> {
    let part = |name: &str| case.object.get(name).cloned();
    if case.key.starts_with(".status") {
        let mut existing = space.get("reception").await?;
        // Put in its place and not merged with: what was there does not count.
        if let Some(existing) = existing.as_object_mut() {
            existing.insert("status".to_owned(), part("status").unwrap_or_default());
        }
        return space.send("PUT", &space.path("reception", "status"), &TRY, &existing).await;
    }
    let mut object = number("tried", &Value::Null);
    if let Some(object) = object.as_object_mut() {
        object.remove("spec");
        object.extend(part("spec").map(|spec| ("spec".to_owned(), spec)));
    }
    space.send("POST", &space.path("", ""), &TRY, &object).await
}

/// What is wrong with the answer to a case, if anything is.
fn verdict(case: &Case, answer: Result<Value, Box<dyn Error>>) -> Option<String> {
    let shown = case.object.to_string();
    let about = format!("{}\n    {}", case.key, shown.get(..shown.len().min(600)).unwrap_or_default());
    match (&case.refused, answer) {
        (None, Ok(_)) => None,
        (None, Err(error)) => Some(format!("refused, and should not be: {about}\n    {error}")),
        (Some(_), Ok(_)) => Some(format!("accepted, and should not be: {about}")),
        (Some((field, says)), Err(error)) => {
            let causes: &[StatusCause] = refusal(error.as_ref())
                .and_then(|status| status.details.as_ref())
                .map_or(&[], |details| details.causes.as_slice());
            let told = causes.iter().any(|cause| cause.field == *field && cause.message.contains(says.as_str()));
            (!told).then(|| format!("refused without `{field}: {says}`: {about}\n    {error}"))
        }
    }
}

#[test]
fn every_constraint_accepts_and_refuses_as_it_should() -> Outcome {
    with_temp_ns(async |space| {
        space.create("reception", &least()["spec"]).await?;
        let wrong: Vec<String> = stream::iter(table())
            .map(|case| {
                let space = &space;
                async move { verdict(&case, attempt(space, &case).await) }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        assert!(wrong.is_empty(), "{} of the cases:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    })
}

/// The keys of everything that a schema constrains.
fn constraints(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    const KINDS: [&str; 8] =
        ["enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"];
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    found.extend(KINDS.iter().filter(|kind| schema.get(*kind).is_some()).map(|kind| format!("{path} {kind}")));
    found.extend(list("required").filter_map(Value::as_str).map(|name| format!("{path}.{name} required")));
    for rule in list("x-kubernetes-validations") {
        let message = rule.get("message").and_then(Value::as_str);
        found.insert(format!("{path}: {}", message.unwrap_or("(a rule without a message)")));
    }
    if matches!(schema.get("x-kubernetes-list-type").and_then(Value::as_str), Some("set" | "map")) {
        found.insert(format!("{path} unique"));
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        constraints(property, &format!("{path}.{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        constraints(items, &format!("{path}[]"), found);
    }
}

#[test]
fn every_constraint_has_a_case_of_each_kind() -> Outcome {
    let crd = serde_json::to_value(api::crd::clinic_phone_numbers()?)?;
    let mut wanted = BTreeSet::new();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").ok_or("the CRD has no schema")?;
    constraints(schema, "", &mut wanted);
    // The one that needs an old object.
    assert!(wanted.remove(&format!(": {}", claim_guard::MESSAGE)), "claim_guard.rs is about a rule that is gone");
    for (what, refused) in [("accepts", false), ("refuses", true)] {
        let have: BTreeSet<String> =
            table().into_iter().filter(|case| case.refused.is_some() == refused).map(|case| case.key).collect();
        let missing: Vec<&String> = wanted.difference(&have).collect();
        assert!(missing.is_empty(), "no case {what} for {missing:#?}");
        let stale: Vec<&String> = have.difference(&wanted).collect();
        assert!(stale.is_empty(), "cases for what is not in the CRD: {stale:#?}");
    }
    Ok(())
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_kubectl() -> Outcome {
    with_temp_ns(async |space| {
        // Mistyped: as it stands, an arbitrary number would do.
        let mut spec = least()["spec"].clone();
        merge(&mut spec, &json!({"search": {"areaCode": ["418"]}}));
        let output = space.kubectl_stdin(&["apply", "--filename=-"], &number("mistyped", &spec).to_string())?;
        assert!(
            !output.success() && output.stderr.contains("unknown field \"spec.search.areaCode\""),
            "{}",
            output.stderr
        );
        Ok(())
    })
}

#[test]
fn defaults_are_the_documented_ones() -> Outcome {
    with_temp_ns(async |space| {
        let mut spec = least()["spec"].clone();
        merge(&mut spec, &json!({"sms": {}, "usage": {}, "voice": {"webhookURL": "https://voice.example.com"}}));
        let created = space.create("reception", &spec).await?;
        let expected = json!({
            "credentialsSecretRef": {
                "name": "twilio", "accountSidKey": "accountSid", "authTokenKey": "authToken",
                "apiKeySidKey": "apiKeySid", "apiKeySecretKey": "apiKeySecret",
            },
            "search": {
                "country": "CA", "areaCodes": ["418"], "type": "Local", "capabilities": ["SMS"], "allowBeta": false,
            },
            "purchasePolicy": "Automatic",
            "adoptionPolicy": "Never",
            "sms": {"method": "POST", "fallbackMethod": "POST", "management": "Managed", "verification": "None"},
            "voice": {"webhookURL": "https://voice.example.com", "method": "POST", "fallbackMethod": "POST"},
            "deletionPolicy": "Retain",
            "usage": {"scope": "Account"},
            "suspend": false,
        });
        assert_eq!(created["spec"], expected);
        // Tools that wait for a resource must not take a new one for a finished one.
        assert_eq!(created["status"], json!({"observedGeneration": -1}));

        // An explicit null is the same as nothing, as templates write it.
        let mut nulls = number("nulls", &least()["spec"]);
        nulls["spec"]["search"]["type"] = Value::Null;
        nulls["spec"]["search"]["region"] = Value::Null;
        nulls["spec"]["deletionPolicy"] = Value::Null;
        nulls["spec"]["credentialsSecretRef"]["authTokenKey"] = Value::Null;
        let created = space.send("POST", &space.path("", ""), &[], &nulls).await?;
        assert_eq!(created["spec"]["search"], expected["search"]);
        assert_eq!(created["spec"]["deletionPolicy"], "Retain");
        assert_eq!(created["spec"]["credentialsSecretRef"], expected["credentialsSecretRef"]);
        Ok(())
    })
}

/// A resource in service, as `kubectl get` is to show it.
async fn in_service(space: &Space, name: &str, secret: &str, held: &str) -> Outcome {
    let spec = json!({"credentialsSecretRef": {"name": secret}, "search": {"country": "CA", "areaCodes": ["418"]}});
    let mut object = space.create(name, &spec).await?;
    let condition = |kind: &str, reason: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "2026-11-23T00:00:00Z",
        })
    };
    let status = json!({
        "phoneNumber": held, "phoneNumberSID": format!("PN{}", "0".repeat(32)),
        "claim": {"phoneNumber": held, "attempts": 1, "outcome": "Held"},
        "monthlyPrice": {"amount": "1.15", "currency": "USD"},
        "usage": {
            "month": "2026-11", "smsSent": 12, "smsReceived": 34, "smsCost": "0.37", "estimatedCost": "1.52",
            "currency": "USD", "scope": "Account", "asOf": "2026-11-23T00:00:00Z",
        },
        "conditions": [condition("Ready", "Available"), condition("InboundSms", "Wired"), condition("OutboundSms", "Capable")],
    });
    merge(&mut object, &json!({"status": status}));
    space.send("PUT", &space.path(name, "status"), &[("fieldValidation", "Strict")], &object).await?;
    Ok(())
}

#[test]
fn field_selectors_find_secret_number_and_claim() -> Outcome {
    with_temp_ns(async |space| {
        in_service(&space, "a", "twilio", "+14185550100").await?;
        in_service(&space, "b", "twilio", "+14185550101").await?;
        in_service(&space, "c", "other", "+14185550102").await?;
        for (selector, expected) in [
            ("spec.credentialsSecretRef.name=twilio", &["a", "b"][..]),
            ("spec.credentialsSecretRef.name!=twilio", &["c"]),
            ("status.phoneNumber=+14185550101", &["b"]),
            ("status.claim.phoneNumber=+14185550102", &["c"]),
            ("status.claim.phoneNumber=+14185550102,spec.credentialsSecretRef.name=twilio", &[]),
        ] {
            let arguments = ["get", "cpn", "--output=jsonpath={.items[*].metadata.name}", "--field-selector", selector];
            let found = space.kubectl(&arguments)?.ok()?;
            assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expected, "{selector}");
            let found = space.numbers().list(&ListParams::default().fields(selector)).await?;
            assert_eq!(found.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), expected, "{selector}");
        }
        Ok(())
    })
}

#[test]
fn kubectl_get_shows_the_columns_of_the_design() -> Outcome {
    with_temp_ns(async |space| {
        in_service(&space, "reception", "twilio", "+14185550100").await?;
        space.create("new", &least()["spec"]).await?;
        let shown = |arguments: &[&str]| -> Result<Vec<Vec<String>>, Box<dyn Error>> {
            let table = space.kubectl(&[&["get"], arguments].concat())?.ok()?;
            Ok(table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
        };
        let narrow = ["NAME", "NUMBER", "READY", "REASON", "INBOUND", "OUTBOUND", "AGE"];
        let wide = [&narrow[..], &["SID", "PRICE", "SENT", "RECEIVED", "COST"]].concat();
        let table = shown(&["cpn"])?;
        assert_eq!(table[0], narrow);
        // What is not known yet is left blank.
        assert_eq!(table[1][..table[1].len() - 1], ["new"]);
        assert_eq!(table[2][..6], ["reception", "+14185550100", "True", "Available", "True", "True"]);
        let table = shown(&["cpn", "reception", "--output=wide"])?;
        assert_eq!(table[0], wide);
        let sid = format!("PN{}", "0".repeat(32));
        assert_eq!(table[1][7..], [sid.as_str(), "1.15", "12", "34", "1.52"]);
        // By its category too.
        assert_eq!(shown(&["telephony"])?.len(), 3);
        Ok(())
    })
}

#[test]
fn the_crd_installs_without_a_warning() -> Outcome {
    let env = env()?;
    assert!(!env.crd_applied.stderr.contains("Warning"), "{}", env.crd_applied.stderr);
    assert_eq!(env.crd_applied.stderr, "");
    let arguments = ["get", "crd", "clinicphonenumbers.telephony.chiroflow.io", "--output=json"];
    let crd: Value = serde_json::from_str(&env.control_plane.kubectl(arguments)?.ok()?)?;
    for condition in crd.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten() {
        let (kind, status) = (condition["type"].as_str(), condition["status"].as_str());
        assert!(matches!((kind, status), (Some("NamesAccepted" | "Established"), Some("True"))), "{condition}");
    }
    Ok(())
}

#[test]
fn every_example_is_accepted() -> Outcome {
    with_temp_ns(async |space| {
        let mut files: Vec<_> = std::fs::read_dir(repository("examples"))?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        assert!(!files.is_empty());
        // All into this test's namespace, where nothing of one example meets another: nothing is stored.
        let mut objects: Vec<Value> = Vec::new();
        for file in &files {
            objects.extend(yaml::all_from_str::<Value>(&std::fs::read_to_string(file)?)?);
        }
        for object in &mut objects {
            if object["kind"] == "Namespace" {
                // Another test may have made it just now.
                object["metadata"]["name"] = json!(format!("{}-x", space.namespace));
            } else {
                object["metadata"]["namespace"] = json!(space.namespace);
            }
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let arguments = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
        let output = space.env.control_plane.kubectl_stdin(arguments, &list)?;
        assert_eq!(output.stderr, "");
        let made = output.ok()?.matches("clinicphonenumber.telephony.chiroflow.io/").count();
        assert!(made >= files.len(), "{made} numbers in {} files", files.len());
        Ok(())
    })
}
