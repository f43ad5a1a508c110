//! Whether messages arrive and leave, as status says and as they do.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use clinic_phone_operator::api::ClinicPhoneNumber;
use clinic_phone_operator::domain::MessagingServiceSid;
use clinic_phone_operator::probe::TransportError;
use clinic_phone_operator::simulator::{AccountPatch, AccountType, Compliance, Fault, FaultSpec, InboundMessage};
use clinic_phone_operator::twilio::signature;
use http::Method;
use serde_json::{Value, json};

use crate::audit::{run_as, serve};
use crate::harness::Outcome;
use crate::world::{BARE, Options, World, condition, held, is_ready, life, reason, status};

const INBOUND: &str = "InboundSms";
const OUTBOUND: &str = "OutboundSms";

fn looking() -> Options {
    Options { messaging: Duration::from_secs(1), ..Options::default() }
}

/// Status and reason of a condition.
fn told(number: &ClinicPhoneNumber, kind: &str) -> (String, String) {
    condition(number, kind).map(|(status, reason, _)| (status, reason)).unwrap_or_default()
}

fn says(kind: &'static str, status: &'static str, reason: &'static str) -> impl Fn(&ClinicPhoneNumber) -> bool {
    move |number| told(number, kind) == (status.to_owned(), reason.to_owned())
}

/// Makes a Messaging Service.
async fn service(world: &World, form: &[(&str, &str)]) -> Result<MessagingServiceSid, Box<dyn Error>> {
    let made = world.as_owner(&world.account, Method::POST, "/v1/Services", form).await?;
    Ok(made.get("sid").and_then(Value::as_str).ok_or("no SID")?.parse()?)
}

async fn change(world: &World, service: &MessagingServiceSid, form: &[(&str, &str)]) -> Result<Value, Box<dyn Error>> {
    world.as_owner(&world.account, Method::POST, &format!("/v1/Services/{service}"), form).await
}

async fn join(world: &World, service: &MessagingServiceSid, number: &ClinicPhoneNumber) -> Outcome {
    let sid = status(number).phone_number_sid.ok_or("no SID")?;
    let path = format!("/v1/Services/{service}/PhoneNumbers");
    world.as_owner(&world.account, Method::POST, &path, &[("PhoneNumberSid", &sid)]).await.map(drop)
}

/// Whether Twilio throws a message to the number away, without that any webhook is called.
async fn thrown_away(world: &World, number: &str) -> Result<bool, Box<dyn Error>> {
    let message = InboundMessage { from: "+14185550199".to_owned(), to: number.parse()?, body: "Oui".to_owned() };
    Ok(world.twilio.deliver(message).await.error.is_some_and(|error| error.contains("thrown away")))
}

/// A number in a Messaging Service, in every way that a service can treat it; and what Twilio does with a message each time.
#[test]
fn a_messaging_service_that_takes_messages_is_found_and_told() -> Outcome {
    life(looking(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let ready = world.ready("reception").await?;
        let number = held(&ready);
        world.until("reception", "wired", says(INBOUND, "True", "Wired")).await?;
        let shadow =
            service(world, &[("FriendlyName", "Reminders"), ("InboundRequestUrl", "https://crm.example.com/in")])
                .await?;
        join(world, &shadow, &ready).await?;

        let told = world.until("reception", "shadowed", says(INBOUND, "False", "ShadowedByService")).await?;
        assert!(is_ready(&told), "the number is as the spec says");
        let (.., message) = condition(&told, INBOUND).ok_or("no condition")?;
        for words in [shadow.as_str(), "(Reminders)", "URL of its own", "Defer to sender's webhook"] {
            assert!(message.contains(words), "{words}: {message}");
        }
        assert!(!thrown_away(world, &number).await?);

        change(world, &shadow, &[("InboundRequestUrl", "")]).await?;
        let thrown = |number: &ClinicPhoneNumber| {
            condition(number, INBOUND).is_some_and(|(.., message)| message.contains("throws incoming messages away"))
        };
        world.until("reception", "thrown away", thrown).await?;
        assert!(thrown_away(world, &number).await?);

        change(world, &shadow, &[("UseInboundWebhookOnNumber", "true")]).await?;
        world.until("reception", "left to the number", says(INBOUND, "True", "Wired")).await?;
        assert!(!thrown_away(world, &number).await?);
        let webhook = status(&told).webhook.ok_or("no webhook")?.url;
        change(world, &shadow, &[("UseInboundWebhookOnNumber", "false"), ("InboundRequestUrl", &webhook)]).await?;
        let same = |number: &ClinicPhoneNumber| {
            condition(number, INBOUND).is_some_and(|(.., message)| message.contains("has the same URL"))
        };
        world.until("reception", "the same URL", same).await?;

        change(world, &shadow, &[("InboundRequestUrl", "https://crm.example.com/in")]).await?;
        world.until("reception", "shadowed again", says(INBOUND, "False", "ShadowedByService")).await?;
        world.as_owner(&world.account, Method::DELETE, &format!("/v1/Services/{shadow}"), &[]).await?;
        world.until("reception", "in no service", says(INBOUND, "True", "Wired")).await?;
        assert!(world.sent().iter().all(|sent| sent.what != "update"), "nothing was changed at Twilio for this");
        Ok(())
    })
}

