//! Numbers that the account holds already, and resources that want the same number.

use clinic_phone_operator::api::v1alpha1::Origin;
use serde_json::json;

use crate::harness::Outcome;
use crate::world::{EXACT, Options, WEBHOOK, World, held, is, is_ready, life, message, origin, reason};

#[test]
fn a_number_without_a_tag_is_taken_over_and_nothing_is_bought() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let theirs =
            json!([{"phoneNumber": EXACT, "friendlyName": "Front desk", "smsUrl": "https://old.example.com/"}]);
        world.hold(&world.account, &theirs)?;
        world
            .create("reception", json!({"phoneNumber": EXACT, "purchasePolicy": "Never", "adoptionPolicy": "IfOwned"}))
            .await?;
        let number = world.ready("reception").await?;
        assert_eq!((held(&number).as_str(), origin(&number)), (EXACT, Some(Origin::Adopted)));
        let row = world.row(EXACT)?;
        assert!(row.friendly_name.starts_with(&world.mark("reception", true)?), "{}", row.friendly_name);
        assert!(row.friendly_name.contains(":a]"), "the mark says that it was not bought here");
        assert_eq!((row.sms_url.as_str(), world.sold(), world.count("buy"), world.count("update")), (WEBHOOK, 0, 0, 1));
        world.event("NumberAdopted", &[EXACT]).await?;
        assert!(world.ledger().await?[0].ends_with(" adopt"));
        Ok(())
    })
}

#[test]
fn a_number_that_is_held_is_never_taken_over_unasked() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.hold(&world.account, &json!([{"phoneNumber": EXACT, "friendlyName": "Front desk"}]))?;
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        let number = world.reason("reception", "NumberClaimedElsewhere").await?;
        assert!(message(&number).contains("spec.adoptionPolicy: IfOwned") && is(&number, "Stalled"));
        assert_eq!((world.count("buy"), world.count("update")), (0, 0));
        assert_eq!(world.row(EXACT)?.friendly_name, "Front desk");
        // A person says so, and it is done.
        world.edit("reception", json!({"adoptionPolicy": "IfOwned"})).await?;
        world.ready("reception").await?;
        assert_eq!(world.sold(), 0);
        Ok(())
    })
}

#[test]
fn never_buys_nothing_when_the_account_does_not_hold_the_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world
            .create("reception", json!({"phoneNumber": EXACT, "purchasePolicy": "Never", "adoptionPolicy": "IfOwned"}))
            .await?;
        let number = world.reason("reception", "NumberUnavailable").await?;
        assert!(message(&number).contains("spec.purchasePolicy"), "{}", message(&number));
        assert_eq!((world.sold(), world.count("buy")), (0, 0));
        world.hold(&world.account, &json!([{"phoneNumber": EXACT}]))?;
        world.ask("reception", "it is there now").await?;
        assert_eq!(origin(&world.ready("reception").await?), Some(Origin::Adopted));
        Ok(())
    })
}

/// A move to another name or namespace: the old resource is deleted, the number stays with its tag.
#[test]
fn a_renamed_resource_takes_its_number_along() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("old", json!({})).await?;
        let number = held(&world.ready("old").await?);
        world.create("new", json!({"phoneNumber": number, "adoptionPolicy": "IfOwned"})).await?;
        let refused = world.reason("new", "NumberClaimedElsewhere").await?;
        assert!(is(&refused, "Stalled"), "as long as the other one is there: {}", message(&refused));
        assert_eq!(world.count("update"), 0);
        world.delete("old").await?;
        world.gone("old").await?;
        world.ask("new", "the old one is gone").await?;
        let now = world.ready("new").await?;
        assert_eq!((held(&now), origin(&now)), (number.clone(), Some(Origin::Adopted)));
        assert!(world.row(&number)?.friendly_name.starts_with(&world.mark("new", true)?));
        assert_eq!(world.sold(), 1);
        Ok(())
    })
}

