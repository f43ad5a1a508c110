//! A namespace is deleted with everything in it: the Secret goes with the numbers, and often before them.

use serde_json::{Value, json};

use super::door::{Door, When};
use crate::harness::{Outcome, number, with_temp_ns};
use crate::program::{Installed, OPEN, SHORT};
use crate::world::{Options, World, condition, held, is_ready, message, reason, spec};

/// A clinic's namespace with an account in it.
struct Clinic<'a> {
    world: &'a World,
    namespace: String,
}

impl<'a> Clinic<'a> {
    async fn new(op: &'a Installed) -> Result<Self, Box<dyn std::error::Error>> {
        let world = &op.world;
        let clinic = Self { world, namespace: world.namespaces.last().cloned().unwrap_or_default() };
        let data = json!({"accountSid": world.account.sid, "authToken": world.account.token});
        world.secret_in(&clinic.namespace, "twilio", &data).await?;
        Ok(clinic)
    }

    fn path(&self, name: &str) -> String {
        format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{}/clinicphonenumbers/{name}", self.namespace)
    }

    fn place(&self) -> String {
        format!("/api/v1/namespaces/{}", self.namespace)
    }

    fn secret(&self) -> String {
        format!("{}/secrets/twilio", self.place())
    }

    async fn create(&self, name: &str) -> Outcome {
        let path = self.path(name);
        let all = path.rsplit_once('/').map_or(path.as_str(), |(all, _)| all);
        self.world.space.send("POST", all, &[], &number(name, &spec(&json!({})))).await?;
        Ok(())
    }

    /// The number, once the resource is in service.
    async fn ready(&self, name: &str) -> Result<String, Box<dyn std::error::Error>> {
        Ok(held(&self.world.until_in(&self.namespace, name, "Ready", is_ready).await?))
    }

    async fn edit(&self, name: &str, change: Value) -> Outcome {
        self.world.space.send("PATCH merge", &self.path(name), &[], &json!({"spec": change})).await?;
        Ok(())
    }

    /// Has a number released when its resource is deleted.
    async fn give(&self, name: &str) -> Result<String, Box<dyn std::error::Error>> {
        let number = self.ready(name).await?;
        self.edit(name, json!({"deletionPolicy": "Release", "releaseConfirmation": number})).await?;
        self.ready(name).await
    }

    /// Deletes the namespace, and does not wait.
    async fn delete(&self) -> Outcome {
        self.world.space.send("DELETE", &self.place(), &[], &Value::Null).await?;
        Ok(())
    }
}

fn drill(test: impl AsyncFnOnce(&Installed) -> Outcome) -> Outcome {
    drill_with(&SHORT, test)
}

fn drill_with(flags: &[&str], test: impl AsyncFnOnce(&Installed) -> Outcome) -> Outcome {
    with_temp_ns(async |space| {
        let options = Options { clinics: &["clinic"], everywhere: true, ..Options::default() };
        let op = Box::pin(Installed::new(space, options, flags)).await?;
        Box::pin(test(&op)).await
    })
}

