//! From a manifest to a number in service: what is sent, what it costs, and what status says of it.

use std::time::Duration;

use clinic_phone_operator::api::ClinicPhoneNumber;
use clinic_phone_operator::api::v1alpha1::{ClaimOutcome, Origin};
use clinic_phone_operator::simulator::{AccountSpec, ApiKey, KeyType, StockLimit};
use serde_json::json;

use crate::harness::Outcome;
use crate::world::{
    Account, BARE, EXACT, Options, WEBHOOK, World, condition, held, is_ready, life, message, observed, status,
};

fn stock(code: &str, count: u64) -> StockLimit {
    serde_json::from_value(json!({"country": "CA", "type": "Local", "areaCode": code, "count": count}))
        .unwrap_or_else(|error| unreachable!("a stock limit: {error}"))
}

#[test]
fn a_number_costs_one_search_one_list_and_one_post() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let waited = world.space.kubectl(&["wait", "--for=condition=Ready", "cpn/reception", "--timeout=60s"])?;
        assert!(waited.success(), "{}", waited.stderr);
        let number = world.ready("reception").await?;
        assert_eq!(world.calls(), ["search", "list", "buy"]);

        let sales = world.twilio.ledger().purchases;
        assert_eq!(sales.len(), 1);
        let (sale, mark) = (&sales[0], world.mark("reception", false)?);
        let label = format!("{mark} {}", sale.phone_number.national());
        let buy = world.sent().pop().ok_or("nothing was sent")?;
        let field = |name: &str| buy.field(name);
        assert_eq!(field("PhoneNumber"), Some(sale.phone_number.as_str()));
        assert_eq!(field("FriendlyName"), Some(label.as_str()));
        assert_eq!(
            (field("SmsUrl"), field("SmsMethod"), field("SmsApplicationSid")),
            (Some(WEBHOOK), Some("POST"), Some(""))
        );
        assert_eq!((field("AreaCode"), field("VoiceUrl")), (None, None), "{:?}", buy.form);

        let now = status(&number);
        assert_eq!(now.phone_number.as_deref(), Some(sale.phone_number.as_str()));
        assert_eq!(now.phone_number_sid.as_deref(), Some(sale.sid.as_ref()));
        assert_eq!(now.account_sid.as_deref(), Some(world.account.sid.as_ref()));
        assert_eq!(now.friendly_name.as_deref(), Some(label.as_str()));
        assert_eq!(
            (now.origin, now.country.as_deref(), now.region.as_deref()),
            (Some(Origin::Purchased), Some("CA"), Some("QC"))
        );
        assert!(now.locality.is_some() && now.acquired_at.is_some() && !now.capabilities.is_empty(), "{now:?}");
        let webhook = now.webhook.ok_or("no webhook")?;
        assert_eq!(webhook.url, WEBHOOK);
        assert!(webhook.configured_at.is_some());
        let claim = now.claim.ok_or("no claim")?;
        assert_eq!((claim.attempts, claim.unanswered, claim.outcome), (1, 0, ClaimOutcome::Held));
        assert_eq!(claim.phone_number, sale.phone_number.as_str());
        for kind in ["Ready", "CredentialsValid", "NumberAcquired", "InboundSms", "OutboundSms", "Observed"] {
            assert_eq!(condition(&number, kind).map(|c| c.0).as_deref(), Some("True"), "{kind}");
        }
        for kind in ["Reconciling", "Stalled", "Paused", "WebhookVerified"] {
            assert_eq!(condition(&number, kind), None);
        }

        let ledger = world.ledger().await?;
        assert_eq!(ledger.len(), 1, "{ledger:?}");
        assert!(ledger[0].contains(sale.phone_number.as_str()) && ledger[0].ends_with(" buy"), "{ledger:?}");
        world.event("NumberPurchased", &[sale.phone_number.as_str(), sale.sid.as_ref()]).await?;
        assert_eq!(world.events().await?.len(), 1);

        // The finalizer, the claim, its stamp, the number; the ledger; the event.
        let mut writes = world.writes()?;
        writes.sort();
        let once = |what: &str| vec![what.to_owned()];
        let status = vec!["update clinicphonenumbers/status 200".to_owned(); 3];
        let expected =
            [once("create configmaps 201"), once("create events 201"), once("patch clinicphonenumbers 200"), status];
        assert_eq!(writes, expected.concat());
        Ok(())
    })
}

