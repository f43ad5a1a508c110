//! The end of a life: a number stays unless its release was asked for twice, and whatever was sent before is accounted for.

use std::error::Error;

use clinic_phone_operator::simulator::{Fault, FaultSpec};
use serde_json::{Value, json};

use crate::harness::{OPERATOR, Outcome, number};
use crate::world::{EXACT, Options, WEBHOOK, World, condition, held, is, life, message, spec};

fn release() -> Value {
    json!({"phoneNumber": EXACT, "deletionPolicy": "Release", "releaseConfirmation": EXACT})
}

#[test]
fn retain_keeps_the_number_as_it_is() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let row = world.row(&number)?;
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!(world.row(&number)?, row, "tag and webhook too");
        assert_eq!((world.released(), world.count("release"), world.count("update")), (0, 0, 0));
        world.event("NumberRetained", &[&number, world.account.sid.as_ref()]).await?;
        Ok(())
    })
}

#[test]
fn a_confirmed_release_gives_the_number_back_once() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", release()).await?;
        world.ready("reception").await?;
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!((world.released(), world.count("release"), world.sold()), (1, 1, 1));
        assert_eq!(world.twilio.ledger().releases[0].phone_number.as_str(), EXACT);
        assert!(world.twilio.numbers().is_empty());
        world.event("NumberReleased", &[EXACT]).await?;
        Ok(())
    })
}

#[test]
fn a_release_without_an_answer_is_found_out() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", release()).await?;
        world.ready("reception").await?;
        world.twilio.put_faults(vec![FaultSpec::once("DeleteIncomingPhoneNumber", Fault::TimeoutAfter)]);
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!((world.released(), world.count("release")), (1, 1));
        Ok(())
    })
}

#[test]
fn a_wrong_confirmation_keeps_the_number_and_says_what_is_missing() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let but = json!({"phoneNumber": EXACT, "deletionPolicy": "Release", "releaseConfirmation": "+14185550199"});
        world.create("reception", but).await?;
        world.ready("reception").await?;
        world.delete("reception").await?;
        let waiting = world.reason("reception", "ConfirmationRequired").await?;
        assert!(message(&waiting).contains("spec.releaseConfirmation") && message(&waiting).contains(EXACT));
        assert!(is(&waiting, "Reconciling") && !is(&waiting, "Stalled"));
        assert_eq!((held(&waiting).as_str(), world.count("release")), (EXACT, 0));
        world.edit("reception", json!({"releaseConfirmation": EXACT})).await?;
        world.gone("reception").await?;
        assert_eq!((world.released(), world.count("release")), (1, 1));
        Ok(())
    })
}

#[test]
fn no_confirmation_and_then_retain() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({"deletionPolicy": "Release"})).await?;
        let number = held(&world.ready("reception").await?);
        world.delete("reception").await?;
        world.reason("reception", "ConfirmationRequired").await?;
        world.edit("reception", json!({"deletionPolicy": "Retain"})).await?;
        world.gone("reception").await?;
        assert_eq!((world.released(), world.count("release")), (0, 0));
        assert_eq!(world.row(&number)?.sms_url, WEBHOOK);
        Ok(())
    })
}

#[test]
fn the_way_out_that_every_message_names_is_taken_with_the_confirmation_still_there() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let but = json!({"phoneNumber": EXACT, "deletionPolicy": "Release", "releaseConfirmation": "+14185550199"});
        world.create("reception", but).await?;
        world.ready("reception").await?;
        world.delete("reception").await?;
        world.reason("reception", "ConfirmationRequired").await?;
        world.edit("reception", json!({"deletionPolicy": "Retain"})).await?;
        world.gone("reception").await?;
        assert_eq!((world.released(), world.twilio.numbers().len()), (0, 1));
        Ok(())
    })
}

#[test]
fn an_adopted_number_is_never_released() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.hold(&world.account, &json!([{"phoneNumber": EXACT}]))?;
        let mut but = release();
        but["adoptionPolicy"] = json!("IfOwned");
        world.create("reception", but).await?;
        world.ready("reception").await?;
        world.delete("reception").await?;
        let waiting = world.reason("reception", "ConfirmationRequired").await?;
        assert!(message(&waiting).contains("adopted"), "{}", message(&waiting));
        world.edit("reception", json!({"deletionPolicy": "Retain", "releaseConfirmation": null})).await?;
        world.gone("reception").await?;
        assert_eq!((world.count("release"), world.twilio.numbers().len()), (0, 1));
        Ok(())
    })
}

