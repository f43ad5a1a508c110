//! Guards for whoever minds what is spent: a price limit, and numbers that a person chooses.

use std::time::Duration;

use clinic_phone_operator::simulator::{AccountPatch, AccountSpec, AccountType, Fault, FaultSpec};
use serde_json::{Value, json};

use crate::harness::Outcome;
use crate::world::{
    Account, EXACT, Options, World, condition, held, is, is_ready, life, message, observed, reason, status,
};

fn limit(amount: &str, currency: &str) -> Value {
    json!({"maxMonthlyPrice": {"amount": amount, "currency": currency}})
}

fn price(number: &clinic_phone_operator::api::ClinicPhoneNumber) -> Option<String> {
    status(number).monthly_price.map(|price| format!("{} {}", price.amount, price.currency))
}

#[test]
fn nothing_is_bought_above_the_limit_and_it_is_bought_when_the_limit_is_raised() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", limit("1.14", "USD")).await?;
        let told = world.reason("reception", "PriceAboveLimit").await?;
        assert!(is(&told, "Stalled") && !is(&told, "Reconciling"));
        for words in ["1.15 USD", "1.14 USD", "spec.maxMonthlyPrice"] {
            assert!(message(&told).contains(words), "{}", message(&told));
        }
        assert_eq!((price(&told).as_deref(), status(&told).claim), (Some("1.15 USD"), None));
        let table = world.space.kubectl(&["get", "cpn", "reception", "--output=wide"])?.ok()?;
        assert!(table.contains("PriceAboveLimit") && table.contains("1.15"), "{table}");
        // Looked at again: read anew, not bought, and nothing moves in status but the acknowledgement.
        let prices = world.count("prices");
        let looked = world.look("reception", "again").await?;
        let mut again = status(&looked);
        again.last_handled_reconcile_at = None;
        assert_eq!((again, world.count("prices")), (status(&told), prices + 1));
        assert_eq!((world.sold(), world.count("buy"), world.count("list")), (0, 0, 0));

        world.edit("reception", limit("1.15", "USD")).await?;
        let number = world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("buy"), price(&number).as_deref()), (1, 1, Some("1.15 USD")));
        Ok(())
    })
}

#[test]
fn resources_of_one_account_read_its_prices_once() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("one", limit("1.50", "USD")).await?;
        world.ready("one").await?;
        for name in ["two", "three"] {
            world.create(name, limit("1.50", "USD")).await?;
            world.ready(name).await?;
        }
        assert_eq!((world.sold(), world.count("prices")), (3, 1));
        assert_eq!(&world.calls()[..4], ["search", "prices", "list", "buy"]);
        Ok(())
    })
}

/// Unknown, of another currency, not to be read with this key: three ways in which a limit cannot be checked.
#[test]
fn a_limit_that_cannot_be_checked_buys_nothing_and_says_why() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let cad = Account::nth(2)?;
        let billed = AccountSpec { currency: "CAD".to_owned(), ..AccountSpec::new(cad.sid.clone(), &cad.token) };
        let permissions = ["ListAvailablePhoneNumberLocal", "ListIncomingPhoneNumber", "CreateIncomingPhoneNumber"];
        world.twilio.add_accounts(vec![billed])?;
        world.secret("cad", &json!({"accountSid": cad.sid, "authToken": cad.token})).await?;
        world.narrow_key("narrow", 3, &permissions).await?;
        for (name, words) in [
            ("cad", ["spec.maxMonthlyPrice.currency", "1.15 CAD", "never converted"]),
            ("narrow", ["spec.maxMonthlyPrice", "API key", "70051"]),
        ] {
            let mut but = limit("1.50", "USD");
            but["credentialsSecretRef"] = json!({"name": name});
            world.create(name, but).await?;
            let told = world.reason(name, "InvalidSpec").await?;
            assert!(is(&told, "Stalled"));
            for word in words {
                assert!(message(&told).contains(word), "{word} is not in {}", message(&told));
            }
        }
        // A number of another country than the search's has another price.
        let mut elsewhere = limit("1.50", "USD");
        elsewhere["phoneNumber"] = json!("+442071838750");
        world.create("elsewhere", elsewhere).await?;
        let told = world.reason("elsewhere", "NumberUnavailable").await?;
        assert!(message(&told).contains("+442071838750") && message(&told).contains("CA"), "{}", message(&told));
        assert_eq!((world.sold(), world.count("buy")), (0, 0));

        world.edit("cad", limit("1.50", "CAD")).await?;
        assert_eq!(price(&world.ready("cad").await?).as_deref(), Some("1.15 CAD"));
        world.edit("narrow", json!({"maxMonthlyPrice": null})).await?;
        assert_eq!(price(&world.ready("narrow").await?), None);
        Ok(())
    })
}

