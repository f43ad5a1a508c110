//! The built program: killed in the middle of a purchase, stopped in the middle of one, started again, and what it prints.

use std::time::Duration;

use clinic_phone_operator::domain::InstallationId;
use clinic_phone_operator::simulator::{Fault, FaultSpec};
use serde_json::{Value, json};

use crate::harness::Outcome;
use crate::program::{Installed, SHORT, installed_with};
use crate::world::{Account, EXACT, Options, WEBHOOK, condition, held, is, status};

fn installed(flags: &[&str], test: impl AsyncFnOnce(&mut Installed) -> Outcome) -> Outcome {
    installed_with(Options::default(), flags, test)
}

#[test]
fn killed_after_a_purchase_was_sent_it_finds_the_number() -> Outcome {
    // Long enough that the answer is still awaited when the end comes.
    installed(&["--twilio-timeout", "20s", "--settle-window", "61s"], async |op: &mut Installed| {
        op.world.twilio.put_faults(vec![FaultSpec::once("CreateIncomingPhoneNumber", Fault::TimeoutAfter)]);
        let running = op.start().await?;
        op.world.create("reception", json!({})).await?;
        op.world.so("the sale", || op.world.sold() == 1).await?;
        running.child.kill()?;
        let number = op.world.twilio.numbers().remove(0).phone_number;
        let before =
            op.world.until("reception", "the stamp", |n| status(n).claim.is_some_and(|c| c.attempts == 1)).await?;
        assert_eq!(held(&before), "", "the answer never came");

        let running = op.start().await?;
        let now = op.world.ready("reception").await?;
        assert_eq!(held(&now), number.as_str());
        assert_eq!((op.world.sold(), op.calls("CreateIncomingPhoneNumber"), op.world.ledger().await?.len()), (1, 1, 1));
        assert!(running.child.terminate(Duration::from_secs(30))?.success());
        Ok(())
    })
}

#[test]
fn told_to_stop_in_the_middle_of_a_purchase_it_records_the_number_first() -> Outcome {
    installed(&[], async |op: &mut Installed| {
        op.world.twilio.put_faults(vec![FaultSpec::once("CreateIncomingPhoneNumber", Fault::Slow(1_500))]);
        let running = op.start().await?;
        op.world.create("reception", json!({})).await?;
        op.world.so("the sale", || op.world.sold() == 1).await?;
        assert!(running.child.terminate(Duration::from_secs(30))?.success(), "it ends well");
        let object = op.world.space.get("reception").await?;
        let number = object.pointer("/status/phoneNumber").and_then(Value::as_str);
        assert_eq!(number, op.world.twilio.numbers().first().map(|row| row.phone_number.as_str()));
        assert_eq!(object.pointer("/status/claim/outcome").and_then(Value::as_str), Some("Held"));
        Ok(())
    })
}

#[test]
fn started_again_with_everything_in_service_it_calls_nobody() -> Outcome {
    installed(&[], async |op: &mut Installed| {
        // The first look after a start is spread over the interval by the tag: an id with which none is among the first.
        let (namespace, names) = (op.world.space.namespace.clone(), ["a", "b", "c"]);
        for n in 0.. {
            let id = format!("restart-{n}");
            let parsed = InstallationId::parse(&id)?;
            if names.iter().all(|name| parsed.tag(&namespace, name).spread() % 1000 > 100) {
                op.world.installation = id;
                break;
            }
        }
        let running = op.start().await?;
        for name in names {
            op.world.create(name, json!({})).await?;
        }
        let mut before = Vec::new();
        for name in names {
            op.world.ready(name).await?;
        }
        for name in names {
            before.push(op.world.space.get(name).await?);
        }
        assert!(running.child.terminate(Duration::from_secs(30))?.success());
        let calls = op.world.twilio.calls().len();

        let running = op.start().await?;
        op.passed(&running, 3).await?;
        assert_eq!(op.world.twilio.calls().len(), calls);
        for (name, before) in names.iter().zip(before) {
            assert_eq!(op.world.space.get(name).await?, before);
        }
        // It is awake all the same.
        op.world.look("a", "now").await?;
        assert_eq!((op.world.twilio.calls().len(), op.world.sold()), (calls + 1, 3));
        drop(running);
        Ok(())
    })
}