/// An adopted number may be in a service that nobody here knows of: until that was looked at nothing is promised.
#[test]
fn nothing_is_promised_of_an_adopted_number_before_it_was_looked_at() -> Outcome {
    life(looking(), async |world: &mut World| {
        world.twilio.put_faults(vec![FaultSpec::always("ListService", Fault::Http503)]);
        world.hold(&world.account, &json!([{"phoneNumber": "+14185559001"}]))?;
        let spec = json!({"phoneNumber": "+14185559001", "search": null, "adoptionPolicy": "IfOwned"});
        world.create("reception", spec).await?;
        let unseen = world.until("reception", "in service, unseen", |number| {
            is_ready(number) && told(number, INBOUND) == ("Unknown".to_owned(), "NotChecked".to_owned())
        });
        unseen.await?;
        world.twilio.put_faults(Vec::new());
        world.until("reception", "looked at", says(INBOUND, "True", "Wired")).await?;
        Ok(())
    })
}

/// What carriers ask of senders, as it is decided; and a trial account.
#[test]
fn outgoing_messages_are_promised_as_carriers_allow() -> Outcome {
    life(looking(), async |world: &mut World| {
        world.create("states", json!({"search": {"country": "US", "areaCodes": ["212"]}})).await?;
        world.create("free", json!({"search": {"country": "US", "type": "TollFree", "areaCodes": ["833"]}})).await?;
        world.create("canada", json!({})).await?;
        let blocked = || says(OUTBOUND, "False", "NotRegistered");
        let states = world.until("states", "blocked", blocked()).await?;
        let free = world.until("free", "blocked", blocked()).await?;
        world.until("canada", "sends to Canada", says(OUTBOUND, "True", "Capable")).await?;
        assert!(is_ready(&states) && is_ready(&free));

        let campaign = service(world, &[("FriendlyName", "US"), ("UseInboundWebhookOnNumber", "true")]).await?;
        join(world, &campaign, &states).await?;
        let of = |state: &str| Compliance {
            campaigns: [(campaign.clone(), state.to_owned())].into(),
            ..Compliance::default()
        };
        world.twilio.put_compliance(of("IN_PROGRESS"))?;
        let pending = |number: &ClinicPhoneNumber| {
            condition(number, OUTBOUND).is_some_and(|(.., message)| message.contains("handed in and not decided"))
        };
        world.until("states", "pending", pending).await?;
        world.twilio.put_compliance(of("VERIFIED"))?;
        world.until("states", "registered", says(OUTBOUND, "True", "Registered")).await?;

        let sid: clinic_phone_operator::domain::PhoneNumberSid =
            status(&free).phone_number_sid.ok_or("no SID")?.parse()?;
        let verified =
            |state: &str| Compliance { toll_free: [(sid.clone(), state.to_owned())].into(), ..Compliance::default() };
        world.twilio.put_compliance(verified("TWILIO_REJECTED"))?;
        let rejected = |number: &ClinicPhoneNumber| {
            condition(number, OUTBOUND).is_some_and(|(.., message)| message.contains("it was rejected"))
        };
        world.until("free", "rejected", rejected).await?;
        world.twilio.put_compliance(verified("TWILIO_APPROVED"))?;
        world.until("free", "verified", says(OUTBOUND, "True", "Registered")).await?;

        world.twilio.patch_account(
            &world.account.sid,
            AccountPatch { kind: Some(AccountType::Trial), ..AccountPatch::default() },
        );
        for name in ["states", "free", "canada"] {
            let trial = world.until(name, "a trial account", says(OUTBOUND, "False", "TrialAccount")).await?;
            assert!(is_ready(&trial));
        }
        Ok(())
    })
}