/// The purchase is on its way, the Secret is gone before it arrives: the namespace ends, and what may be there is told.
#[test]
fn a_namespace_that_goes_in_the_middle_of_a_purchase_ends_and_loses_no_number() -> Outcome {
    // The window has to be open still when the operator is back.
    drill_with(&OPEN, async |op| {
        let clinic = Clinic::new(op).await?;
        let world = &op.world;
        let door = Door::open(op).await?;
        let mut running = op.launch(&door.kubeconfig, &door.twilio_url)?;
        op.ready(&mut running).await?;
        clinic.create("kept").await?;
        let kept = clinic.ready("kept").await?;
        let account = world.account.sid.to_string();
        let armed = door.trap(When::Before, move |call| call.buys(&account));
        clinic.create("buying").await?;
        let on_its_way = armed.caught().await?;
        // The operator is away until the Secret is gone: nothing can be looked at any more.
        running.kill()?;
        clinic.delete().await?;
        // What the cluster's controllers do in their own time, perhaps a minute later.
        for path in [clinic.secret(), clinic.path("buying")] {
            world.space.send("DELETE", &path, &[], &Value::Null).await?;
        }
        let mut running = op.start().await?;
        let waiting =
            world.until_in(&clinic.namespace, "buying", "the wait", |n| reason(n) == "ResolvingPurchase").await?;
        assert!(message(&waiting).contains("may still take effect"), "{}", message(&waiting));
        on_its_way.go_on();
        world.nothing_at(&clinic.place()).await?;
        assert_eq!((world.sold(), world.released(), op.calls("DeleteIncomingPhoneNumber")), (2, 0, 0));
        let mark = clinic_phone_operator::domain::InstallationId::parse(&world.installation)?;
        let mark = mark.mark(&clinic.namespace, "buying", false).to_string();
        let rows = world.twilio.numbers();
        let bought = rows.iter().find(|row| row.friendly_name.starts_with(&mark)).ok_or("it was not bought")?;
        assert!(rows.iter().any(|row| row.phone_number.as_str() == kept));
        // There is nobody left to tell but the log: events are refused in such a namespace.
        op.said(&format!("{} may be held by account {}", bought.phone_number, world.account.sid)).await?;
        running.child.check()?;
        Ok(())
    })
}

/// A release that was asked for cannot be done without credentials: it waits, says so, and `Retain` is the way out.
#[test]
fn a_namespace_that_goes_before_its_releases_waits_until_the_number_is_kept() -> Outcome {
    drill(async |op| {
        let clinic = Clinic::new(op).await?;
        let world = &op.world;
        let running = op.start().await?;
        clinic.create("kept").await?;
        clinic.create("given").await?;
        let given = clinic.give("given").await?;
        clinic.ready("kept").await?;
        running.kill()?;
        clinic.delete().await?;
        world.nothing_at(&clinic.secret()).await?;
        let mut running = op.start().await?;
        let waiting =
            world.until_in(&clinic.namespace, "given", "the wait", |n| reason(n) == "WaitingForCredentials").await?;
        assert!(message(&waiting).contains(&given), "{}", message(&waiting));
        assert!(message(&waiting).contains("spec.deletionPolicy: Retain"), "{}", message(&waiting));
        assert_eq!(condition(&waiting, "Reconciling").map(|c| c.0).as_deref(), Some("True"));
        world.nothing_at(&clinic.path("kept")).await?;
        world.space.send("GET", &clinic.place(), &[], &Value::Null).await?;
        clinic.edit("given", json!({"deletionPolicy": "Retain", "releaseConfirmation": null})).await?;
        world.nothing_at(&clinic.place()).await?;
        assert_eq!((world.sold(), world.released(), op.calls("DeleteIncomingPhoneNumber")), (2, 0, 0));
        assert_eq!(world.twilio.numbers().len(), 2);
        running.child.check()?;
        Ok(())
    })
}

/// Where the credentials outlive the numbers, a release that was asked for is done, and nothing else is.
#[test]
fn a_namespace_whose_secret_goes_last_releases_what_was_asked_for() -> Outcome {
    drill(async |op| {
        let clinic = Clinic::new(op).await?;
        let world = &op.world;
        let mut running = op.start().await?;
        let hold = json!({"metadata": {"finalizers": ["example.com/goes-last"]}});
        world.space.send("PATCH merge", &clinic.secret(), &[], &hold).await?;
        for name in ["kept", "given"] {
            clinic.create(name).await?;
        }
        let kept = clinic.ready("kept").await?;
        let given = clinic.give("given").await?;
        clinic.delete().await?;
        for name in ["kept", "given"] {
            world.nothing_at(&clinic.path(name)).await?;
        }
        let let_go = json!({"metadata": {"finalizers": null}});
        world.space.send("PATCH merge", &clinic.secret(), &[], &let_go).await?;
        world.nothing_at(&clinic.place()).await?;
        let released: Vec<_> = world.twilio.ledger().releases.iter().map(|r| r.phone_number.to_string()).collect();
        assert_eq!(released, [given]);
        let left: Vec<_> = world.twilio.numbers().iter().map(|row| row.phone_number.to_string()).collect();
        assert_eq!(left, [kept]);
        running.child.check()?;
        Ok(())
    })
}
