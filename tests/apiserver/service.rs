//! A number in service: at rest nothing is written, somebody else's change is set back, and a number that is gone is never
//! replaced without a person's word.

use std::time::Duration;

use serde_json::json;

use crate::harness::Outcome;
use crate::world::{EXACT, Options, WEBHOOK, World, condition, held, is, life, message, status, version};

#[test]
fn at_rest_a_pass_is_one_list_and_no_write() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.ready("reception").await?;
        world.passes(2).await?;
        let before = world.space.get("reception").await?;
        // Passes first: to read the writes takes a while, and passes go on.
        let (begun, calls, writes) = (world.operator()?.passes(), world.calls().len(), world.writes()?.len());
        world.passes(10).await?;
        let more = world.calls().split_off(calls);
        let passed = usize::try_from(world.operator()?.passes() - begun)?;
        assert!(more.iter().all(|call| *call == "list"), "{more:?}");
        assert!(more.len() >= 9 && more.len() <= passed + 1, "{passed} passes, {more:?}");
        assert_eq!(world.space.get("reception").await?, before);
        assert_eq!(world.writes()?.len(), writes);
        Ok(())
    })
}

#[test]
fn at_rest_one_list_serves_all_numbers_of_an_account() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        let names = ["a", "b", "c", "d", "e"];
        for name in names {
            world.create(name, json!({})).await?;
        }
        let mut versions = Vec::new();
        for name in names {
            world.ready(name).await?;
        }
        world.passes(5).await?;
        for name in names {
            versions.push(version(&world.ready(name).await?));
        }
        let (begun, calls, writes) = (world.operator()?.passes(), world.calls().len(), world.writes()?.len());
        world.passes(50).await?;
        let more = world.calls().split_off(calls);
        let passed = usize::try_from(world.operator()?.passes() - begun)?;
        assert!(more.iter().all(|call| *call == "list"), "{more:?}");
        assert!(more.len() * 3 <= passed, "{} lists for {passed} passes over five numbers", more.len());
        for (name, version_then) in names.iter().zip(versions) {
            assert_eq!(version(&world.ready(name).await?), version_then);
        }
        assert_eq!(world.writes()?.len(), writes);
        Ok(())
    })
}

#[test]
fn drift_is_set_back_with_an_event_that_names_the_field() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let label = world.row(&number)?.friendly_name;
        let application = format!("AP{}", "1".repeat(32));
        for (field, value) in [
            ("SmsUrl", "https://elsewhere.example.com/"),
            ("SmsApplicationSid", application.as_str()),
            ("FriendlyName", "Front desk"),
        ] {
            world.console(&world.account, &number, Some(&[(field, value)])).await?;
            world.event("DriftRepaired", &[field, &number]).await?;
            let row = world.row(&number)?;
            assert_eq!((row.sms_url.as_str(), row.sms_application_sid.as_str()), (WEBHOOK, ""), "{field}");
            assert_eq!(row.friendly_name, label);
        }
        world.ready("reception").await?;
        assert_eq!((world.count("update"), world.sold()), (3, 1));
        Ok(())
    })
}

#[test]
fn a_field_that_somebody_else_keeps_writing_is_contested() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        for round in 1..=3 {
            let theirs = format!("https://elsewhere.example.com/{round}");
            world.console(&world.account, &number, Some(&[("SmsUrl", &theirs)])).await?;
            world.so("a repair", || world.row(&number).is_ok_and(|row| row.sms_url == WEBHOOK)).await?;
        }
        world.console(&world.account, &number, Some(&[("SmsUrl", "https://elsewhere.example.com/4")])).await?;
        let contested = world.reason("reception", "DriftContested").await?;
        assert!(message(&contested).contains("SmsUrl"), "{}", message(&contested));
        assert!(is(&contested, "Stalled") && !is(&contested, "InboundSms"), "the truth: it is not wired");
        assert_eq!(world.count("update"), 3);
        world.look("reception", "the other writer was stopped").await?;
        world.ready("reception").await?;
        assert_eq!((world.count("update"), world.row(&number)?.sms_url.as_str()), (4, WEBHOOK));
        Ok(())
    })
}

#[test]
fn a_change_of_the_spec_is_brought_to_twilio() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({"sms": {"fallbackURL": "https://sms.example.com/fallback"}})).await?;
        let number = held(&world.ready("reception").await?);
        let url = "https://sms.example.com/new";
        world
            .edit("reception", json!({"sms": {"webhookURL": url, "fallbackURL": null}, "friendlyName": "Accueil"}))
            .await?;
        let now = world.ready("reception").await?;
        assert_eq!(status(&now).webhook.map(|webhook| webhook.url).as_deref(), Some(url));
        let row = world.row(&number)?;
        assert_eq!((row.sms_url.as_str(), row.friendly_name.ends_with(" Accueil")), (url, true));
        assert_eq!(world.count("update"), 1);
        let sent = world.sent().into_iter().find(|sent| sent.what == "update").ok_or("no update")?;
        let mut fields: Vec<_> = sent.form.iter().map(|(name, _)| name.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["FriendlyName", "SmsFallbackUrl", "SmsUrl"], "what differs and nothing else");
        world.event("NumberConfigured", &["SmsUrl", "FriendlyName", &number]).await?;
        assert!(world.events().await?.iter().all(|event| !event.starts_with("DriftRepaired")));
        // The calls, which nobody managed so far.
        world.edit("reception", json!({"voice": {"webhookURL": "https://voice.example.com/"}})).await?;
        world.ready("reception").await?;
        assert_eq!(world.count("update"), 2);
        Ok(())
    })
}