/// A key without the right, an answer that cannot be used, silence: the number serves, and what is not known is said to be unknown.
#[test]
fn what_cannot_be_looked_at_disturbs_nothing() -> Outcome {
    life(looking(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.so("it was looked at", || world.count("services") > 1).await?;
        world.narrow_key("narrow", 2, &BARE).await?;
        world.create("narrow", json!({"credentialsSecretRef": {"name": "narrow"}})).await?;
        let narrow = world.until("narrow", "not checked", says(INBOUND, "Unknown", "NotChecked")).await?;
        let (.., why) = condition(&narrow, INBOUND).ok_or("no condition")?;
        assert!(is_ready(&narrow) && why.contains("API key") && why.contains("70051"), "{why}");
        assert_eq!(told(&narrow, OUTBOUND), ("True".to_owned(), "Capable".to_owned()));

        // What was read before still counts while it cannot be read again.
        world.until("reception", "wired", says(INBOUND, "True", "Wired")).await?;
        for fault in [Fault::Http503, Fault::Garbage, Fault::NotFound, Fault::ResetBefore] {
            let asked = world.count("services");
            world.twilio.put_faults(vec![FaultSpec::always("ListService", fault)]);
            world.so("it was asked for", || world.count("services") > asked + 2).await?;
            let number = world.look("reception", &format!("{fault:?}")).await?;
            assert_eq!(told(&number, INBOUND), ("True".to_owned(), "Wired".to_owned()), "{fault:?}");
            world.twilio.put_faults(Vec::new());
        }
        Ok(())
    })
}

const VERIFIED: &str = "WebhookVerified";

/// The URL and form of a signed message, and whether the signature is right.
fn signed(request: &http::Request<Bytes>, token: &str) -> bool {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
    let header = request.headers().get("X-Twilio-Signature").and_then(|value| value.to_str().ok());
    let marked = form.iter().any(|(name, value)| name == "ClinicPhoneOperatorVerification" && value == "true");
    marked && header.is_some_and(|header| signature::verify(&request.uri().to_string(), &form, header, token))
}

/// Tried when it is first wired, when the URL changes, and again when it failed; what it answers is told, with a remedy.
#[test]
fn a_webhook_is_tried_with_a_signed_message_where_that_is_asked_for() -> Outcome {
    life(looking(), async |world: &mut World| {
        let sms = |url: &str| json!({"sms": {"webhookURL": url, "verification": "SignedRequest"}});
        world.create("silent", json!({})).await?;
        world.create("reception", sms("https://sms.example.com/one")).await?;
        let ready = world.until("reception", "verified", says(VERIFIED, "True", "Verified")).await?;
        assert!(is_ready(&ready) && status(&ready).webhook.is_some_and(|webhook| webhook.verified_at.is_some()));
        let tried = world.webhook.tried();
        assert!(tried.iter().all(|request| signed(request, &world.account.token)), "{tried:?}");
        assert_eq!(tried.len(), 1, "once, and nobody else's");

        world.webhook.answers(Ok(403));
        world.edit("reception", sms("https://sms.example.com/two")).await?;
        let refused = world.until("reception", "refused", says(VERIFIED, "False", "SignatureRefused")).await?;
        let (.., why) = condition(&refused, VERIFIED).ok_or("no condition")?;
        assert!(why.contains("auth token") && why.contains("403") && is_ready(&refused), "{why}");
        assert_eq!(
            world.webhook.tried().last().map(|request| request.uri().to_string()).as_deref(),
            Some("https://sms.example.com/two")
        );

        // Another URL is tried at once, whatever became of the one before.
        for (n, (error, reason)) in [
            (TransportError::Tls("UnknownIssuer".to_owned()), "TlsFailed"),
            (TransportError::TimedOut, "TimedOut"),
            (TransportError::NotPublic, "NotPublic"),
            (TransportError::Unreachable("refused".to_owned()), "Unreachable"),
        ]
        .into_iter()
        .enumerate()
        {
            world.webhook.answers(Err(error));
            world.edit("reception", sms(&format!("https://sms.example.com/{n}"))).await?;
            world.until("reception", reason, says(VERIFIED, "False", reason)).await?;
        }
        world.webhook.answers(Ok(204));
        world.edit("reception", sms("https://sms.example.com/last")).await?;
        world.until("reception", "verified again", says(VERIFIED, "True", "Verified")).await?;
        world.edit("reception", json!({"sms": {"verification": "None"}})).await?;
        let off = world.until("reception", "not asked for", |number| condition(number, VERIFIED).is_none()).await?;
        assert!(is_ready(&off));
        assert!(condition(&world.ready("silent").await?, VERIFIED).is_none());
        Ok(())
    })
}