#[test]
fn prices_that_cannot_be_read_just_now_are_waited_for() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let faults = [Fault::Http503, Fault::ResetBefore, Fault::Garbage, Fault::Http429];
        let operation = "FetchPhoneNumberCountry";
        let nth = |(n, fault)| FaultSpec::once(operation, fault).nth(n);
        world.twilio.put_faults((1..).zip(faults).map(nth).collect());
        world.create("reception", limit("1.50", "USD")).await?;
        world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("buy"), world.count("prices")), (1, 1, faults.len() + 1));
        Ok(())
    })
}

#[test]
fn an_exact_number_within_the_limit_is_bought() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let mut but = limit("1.15", "USD");
        but["phoneNumber"] = json!(EXACT);
        world.create("reception", but).await?;
        let number = world.ready("reception").await?;
        assert_eq!((held(&number).as_str(), price(&number).as_deref()), (EXACT, Some("1.15 USD")));
        assert_eq!(world.calls(), ["list", "search", "prices", "list", "buy"]);
        assert_eq!(status(&number).country.as_deref(), Some("CA"), "the search told where it is");
        Ok(())
    })
}

#[test]
fn a_person_chooses_and_what_was_sold_meanwhile_is_chosen_again() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({"purchasePolicy": "Manual"})).await?;
        let waits = world.reason("reception", "AwaitingApproval").await?;
        assert!(!is(&waits, "Stalled") && !is(&waits, "Reconciling") && !is(&waits, "Ready"));
        let (first, now) = (status(&waits).candidates, status(&waits));
        assert_eq!((first.len(), price(&waits).as_deref()), (30, Some("1.15 USD")));
        assert!(now.candidates_as_of.is_some() && now.claim.is_none());
        let one = &first[0];
        assert!(one.phone_number.starts_with("+1418") && one.friendly_name.is_some(), "{one:?}");
        assert!(one.locality.is_some() && one.region.as_deref() == Some("QC") && !one.capabilities.is_empty());
        let bytes = serde_json::to_string(&first)?.len();
        assert!(bytes < 10_000, "{bytes} bytes of candidates");
        let table = world.space.kubectl(&["get", "cpn", "reception", "--output=wide"])?.ok()?;
        assert!(table.contains("AwaitingApproval") && table.contains("1.15"), "{table}");
        assert_eq!(world.calls(), ["list", "search", "prices", "message prices"]);
        let messages = now.sms_prices.clone().ok_or("no prices of messages")?;
        assert_eq!((messages.inbound.as_str(), messages.outbound.as_str()), ("0.0075", "0.0075"));
        // Looked at again: the same numbers, and nothing to write but the acknowledgement.
        let looked = world.look("reception", "once more").await?;
        assert_eq!(
            (status(&looked).candidates, status(&looked).candidates_as_of),
            (first.clone(), now.candidates_as_of)
        );

        // The number that is chosen goes to somebody else.
        let other = world.open_account(2)?;
        world.hold(&other, &json!([{"phoneNumber": one.phone_number}]))?;
        world.edit("reception", json!({"phoneNumber": one.phone_number})).await?;
        let sold = |n: &_| {
            let gone = status(n).candidates.iter().all(|c| c.phone_number != one.phone_number);
            reason(n) == "NumberUnavailable" && observed(n) && gone
        };
        let told = world.until("reception", "NumberUnavailable, with a new list", sold).await?;
        assert!(is(&told, "Stalled") && message(&told).contains(&one.phone_number), "{}", message(&told));
        let second = status(&told).candidates;
        assert_eq!((second.len(), world.sold()), (30, 0));

        let chosen = second[7].phone_number.clone();
        world.edit("reception", json!({"phoneNumber": chosen})).await?;
        let number = world.ready("reception").await?;
        let now = status(&number);
        assert_eq!((held(&number), price(&number).as_deref()), (chosen, Some("1.15 USD")));
        assert!(now.candidates.is_empty() && now.candidates_as_of.is_none());
        assert_eq!((world.sold(), world.count("buy")), (1, 2));
        assert_eq!(condition(&number, "Stalled"), None);
        Ok(())
    })
}