#[test]
fn a_look_that_is_asked_for_is_fresh_and_acknowledged() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let calls = world.calls().len();
        world.look("reception", "1").await?;
        assert_eq!(world.calls().split_off(calls), ["get"]);
        world.console(&world.account, &number, Some(&[("SmsUrl", "https://elsewhere.example.com/")])).await?;
        world.look("reception", "2").await?;
        world.ready("reception").await?;
        assert_eq!(world.row(&number)?.sms_url, WEBHOOK);
        assert_eq!(world.calls().split_off(calls), ["get", "get", "update"]);
        world.event("DriftRepaired", &["SmsUrl"]).await?;
        // The same token again asks for nothing.
        let before = world.space.get("reception").await?;
        world.ask("reception", "2").await?;
        assert_eq!(world.space.get("reception").await?, before);
        Ok(())
    })
}

#[test]
fn another_ones_tag_is_not_drift() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let label = world.row(&number)?.friendly_name;
        let theirs = [("FriendlyName", "[cpn:aaaaa.bbbbbbbbbbb] theirs"), ("SmsUrl", "https://theirs.example.com/")];
        world.console(&world.account, &number, Some(&theirs)).await?;
        let elsewhere = world.reason("reception", "NumberClaimedElsewhere").await?;
        assert!(is(&elsewhere, "Stalled") && !is(&elsewhere, "InboundSms"), "{:?}", status(&elsewhere).conditions);
        assert_eq!(held(&elsewhere), number, "it is still this resource's as far as anybody knows");
        world.look("reception", "still theirs?").await?;
        assert_eq!(world.count("update"), 0, "nothing is written to what another one believes to be theirs");
        assert_eq!(world.row(&number)?.sms_url, "https://theirs.example.com/");

        world.console(&world.account, &number, Some(&[("FriendlyName", &label)])).await?;
        world.look("reception", "ours again").await?;
        world.ready("reception").await?;
        assert_eq!((world.row(&number)?.sms_url.as_str(), world.sold()), (WEBHOOK, 1));
        Ok(())
    })
}

#[test]
fn a_number_that_is_gone_is_told_and_never_replaced_by_itself() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        let before = world.ready("reception").await?;
        let row = world.row(EXACT)?;
        world.console(&world.account, EXACT, None).await?;
        let lost = world.reason("reception", "NumberLost").await?;
        assert!(is(&lost, "Stalled") && message(&lost).contains("forget-number"), "{}", message(&lost));
        assert_eq!(condition(&lost, "NumberAcquired").map(|c| c.0).as_deref(), Some("False"));
        assert_eq!(status(&lost).phone_number_sid, status(&before).phone_number_sid, "it is not forgotten");
        assert_eq!((world.sold(), world.count("buy")), (1, 1));

        // Twilio's support gave it back, SID and all.
        let back =
            json!({"phoneNumber": EXACT, "sid": row.sid, "friendlyName": row.friendly_name, "smsUrl": row.sms_url});
        world.hold(&world.account, &json!([back]))?;
        world.look("reception", "it is back").await?;
        world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("update")), (1, 0));
        Ok(())
    })
}

/// As in production: the next look by itself is an hour away.
#[test]
fn a_lost_number_is_found_out_and_given_up_when_a_person_asks() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.console(&world.account, &number, None).await?;
        world.look("reception", "is it there?").await?;
        world.reason("reception", "NumberLost").await?;
        // Another number's name gives up nothing.
        world.forget("reception", EXACT).await?;
        world.look("reception", "again").await?;
        world.reason("reception", "NumberLost").await?;
        assert_eq!(world.sold(), 1);
        world.forget("reception", &number).await?;
        let now = world.until("reception", "another number", |n| is(n, "Ready") && held(n) != number).await?;
        assert_ne!(held(&now), number);
        assert_eq!(world.sold(), 2);
        world.event("NumberForgotten", &[&number]).await?;
        Ok(())
    })
}

#[test]
fn a_number_under_another_sid_is_recognised_by_its_tag() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        let before = world.ready("reception").await?;
        let row = world.row(EXACT)?;
        world.console(&world.account, EXACT, None).await?;
        world.hold(&world.account, &json!([{"phoneNumber": EXACT, "friendlyName": row.friendly_name}]))?;
        let sid = world.row(EXACT)?.sid;
        let now = world
            .until("reception", "the new SID", |n| status(n).phone_number_sid.as_deref() == Some(sid.as_ref()))
            .await?;
        assert_ne!(status(&now).phone_number_sid, status(&before).phone_number_sid);
        world.ready("reception").await?;
        assert_eq!((world.sold(), world.row(EXACT)?.sms_url.as_str()), (1, WEBHOOK));
        Ok(())
    })
}

/// Its own resource cannot look, because its Secret is gone; others of the account must not wait for that.
#[test]
fn a_number_that_is_gone_does_not_keep_its_account_from_buying() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let data = json!({"accountSid": world.account.sid, "authToken": world.account.token});
        world.secret("leaving", &data).await?;
        world.create("first", json!({"credentialsSecretRef": {"name": "leaving"}})).await?;
        let number = held(&world.ready("first").await?);
        world.no_secret("leaving").await?;
        world.console(&world.account, &number, None).await?;
        // Long enough for the list to be expected to have it.
        world.clock.advance(Duration::from_secs(600));
        world.create("second", json!({})).await?;
        world.ready("second").await?;
        assert_eq!(world.sold(), 2);
        Ok(())
    })
}