#[test]
fn a_hosted_number_is_never_released() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let label = format!("{} hosted", world.mark("reception", false)?);
        world.hold(&world.account, &json!([{"phoneNumber": EXACT, "friendlyName": label, "origin": "hosted"}]))?;
        world.create("reception", release()).await?;
        world.ready("reception").await?;
        world.delete("reception").await?;
        let waiting = world.reason("reception", "ConfirmationRequired").await?;
        assert!(message(&waiting).contains("hosted"), "{}", message(&waiting));
        assert_eq!((world.count("release"), world.sold()), (0, 0));
        world.edit("reception", json!({"deletionPolicy": "Retain", "releaseConfirmation": null})).await?;
        world.gone("reception").await?;
        assert_eq!(world.twilio.numbers().len(), 1);
        Ok(())
    })
}

#[test]
fn a_number_whose_tag_is_another_ones_by_now_is_not_released() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", release()).await?;
        world.ready("reception").await?;
        world.console(&world.account, EXACT, Some(&[("FriendlyName", "[cpn:aaaaa.bbbbbbbbbbb] theirs")])).await?;
        world.delete("reception").await?;
        world.reason("reception", "ConfirmationRequired").await?;
        assert_eq!((world.count("release"), world.twilio.numbers().len()), (0, 1));
        Ok(())
    })
}

#[test]
fn an_emergency_address_stands_in_the_way_of_a_release_and_is_told() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", release()).await?;
        world.ready("reception").await?;
        let address = format!("AD{}", "1".repeat(32));
        world.console(&world.account, EXACT, Some(&[("EmergencyAddressSid", &address)])).await?;
        world.delete("reception").await?;
        let refused = world
            .until("reception", "the refusal", |n| message(n).contains("emergency address") && is(n, "Reconciling"))
            .await?;
        assert!(message(&refused).contains("spec.deletionPolicy: Retain"), "{}", message(&refused));
        let tries = world.count("release");
        world.console(&world.account, EXACT, Some(&[("EmergencyAddressSid", "")])).await?;
        world.ask("reception", "it is removed").await?;
        world.gone("reception").await?;
        assert_eq!((tries, world.count("release"), world.released()), (1, 2, 1));
        Ok(())
    })
}

/// Two numbers in a namespace of their own, which is then deleted with everything in it; returns its path.
async fn deleted_namespace(world: &mut World) -> Result<String, Box<dyn Error>> {
    let clinic = world.namespaces.last().cloned().unwrap_or_default();
    let data = json!({"accountSid": world.account.sid, "authToken": world.account.token});
    world.secret_in(&clinic, "twilio", &data).await?;
    let path = format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{clinic}/clinicphonenumbers");
    for name in ["reception", "reminders"] {
        world.space.send("POST", &path, &[], &number(name, &spec(&json!({})))).await?;
    }
    for name in ["reception", "reminders"] {
        world.until_in(&clinic, name, "Ready", |n| is(n, "Ready")).await?;
    }
    let namespace = format!("/api/v1/namespaces/{clinic}");
    world.space.send("DELETE", &namespace, &[], &Value::Null).await?;
    Ok(namespace)
}

#[test]
fn a_namespace_goes_with_its_secret_and_its_numbers() -> Outcome {
    life(Options { clinics: &["clinic"], everywhere: true, ..Options::default() }, async |world: &mut World| {
        let namespace = deleted_namespace(world).await?;
        world.nothing_at(&namespace).await?;
        assert_eq!((world.twilio.numbers().len(), world.released(), world.count("release")), (2, 0, 0));
        Ok(())
    })
}

/// Rights that are given in the namespace itself go with it, and then nobody may take the finalizer off: it takes rights
/// from outside to let the namespace end.
#[test]
fn a_namespace_that_goes_with_the_operators_rights_waits_for_other_rights() -> Outcome {
    life(Options { clinics: &["clinic"], ..Options::default() }, async |world: &mut World| {
        let namespace = deleted_namespace(world).await?;
        let clinic = world.namespaces.last().cloned().unwrap_or_default();
        let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{clinic}/rolebindings/{OPERATOR}");
        world.nothing_at(&roles).await?;
        world.space.send("GET", &namespace, &[], &Value::Null).await?;
        world.rights_everywhere().await?;
        world.nothing_at(&namespace).await?;
        assert_eq!((world.twilio.numbers().len(), world.released(), world.count("release")), (2, 0, 0));
        Ok(())
    })
}

