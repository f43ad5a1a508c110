//! What a cluster forgets: resources applied again find their numbers by the tag, and nothing is bought twice.

use clinic_phone_operator::api::v1alpha1::Origin;
use clinic_phone_operator::simulator::{Fault, FaultSpec};
use serde_json::{Value, json};

use crate::harness::Outcome;
use crate::world::{EXACT, Options, World, held, life, message, origin, status};

#[test]
fn a_rebuilt_cluster_finds_its_numbers_and_buys_nothing() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.hold(&world.account, &json!([{"phoneNumber": EXACT}]))?;
        let adopt = json!({"phoneNumber": EXACT, "adoptionPolicy": "IfOwned"});
        let names = ["one", "two", "three"];
        for name in names {
            world.create(name, json!({})).await?;
        }
        world.create("adopted", adopt.clone()).await?;
        let mut numbers = Vec::new();
        for name in names {
            numbers.push(held(&world.ready(name).await?));
        }
        world.ready("adopted").await?;
        let rows = world.twilio.numbers();

        // The cluster is gone, and the ledger with it; the numbers are not.
        world.stop().await?;
        for name in names.into_iter().chain(["adopted"]) {
            world.strip(name).await?;
            world.delete(name).await?;
            world.gone(name).await?;
        }
        let ledger = format!("/api/v1/namespaces/{}/configmaps/clinic-phone-operator-ledger", world.space.namespace);
        world.space.send("DELETE", &ledger, &[], &Value::Null).await?;
        world.start().await?;

        for name in names {
            world.create(name, json!({})).await?;
        }
        let mut adopt_and_release = adopt;
        adopt_and_release["deletionPolicy"] = json!("Release");
        adopt_and_release["releaseConfirmation"] = json!(EXACT);
        world.create("adopted", adopt_and_release).await?;
        for (name, number) in names.iter().zip(&numbers) {
            let now = world.ready(name).await?;
            assert_eq!((&held(&now), origin(&now)), (number, Some(Origin::Purchased)));
            world.event("NumberFound", &[number]).await?;
        }
        let adopted = world.ready("adopted").await?;
        assert_eq!((held(&adopted).as_str(), origin(&adopted)), (EXACT, Some(Origin::Adopted)));
        assert_eq!((world.sold(), world.count("buy")), (3, 3));
        assert_eq!(world.twilio.numbers(), rows, "nothing was changed either");

        // What was adopted in an earlier life is not released in this one.
        world.delete("adopted").await?;
        let refused = world.reason("adopted", "ConfirmationRequired").await?;
        assert!(message(&refused).contains("adopted"), "{}", message(&refused));
        assert_eq!((world.released(), world.count("release")), (0, 0));
        Ok(())
    })
}

/// The mark tells bought from adopted even where the manifest says nothing of adoption.
#[test]
fn an_adopted_number_stays_adopted_whatever_the_new_manifest_says() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let label = format!("{} Accueil", world.mark("reception", true)?);
        world.hold(&world.account, &json!([{"phoneNumber": EXACT, "friendlyName": label}]))?;
        world.create("reception", json!({"friendlyName": "Accueil"})).await?;
        let now = world.ready("reception").await?;
        assert_eq!((held(&now).as_str(), origin(&now), world.sold()), (EXACT, Some(Origin::Adopted), 0));
        assert_eq!(world.row(EXACT)?.friendly_name, label);
        Ok(())
    })
}

/// Sends a purchase that takes effect after its client has given up, strips the resource meanwhile and applies it again.
async fn strip_in_the_middle(world: &mut World, but: Value, restart: bool) -> Outcome {
    world.twilio.put_faults(vec![FaultSpec::once("CreateIncomingPhoneNumber", Fault::Late(2_500))]);
    world.create("reception", json!({})).await?;
    world.so("the POST", || world.count("buy") == 1).await?;
    if restart {
        world.stop().await?;
    }
    world.strip("reception").await?;
    world.delete("reception").await?;
    world.gone("reception").await?;
    world.create("reception", but).await?;
    if restart {
        world.start().await?;
    }
    let now = world.ready("reception").await?;
    world.so("the late effect", || world.sold() > 0).await?;
    let rows = world.twilio.numbers();
    let numbers: Vec<_> = rows.iter().map(|row| row.phone_number.as_str()).collect();
    assert_eq!(numbers, [held(&now)]);
    assert_eq!(world.sold(), 1);
    Ok(())
}

/// The same number is chosen again, and a second POST for it cannot sell another one.
#[test]
fn stripped_and_applied_again_in_the_middle_of_a_purchase_it_is_one_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        strip_in_the_middle(world, json!({}), false).await?;
        assert!(world.count("buy") <= 2, "{:?}", world.calls());
        Ok(())
    })
}

/// Another number would be chosen: the ledger remembers the first.
#[test]
fn stripped_and_applied_again_with_another_search_it_is_one_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        strip_in_the_middle(world, json!({"search": {"areaCodes": ["514"]}}), false).await?;
        assert_eq!(world.count("buy"), 1);
        let now = world.ready("reception").await?;
        assert_eq!(status(&now).claim.map(|claim| claim.attempts), Some(0), "found, not bought");
        Ok(())
    })
}

/// The same over a restart: only the ledger remembers what was sent.
#[test]
fn stripped_while_the_operator_was_down_it_is_one_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        strip_in_the_middle(world, json!({"search": {"areaCodes": ["514"]}}), true).await?;
        assert_eq!(world.count("buy"), 1);
        Ok(())
    })
}

#[test]
fn two_operators_at_once_do_no_harm() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.start().await?;
        let names: Vec<_> = (0..10).map(|n| format!("line-{n}")).collect();
        for name in &names {
            world.create(name, json!({})).await?;
        }
        let mut numbers = std::collections::BTreeSet::new();
        for name in &names {
            numbers.insert(held(&world.ready(name).await?));
        }
        assert_eq!((numbers.len(), world.sold(), world.twilio.numbers().len()), (10, 10, 10));
        for row in world.twilio.numbers() {
            assert!(numbers.contains(row.phone_number.as_str()), "{row:?} is nobody's");
        }
        for name in &names {
            world.look(name, "both look").await?;
        }
        for name in &names {
            world.delete(name).await?;
        }
        for name in &names {
            world.gone(name).await?;
        }
        assert_eq!((world.sold(), world.released()), (10, 0));
        Ok(())
    })
}