/// Everything that is public, searched for the credentials: objects, events, the program's own words, figures.
#[test]
fn no_credential_is_in_anything_that_is_written_or_printed() -> Outcome {
    installed(&[&["--log-format", "json"], &SHORT[..]].concat(), async |op: &mut Installed| {
        op.world.account = Account { token: "c0ffee17c0ffee17c0ffee17c0ffee17".to_owned(), ..op.world.account.clone() };
        let world = &op.world;
        let (good, bad) = (world.account.token.clone(), "baadf00dbaadf00dbaadf00dbaadf00d".to_owned());
        world.hold(&world.account, &json!([]))?;
        world.credentials(&world.account).await?;
        let secret = "Kanarienvogel0Kanarienvogel0Kana".to_owned();
        let query = "https://sms.example.com/in?key=QuerySchluessel42";
        let running = op.start().await?;
        world.secret("wrong", &json!({"accountSid": world.account.sid, "authToken": bad})).await?;
        world.secret("swapped", &json!({"accountSid": bad, "authToken": world.account.sid})).await?;
        world.secret("short", &json!({"accountSid": world.account.sid, "authToken": &bad[..31]})).await?;
        let key = format!("SK{}", "9".repeat(32));
        world
            .secret("key", &json!({"accountSid": world.account.sid, "apiKeySid": key, "apiKeySecret": secret}))
            .await?;
        world.twilio.put_faults(vec![
            FaultSpec::once("CreateIncomingPhoneNumber", Fault::Garbage),
            FaultSpec::once("CreateIncomingPhoneNumber", Fault::ResetBefore).nth(2),
            FaultSpec::once("ListAvailablePhoneNumberLocal", Fault::Http503),
        ]);
        for name in ["wrong", "swapped", "short", "key"] {
            world.create(name, json!({"credentialsSecretRef": {"name": name}})).await?;
            world.reason(name, "CredentialsRejected").await?;
        }
        world.create("reception", json!({"sms": {"webhookURL": query}})).await?;
        world.create("second", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.ready("second").await?;
        world.console(&world.account, &number, Some(&[("SmsUrl", "https://elsewhere.example.com/")])).await?;
        world.look("reception", "drift").await?;
        world.ready("reception").await?;
        world.delete("second").await?;
        world.gone("second").await?;

        let mut texts = vec![("metrics", running.page("/metrics").await?)];
        let kinds = "clinicphonenumbers,configmaps,events.v1.events.k8s.io,serviceaccounts,roles,rolebindings";
        texts.push(("objects", world.space.kubectl(&["get", kinds, "--output=yaml", "--show-managed-fields"])?.ok()?));
        texts.push(("described", world.space.kubectl(&["describe", "cpn"])?.ok()?));
        assert!(running.child.terminate(Duration::from_secs(30))?.success());
        texts.push(("log", std::fs::read_to_string(&op.log)?));
        let canaries = [good, bad, secret];
        let mut forms: Vec<String> = canaries.iter().map(|canary| canary[..16].to_owned()).collect();
        for (canary, user) in canaries.iter().zip([world.account.sid.as_ref(), world.account.sid.as_ref(), &key]) {
            forms.push(data_encoding::BASE64.encode(canary.as_bytes())[..16].to_owned());
            let basic = data_encoding::BASE64.encode(format!("{user}:{canary}").as_bytes());
            forms.push(basic[50..66].to_owned());
        }
        for (place, text) in &texts {
            assert!(text.len() > 500, "{place} is not what it should be: {text}");
            for form in &forms {
                assert!(!text.contains(form.as_str()), "{place} has {form}");
            }
        }
        // The query of a webhook is in spec and where Twilio's state is repeated, and in no message, event or log.
        let log = &texts[3].1;
        assert!(log.contains("CreateIncomingPhoneNumber") && log.contains("DEBUG"), "the log is at debug level");
        for line in log.lines() {
            assert!(!line.contains("QuerySchluessel42"), "the webhook's query is in the log: {line}");
        }
        for event in world.events().await? {
            assert!(!event.contains("QuerySchluessel42"), "{event}");
        }
        let now = world.ready("reception").await?;
        for condition in status(&now).conditions {
            assert!(!condition.message.contains("QuerySchluessel42"), "{condition:?}");
        }
        assert!(is(&now, "Ready") && condition(&now, "Stalled").is_none());
        Ok(())
    })
}

/// Killed again and again, each time a call later.
#[test]
fn killed_again_and_again_it_buys_once() -> Outcome {
    installed(&SHORT, async |op: &mut Installed| {
        op.world.twilio.put_faults(vec![FaultSpec::always("CreateIncomingPhoneNumber", Fault::Slow(50))]);
        op.world.create("reception", json!({"phoneNumber": EXACT})).await?;
        // Each life ends at another call: the nth that Twilio sees.
        for calls in 1..=5 {
            let seen = op.world.twilio.calls().len();
            let running = op.start().await?;
            let more = |op: &Installed| op.world.twilio.calls().len() >= seen + calls || op.world.sold() > 0;
            op.world.so("calls", || more(op)).await?;
            running.child.kill()?;
        }
        let running = op.start().await?;
        assert_eq!(held(&op.world.ready("reception").await?), EXACT);
        assert_eq!((op.world.sold(), op.world.row(EXACT)?.sms_url.as_str()), (1, WEBHOOK));
        drop(running);
        Ok(())
    })
}
