//! Every file of `examples/` is applied and brought to the end that its head promises.

use std::collections::BTreeMap;
use std::error::Error;

use clinic_phone_operator::simulator::{AccountSpec, ApiKey, KeyType};
use clinic_phone_operator::yaml;
use serde_json::{Value, json};

use crate::harness::{Outcome, repository};
use crate::world::{Options, World, held, is_ready, life, reason, status};

type Files = BTreeMap<String, Vec<Value>>;

fn examples() -> Result<Files, Box<dyn Error>> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(repository("examples"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, yaml::all_from_str(&std::fs::read_to_string(&path)?)?);
        }
    }
    Ok(files)
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What each example's head says is there, at Twilio.
fn prepare(world: &World, files: &Files) -> Outcome {
    for document in files.values().flatten().filter(|document| text(document, "/kind") == "Secret") {
        let data = document.get("stringData").ok_or("a Secret without data")?;
        let value = |keys: [&str; 2]| keys.iter().find_map(|key| data.get(*key)).and_then(Value::as_str);
        let account = value(["accountSid", "TWILIO_ACCOUNT_SID"]).ok_or("a Secret without an account")?;
        let mut spec = AccountSpec::new(account.parse()?, value(["authToken", ""]).unwrap_or(&"0".repeat(32)));
        if let (Some(sid), Some(secret)) = (value(["", "TWILIO_API_KEY_SID"]), value(["", "TWILIO_API_KEY_SECRET"])) {
            let (sid, secret) = (sid.parse()?, secret.to_owned());
            spec.api_keys = vec![ApiKey { sid, secret, kind: KeyType::Standard, permissions: Vec::new() }];
        }
        if text(document, "/metadata/namespace") == "clinique-levis" {
            spec.numbers = serde_json::from_value(json!([{"phoneNumber": "+14185550155"}]))?;
        }
        world.twilio.add_accounts(vec![spec])?;
    }
    Ok(())
}

/// The head of 09 says how one of the numbers on offer is chosen; nothing is bought before.
async fn choose(world: &World, namespace: &str, name: &str) -> Outcome {
    let waits = world.until_in(namespace, name, "AwaitingApproval", |n| reason(n) == "AwaitingApproval").await?;
    let candidate = status(&waits).candidates.pop().ok_or("no candidates")?;
    assert!(world.twilio.numbers().iter().all(|row| row.sms_url != "https://sms.example.com/clinics/montmagny"));
    let path = format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{namespace}/clinicphonenumbers/{name}");
    let choice = json!({"spec": {"phoneNumber": candidate.phone_number}});
    world.space.send("PATCH merge", &path, &[], &choice).await?;
    let number = world.until_in(namespace, name, "Ready", is_ready).await?;
    assert_eq!(held(&number), candidate.phone_number);
    Ok(())
}

#[test]
fn every_example_reaches_the_end_that_it_promises() -> Outcome {
    life(Options { everywhere: true, ..Options::default() }, async |world: &mut World| {
        let files = examples()?;
        prepare(world, &files)?;
        let documents = |kind: &'static str| files.values().flatten().filter(move |d| text(d, "/kind") == kind);
        world.stop().await?;
        world.namespaces = documents("Namespace").map(|d| text(d, "/metadata/name").to_owned()).collect();
        world.namespaces.insert(0, world.space.namespace.clone());
        world.start().await?;
        for file in files.keys() {
            let path = repository("examples").join(file);
            world.space.env.control_plane.kubectl(["apply", "--filename", &path.to_string_lossy()])?.ok()?;
        }
        let mut ends = BTreeMap::new();
        for document in documents("ClinicPhoneNumber") {
            let (namespace, name) = (text(document, "/metadata/namespace"), text(document, "/metadata/name"));
            if text(document, "/spec/purchasePolicy") == "Manual" {
                choose(world, namespace, name).await?;
            }
            let number = world.until_in(namespace, name, "Ready", is_ready).await?;
            let row = world.row(&held(&number))?;
            assert_eq!(row.sms_url, text(document, "/spec/sms/webhookURL"), "{namespace}/{name}");
            assert_eq!(status(&number).account_sid.as_deref(), Some(row.account_sid.as_ref()), "{namespace}/{name}");
            ends.insert(format!("{namespace}/{name}"), held(&number));
        }
        let end = |key: &str| ends.get(key).map_or("", String::as_str);
        assert!(end("clinique-sainte-foy/reception").starts_with("+1418"));
        assert!(end("clinique-limoilou/reception").starts_with("+1418"));
        assert!(end("clinique-rosemont/reception").starts_with("+1514"));
        assert_eq!(end("clinique-beauport/reception"), "+14185550133");
        assert!(end("clinique-charlesbourg/reception").starts_with("+1418"));
        assert!(end("clinique-charlesbourg/reception").ends_with("1234"));
        assert_eq!(end("clinique-levis/reception"), "+14185550155");
        assert!(end("clinique-sherbrooke/reception").starts_with("+1819"));
        assert!(end("clinique-trois-rivieres/reception").starts_with("+1819"));
        // One each, but for the one that was there.
        assert_eq!((world.sold(), world.count("buy")), (ends.len() - 1, ends.len() - 1));
        let voice = world.sent().into_iter().find(|sent| sent.field("VoiceUrl").is_some()).ok_or("no voice")?;
        assert_eq!(voice.field("VoiceFallbackMethod"), Some("GET"));

        // The head of 07 says how its number is given back; everybody else's stays when its namespace goes.
        let campaign =
            "/apis/telephony.chiroflow.io/v1alpha1/namespaces/clinique-temporaire/clinicphonenumbers/campaign";
        let number = end("clinique-temporaire/campaign");
        world.space.send("PATCH merge", campaign, &[], &json!({"spec": {"releaseConfirmation": number}})).await?;
        world.space.send("DELETE", campaign, &[], &Value::Null).await?;
        world
            .eventually("the release", async || {
                Ok(world.space.send("GET", campaign, &[], &Value::Null).await.is_err().then_some(()))
            })
            .await?;
        assert_eq!(world.released(), 1);
        for namespace in world.namespaces.iter().skip(1) {
            let path = format!("/api/v1/namespaces/{namespace}");
            world.space.send("DELETE", &path, &[], &Value::Null).await?;
        }
        for namespace in world.namespaces.iter().skip(1) {
            let path = format!("/api/v1/namespaces/{namespace}");
            world
                .eventually("the end of a namespace", async || {
                    Ok(world.space.send("GET", &path, &[], &Value::Null).await.is_err().then_some(()))
                })
                .await?;
        }
        assert_eq!((world.released(), world.twilio.numbers().len()), (1, ends.len() - 1));
        Ok(())
    })
}
