//! The resource type itself is deleted, and every resource with it, while numbers are held.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Value, json};

use crate::harness::{Outcome, apply_crd, with_own_env};
use crate::program::{Installed, SHORT};
use crate::world::{Options, World, held, origin};
use clinic_phone_operator::api::v1alpha1::Origin;

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clinicphonenumbers.telephony.chiroflow.io";

/// Creates resources of which some are to be released when they are deleted, and returns their numbers.
async fn in_service(world: &World, kept: &[&str], given: &[&str]) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    for name in kept.iter().chain(given) {
        world.create(name, json!({})).await?;
    }
    let mut numbers = BTreeMap::new();
    for name in kept.iter().chain(given) {
        numbers.insert((*name).to_owned(), held(&world.ready(name).await?));
    }
    for name in given {
        let confirmed = json!({"deletionPolicy": "Release", "releaseConfirmation": numbers.get(*name)});
        world.edit(name, confirmed).await?;
        world.ready(name).await?;
    }
    Ok(numbers)
}

#[test]
fn deleting_the_crd_releases_nothing_and_its_return_buys_nothing() -> Outcome {
    with_own_env(async |space| {
        let op = Box::pin(Installed::new(space, Options::default(), &SHORT)).await?;
        let world = &op.world;
        let mut running = op.start().await?;
        let (kept, given) = (["kept-a", "kept-b"], ["given-a", "given-b", "given-c", "given-d"]);
        let numbers = in_service(world, &kept, &given).await?;
        let rows = world.twilio.numbers();

        world.space.send("DELETE", CRD, &[], &Value::Null).await?;
        world.nothing_at(CRD).await?;
        assert_eq!((world.released(), op.calls("DeleteIncomingPhoneNumber")), (0, 0));
        assert_eq!(world.twilio.numbers(), rows, "every number is there as it was");
        for (name, number) in numbers.iter().filter(|(name, _)| given.contains(&name.as_str())) {
            world
                .event("NumberRetained", &[number, "CustomResourceDefinition"])
                .await
                .map_err(|e| format!("{name}: {e}"))?;
        }

        apply_crd(&world.space.env.control_plane)?;
        for (name, number) in &numbers {
            world.create(name, json!({})).await?;
            let now = world.ready(name).await?;
            assert_eq!((held(&now), origin(&now)), (number.clone(), Some(Origin::Purchased)));
        }
        running.child.check()?;
        assert_eq!((world.sold(), op.calls("CreateIncomingPhoneNumber"), world.released()), (6, 6, 0));
        assert_eq!(world.twilio.numbers(), rows);
        Ok(())
    })
}
