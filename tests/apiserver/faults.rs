//! Whatever happens to a purchase: one number in the end, never two.

use std::collections::BTreeMap;

use clinic_phone_operator::simulator::{Behaviour, BuyOwned, Fault, FaultSpec};
use serde_json::json;

use crate::harness::Outcome;
use crate::world::{EXACT, Options, WEBHOOK, World, held, life, status};

const BUY: &str = "CreateIncomingPhoneNumber";

/// Everything that can happen to a POST, each to a resource with an account of its own, all at once.
fn one_number_whatever_happens(buy_owned: BuyOwned) -> Outcome {
    let faults = [
        ("refuse", Fault::Refuse),
        ("timeout-before", Fault::TimeoutBefore),
        ("timeout-after", Fault::TimeoutAfter),
        ("reset-before", Fault::ResetBefore),
        ("reset-after", Fault::ResetAfter),
        ("late", Fault::Late(1_500)),
        ("very-late", Fault::Late(3_500)),
        ("throttled", Fault::Http429),
        ("unavailable", Fault::Http503),
        ("error-after", Fault::Http500After),
        ("garbage", Fault::Garbage),
        ("slow", Fault::Slow(500)),
    ];
    life(Options::default(), async |world: &mut World| {
        world.twilio.set_settings(Behaviour { buy_owned, ..Behaviour::default() });
        let mut specs = Vec::new();
        let mut accounts = BTreeMap::new();
        for (n, (name, fault)) in (100_u32..).zip(faults) {
            let account = world.open_account(n)?;
            specs.push(FaultSpec::once(BUY, fault).for_account(account.sid.clone()));
            world.secret(name, &json!({"accountSid": account.sid, "authToken": account.token})).await?;
            accounts.insert(name, account);
        }
        world.twilio.put_faults(specs);
        for (name, _) in faults {
            world.create(name, json!({"credentialsSecretRef": {"name": name}})).await?;
        }
        for (name, _) in faults {
            let number = world.ready(name).await?;
            let account = accounts.get(name).ok_or("no account")?;
            let sales: Vec<_> =
                world.twilio.ledger().purchases.into_iter().filter(|sale| sale.account_sid == account.sid).collect();
            assert_eq!(sales.len(), 1, "{name}: {sales:?}");
            let sold: Vec<_> = sales.iter().map(|sale| sale.phone_number.as_str()).collect();
            assert_eq!(sold, [held(&number)], "{name}");
            assert_eq!(world.row(&held(&number))?.sms_url, WEBHOOK, "{name}");
            let claim = status(&number).claim.ok_or("no claim")?;
            assert!(claim.attempts >= 1 && claim.attempts <= 3 && claim.unanswered == 0, "{name}: {claim:?}");
        }
        assert_eq!(world.sold(), faults.len());
        Ok(())
    })
}

#[test]
fn one_number_where_buying_it_again_is_an_update() -> Outcome {
    one_number_whatever_happens(BuyOwned::Upsert)
}

#[test]
fn one_number_where_buying_it_again_is_refused() -> Outcome {
    one_number_whatever_happens(BuyOwned::Refuse)
}

#[test]
fn a_list_that_lags_hides_a_number_and_does_not_double_it() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.set_settings(Behaviour { list_lag_ms: 2_500, ..Behaviour::default() });
        world.twilio.put_faults(vec![FaultSpec::once(BUY, Fault::TimeoutAfter)]);
        for name in ["a", "b", "c"] {
            world.create(name, json!({})).await?;
        }
        for name in ["a", "b", "c"] {
            world.ready(name).await?;
        }
        assert_eq!((world.sold(), world.twilio.numbers().len()), (3, 3));
        Ok(())
    })
}

#[test]
fn a_number_that_is_not_found_just_after_it_was_bought_is_not_lost() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.set_settings(Behaviour { list_lag_ms: 2_000, ..Behaviour::default() });
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.twilio.put_faults(vec![FaultSpec::once("FetchIncomingPhoneNumber", Fault::NotFound)]);
        world.edit("reception", json!({"friendlyName": "Accueil"})).await?;
        let now = world.ready("reception").await?;
        assert_eq!((held(&now), world.sold()), (number.clone(), 1));
        assert!(world.row(&number)?.friendly_name.ends_with(" Accueil"));
        Ok(())
    })
}

/// An answer that another number would get too is respected for a while, and tried again all the same.
#[test]
fn an_address_that_is_not_found_is_told_and_tried_again_later() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_faults(vec![FaultSpec::once(BUY, Fault::NotFound)]);
        world.create("reception", json!({})).await?;
        // The spec has no part in it: the resource goes on by itself, and says so.
        let told = world.reason("reception", "TwilioUnavailable").await?;
        assert!(crate::world::is(&told, "Reconciling"));
        assert!(crate::world::message(&told).contains("404"), "{}", crate::world::message(&told));
        assert_eq!((world.sold(), world.count("buy")), (0, 1));
        world.clock.advance(std::time::Duration::from_secs(31 * 60));
        world.ask("reception", "later").await?;
        world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("buy")), (1, 2));
        Ok(())
    })
}

/// An attempt that failed is made again, for the same number.
#[test]
fn an_attempt_without_effect_is_made_again_for_the_same_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_faults(vec![FaultSpec { times: 2, ..FaultSpec::once(BUY, Fault::Http503) }]);
        world.create("reception", json!({})).await?;
        let number = world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("buy")), (1, 3));
        let bought: Vec<_> = world.sent().into_iter().filter(|sent| sent.what == "buy").collect();
        let asked: std::collections::BTreeSet<_> =
            bought.iter().filter_map(|sent| sent.field("PhoneNumber").map(str::to_owned)).collect();
        assert_eq!(asked, [held(&number)].into(), "always the same number");
        // The ledger has every stamp, the fuse counts one.
        assert_eq!(world.ledger().await?.len(), 3);
        Ok(())
    })
}

#[test]
fn twilio_being_down_puts_nothing_out_of_service() -> Outcome {
    life(Options::watchful(), async |world: &mut World| {
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        world.ready("reception").await?;
        world.twilio.put_faults(vec![FaultSpec::always("*", Fault::Http503)]);
        let blind = world.until("reception", "Observed=False", |n| {
            crate::world::condition(n, "Observed").is_some_and(|c| c.0 == "False")
        });
        let blind = blind.await?;
        assert!(crate::world::is(&blind, "Ready"));
        let calls = world.calls().len();
        world.passes(2).await?;
        assert!(world.calls().len() <= calls + 3, "backing off: {:?}", world.calls());
        world.twilio.put_faults(Vec::new());
        world.until("reception", "Observed", |n| crate::world::is(n, "Observed")).await?;
        assert_eq!((world.sold(), world.count("buy")), (1, 1));
        Ok(())
    })
}
