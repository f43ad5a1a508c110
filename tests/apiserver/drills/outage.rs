//! The API server goes away in the middle of purchases, killed and then held, while the operator lives.

use serde_json::json;

use super::door::{Call, Door, When};
use crate::harness::{Outcome, with_own_env};
use crate::program::{Installed, Running};
use crate::world::{Options, held};

const BUY: &str = "CreateIncomingPhoneNumber";

/// One resource with an account of its own, and the moment of its purchase at which the API server goes.
struct Case {
    name: &'static str,
    when: When,
    at: fn(&Call, &str, &str) -> bool,
}

const STAMPED: Case = Case {
    name: "stamped",
    // The stamp is written, and the operator does not know.
    when: When::After,
    at: |call, name, _| call.writes_status_of(name) && call.attempts() == Some(1),
};
const SENDING: Case = Case { name: "sending", when: When::Before, at: |call, _, account| call.buys(account) };
const SOLD: Case = Case { name: "sold", when: When::After, at: |call, _, account| call.buys(account) };
const RECORDING: Case =
    Case { name: "recording", when: When::Before, at: |call, name, _| call.writes_status_of(name) && call.records() };

/// Brings each resource to its moment, takes the API server away, lets go what was stopped, has the operator meet the outage
/// and brings the API server back.
async fn outage(
    op: &Installed,
    (door, running): (&Door, &mut Running),
    (prefix, cases): (&str, &[Case]),
    (gone, words, back): (impl AsyncFnOnce() -> Outcome, &str, impl AsyncFnOnce() -> Outcome),
) -> Outcome {
    let world = &op.world;
    let mut armed = Vec::new();
    for case in cases {
        let name = format!("{prefix}-{}", case.name);
        let account = world.open_account(u32::try_from(world.sold() + armed.len() + 20)?)?;
        world.secret(&name, &json!({"accountSid": account.sid, "authToken": account.token})).await?;
        let (at, resource, sid) = (case.at, name.clone(), account.sid.to_string());
        armed.push((name, account, door.trap(case.when, move |call| at(call, &resource, &sid))));
    }
    for (name, ..) in &armed {
        world.create(name, json!({"credentialsSecretRef": {"name": name}})).await?;
    }
    let (mut stopped, mut lines) = (Vec::new(), Vec::new());
    for (name, account, armed) in armed {
        stopped.push(armed.caught().await.map_err(|error| format!("{name}: {error}"))?);
        lines.push((name, account));
    }
    gone().await?;
    for stopped in stopped {
        stopped.go_on();
    }
    op.said(words).await?;
    back().await?;
    for (name, account) in lines {
        let number = held(&world.ready(&name).await?);
        let ledger = world.twilio.ledger();
        let sales = ledger.purchases.iter().filter(|sale| sale.account_sid == account.sid);
        let sold: Vec<_> = sales.map(|sale| sale.phone_number.as_str()).collect();
        assert_eq!(sold, [number.as_str()], "{name}");
    }
    assert_eq!((op.calls(BUY), world.released()), (world.sold(), 0), "no purchase was even sent twice");
    Ok(running.child.check()?)
}

#[test]
fn an_api_server_that_goes_in_the_middle_of_purchases_costs_none() -> Outcome {
    with_own_env(async |space| {
        // Calls stand in the door for longer than the usual second.
        let flags = ["--twilio-timeout", "20s", "--settle-window", "61s"];
        let op = Box::pin(Installed::new(space, Options::default(), &flags)).await?;
        let control_plane = &op.world.space.env.control_plane;
        let door = Door::open(&op).await?;
        let mut running = op.launch(&door.kubeconfig, &door.twilio_url)?;
        op.ready(&mut running).await?;
        let killed = async || Ok(control_plane.stop_api_server()?);
        let started = async || Ok(control_plane.start_api_server()?);
        let cases = [STAMPED, SENDING, SOLD, RECORDING];
        outage(&op, (&door, &mut running), ("killed", &cases), (killed, "the pass could not be finished", started))
            .await?;

        // Connections stand and nothing is answered; straight to the API server, without a door.
        running.kill()?;
        let mut running = op.launch(&op.world.kubeconfig, &door.twilio_url)?;
        op.ready(&mut running).await?;
        let held = async || Ok(control_plane.signal_api_server("STOP")?);
        let released = async || Ok(control_plane.signal_api_server("CONT")?);
        let words = "the API server did not answer in time";
        outage(&op, (&door, &mut running), ("held", &[SENDING, SOLD]), (held, words, released)).await?;
        assert_eq!(op.world.sold(), 6);
        Ok(())
    })
}