#[test]
fn label_voice_fallbacks_and_regulatory_sids_go_with_the_post() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let sid = |prefix: &str| format!("{prefix}{}", "5".repeat(32));
        let but = json!({
            "friendlyName": "Réception",
            "sms": {"method": "GET", "fallbackURL": "https://sms.example.com/fallback", "fallbackMethod": "GET"},
            "voice": {"webhookURL": "https://voice.example.com/in", "fallbackURL": "https://voice.example.com/fallback"},
            "regulatory": {"addressSID": sid("AD"), "bundleSID": sid("BU"), "identitySID": sid("RI")},
        });
        world.create("reception", but).await?;
        let number = world.ready("reception").await?;
        assert_eq!(world.calls(), ["search", "list", "buy"], "nothing was left for later");
        let buy = world.sent().pop().ok_or("nothing was sent")?;
        let expected = [
            ("FriendlyName", format!("{} Réception", world.mark("reception", false)?)),
            ("SmsUrl", WEBHOOK.to_owned()),
            ("SmsMethod", "GET".to_owned()),
            ("SmsFallbackUrl", "https://sms.example.com/fallback".to_owned()),
            ("SmsFallbackMethod", "GET".to_owned()),
            ("VoiceUrl", "https://voice.example.com/in".to_owned()),
            ("VoiceMethod", "POST".to_owned()),
            ("VoiceFallbackUrl", "https://voice.example.com/fallback".to_owned()),
            ("AddressSid", sid("AD")),
            ("BundleSid", sid("BU")),
            ("IdentitySid", sid("RI")),
        ];
        for (name, value) in expected {
            assert_eq!(buy.field(name), Some(value.as_str()), "{name}");
        }
        assert_eq!(world.row(&held(&number))?.sms_url, WEBHOOK);
        Ok(())
    })
}

/// Before anything is searched or bought: first that a bundle is missing, then what is wrong with the one that is named.
#[test]
fn what_the_law_asks_for_is_told_and_then_bought() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let sid = |prefix: &str| format!("{prefix}{}", "5".repeat(32));
        let account = |status: &str| {
            let bundle = json!({"sid": sid("BU"), "friendlyName": "Clinic", "status": status, "isoCountry": "GB", "numberType": "mobile"});
            let spec = AccountSpec::new(world.account.sid.clone(), &world.account.token);
            Ok::<_, serde_json::Error>(vec![AccountSpec { bundles: vec![serde_json::from_value(bundle)?], ..spec }])
        };
        world.create("reception", json!({"search": {"country": "GB", "type": "Mobile", "areaCodes": null}})).await?;
        let number = world.reason("reception", "RegulatoryDataRequired").await?;
        for words in ["spec.regulatory.bundleSID", "Mobile - Business", "The account shows none"] {
            assert!(message(&number).contains(words), "{words}: {}", message(&number));
        }
        world.twilio.add_accounts(account("twilio-approved")?)?;
        world.ask("reception", "a bundle is there").await?;
        let named = |number: &ClinicPhoneNumber| message(number).contains(&format!("{} (Clinic)", sid("BU")));
        world.until("reception", "the bundle's name", named).await?;

        world.twilio.add_accounts(account("in-review")?)?;
        world.edit("reception", json!({"regulatory": {"addressSID": sid("AD"), "bundleSID": sid("BU")}})).await?;
        let review = |number: &ClinicPhoneNumber| message(number).contains("Twilio says in-review");
        world.until("reception", "in review", review).await?;
        assert_eq!((world.sold(), world.count("buy"), world.count("search")), (0, 0, 0));

        world.twilio.add_accounts(account("twilio-approved")?)?;
        world.ask("reception", "it is approved").await?;
        world.ready("reception").await?;
        assert_eq!((world.sold(), world.count("buy")), (1, 1));
        Ok(())
    })
}

