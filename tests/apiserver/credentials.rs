//! Credentials: missing, wrong, of somebody else, changed in service. Told by name, mended within seconds, never a storm.

use std::time::Duration;

use clinic_phone_operator::simulator::{AccountPatch, AccountStatus};
use serde_json::json;

use crate::harness::Outcome;
use crate::world::{Options, WEBHOOK, World, condition, held, is, life, message};

fn basic(account: &crate::world::Account, token: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{}:{token}", account.sid).as_bytes()))
}

#[test]
fn a_secret_that_comes_later_is_noticed() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.no_secret("twilio").await?;
        world.create("reception", json!({})).await?;
        let waiting = world.reason("reception", "WaitingForCredentials").await?;
        assert!(message(&waiting).contains("Secret twilio") && is(&waiting, "Reconciling"), "{}", message(&waiting));
        assert!(world.calls().is_empty());
        world.passes(1).await?;
        let version = crate::world::version(&world.reason("reception", "WaitingForCredentials").await?);
        let passes = world.operator()?.passes();
        world.passes(1).await?;
        assert_eq!(crate::world::version(&world.reason("reception", "WaitingForCredentials").await?), version);
        world.credentials(&world.account).await?;
        world.ready("reception").await?;
        let needed = world.operator()?.passes() - passes;
        assert!(needed <= 4, "{needed} passes");
        assert_eq!(world.sold(), 1);
        Ok(())
    })
}

#[test]
fn what_is_wrong_with_a_secret_is_named_and_nothing_is_sent() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (sid, token) = (world.account.sid.to_string(), world.account.token.clone());
        let key = format!("SK{}", "7".repeat(32));
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        let calls = world.calls().len();
        for (name, data, reason, words) in [
            ("no-token", json!({"accountSid": sid}), "WaitingForCredentials", "authToken"),
            ("no-account", json!({"authToken": token}), "WaitingForCredentials", "accountSid"),
            ("half-a-key", json!({"accountSid": sid, "apiKeySid": key}), "WaitingForCredentials", "apiKeySecret"),
            ("swapped", json!({"accountSid": token, "authToken": sid}), "CredentialsRejected", "accountSid"),
            ("key-as-account", json!({"accountSid": key, "authToken": token}), "CredentialsRejected", "accountSid"),
            ("empty", json!({"accountSid": sid, "authToken": ""}), "CredentialsRejected", "authToken"),
        ] {
            world.secret(name, &data).await?;
            world.create(name, json!({"credentialsSecretRef": {"name": name}})).await?;
            let told = world.reason(name, reason).await?;
            assert!(message(&told).contains(words) && message(&told).contains(name), "{name}: {}", message(&told));
            assert!(!message(&told).contains(&token), "{name}: the token is told");
            assert_eq!(is(&told, "Stalled"), reason == "CredentialsRejected", "{name}");
        }
        assert_eq!((world.calls().len(), world.sold()), (calls, 1));
        // Mended, each is on its way within seconds.
        for name in ["no-token", "swapped"] {
            world.secret(name, &json!({"accountSid": sid, "authToken": token})).await?;
            world.ready(name).await?;
        }
        Ok(())
    })
}

#[test]
fn a_line_end_in_a_secret_does_not_matter() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (sid, token) = (format!("{}\n", world.account.sid), format!("{}\r\n", world.account.token));
        world.secret("twilio", &json!({"accountSid": sid, "authToken": token})).await?;
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        Ok(())
    })
}

#[test]
fn a_wrong_token_is_tried_once_and_a_right_one_at_once() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let wrong = "a".repeat(32);
        world.secret("twilio", &json!({"accountSid": world.account.sid, "authToken": wrong})).await?;
        for name in ["a", "b", "c"] {
            world.create(name, json!({})).await?;
        }
        for name in ["a", "b", "c"] {
            let told = world.reason(name, "CredentialsRejected").await?;
            assert!(is(&told, "Stalled") && message(&told).contains("Secret"), "{}", message(&told));
            assert_eq!(condition(&told, "CredentialsValid").map(|c| c.0).as_deref(), Some("False"));
        }
        let calls = world.calls().len();
        assert!(calls <= 3, "{:?}", world.calls());
        world.passes(6).await?;
        assert_eq!(world.calls().len(), calls, "the same credentials are not shown again");
        world.credentials(&world.account).await?;
        for name in ["a", "b", "c"] {
            world.ready(name).await?;
        }
        assert_eq!(world.sold(), 3);
        Ok(())
    })
}

