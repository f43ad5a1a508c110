//! What the cluster knows is lost, or is older than what happened: etcd wiped, and set back to a backup.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use clinic_phone_operator::api::v1alpha1::Origin;
use cpn_env::ControlPlane;
use serde_json::json;

use super::door::{Door, Stopped, When};
use crate::harness::{Outcome, apply_crd, with_own_env};
use crate::program::{Installed, SHORT};
use crate::world::{EXACT, Options, World, held, message, origin};

const BUY: &str = "CreateIncomingPhoneNumber";
const UPDATE: &str = "UpdateIncomingPhoneNumber";

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Ends the control plane, puts a backup in place of its data, or nothing at all, and starts it again.
fn set_back(control_plane: &ControlPlane, backup: Option<&Path>) -> Outcome {
    control_plane.halt()?;
    std::fs::remove_dir_all(control_plane.data())?;
    if let Some(backup) = backup {
        copy(backup, &control_plane.data())?;
    }
    Ok(control_plane.resume()?)
}

/// The numbers of these resources, once all of them are in service.
async fn numbers(world: &World, names: &[&str]) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut numbers = BTreeMap::new();
    for name in names {
        let now = world.ready(name).await?;
        assert_eq!(origin(&now), Some(Origin::Purchased), "{name}");
        numbers.insert((*name).to_owned(), held(&now));
    }
    Ok(numbers)
}

#[test]
fn etcd_wiped_and_everything_applied_again_buys_nothing() -> Outcome {
    with_own_env(async |space| {
        let op = Box::pin(Installed::new(space, Options::default(), &SHORT)).await?;
        let world = &op.world;
        let control_plane = &world.space.env.control_plane;
        world.hold(&world.account, &json!([{"phoneNumber": EXACT}]))?;
        let adopt = json!({"phoneNumber": EXACT, "adoptionPolicy": "IfOwned"});
        let bought = ["one", "two", "three", "back"];
        let running = op.start().await?;
        for name in bought {
            world.create(name, json!({})).await?;
        }
        world.create("adopted", adopt.clone()).await?;
        let before = numbers(world, &bought).await?;
        world.ready("adopted").await?;
        let (rows, updates) = (world.twilio.numbers(), op.calls(UPDATE));
        running.kill()?;

        set_back(control_plane, None)?;
        apply_crd(control_plane)?;
        world.prepare_again().await?;
        let mut running = op.start().await?;
        for name in bought {
            world.create(name, json!({})).await?;
        }
        world.create("adopted", adopt).await?;
        assert_eq!(numbers(world, &bought).await?, before);
        let adopted = world.ready("adopted").await?;
        assert_eq!((held(&adopted).as_str(), origin(&adopted)), (EXACT, Some(Origin::Adopted)));
        assert!(world.row(EXACT)?.friendly_name.starts_with(&world.mark("adopted", true)?));
        assert_eq!((world.sold(), op.calls(BUY), op.calls(UPDATE)), (4, 4, updates));
        assert_eq!(world.twilio.numbers(), rows, "nothing was changed at Twilio");

        // What was asked for is done; what is never done is not done after this either.
        for (name, number) in [("back", before["back"].as_str()), ("adopted", EXACT)] {
            world.edit(name, json!({"deletionPolicy": "Release", "releaseConfirmation": number})).await?;
            world.delete(name).await?;
        }
        world.gone("back").await?;
        let refused = world.reason("adopted", "ConfirmationRequired").await?;
        assert!(message(&refused).contains("adopted"), "{}", message(&refused));
        let released: Vec<_> = world.twilio.ledger().releases.iter().map(|r| r.phone_number.to_string()).collect();
        assert_eq!(released, [before["back"].clone()]);
        assert_eq!((world.row(EXACT)?.phone_number.as_str(), world.sold()), (EXACT, 4));
        running.child.check()?;
        Ok(())
    })
}

/// Five resources stand at five points of a purchase when the backup is made; then all of them get their numbers, and then
/// the cluster forgets it, the ledger included.
#[test]
fn a_backup_from_the_middle_of_a_purchase_buys_nothing_again() -> Outcome {
    with_own_env(async |space| {
        let op = Box::pin(Installed::new(space, Options::default(), &SHORT)).await?;
        let world = &op.world;
        let control_plane = &world.space.env.control_plane;
        let names = ["unannounced", "announced", "in-ledger", "stamped", "sold"];
        let mut accounts = Vec::new();
        for (n, name) in (10..).zip(names) {
            let account = world.open_account(n)?;
            world.secret(name, &json!({"accountSid": account.sid, "authToken": account.token})).await?;
            accounts.push(account.sid.to_string());
        }
        let door = Door::open(&op).await?;
        let (listing, buying) = (accounts[1].clone(), accounts[3].clone());
        let armed = [
            door.trap(When::Before, |call| call.writes_status_of("unannounced") && call.attempts() == Some(0)),
            door.trap(When::Before, move |call| call.lists(&listing)),
            door.trap(When::Before, |call| call.writes_status_of("in-ledger") && call.attempts() == Some(1)),
            door.trap(When::Before, move |call| call.buys(&buying)),
            door.trap(When::Before, |call| call.writes_status_of("sold") && call.records()),
        ];
        let mut running = op.launch(&door.kubeconfig, &door.twilio_url)?;
        op.ready(&mut running).await?;
        for name in names {
            world.create(name, json!({"credentialsSecretRef": {"name": name}})).await?;
        }
        let mut stopped: Vec<Stopped> = Vec::new();
        for (armed, name) in armed.into_iter().zip(names) {
            stopped.push(armed.caught().await.map_err(|error| format!("{name}: {error}"))?);
        }
        running.kill()?;
        // None of them ever comes through.
        drop(stopped);
        let mut stands = Vec::new();
        for name in names {
            let claim = world.space.get(name).await?.pointer("/status/claim/attempts").cloned();
            stands.push((name, claim.and_then(|attempts| attempts.as_u64())));
        }
        let expected = [None, Some(0), Some(0), Some(1), Some(1)];
        assert_eq!(stands, names.into_iter().zip(expected).collect::<Vec<_>>());
        assert_eq!((world.sold(), world.ledger().await?.len()), (1, 3));
        let backup = control_plane.folder().join("backup");
        control_plane.halt()?;
        copy(&control_plane.data(), &backup)?;
        control_plane.resume()?;

        let running = op.start().await?;
        let before = numbers(world, &names).await?;
        assert_eq!((world.sold(), op.calls(BUY)), (5, 5));
        let rows = world.twilio.numbers();
        running.kill()?;

        set_back(control_plane, Some(&backup))?;
        let mut running = op.start().await?;
        assert_eq!(numbers(world, &names).await?, before);
        assert_eq!((world.sold(), op.calls(BUY), world.released()), (5, 5, 0));
        assert_eq!(world.twilio.numbers(), rows, "nothing was changed at Twilio");
        running.child.check()?;
        Ok(())
    })
}