/// Set by hand: nothing is written, the URL to copy is shown, and whether it is there.
#[test]
fn a_webhook_that_is_set_by_hand_is_shown_and_never_written() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let url = "https://sms.example.com/by-hand";
        world.create("reception", json!({"sms": {"webhookURL": url, "management": "Observed"}})).await?;
        let number = world.ready("reception").await?;
        let shown = |number: &ClinicPhoneNumber| {
            status(number).webhook.map(|webhook| (webhook.url, webhook.configured_at.is_some()))
        };
        assert_eq!(
            (told(&number, INBOUND), shown(&number)),
            (("False".to_owned(), "NotWired".to_owned()), Some((url.to_owned(), false)))
        );
        let (.., how) = condition(&number, INBOUND).ok_or("no condition")?;
        assert!(how.contains("status.webhook.url") && how.contains("HTTP POST"), "{how}");
        let it = held(&number);
        assert_eq!(world.row(&it)?.sms_url, "");

        world.console(&world.account, &it, Some(&[("SmsUrl", url)])).await?;
        let seen = world.look("reception", "by hand").await?;
        assert_eq!((told(&seen, INBOUND).1.as_str(), shown(&seen)), ("Wired", Some((url.to_owned(), true))));
        world.console(&world.account, &it, Some(&[("SmsUrl", "https://elsewhere.example.com")])).await?;
        let gone = world.look("reception", "again").await?;
        assert_eq!((told(&gone, INBOUND).1.as_str(), is_ready(&gone)), ("NotWired", true));
        assert_eq!(world.row(&it)?.sms_url, "https://elsewhere.example.com");
        assert_eq!(world.count("update"), 0);

        world.edit("reception", json!({"sms": {"management": "Managed"}})).await?;
        world.until("reception", "managed", says(INBOUND, "True", "Wired")).await?;
        assert_eq!((world.row(&it)?.sms_url.as_str(), world.sold()), (url, 1));
        Ok(())
    })
}

/// An API key alone cannot sign.
#[test]
fn without_the_auth_token_no_webhook_is_tried() -> Outcome {
    life(looking(), async |world: &mut World| {
        world.narrow_key("narrow", 2, &BARE).await?;
        let spec = json!({"credentialsSecretRef": {"name": "narrow"}, "sms": {"verification": "SignedRequest"}});
        world.create("reception", spec).await?;
        let untried = |number: &ClinicPhoneNumber| {
            condition(number, VERIFIED)
                .is_some_and(|(status, _, why)| status == "Unknown" && why.contains("add key \"authToken\""))
        };
        let number = world.until("reception", "not tried", untried).await?;
        assert!(is_ready(&number) && world.webhook.tried().is_empty());
        Ok(())
    })
}

