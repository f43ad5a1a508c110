//! What a resource says of its month: messages, their cost, the rent, the prices.

use std::time::Duration;

use clinic_phone_operator::api::ClinicPhoneNumber;
use clinic_phone_operator::api::v1alpha1::{Usage, UsageScope};
use clinic_phone_operator::simulator::{Fault, FaultSpec, InboundMessage};
use serde_json::json;

use crate::harness::Outcome;
use crate::world::{Account, BARE, Options, World, condition, held, is, is_ready, life, message, status};

const REPORTED: &str = "UsageReported";

fn curious() -> Options {
    Options { usage: Duration::from_secs(1), ..Options::default() }
}

fn usage(number: &ClinicPhoneNumber) -> Option<Usage> {
    status(number).usage
}

/// Sends one message at Twilio, as whoever owns the account would.
async fn send(world: &World, account: &Account, from: &str) -> Outcome {
    let form = [("From", from), ("To", "+14185550199"), ("Body", "Rappel")];
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", account.sid);
    world.as_owner(account, http::Method::POST, &path, &form).await.map(drop)
}

async fn traffic(world: &World, account: &Account, number: &str, (sent, received): (usize, usize)) -> Outcome {
    for _ in 0..sent {
        send(world, account, number).await?;
    }
    for _ in 0..received {
        let body = "Oui".to_owned();
        world.twilio.deliver(InboundMessage { from: "+14185550199".to_owned(), to: number.parse()?, body }).await;
    }
    Ok(())
}

fn counts(sent: i64, received: i64) -> impl Fn(&ClinicPhoneNumber) -> bool {
    move |number| usage(number).is_some_and(|usage| (usage.sms_sent, usage.sms_received) == (sent, received))
}

/// 347 sent and 89 received at 0.0075 each are 3.27; with 1.15 for the number 4.42.
#[test]
fn a_month_of_messages_is_told_with_its_cost() -> Outcome {
    life(curious(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        let quiet = world.until("reception", "the first reading", counts(0, 0)).await?;
        assert_eq!(usage(&quiet).and_then(|usage| usage.estimated_cost).as_deref(), Some("1.15"));

        traffic(world, &world.account, &number, (347, 89)).await?;
        let told = world.until("reception", "the month's messages", counts(347, 89)).await?;
        let told = status(&told);
        let usage = told.usage.ok_or("no usage")?;
        assert_eq!((usage.sms_cost.as_str(), usage.estimated_cost.as_deref()), ("3.27", Some("4.42")));
        assert_eq!((usage.currency.as_str(), usage.numbers), ("USD", Some(1)));
        assert_eq!(usage.month, usage.as_of.0.strftime("%Y-%m").to_string());
        assert_eq!(told.monthly_price.map(|price| price.amount).as_deref(), Some("1.15"));
        let prices = told.sms_prices.map(|prices| (prices.inbound, prices.outbound, prices.currency));
        assert_eq!(prices, Some(("0.0075".into(), "0.0075".into(), "USD".into())));
        assert_eq!(told.billing_url.as_deref(), Some("https://www.twilio.com/console/usage"));

        let table = world.space.kubectl(&["get", "cpn", "reception", "--output=wide"])?.ok()?;
        for column in ["1.15", "347", "89", "4.42"] {
            assert!(table.split_whitespace().any(|cell| cell == column), "{column}: {table}");
        }
        // Prices are read once a day, however often usage is.
        assert_eq!((world.count("prices"), world.count("message prices")), (1, 1));
        assert!(world.count("usage") >= 2);
        Ok(())
    })
}

#[test]
fn figures_of_several_numbers_are_the_accounts_and_say_so() -> Outcome {
    life(curious(), async |world: &mut World| {
        world.create("one", json!({})).await?;
        let number = held(&world.ready("one").await?);
        world.create("two", json!({})).await?;
        world.ready("two").await?;
        traffic(world, &world.account, &number, (2, 1)).await?;
        for name in ["one", "two"] {
            let both = |number: &ClinicPhoneNumber| {
                counts(2, 1)(number) && usage(number).is_some_and(|usage| usage.numbers == Some(2))
            };
            let told = world.until(name, "figures of both", both).await?;
            let told_usage = usage(&told).ok_or("no usage")?;
            assert_eq!(
                (told_usage.sms_cost.as_str(), told_usage.estimated_cost.as_deref()),
                ("0.0225", Some("2.3225"))
            );
            let (.., said) = condition(&told, REPORTED).ok_or("no condition")?;
            assert!(said.contains("2 numbers") && said.contains("does not count by number"), "{said}");
        }
        Ok(())
    })
}