#[test]
fn retain_needs_no_secret() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.no_secret("twilio").await?;
        let calls = world.calls().len();
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!((world.calls().len(), world.row(&number)?.sms_url.as_str()), (calls, WEBHOOK));
        world.event("NumberRetained", &[&number]).await?;
        Ok(())
    })
}

#[test]
fn a_release_waits_for_its_secret_and_retain_is_the_way_out() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("kept", release()).await?;
        world.create("back", json!({"deletionPolicy": "Release"})).await?;
        world.ready("kept").await?;
        let other = held(&world.ready("back").await?);
        world.edit("back", json!({"releaseConfirmation": other})).await?;
        world.ready("back").await?;
        world.no_secret("twilio").await?;
        for name in ["kept", "back"] {
            world.delete(name).await?;
            let waiting = world.reason(name, "WaitingForCredentials").await?;
            assert!(message(&waiting).contains("spec.deletionPolicy: Retain"), "{}", message(&waiting));
            assert!(is(&waiting, "Reconciling"));
        }
        world.edit("kept", json!({"deletionPolicy": "Retain", "releaseConfirmation": null})).await?;
        world.gone("kept").await?;
        assert_eq!(world.released(), 0);
        world.credentials(&world.account).await?;
        world.gone("back").await?;
        assert_eq!((world.released(), world.twilio.numbers().len()), (1, 1));
        assert_eq!(world.row(EXACT)?.phone_number.as_str(), EXACT);
        Ok(())
    })
}

/// The purchase took effect and nobody was told; meanwhile the resource is deleted.
#[test]
fn a_deletion_in_the_middle_of_a_purchase_finds_the_number_and_keeps_it() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_faults(vec![
            FaultSpec::once("CreateIncomingPhoneNumber", Fault::TimeoutAfter),
            FaultSpec::once("ListIncomingPhoneNumber", Fault::Http503).nth(3),
        ]);
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        world.so("the sale", || world.sold() == 1).await?;
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!((world.sold(), world.released(), world.count("buy")), (1, 0, 1));
        // Never an orphan that nobody heard of.
        world.event("NumberRetained", &[EXACT, world.account.sid.as_ref()]).await?;
        Ok(())
    })
}

#[test]
fn a_deletion_in_the_middle_of_a_purchase_releases_what_was_asked_to_be_released() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_faults(vec![
            FaultSpec::once("CreateIncomingPhoneNumber", Fault::TimeoutAfter),
            FaultSpec::once("ListIncomingPhoneNumber", Fault::Http503).nth(3),
        ]);
        world.create("reception", release()).await?;
        world.so("the sale", || world.sold() == 1).await?;
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert_eq!((world.sold(), world.released(), world.count("buy")), (1, 1, 1));
        world.event("NumberReleased", &[EXACT]).await?;
        Ok(())
    })
}

/// The answer never comes, the Secret goes with its namespace: what may be there is told.
#[test]
fn a_deletion_in_the_middle_of_a_purchase_without_a_secret_says_what_may_be_left() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_faults(vec![
            FaultSpec::always("CreateIncomingPhoneNumber", Fault::TimeoutAfter),
            FaultSpec::always("ListIncomingPhoneNumber", Fault::Http503).nth(3),
        ]);
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        world.so("the sale", || world.sold() == 1).await?;
        world.no_secret("twilio").await?;
        world.delete("reception").await?;
        world.gone("reception").await?;
        world.event("NumberRetained", &[EXACT, world.account.sid.as_ref()]).await?;
        assert_eq!((world.sold(), world.released()), (1, 0));
        Ok(())
    })
}

#[test]
fn what_was_never_sent_goes_at_once() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.no_secret("twilio").await?;
        world.create("reception", json!({})).await?;
        let waiting = world.reason("reception", "WaitingForCredentials").await?;
        assert_eq!(condition(&waiting, "NumberAcquired").map(|c| c.0).as_deref(), Some("False"));
        world.delete("reception").await?;
        world.gone("reception").await?;
        assert!(world.calls().is_empty() && world.events().await?.is_empty());
        Ok(())
    })
}