/// Without a pass of its own nobody gives back what it reserved.
#[test]
fn the_number_of_a_resource_that_a_person_took_away_is_free() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("former", json!({})).await?;
        let number = held(&world.ready("former").await?);
        world.delete("former").await?;
        world.patch("former", json!({"metadata": {"finalizers": null}})).await?;
        world.gone("former").await?;
        world.create("reception", json!({"phoneNumber": number, "adoptionPolicy": "IfOwned"})).await?;
        let taken = world.ready("reception").await?;
        assert_eq!((held(&taken), world.sold(), world.released()), (number, 1, 0));
        Ok(())
    })
}

#[test]
fn another_installations_number_needs_a_takeover() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let theirs = "[cpn:aaaaa.bbbbbbbbbbb] theirs";
        world.hold(&world.account, &json!([{"phoneNumber": EXACT, "friendlyName": theirs}]))?;
        world.create("reception", json!({"phoneNumber": EXACT, "adoptionPolicy": "IfOwned"})).await?;
        let refused = world.reason("reception", "NumberClaimedElsewhere").await?;
        assert!(message(&refused).contains("TakeOver"), "{}", message(&refused));
        assert_eq!(
            (world.row(EXACT)?.friendly_name.as_str(), world.count("update"), world.count("buy")),
            (theirs, 0, 0)
        );
        world.edit("reception", json!({"adoptionPolicy": "TakeOver"})).await?;
        assert_eq!(origin(&world.ready("reception").await?), Some(Origin::Adopted));
        assert_eq!((world.sold(), world.count("update")), (0, 1));
        Ok(())
    })
}

#[test]
fn of_two_that_name_one_number_one_gets_it() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        for name in ["a", "b"] {
            world.create(name, json!({"phoneNumber": EXACT})).await?;
        }
        let mut ready = 0;
        for name in ["a", "b"] {
            let number =
                world.until(name, "Ready or told", |n| is_ready(n) || reason(n) == "NumberClaimedElsewhere").await?;
            if is_ready(&number) {
                ready += 1;
            } else {
                assert!(message(&number).contains(EXACT) && is(&number, "Stalled"), "{}", message(&number));
            }
        }
        assert_eq!((ready, world.sold(), world.count("buy")), (1, 1, 1));
        Ok(())
    })
}

#[test]
fn of_two_namespaces_that_name_one_number_one_gets_it() -> Outcome {
    life(Options { clinics: &["clinic"], ..Options::default() }, async |world: &mut World| {
        let data = json!({"accountSid": world.account.sid, "authToken": world.account.token});
        for namespace in &world.namespaces {
            world.secret_in(namespace, "twilio", &data).await?;
        }
        for namespace in &world.namespaces {
            let path = format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{namespace}/clinicphonenumbers");
            let object = crate::harness::number("reception", &crate::world::spec(&json!({"phoneNumber": EXACT})));
            world.space.send("POST", &path, &[], &object).await?;
        }
        let mut reasons = Vec::new();
        for namespace in &world.namespaces {
            let settled = |n: &_| is_ready(n) || reason(n) == "NumberClaimedElsewhere";
            reasons.push(reason(&world.until_in(namespace, "reception", "Ready or told", settled).await?));
        }
        reasons.sort();
        assert_eq!(reasons, ["Available", "NumberClaimedElsewhere"]);
        assert_eq!((world.sold(), world.count("buy")), (1, 1));
        Ok(())
    })
}

#[test]
fn ten_resources_share_ten_numbers() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_stock(vec![serde_json::from_value(
            json!({"country": "CA", "type": "Local", "areaCode": "418", "count": 10}),
        )?])?;
        let names: Vec<_> = (0..10).map(|n| format!("line-{n}")).collect();
        for name in &names {
            world.create(name, json!({})).await?;
        }
        let mut numbers = std::collections::BTreeSet::new();
        for name in &names {
            numbers.insert(held(&world.ready(name).await?));
        }
        assert_eq!((numbers.len(), world.sold(), world.count("buy")), (10, 10, 10));
        Ok(())
    })
}