/// Into a service, into another, out of it, with the real API server: and a service that would swallow messages is not joined.
#[test]
fn a_number_goes_into_its_messaging_service_and_out_of_it() -> Outcome {
    life(looking(), async |world: &mut World| {
        let swallowing = service(world, &[("FriendlyName", "Swallows")]).await?;
        let open = [("FriendlyName", "Defers"), ("UseInboundWebhookOnNumber", "true")];
        let (first, second) = (service(world, &open).await?, service(world, &open).await?);
        let wanted = |sid: &MessagingServiceSid| json!({"sms": {"messagingServiceSID": sid}});
        world.create("reception", wanted(&swallowing)).await?;
        let refused = |number: &ClinicPhoneNumber| reason(number) == "MessagingServiceRefused";
        let stalled = world.until("reception", "refused", refused).await?;
        let number = held(&stalled);
        assert_eq!(told(&stalled, "NumberAcquired").0, "True");
        assert!(status(&stalled).messaging_service.is_none());
        let (.., message) = condition(&stalled, "Stalled").ok_or("not stalled")?;
        assert!(message.contains("Defer to sender's webhook"), "{message}");

        for sid in [&first, &second] {
            world.edit("reception", wanted(sid)).await?;
            let there = |number: &ClinicPhoneNumber| {
                let of = status(number).messaging_service.filter(|of| of.joined_at.is_some());
                is_ready(number) && of.is_some_and(|of| of.sid == sid.as_str())
            };
            world.until("reception", "in its service", there).await?;
            assert_eq!(members(world, sid).await?, std::slice::from_ref(&number));
            assert!(!thrown_away(world, &number).await?);
        }
        assert!(members(world, &first).await?.is_empty());
        world.until("reception", "wired", says(INBOUND, "True", "Wired")).await?;

        world.edit("reception", json!({"sms": {"messagingServiceSID": null}})).await?;
        world.until("reception", "in none", |n| is_ready(n) && status(n).messaging_service.is_none()).await?;
        assert!(members(world, &second).await?.is_empty());
        assert_eq!((world.sold(), world.released()), (1, 0));
        Ok(())
    })
}

/// The numbers in a service.
async fn members(world: &World, service: &MessagingServiceSid) -> Result<Vec<String>, Box<dyn Error>> {
    let path = format!("/v1/Services/{service}/PhoneNumbers");
    let all = world.as_owner(&world.account, Method::GET, &path, &[]).await?;
    let all = all.get("phone_numbers").and_then(Value::as_array).ok_or("no list")?.clone();
    Ok(all.iter().filter_map(|one| one.get("phone_number")?.as_str().map(str::to_owned)).collect())
}

/// The command, as a person runs it: with the price agreed to, without, and of a resource that is not there.
#[test]
fn test_sms_sends_through_the_number_that_a_resource_holds() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let served = serve(world).await?;
        let kubeconfig = world.space.env.control_plane.kubeconfig();
        let test = |flags: &[&str]| {
            let usual = ["--namespace", &world.space.namespace, "--twilio-url", &served.url];
            let ended = run_as(&kubeconfig, "test-sms", &[&usual, flags].concat())?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ok::<_, Box<dyn Error>>((ended.status.code(), text(&ended.stdout), text(&ended.stderr)))
        };
        let to = "+14185550199";
        let (code, out, told) = test(&["reception", "--to", to])?;
        assert_eq!((code, out.as_str()), (Some(2), "nothing was sent\n"), "{told}");
        assert!(told.contains("0.0075 USD") && told.contains("--yes"), "{told}");
        let (code, out, told) = test(&["reception", "--to", to, "--yes"])?;
        assert_eq!(code, Some(0), "{out}{told}");
        assert!(out.contains("was delivered to +14185550199") && told.contains(&number), "{out}{told}");
        world
            .twilio
            .put_fates(serde_json::from_value(json!([{"to": to, "status": "undelivered", "errorCode": 30007}]))?);
        let (code, out, _) = test(&["reception", "--to", to, "--yes"])?;
        assert!(code == Some(1) && out.contains("a carrier took it for spam (Twilio 30007)"), "{out}");
        let (code, _, told) = test(&["nobody", "--inbound"])?;
        assert!(code == Some(1) && told.contains("no ClinicPhoneNumber nobody in namespace"), "{told}");
        Ok(())
    })
}