/// An API key that may not read regulations finds out as before: Twilio refuses, and one refusal is enough.
#[test]
fn without_the_right_to_read_regulations_twilio_refuses_and_says_what_is_missing() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.narrow_key("narrow", 7, &[&BARE[..], &["ListAvailablePhoneNumberMobile"]].concat()).await?;
        let spec = json!({
            "credentialsSecretRef": {"name": "narrow"}, "regulatory": {"addressSID": format!("AD{}", "5".repeat(32))},
            "search": {"country": "GB", "type": "Mobile", "areaCodes": null},
        });
        world.create("reception", spec).await?;
        let number = world.reason("reception", "RegulatoryDataRequired").await?;
        assert!(message(&number).contains("spec.regulatory.bundleSID"), "{}", message(&number));
        assert_eq!((world.sold(), world.count("buy")), (0, 1), "another number would be refused for the same");
        Ok(())
    })
}

#[test]
fn area_codes_are_tried_in_their_order() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.twilio.put_stock(vec![stock("418", 0), stock("581", 2)])?;
        for name in ["first", "second"] {
            world.create(name, json!({"search": {"areaCodes": ["418", "581", "514"]}})).await?;
            let number = world.ready(name).await?;
            assert!(held(&number).starts_with("+1581"), "{}", held(&number));
        }
        world.create("third", json!({"search": {"areaCodes": ["418", "581", "514"]}})).await?;
        assert!(held(&world.ready("third").await?).starts_with("+1514"));
        assert_eq!((world.sold(), world.count("search")), (3, 7));

        // None anywhere: told, and bought as soon as there is one.
        world.create("fourth", json!({})).await?;
        world.reason("fourth", "NoNumbersAvailable").await?;
        assert_eq!(world.sold(), 3);
        world.twilio.put_stock(vec![stock("418", 1)])?;
        world.ask("fourth", "there is one now").await?;
        assert!(held(&world.ready("fourth").await?).starts_with("+1418"));
        assert_eq!(world.sold(), 4);
        Ok(())
    })
}

#[test]
fn digits_asked_for_are_in_the_number_and_nothing_else_is_bought() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("easy", json!({"search": {"contains": "1234$"}})).await?;
        assert!(held(&world.ready("easy").await?).ends_with("1234"));
        world.twilio.put_stock(vec![stock("418", 0)])?;
        world.create("none", json!({"search": {"contains": "9876$"}})).await?;
        world.reason("none", "NoNumbersAvailable").await?;
        assert_eq!(world.sold(), 1);
        Ok(())
    })
}

#[test]
fn an_exact_number_is_bought_or_none() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({"phoneNumber": EXACT})).await?;
        assert_eq!(held(&world.ready("reception").await?), EXACT);
        assert_eq!(world.count("search"), 0, "the number wins over the search");

        // Another account's: not to be had. Nothing is bought in its place, although there is a search.
        let other = world.open_account(2)?;
        world.hold(&other, &json!([{"phoneNumber": "+14185550144"}]))?;
        world.create("taken", json!({"phoneNumber": "+14185550144"})).await?;
        let number = world.reason("taken", "NumberUnavailable").await?;
        assert!(message(&number).contains("+14185550144"), "{}", message(&number));
        assert!(condition(&number, "Stalled").is_some_and(|c| c.0 == "True"));
        assert_eq!((world.sold(), world.count("search")), (1, 0));
        let sent = world.count("buy");
        world.patch("taken", json!({"metadata": {"annotations": {"somebody": "else's"}}})).await?;
        world.passes(1).await?;
        assert_eq!(world.count("buy"), sent, "a refused number is not asked for again and again");
        Ok(())
    })
}

#[test]
fn the_default_webhook_is_filled_in_and_without_one_nothing_is_bought() -> Outcome {
    let options = Options { webhook: Some("https://hooks.example.com/{namespace}/{name}/sms"), ..Options::default() };
    life(options, async |world: &mut World| {
        world.create("reception", json!({"sms": null})).await?;
        let number = world.ready("reception").await?;
        let url = format!("https://hooks.example.com/{}/reception/sms", world.space.namespace);
        assert_eq!(world.row(&held(&number))?.sms_url, url);
        assert_eq!(status(&number).webhook.map(|webhook| webhook.url), Some(url));
        world.stop().await?;

        world.options.webhook = None;
        world.start().await?;
        world.create("nowhere", json!({"sms": null})).await?;
        let number = world.reason("nowhere", "InvalidSpec").await?;
        assert!(message(&number).contains("spec.sms.webhookURL"), "{}", message(&number));
        assert_eq!(world.sold(), 1);
        world.edit("nowhere", json!({"sms": {"webhookURL": WEBHOOK}})).await?;
        world.ready("nowhere").await?;
        Ok(())
    })
}