#[test]
fn two_who_choose_are_not_offered_what_the_other_has() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        for name in ["one", "two"] {
            world.create(name, json!({"purchasePolicy": "Manual"})).await?;
            world.reason(name, "AwaitingApproval").await?;
        }
        let offered = |n: &_| status(n).candidates.into_iter().map(|c| c.phone_number).collect::<Vec<_>>();
        let both = offered(&world.reason("two", "AwaitingApproval").await?);
        let chosen = both[0].clone();
        for name in ["one", "two"] {
            world.edit(name, json!({"phoneNumber": chosen})).await?;
        }
        let (mut ready, mut refused) = (Vec::new(), Vec::new());
        for name in ["one", "two"] {
            let settled = |n: &_| is_ready(n) || (is(n, "Stalled") && observed(n) && !offered(n).contains(&chosen));
            let number = world.until(name, "Ready or told, with a new list", settled).await?;
            if is_ready(&number) { ready.push(name) } else { refused.push((name, number)) }
        }
        assert_eq!((ready.len(), refused.len(), world.sold()), (1, 1, 1));
        for (name, number) in refused {
            assert!(!offered(&number).is_empty());
            world.edit(name, json!({"phoneNumber": offered(&number)[0]})).await?;
            world.ready(name).await?;
        }
        assert_eq!(world.sold(), 2);
        Ok(())
    })
}

/// What was bought is counted from the ledger: neither a deletion nor a restart makes room.
#[test]
fn the_fuse_outlives_the_resources_and_the_operator() -> Outcome {
    life(Options { limit: 1, ..Options::default() }, async |world: &mut World| {
        world.create("first", json!({})).await?;
        world.ready("first").await?;
        world.delete("first").await?;
        world.gone("first").await?;
        world.stop().await?;
        world.start().await?;
        world.create("second", json!({})).await?;
        let told = world.reason("second", "PurchaseLimitReached").await?;
        assert!(message(&told).contains("--max-purchases-per-hour") && is(&told, "Reconciling"), "{}", message(&told));
        assert_eq!((world.sold(), world.count("buy")), (1, 1));
        world.clock.advance(Duration::from_secs(3600));
        world.ask("second", "an hour later").await?;
        world.ready("second").await?;
        assert_eq!(world.sold(), 2);
        Ok(())
    })
}

#[test]
fn a_trial_account_that_is_upgraded_buys() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let trial = Account::nth(2)?;
        let mut opened = AccountSpec { kind: AccountType::Trial, ..AccountSpec::new(trial.sid.clone(), &trial.token) };
        opened.numbers = serde_json::from_value(json!([{"phoneNumber": "+14185550144"}]))?;
        world.twilio.add_accounts(vec![opened])?;
        world.credentials(&trial).await?;
        world.create("reception", json!({})).await?;
        let told = world.reason("reception", "NumberUnavailable").await?;
        assert!(is(&told, "Stalled") && message(&told).contains("upgrade"), "{}", message(&told));
        assert_eq!((world.sold(), world.count("buy")), (0, 1));
        let upgraded = AccountPatch { kind: Some(AccountType::Full), ..AccountPatch::default() };
        assert!(world.twilio.patch_account(&trial.sid, upgraded));
        world.ask("reception", "it is upgraded").await?;
        world.ready("reception").await?;
        assert_eq!(world.sold(), 1);
        Ok(())
    })
}

/// The operator is started under another id, first without and then with the old one.
#[test]
fn a_changed_installation_id_needs_the_old_one() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let old = world.installation.clone();
        let label = world.row(&number)?.friendly_name;
        world.stop().await?;
        world.installation = format!("{old}-renamed");
        world.start().await?;
        world.ask("reception", "under another id").await?;
        let told = world.reason("reception", "NumberClaimedElsewhere").await?;
        assert!(message(&told).contains("--previous-installation-id"), "{}", message(&told));
        assert_eq!((world.row(&number)?.friendly_name, world.count("update")), (label, 0));
        world.stop().await?;
        world.options.previous = Some(old);
        world.start().await?;
        world.ask("reception", "with the old one").await?;
        let mark = world.mark("reception", false)?;
        world
            .until("reception", "the new mark", |n| {
                is_ready(n) && status(n).friendly_name.is_some_and(|name| name.starts_with(&mark))
            })
            .await?;
        assert_eq!((world.sold(), world.count("buy"), world.count("update")), (1, 1, 1));
        Ok(())
    })
}