#[test]
fn a_token_that_is_rotated_in_service_is_used_from_the_next_call_on() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        let last = |world: &World| world.sent().pop().map(|sent| sent.authorization).unwrap_or_default();
        assert_eq!(last(world), basic(&world.account, &world.account.token));
        // Rotated at Twilio first: told, and nothing is lost.
        let new = "b".repeat(32);
        let patch = AccountPatch { auth_token: Some(new.clone()), ..AccountPatch::default() };
        assert!(world.twilio.patch_account(&world.account.sid, patch));
        world.ask("reception", "1").await?;
        let told = world.reason("reception", "CredentialsRejected").await?;
        assert!(!held(&told).is_empty());
        assert_eq!(condition(&told, "Observed").map(|c| c.0).as_deref(), Some("False"));
        world.secret("twilio", &json!({"accountSid": world.account.sid, "authToken": new})).await?;
        world.ready("reception").await?;
        assert_eq!(last(world), basic(&world.account, &new));
        assert_eq!((world.sold(), world.count("buy"), world.count("update")), (1, 1, 0));
        Ok(())
    })
}

#[test]
fn a_secret_that_is_gone_does_not_put_a_number_out_of_service() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        world.no_secret("twilio").await?;
        let blind = world
            .until("reception", "Observed=False", |n| condition(n, "Observed").is_some_and(|c| c.0 == "False"))
            .await?;
        assert!(is(&blind, "Ready"), "{:?}", condition(&blind, "Ready"));
        assert_eq!(condition(&blind, "Observed").map(|c| c.1).as_deref(), Some("WaitingForCredentials"));
        world.credentials(&world.account).await?;
        world.until("reception", "Observed", |n| is(n, "Observed")).await?;
        Ok(())
    })
}

#[test]
fn another_accounts_secret_does_nothing_to_a_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let other = world.open_account(2)?;
        world.credentials(&other).await?;
        let calls = world.calls().len();
        world.edit("reception", json!({"sms": {"webhookURL": "https://sms.example.com/new"}})).await?;
        let told = world.reason("reception", "AccountMismatch").await?;
        assert!(message(&told).contains(other.sid.as_ref()) && message(&told).contains(world.account.sid.as_ref()));
        assert!(is(&told, "Stalled") && held(&told) == number);
        assert_eq!((world.calls().len(), world.row(&number)?.sms_url.as_str()), (calls, WEBHOOK));
        // Not even a deletion with the wrong account does anything there.
        world.credentials(&world.account).await?;
        world.ready("reception").await?;
        assert_eq!(world.row(&number)?.sms_url, "https://sms.example.com/new");
        assert_eq!(world.sold(), 1);
        Ok(())
    })
}

#[test]
fn a_suspended_account_recovers_by_itself() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        let to = |status| AccountPatch { status: Some(status), ..AccountPatch::default() };
        assert!(world.twilio.patch_account(&world.account.sid, to(AccountStatus::Suspended)));
        world.ask("reception", "is it suspended?").await?;
        world.create("reminders", json!({})).await?;
        for name in ["reception", "reminders"] {
            let told = world.reason(name, "AccountSuspended").await?;
            assert!(is(&told, "Stalled"));
            assert_eq!(condition(&told, "CredentialsValid").map(|c| c.0).as_deref(), Some("False"));
        }
        let calls = world.calls().len();
        world.passes(4).await?;
        assert_eq!(world.calls().len(), calls, "nothing is called until the slow probe");
        assert!(world.twilio.patch_account(&world.account.sid, to(AccountStatus::Active)));
        world.clock.advance(Duration::from_secs(16 * 60));
        world.ready("reception").await?;
        world.ready("reminders").await?;
        assert_eq!(world.sold(), 2);
        Ok(())
    })
}