#[test]
fn an_api_key_that_may_not_read_the_account_buys() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        let account = Account::nth(3)?;
        let key = format!("SK{}", "3".repeat(32));
        let mut opened = AccountSpec::new(account.sid.clone(), &account.token);
        let secret = "c".repeat(32);
        opened.api_keys = vec![ApiKey {
            sid: key.parse()?,
            secret: secret.clone(),
            kind: KeyType::Standard,
            permissions: Vec::new(),
        }];
        world.twilio.add_accounts(vec![opened])?;
        let data = json!({"account": account.sid, "key": key, "secret": secret});
        world.secret("renamed", &data).await?;
        let reference = json!({
            "name": "renamed", "accountSidKey": "account", "apiKeySidKey": "key", "apiKeySecretKey": "secret",
        });
        world.create("reception", json!({"credentialsSecretRef": reference})).await?;
        let number = world.ready("reception").await?;
        assert_eq!(status(&number).account_sid.as_deref(), Some(account.sid.as_ref()));
        assert_eq!(world.calls(), ["search", "list", "buy"]);
        assert_eq!(world.twilio.ledger().purchases[0].account_sid, account.sid);
        Ok(())
    })
}

#[test]
fn a_suspended_resource_buys_nothing_until_it_is_woken() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({"suspend": true})).await?;
        let number = world.reason("reception", "Suspended").await?;
        assert!(condition(&number, "Paused").is_some() && condition(&number, "Stalled").is_none());
        assert!(world.calls().is_empty());
        world.edit("reception", json!({"suspend": null})).await?;
        let number = world.ready("reception").await?;
        assert_eq!(world.sold(), 1);
        // Woken and put to sleep again: it stays in service, and says so.
        world.edit("reception", json!({"suspend": true})).await?;
        let number_now =
            world.until("reception", "Paused", |n| condition(n, "Paused").is_some() && observed(n)).await?;
        assert!(is_ready(&number_now), "{:?}", status(&number_now).conditions);
        assert_eq!(held(&number_now), held(&number));
        Ok(())
    })
}

#[test]
fn an_edit_of_the_search_never_replaces_a_number() -> Outcome {
    life(Options::default(), async |world: &mut World| {
        world.create("reception", json!({})).await?;
        let number = held(&world.ready("reception").await?);
        world.edit("reception", json!({"search": {"areaCodes": ["514"]}})).await?;
        assert_eq!(held(&world.ready("reception").await?), number);
        world.edit("reception", json!({"phoneNumber": "+15145550177"})).await?;
        let differs = world.reason("reception", "HeldNumberDiffers").await?;
        assert!(message(&differs).contains(&number) && message(&differs).contains("+15145550177"));
        world.edit("reception", json!({"phoneNumber": number})).await?;
        assert_eq!(held(&world.ready("reception").await?), number);
        assert_eq!((world.sold(), world.released(), world.count("update")), (1, 0, 0));
        Ok(())
    })
}

#[test]
fn the_fuse_stops_at_its_limit_and_says_until_when() -> Outcome {
    life(Options { limit: 2, ..Options::default() }, async |world: &mut World| {
        let names = ["one", "two", "three", "four"];
        for name in names {
            world.create(name, json!({})).await?;
        }
        let mut reasons = Vec::new();
        for name in names {
            let number = world
                .until(name, "Ready or held back", |n| {
                    is_ready(n) || condition(n, "Ready").is_some_and(|c| c.1 == "PurchaseLimitReached")
                })
                .await?;
            if !is_ready(&number) {
                let words = message(&number);
                assert!(words.contains("--max-purchases-per-hour") && words.contains("at 2"), "{words}");
                assert!(condition(&number, "Reconciling").is_some(), "it goes on by itself");
            }
            reasons.push(is_ready(&number));
        }
        assert_eq!(reasons.iter().filter(|ready| **ready).count(), 2);
        assert_eq!((world.sold(), world.count("buy"), world.ledger().await?.len()), (2, 2, 2));

        // An hour later there is room again.
        world.clock.advance(Duration::from_secs(3600));
        for name in names {
            world.ask(name, "an hour later").await?;
        }
        for name in names {
            world.ready(name).await?;
        }
        assert_eq!(world.sold(), 4);
        Ok(())
    })
}
