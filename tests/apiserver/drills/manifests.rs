//! What people and pipelines do to manifests: forced changes, deleting and making anew, finalizers taken off by hand.

use clinic_phone_operator::api::FINALIZER;
use clinic_phone_operator::api::v1alpha1::Origin;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::door::{Door, When};
use crate::harness::{Outcome, number, with_temp_ns};
use crate::program::{Installed, OPEN};
use crate::world::{Options, World, held, is, life, origin, reason, spec, status};

const APPLY: [&str; 2] = ["apply", "--filename=-"];

/// The usual manifest, changed by a merge patch.
fn manifest(but: &Value) -> String {
    number("reception", &spec(but)).to_string()
}

/// Applies a resource and returns its number and its UID once it is in service.
async fn applied(world: &World) -> Result<(String, String), Box<dyn std::error::Error>> {
    world.space.kubectl_stdin(&APPLY, &manifest(&json!({})))?.ok()?;
    let object = world.ready("reception").await?;
    Ok((held(&object), object.uid().unwrap_or_default()))
}

/// The resource is another one by now, and holds the same number, which was bought once.
async fn found_again(world: &World, number: &str, uid: &str) -> Outcome {
    let now = world.until("reception", "another one in service", |n| is(n, "Ready") && n.uid().as_deref() != Some(uid));
    let now = now.await?;
    assert_eq!((held(&now).as_str(), origin(&now)), (number, Some(Origin::Purchased)));
    assert_eq!((world.sold(), world.released(), world.twilio.numbers().len()), (1, 0, 1));
    Ok(())
}

/// kubectl deletes what it cannot patch, waits, fails to make the new one, and puts the old one back.
#[test]
fn a_forced_apply_of_what_is_refused_keeps_the_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (number, uid) = applied(world).await?;
        let forced = ["apply", "--force", "--timeout=60s", "--filename=-"];
        let insecure = manifest(&json!({"sms": {"webhookURL": "http://sms.example.com/"}}));
        let refused = world.space.kubectl_stdin(&forced, &insecure)?;
        assert!(!refused.success() && refused.stderr.contains("webhookURL"), "{}", refused.stderr);
        found_again(world, &number, &uid).await?;
        // A change that is taken is only that: the resource stays the same one.
        let before = world.ready("reception").await?.uid();
        world.space.kubectl_stdin(&forced, &manifest(&json!({"friendlyName": "Accueil"})))?.ok()?;
        let now = world.ready("reception").await?;
        assert_eq!((now.uid(), held(&now)), (before, number.clone()));
        assert_eq!((world.sold(), world.released()), (1, 0));
        Ok(())
    })
}

#[test]
fn replaced_by_force_it_keeps_its_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (number, uid) = applied(world).await?;
        let replace = ["replace", "--force", "--timeout=60s", "--filename=-"];
        world.space.kubectl_stdin(&replace, &manifest(&json!({})))?.ok()?;
        found_again(world, &number, &uid).await
    })
}

/// As Flux does it: delete, wait until it is gone, make it anew at once. The operator is away at first.
#[test]
fn deleted_and_made_anew_it_keeps_its_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (number, uid) = applied(world).await?;
        world.stop().await?;
        world.delete("reception").await?;
        let waiting = world.until("reception", "the deletion", |n| n.metadata.deletion_timestamp.is_some()).await?;
        assert_eq!(waiting.finalizers(), [FINALIZER]);
        let refused = world.space.kubectl_stdin(&["create", "--filename=-"], &manifest(&json!({})))?;
        assert!(refused.stderr.contains("AlreadyExists"), "{}", refused.stderr);
        world.start().await?;
        world.gone("reception").await?;
        world.space.kubectl_stdin(&APPLY, &manifest(&json!({})))?.ok()?;
        found_again(world, &number, &uid).await
    })
}

#[test]
fn finalizers_taken_off_by_hand_lose_no_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let (number, uid) = applied(world).await?;
        let strip = ["patch", "cpn", "reception", "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#];
        world.space.kubectl(&strip)?.ok()?;
        world.until("reception", "the finalizer", |n| n.finalizers().contains(&FINALIZER.to_owned())).await?;

        // A release that waits for its confirmation is cut short.
        world.edit("reception", json!({"deletionPolicy": "Release"})).await?;
        world.delete("reception").await?;
        world.reason("reception", "ConfirmationRequired").await?;
        world.space.kubectl(&strip)?.ok()?;
        world.gone("reception").await?;
        world.space.kubectl_stdin(&APPLY, &manifest(&json!({})))?.ok()?;
        found_again(world, &number, &uid).await
    })
}

/// The purchase is on its way when the resource is stripped, deleted and applied again with another search, and it arrives
/// after that.
#[test]
fn stripped_while_its_purchase_is_on_its_way_it_is_one_number() -> Outcome {
    with_temp_ns(async |space| {
        let op = Box::pin(Installed::new(space, Options::default(), &OPEN)).await?;
        let world = &op.world;
        let door = Door::open(&op).await?;
        let account = world.account.sid.to_string();
        let armed = door.trap(When::Before, move |call| call.buys(&account));
        let mut running = op.launch(&door.kubeconfig, &door.twilio_url)?;
        op.ready(&mut running).await?;
        world.space.kubectl_stdin(&APPLY, &manifest(&json!({})))?.ok()?;
        let on_its_way = armed.caught().await?;
        running.kill()?;
        let delete = ["delete", "cpn", "reception", "--wait=false"];
        world.space.kubectl(&delete)?.ok()?;
        world.strip("reception").await?;
        world.gone("reception").await?;

        let mut running = op.start().await?;
        world.space.kubectl_stdin(&APPLY, &manifest(&json!({"search": {"areaCodes": ["514"]}})))?.ok()?;
        let waiting = world.until("reception", "the wait", |n| reason(n) == "ResolvingPurchase").await?;
        assert_eq!(status(&waiting).claim.map(|claim| claim.attempts), Some(0));
        on_its_way.go_on();
        let now = world.ready("reception").await?;
        assert!(held(&now).starts_with("+1418"), "what the first life bought: {}", held(&now));
        assert_eq!((world.sold(), op.calls("CreateIncomingPhoneNumber"), world.released()), (1, 1, 0));
        running.child.check()?;
        Ok(())
    })
}