/// Two numbers of one account, each with figures of its own.
#[test]
fn a_number_alone_is_counted_where_that_is_asked_for() -> Outcome {
    life(curious(), async |world: &mut World| {
        let scope = json!({"usage": {"scope": "Number"}});
        let mut numbers = Vec::new();
        for name in ["one", "two"] {
            world.create(name, scope.clone()).await?;
            numbers.push(held(&world.ready(name).await?));
        }
        let [one, two] = numbers.as_slice() else { return Err("two numbers".into()) };
        traffic(world, &world.account, one, (3, 2)).await?;
        traffic(world, &world.account, two, (1, 0)).await?;
        for (name, (sent, received), cost, estimated) in
            [("one", (3, 2), "0.0375", "1.1875"), ("two", (1, 0), "0.0075", "1.1575")]
        {
            let told = world.until(name, "its own messages", counts(sent, received)).await?;
            let told_usage = usage(&told).ok_or("no usage")?;
            assert_eq!((told_usage.sms_cost.as_str(), told_usage.estimated_cost.as_deref()), (cost, Some(estimated)));
            assert_eq!((told_usage.scope, told_usage.numbers), (UsageScope::Number, Some(1)));
            let (.., said) = condition(&told, REPORTED).ok_or("no condition")?;
            assert!(said.contains("this number alone"), "{said}");
        }
        assert_eq!(world.count("usage"), 0, "the account's is nobody's wish");

        // What cannot be counted is not shown as nothing, and the account's figures are there when they are wanted.
        world.twilio.put_faults(vec![FaultSpec::always("ListMessage", Fault::Http503)]);
        let told = world.until("one", "no count", |number| !is(number, REPORTED)).await?;
        assert!(is_ready(&told) && counts(3, 2)(&told));
        world.edit("one", json!({"usage": {"scope": "Account"}})).await?;
        let told = world.until("one", "the account's", counts(4, 2)).await?;
        assert_eq!(usage(&told).map(|usage| (usage.scope, usage.numbers)), Some((UsageScope::Account, Some(2))));
        Ok(())
    })
}

/// Refused, not answered, cut off or unreadable: figures age, the reason is told, and the number serves as before.
#[test]
fn figures_that_cannot_be_read_disturb_nothing() -> Outcome {
    life(curious(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.until("reception", "the first reading", counts(0, 0)).await?;
        for (n, fault) in
            [Fault::Refuse, Fault::Http503, Fault::Garbage, Fault::ResetBefore, Fault::TimeoutBefore, Fault::NotFound]
                .into_iter()
                .enumerate()
        {
            let sent = i64::try_from(n)?;
            let name = format!("{fault:?}");
            world.twilio.put_faults(vec![FaultSpec::always("ListUsageRecordThisMonth", fault)]);
            let told = world
                .until("reception", &name, |number| {
                    condition(number, REPORTED)
                        .is_some_and(|(status, reason, _)| status == "False" && reason == "NotReported")
                })
                .await?;
            let before = usage(&told);
            assert!(is_ready(&told) && !is(&told, "Stalled") && is(&told, "InboundSms"), "{name}");
            assert_eq!(before.as_ref().map(|usage| usage.sms_sent), Some(sent), "{name}: what was read stays");
            let (.., said) = condition(&told, REPORTED).ok_or("no condition")?;
            assert!(said.contains("asOf") && said.contains("ListUsageRecordThisMonth"), "{name}: {said}");
            // The number is looked at and kept as ever.
            let looked = world.look("reception", &name).await?;
            assert!(is_ready(&looked) && usage(&looked) == before, "{name}");

            world.twilio.put_faults(Vec::new());
            send(world, &world.account, &number).await?;
            let healed = world.until("reception", "figures again", counts(sent + 1, 0)).await?;
            assert!(is(&healed, REPORTED), "{name}");
        }
        assert_eq!((world.sold(), world.count("update"), world.released()), (1, 0, 0));
        Ok(())
    })
}

/// A key that may do what the number needs, and read neither usage nor prices.
#[test]
fn a_narrow_key_has_a_number_in_service_and_no_figures() -> Outcome {
    life(curious(), async |world: &mut World| {
        world.narrow_key("narrow", 2, &BARE).await?;
        world.create("reception", json!({"credentialsSecretRef": {"name": "narrow"}})).await?;
        let refused = world.until("reception", "no figures", |number| condition(number, REPORTED).is_some()).await?;
        let (.., why) = condition(&refused, REPORTED).ok_or("no condition")?;
        assert!(why.contains("70051") && why.contains("API key"), "{why}");
        assert!(is_ready(&refused) && is(&refused, "CredentialsValid"), "{}", message(&refused));
        assert_eq!((usage(&refused), status(&refused).sms_prices), (None, None));
        let looked = world.look("reception", "again").await?;
        assert!(is_ready(&looked) && is(&looked, "CredentialsValid"));
        Ok(())
    })
}

/// With the flag at 0 nobody reads figures, and those of before do not grow old in status.
#[test]
fn figures_can_be_turned_off() -> Outcome {
    life(curious(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        world.until("reception", "the first reading", counts(0, 0)).await?;
        world.stop().await?;
        let before = world.count("usage");
        world.options.usage = Duration::ZERO;
        world.start().await?;
        let looked = world.look("reception", "off").await?;
        assert!(is_ready(&looked) && condition(&looked, REPORTED).is_none());
        assert_eq!((usage(&looked), status(&looked).sms_prices), (None, None));
        assert_eq!(world.count("usage"), before);
        Ok(())
    })
}
