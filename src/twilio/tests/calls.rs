use serde_json::json;

use super::*;
use crate::domain::{
    AddressSid, BundleSid, Capability, CountryCode, Field, IdentitySid, MessagingServiceSid, NumberType,
};

const BASE: &str = "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000000";

fn not_found() -> Scripted {
    answer(404, r#"{"code":20404,"message":"The requested resource was not found","status":404}"#)
}

#[tokio::test]
async fn a_purchase_is_one_exact_request() {
    let script = Script::of([answer(201, held("+14185551234").to_string())]);
    let bought = script.client().buy(&canary_token(), &purchase(), &open_fence()).await.unwrap();
    assert_eq!(bought.sid, number_sid());
    assert_eq!(script.target(), format!("POST {BASE}/IncomingPhoneNumbers.json"));
    let asked = script.asked();
    assert_eq!(
        std::str::from_utf8(asked[0].body()).unwrap(),
        "PhoneNumber=%2B14185551234&FriendlyName=%5Bcpn%3Aabcde.abcdefghijk%5D+%28418%29+555-1234\
         &SmsUrl=https%3A%2F%2Fexample.com%2Fsms%3Fkey%3Dcanary&SmsMethod=POST&SmsApplicationSid="
    );
    let headers = asked[0].headers();
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(headers["authorization"].is_sensitive());
    let basic = headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    let pair = data_encoding::BASE64.decode(basic.as_bytes()).unwrap();
    assert_eq!(pair, format!("{}:{TOKEN}", account()).into_bytes());
}

#[tokio::test]
async fn an_api_key_signs_in_as_itself() {
    let script = Script::of([answer(201, held("+14185551234").to_string())]);
    script.client().buy(&canary_key(), &purchase(), &open_fence()).await.unwrap();
    let asked = script.asked();
    let basic = asked[0].headers()["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    let pair = data_encoding::BASE64.decode(basic.as_bytes()).unwrap();
    assert_eq!(pair, format!("SK{}:{KEY_SECRET}", "0".repeat(32)).into_bytes());
    assert!(asked[0].uri().path().contains("/AC0"), "the path has the account all the same");
}

#[test]
fn a_webhook_that_is_set_by_hand_is_in_no_form() {
    let mut purchase = purchase();
    purchase.setup.sms = None;
    let form = super::super::numbers::purchase_form(&purchase);
    assert!(!form.contains("Sms"), "{form}");
}

#[test]
fn everything_that_is_managed_is_in_the_form() {
    let zeros = "0".repeat(32);
    let mut purchase = purchase();
    purchase.setup.sms = Some(Webhook {
        url: "https://example.com/sms".to_owned(),
        method: HttpMethod::POST,
        fallback: Some(("https://example.com/f".to_owned(), HttpMethod::GET)),
    });
    purchase.setup.voice = Some(Webhook {
        url: "https://example.com/v".to_owned(),
        method: HttpMethod::GET,
        fallback: Some(("https://example.com/w".to_owned(), HttpMethod::POST)),
    });
    purchase.regulatory = Regulatory {
        address: Some(AddressSid::parse(&format!("AD{zeros}")).unwrap()),
        bundle: Some(BundleSid::parse(&format!("BU{zeros}")).unwrap()),
        identity: Some(IdentitySid::parse(&format!("RI{zeros}")).unwrap()),
    };
    let form = super::super::numbers::purchase_form(&purchase);
    let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("PhoneNumber", "+14185551234"),
            ("FriendlyName", "[cpn:abcde.abcdefghijk] (418) 555-1234"),
            ("SmsUrl", "https://example.com/sms"),
            ("SmsMethod", "POST"),
            ("SmsFallbackUrl", "https://example.com/f"),
            ("SmsFallbackMethod", "GET"),
            ("SmsApplicationSid", ""),
            ("VoiceUrl", "https://example.com/v"),
            ("VoiceMethod", "GET"),
            ("VoiceFallbackUrl", "https://example.com/w"),
            ("VoiceFallbackMethod", "POST"),
            ("AddressSid", format!("AD{zeros}").as_str()),
            ("BundleSid", format!("BU{zeros}").as_str()),
            ("IdentitySid", format!("RI{zeros}").as_str()),
        ]
    );
    assert!(!form.contains("AreaCode"));
}

#[tokio::test]
async fn a_purchase_counts_only_with_our_account_and_number() {
    let ours = held("+14185551234");
    let mut foreign = ours.clone();
    foreign["account_sid"] = json!(format!("AC{}", "1".repeat(32)));
    for good in [answer(201, ours.to_string()), answer(200, ours.to_string())] {
        let script = Script::of([good]);
        assert!(script.client().buy(&canary_token(), &purchase(), &open_fence()).await.is_ok());
    }
    for bad in [
        answer(201, held("+14185559999").to_string()),
        answer(201, foreign.to_string()),
        answer(201, ""),
        answer(201, "<html>welcome</html>"),
        answer(200, "{}"),
        answer(202, ours.to_string()),
        answer(204, ""),
        answer(201, format!("{ours}garbage")),
        Err(TransportError::Interrupted("reset".to_owned())),
    ] {
        let script = Script::of([bad]);
        let trouble = script.client().buy(&canary_token(), &purchase(), &open_fence()).await.unwrap_err();
        assert_eq!(trouble.meaning, Meaning::Ambiguous, "{trouble}");
        assert_eq!((script.outcomes(), script.asked().len()), (vec!["ambiguous"], 1));
    }
}

#[tokio::test]
async fn nothing_is_sent_once_the_fence_is_closed() {
    let script = Script::of([]);
    let client = script.client();
    let fence = closed_fence();
    let fields = [(Field::SmsUrl, String::new())];
    for trouble in [
        client.buy(&canary_token(), &purchase(), &fence).await.unwrap_err(),
        client.update(&canary_token(), &number_sid(), &fields, &fence).await.unwrap_err(),
        client.release(&canary_token(), &number_sid(), &fence).await.unwrap_err(),
    ] {
        assert_eq!((trouble.meaning, trouble.class), (Meaning::NotSent, Class::Unavailable));
        assert!(trouble.detail.contains("the send deadline was over"));
    }
    assert!(script.asked().is_empty());
    assert_eq!(script.outcomes(), ["not_sent"; 3]);
}

/// Becomes ready only after its clock went past the fence.
#[derive(Clone)]
struct Slow(Arc<ManualClock>, Arc<Mutex<bool>>);

impl tower::Service<Request<Bytes>> for Slow {
    type Response = Response<Bytes>;
    type Error = TransportError;
    type Future = std::future::Ready<Scripted>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TransportError>> {
        self.0.advance(Duration::from_secs(10));
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        *self.1.lock().unwrap() = true;
        std::future::ready(answer(201, ""))
    }
}

#[tokio::test]
async fn the_fence_is_looked_at_when_the_transport_is_ready() {
    let (clock, fence) = fence();
    let called = Arc::new(Mutex::new(false));
    let client = client(Transport::new(Slow(clock, called.clone())));
    assert!(fence.is_open());
    let trouble = client.buy(&canary_token(), &purchase(), &fence).await.unwrap_err();
    assert_eq!(trouble.meaning, Meaning::NotSent);
    assert!(!*called.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_answers_times_out() {
    let transport = Transport::new(tower::service_fn(|_: Request<Bytes>| std::future::pending::<Scripted>()));
    let trouble = client(transport).buy(&canary_token(), &purchase(), &open_fence()).await.unwrap_err();
    assert_eq!((trouble.meaning, trouble.detail.as_str()), (Meaning::Ambiguous, "no answer came within 30s"));
}

#[tokio::test]
async fn a_number_is_absent_only_on_twilios_word() {
    let script = Script::of([not_found()]);
    assert_eq!(script.client().number(&canary_token(), &number_sid()).await, Ok(None));
    assert_eq!(script.target(), format!("GET {BASE}/IncomingPhoneNumbers/{}.json", number_sid()));

    let script = Script::of([answer(404, "<html>not found</html>")]);
    assert_eq!(script.client().number(&canary_token(), &number_sid()).await.unwrap_err().meaning, Meaning::Ambiguous);
    let script = Script::of([answer(200, held("+14185551234").to_string())]);
    assert!(script.client().number(&canary_token(), &number_sid()).await.unwrap().is_some());

    let other = PhoneNumberSid::parse(&format!("PN{}", "1".repeat(32))).unwrap();
    let script = Script::of([answer(200, held("+14185551234").to_string())]);
    assert_eq!(script.client().number(&canary_token(), &other).await.unwrap_err().meaning, Meaning::Ambiguous);
}

#[tokio::test]
async fn an_update_sends_what_is_named_and_empty_clears() {
    let fields = [(Field::SmsUrl, "https://example.com/a b".to_owned()), (Field::SmsApplicationSid, String::new())];
    let script = Script::of([answer(200, held("+14185551234").to_string())]);
    script.client().update(&canary_token(), &number_sid(), &fields, &open_fence()).await.unwrap();
    assert_eq!(script.target(), format!("POST {BASE}/IncomingPhoneNumbers/{}.json", number_sid()));
    assert_eq!(script.asked()[0].body().as_ref(), b"SmsUrl=https%3A%2F%2Fexample.com%2Fa+b&SmsApplicationSid=");

    let mut other = held("+14185551234");
    other["sid"] = json!(format!("PN{}", "1".repeat(32)));
    let script = Script::of([answer(200, other.to_string())]);
    let trouble = script.client().update(&canary_token(), &number_sid(), &fields, &open_fence()).await.unwrap_err();
    assert_eq!(trouble.meaning, Meaning::Ambiguous);
}

#[tokio::test]
async fn a_release_is_done_or_not_found() {
    for (scripted, wanted) in [(answer(204, ""), Released::Done), (not_found(), Released::NotFound)] {
        let script = Script::of([scripted]);
        assert_eq!(script.client().release(&canary_token(), &number_sid(), &open_fence()).await, Ok(wanted));
        assert_eq!(script.target(), format!("DELETE {BASE}/IncomingPhoneNumbers/{}.json", number_sid()));
    }
    for (scripted, meaning) in [
        (answer(200, "<html>"), Meaning::Ambiguous),
        (answer(404, "<html>"), Meaning::Ambiguous),
        (answer(400, r#"{"code":99999,"message":"emergency address"}"#), Meaning::RefusedOtherwise),
    ] {
        let script = Script::of([scripted]);
        let trouble = script.client().release(&canary_token(), &number_sid(), &open_fence()).await.unwrap_err();
        assert_eq!(trouble.meaning, meaning);
    }
}

#[tokio::test]
async fn a_search_asks_for_everything_and_checks_again() {
    let mut wanted = search();
    wanted.area_code = Some("418".to_owned());
    wanted.contains = Some("+*1234$".to_owned());
    wanted.locality = Some("Québec City".to_owned());
    wanted.region = Some("QC".to_owned());
    wanted.postal_code = Some("G1R".to_owned());
    wanted.near_number = Some(E164::parse("+14185550100").unwrap());
    wanted.distance_miles = Some(10);
    wanted.capabilities = vec![Capability::SMS, Capability::Voice];
    let offer = |number: &str| {
        json!({"phone_number": number, "friendly_name": "(418) 555-1234", "locality": "Québec", "region": "QC",
            "iso_country": "CA", "capabilities": {"voice": true, "SMS": true, "MMS": false}, "lata": null,
            "latitude": "46.8", "address_requirements": "none", "beta": false})
    };
    let mut no_sms = offer("+14185550003");
    no_sms["capabilities"] = json!({"voice": true, "SMS": false});
    let mut elsewhere = offer("+14185550004");
    elsewhere["iso_country"] = json!("US");
    let mut nameless = offer("+14185550005");
    nameless["phone_number"] = json!(null);
    let mut quiet = offer("+14185550006");
    quiet["iso_country"] = json!(null);
    let offers = json!({"uri": "/x", "available_phone_numbers": [
        offer("+14185550001"), offer("+15815550002"), no_sms, elsewhere, nameless, quiet,
    ]});
    let script = Script::of([answer(200, offers.to_string())]);
    let found = script.client().search(&canary_token(), &wanted).await.unwrap();
    let numbers: Vec<_> = found.iter().map(|offer| offer.phone_number.as_str()).collect();
    assert_eq!(numbers, ["+14185550001", "+14185550006"]);
    assert_eq!((found[0].locality.as_deref(), found[0].address_requirements.as_str()), (Some("Québec"), "none"));
    assert_eq!(
        script.target(),
        format!(
            "GET {BASE}/AvailablePhoneNumbers/CA/Local.json?AreaCode=418&Contains=%2B*1234%24\
             &InLocality=Qu%C3%A9bec+City&InRegion=QC&InPostalCode=G1R&NearNumber=%2B14185550100&Distance=10\
             &SmsEnabled=true&VoiceEnabled=true&Beta=false&PageSize=30"
        )
    );
}

#[tokio::test]
async fn what_a_filter_that_was_ignored_lets_through_is_left_out() {
    let offer = |number: &str, region: serde_json::Value| json!({"phone_number": number, "region": region, "iso_country": "CA"});
    let offers = json!({"uri": "/x", "available_phone_numbers": [
        offer("+14185551234", json!("QC")), offer("+14185559999", json!("QC")),
        offer("+15145551234", json!("ON")), offer("+14385551234", json!(null)),
    ]});
    let mut wanted = search();
    wanted.contains = Some("1234".to_owned());
    wanted.region = Some("QC".to_owned());
    wanted.capabilities = Vec::new();
    let found = Script::of([answer(200, offers.to_string())]).client().search(&canary_token(), &wanted).await.unwrap();
    let numbers: Vec<_> = found.iter().map(|offer| offer.phone_number.as_str()).collect();
    assert_eq!(numbers, ["+14185551234", "+14385551234"]);
}

#[tokio::test]
async fn a_search_is_empty_or_tells_why() {
    let mut wanted = search();
    wanted.allow_beta = true;
    wanted.contains = Some(String::new());
    wanted.number_type = NumberType::TollFree;
    let script = Script::of([answer(200, r#"{"available_phone_numbers":[],"uri":"/x"}"#)]);
    assert_eq!(script.client().search(&canary_token(), &wanted).await, Ok(Vec::new()));
    assert_eq!(script.target(), format!("GET {BASE}/AvailablePhoneNumbers/CA/TollFree.json?PageSize=30"));

    let script = Script::of([not_found()]);
    let trouble = script.client().search(&canary_token(), &wanted).await.unwrap_err();
    assert!(trouble.class == Class::NotFound && trouble.remedy.contains("spec.search.type"));
}

#[tokio::test]
async fn a_filter_that_twilio_would_ignore_is_refused() {
    let mut wanted = search();
    wanted.country = CountryCode::parse("GB").unwrap();
    wanted.area_code = Some("418".to_owned());
    let script = Script::of([]);
    let trouble = script.client().search(&canary_token(), &wanted).await.unwrap_err();
    assert_eq!((trouble.meaning, trouble.class), (Meaning::NotSent, Class::InvalidRequest));
    assert!(trouble.detail.contains("spec.search.areaCodes"), "{trouble}");
}

#[tokio::test]
async fn the_account_is_read_and_a_narrow_key_is_no_bad_key() {
    let body =
        json!({"sid": account(), "auth_token": TOKEN, "status": "suspended", "type": "Trial", "friendly_name": "x"});
    let script = Script::of([answer(200, body.to_string())]);
    let read = script.client().account(&canary_token()).await.unwrap();
    assert_eq!((read.status.clone(), read.account_type.clone()), (AccountStatus::Suspended, AccountType::Trial));
    assert_clean(&format!("{read:?}"));
    assert_eq!(script.target(), format!("GET {BASE}.json"));

    let denied = || answer(401, r#"{"code":20003,"message":"Authenticate","status":401}"#);
    let script = Script::of([denied(), denied()]);
    let key = script.client().account(&canary_key()).await.unwrap_err();
    assert_eq!((key.meaning, key.class), (Meaning::RefusedOtherwise, Class::AccountLimited));
    let token = script.client().account(&canary_token()).await.unwrap_err();
    assert_eq!((token.meaning, token.class), (Meaning::Credentials, Class::CredentialsRejected));
    assert_eq!(script.outcomes(), ["refused", "credentials"]);
}

#[tokio::test]
async fn prices_are_decimals_of_the_right_country() {
    let body = r#"{"country":"Canada","iso_country":"CA","price_unit":"USD","url":"x","phone_number_prices":[
        {"number_type":"local","base_price":"1.00","current_price":"1.15"},
        {"number_type":"toll free","base_price":2.15,"current_price":null},
        {"number_type":"national","base_price":"9","current_price":"9"},
        {"number_type":"mobile","base_price":null}]}"#;
    let country = CountryCode::parse("CA").unwrap();
    let script = Script::of([answer(200, body)]);
    let prices = script.client().number_prices(&canary_token(), &country).await.unwrap();
    let text = |kind| prices.monthly(kind).map(|money| money.to_string());
    assert_eq!(text(NumberType::Local).as_deref(), Some("1.15 USD"));
    assert_eq!(text(NumberType::TollFree).as_deref(), Some("2.15 USD"));
    assert_eq!(text(NumberType::Mobile), None);
    assert_eq!(script.target(), "GET https://pricing.twilio.com/v1/PhoneNumbers/Countries/CA");

    let script = Script::of([answer(200, body)]);
    let other = CountryCode::parse("US").unwrap();
    assert!(script.client().number_prices(&canary_token(), &other).await.is_err());
}

#[tokio::test]
async fn no_secret_is_in_any_trouble_or_record() {
    for (credentials, secret) in [(canary_token(), TOKEN), (canary_key(), KEY_SECRET), (canary_key(), TOKEN)] {
        let url = "https://example.com/sms?key=canary";
        let echo = json!({"code": 20_003, "message": format!("account {} secret {secret} url {url}", account())});
        let bad_item = json!({"incoming_phone_numbers": [{"sid": secret, "account_sid": secret}]});
        let wrong_type = json!({"incoming_phone_numbers": format!("{url} {secret}")});
        let script = Script::of([
            answer(401, echo.to_string()),
            answer(200, bad_item.to_string()),
            answer(200, wrong_type.to_string()),
            Err(TransportError::NotSent(format!("proxy https://u:{secret}@example.com/?key=canary"))),
            Err(TransportError::Interrupted(format!("{secret}: {secret}"))),
        ]);
        for _ in 0..5 {
            let trouble = script.client().numbers(&credentials).await.unwrap_err();
            assert_clean(&format!("{trouble} {trouble:?} {:?}", script.client()));
        }
        assert_clean(&format!("{:?}", script.records.lock().unwrap()));
    }
}

#[tokio::test]
async fn prices_of_messages_are_the_dearest_of_all_carriers() {
    let body = r#"{"country":"Canada","iso_country":"CA","price_unit":"USD","url":"x",
        "inbound_sms_prices":[{"number_type":"local","base_price":"0.0075","current_price":0.0075},
            {"number_type":"toll free","base_price":"0.01","current_price":"0.009"}],
        "outbound_sms_prices":[
            {"carrier":"One","mcc":"302","mnc":"1","prices":[{"number_type":"local","base_price":"0.0075","current_price":"0.0070"}]},
            {"carrier":"Two","mcc":"302","mnc":"2","prices":[{"number_type":"local","base_price":"0.0090","current_price":"0.0083"}]}]}"#;
    let country = CountryCode::parse("CA").unwrap();
    let script = Script::of([answer(200, body)]);
    let prices = script.client().message_prices(&canary_token(), &country).await.unwrap();
    let local = prices.of(NumberType::Local).unwrap();
    assert_eq!((local.inbound.to_string(), local.outbound.to_string()), ("0.0075 USD".into(), "0.0083 USD".into()));
    assert_eq!(prices.of(NumberType::TollFree), None, "nobody tells what sending from one costs");
    assert_eq!(script.target(), "GET https://pricing.twilio.com/v1/Messaging/Countries/CA");
}

/// A record as Twilio writes it: numbers as text, the currency in small letters.
fn record(category: &str, count: &str, price: &str) -> serde_json::Value {
    json!({
        "account_sid": account(), "category": category, "count": count, "price": price, "price_unit": "usd",
        "as_of": "2026-11-26T18:00:00+00:00", "start_date": "2026-11-01", "end_date": "2026-11-26",
    })
}

#[tokio::test]
async fn usage_sums_what_stands_beside_each_other_and_never_a_parent_with_its_children() {
    let first = json!({"next_page_uri": format!("/2010-04-01/Accounts/{}/Usage/Records/ThisMonth.json?Page=1", account()),
    "usage_records": [
        record("totalprice", "0", "1005.27"),
        record("sms", "436", "3.77"),
        record("sms-inbound", "89", "0.6675"),
        record("sms-inbound-longcode", "89", "0.6675"),
        record("sms-outbound", "347", "2.6025"),
        record("sms-outbound-longcode", "347", "2.6025"),
        record("sms-messages-carrierfees", "100", "0.50"),
        record("calls", "7", "900"),
        // What is not counted may be as it likes.
        json!({"account_sid": account(), "category": "odd"}),
    ]});
    let mut mms = record("mms-outbound", "3", "0.06");
    mms["price"] = json!(0.06);
    mms["as_of"] = json!("2026-11-26T17:59:00+00:00");
    let second = json!({"next_page_uri": null, "usage_records": [mms, record("mms-inbound", "1", "0.01")]});
    let script = Script::of([answer(200, first.to_string()), answer(200, second.to_string())]);
    let usage = script.client().usage_this_month(&canary_token()).await.unwrap();
    assert_eq!((usage.month.to_string().as_str(), usage.sent, usage.received), ("2026-11", 350, 90));
    assert_eq!(usage.cost.to_string(), "3.84 USD");
    assert_eq!(usage.as_of.to_string(), "2026-11-26T17:59:00Z", "the older of two is the truth");
    let asked = script.asked()[0].uri().to_string();
    assert!(asked.contains("/Usage/Records/ThisMonth.json?IncludeSubaccounts=false"), "{asked}");
}

#[tokio::test]
async fn usage_that_says_nothing_or_contradicts_itself_is_no_usage() {
    let but = |name: &str, value: serde_json::Value| {
        let mut record = record("sms-outbound", "347", "2.6025");
        record[name] = value;
        json!({"usage_records": [self::record("totalprice", "0", "0"), record]})
    };
    let twice = [record("sms-inbound", "1", "1"), record("sms-inbound", "1", "1")];
    for body in [
        json!({}),
        json!({"usage_records": []}),
        json!({"usage_records": twice}),
        but("account_sid", json!("AC00000000000000000000000000000009")),
        but("start_date", json!("2026-10-01")),
        but("start_date", json!("soon")),
        but("price_unit", json!("cad")),
        but("price_unit", json!(null)),
        but("price", json!(null)),
        but("price", json!("-1")),
        but("count", json!("many")),
        but("count", json!(null)),
        but("count", json!("99999999999999999999")),
        but("as_of", json!("")),
    ] {
        let script = Script::of([answer(200, body.to_string())]);
        let told = script.client().usage_this_month(&canary_token()).await;
        assert!(told.is_err(), "{body}");
    }
    let nothing = json!({"usage_records": [record("totalprice", "0", "0")]});
    let usage =
        Script::of([answer(200, nothing.to_string())]).client().usage_this_month(&canary_token()).await.unwrap();
    assert_eq!((usage.sent, usage.received, usage.cost.to_string().as_str()), (0, 0, "0 USD"));
}

#[tokio::test]
async fn messages_of_a_number_are_counted_by_what_became_of_them() {
    let number = E164::parse("+14185550100").unwrap();
    let message = |sid: &str, direction: &str, status: &str, price: serde_json::Value| {
        json!({
            "sid": sid, "account_sid": account(), "direction": direction, "status": status, "price": price,
            "price_unit": "USD", "date_sent": "Thu, 26 Nov 2026 18:00:00 +0000", "body": "canary", "num_media": "0",
        })
    };
    let first = json!({"next_page_uri": format!("/2010-04-01/Accounts/{}/Messages.json?Page=1", account()), "messages": [
        message("SM1", "outbound-api", "delivered", json!("-0.00750")),
        message("SM2", "outbound-reply", "undelivered", json!(-0.0075)),
        message("SM3", "outbound-api", "queued", json!(null)),
        message("SM4", "outbound-api", "failed", json!(null)),
        message("SM5", "inbound", "received", json!("-0.00750")),
    ]});
    // The second page begins with what the first one ended with.
    let second =
        json!({"next_page_uri": null, "messages": [message("SM2", "outbound-reply", "undelivered", json!(-0.0075))]});
    let since = "2026-11-24".parse().unwrap();
    for (way, counted, billed) in [(Way::Sent, 3, 2), (Way::Received, 1, 1)] {
        let script = Script::of([answer(200, first.to_string()), answer(200, second.to_string())]);
        let messages = script.client().messages(&canary_token(), &number, way, since).await.unwrap();
        assert_eq!(messages.len(), counted, "{way:?}: {messages:?}");
        let costs: Vec<_> =
            messages.iter().filter_map(|message| message.cost).map(|cost| cost.normalize().to_string()).collect();
        assert_eq!(costs, vec!["0.0075"; billed], "{way:?}");
        let asked = script.asked()[0].uri().to_string();
        let name = if way == Way::Sent { "From" } else { "To" };
        assert!(
            asked.ends_with(&format!("/Messages.json?{name}=%2B14185550100&DateSent%3E=2026-11-24&PageSize=1000")),
            "{asked}"
        );
    }
    for body in [json!({}), json!({"messages": [{"direction": "inbound"}]})] {
        let script = Script::of([answer(200, body.to_string())]);
        assert!(script.client().messages(&canary_token(), &number, Way::Sent, since).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn more_messages_than_are_counted_are_told_and_not_half_counted() {
    let number = E164::parse("+14185550100").unwrap();
    let page = |nth: usize| {
        let next = format!("/2010-04-01/Accounts/{}/Messages.json?Page={nth}", account());
        answer(200, json!({"next_page_uri": next, "messages": []}).to_string())
    };
    let script = Script::of((1..=21).map(page));
    let told = script.client().messages(&canary_token(), &number, Way::Sent, "2026-11-01".parse().unwrap()).await;
    assert!(told.unwrap_err().to_string().contains("20000 messages"));
    assert_eq!(script.asked().len(), 20);
}

const MESSAGING: &str = "https://messaging.twilio.com/v1/Services/MG00000000000000000000000000000001";

fn service_sid() -> MessagingServiceSid {
    MessagingServiceSid::parse(&format!("MG{:032x}", 1)).unwrap()
}

fn refusal(status: u16, code: u32) -> Scripted {
    answer(status, json!({"code": code, "message": "no", "more_info": "", "status": status}).to_string())
}

#[tokio::test]
async fn a_messaging_service_is_read_and_has_to_be_the_one_that_was_asked_for() {
    let service = json!({
        "sid": service_sid(), "account_sid": account(), "friendly_name": "Reminders", "inbound_request_url": null,
        "inbound_method": "GET", "use_inbound_webhook_on_number": true,
    });
    let script = Script::of([answer(200, service.to_string())]);
    let read = script.client().messaging_service(&canary_token(), &service_sid()).await.unwrap();
    assert_eq!(script.target(), format!("GET {MESSAGING}"));
    assert_eq!((read.inbound_url.as_str(), read.inbound_method, read.on_number), ("", HttpMethod::GET, true));
    for (field, value) in [("sid", format!("MG{:032x}", 2)), ("account_sid", format!("AC{:032x}", 2))] {
        let mut other = service.clone();
        other[field] = value.into();
        let script = Script::of([answer(200, other.to_string())]);
        let told = script.client().messaging_service(&canary_token(), &service_sid()).await.unwrap_err();
        let meaning = if field == "sid" { Meaning::Ambiguous } else { Meaning::RefusedOtherwise };
        assert_eq!(told.meaning, meaning, "{field}");
    }
    let told = Script::of([not_found()]).client().messaging_service(&canary_token(), &service_sid()).await.unwrap_err();
    assert_eq!((told.meaning, told.class), (Meaning::RefusedOtherwise, Class::NotFound));
}

#[tokio::test]
async fn a_number_is_put_into_a_service_once_and_taken_out_of_it_again() {
    let member = json!({"sid": number_sid(), "service_sid": service_sid(), "account_sid": account()}).to_string();
    let of = |field: &str, value: &str| {
        let mut other: serde_json::Value = serde_json::from_str(&member).unwrap();
        other[field] = value.into();
        other.to_string()
    };
    // (the answer, whether the number is in the service then; None: nobody knows)
    let table = [
        (answer(201, member.clone()), Some(true)),
        (answer(200, member.clone()), Some(true)),
        (refusal(409, 21_710), Some(true)),
        (refusal(409, 21_712), Some(false)),
        (refusal(400, 21_714), Some(false)),
        (refusal(400, 21_715), Some(false)),
        (not_found(), Some(false)),
        (answer(201, of("service_sid", "MG0")), None),
        (answer(201, of("sid", &format!("PN{:032x}", 9))), None),
        (answer(500, String::new()), None),
    ];
    for (answer, ends) in table {
        let script = Script::of([answer]);
        let joined = script.client().join_service(&canary_token(), &service_sid(), &number_sid(), &open_fence()).await;
        assert_eq!(script.target(), format!("POST {MESSAGING}/PhoneNumbers"));
        let form = format!("PhoneNumberSid={}", number_sid());
        assert_eq!(script.asked()[0].body(), form.as_bytes());
        match joined {
            Ok(()) => assert_eq!(ends, Some(true)),
            Err(told) if told.meaning == Meaning::RefusedOtherwise => assert_eq!(ends, Some(false), "{told}"),
            Err(told) => assert_eq!((ends, told.meaning), (None, Meaning::Ambiguous), "{told}"),
        }
    }
    for (answer, out) in [(answer(204, ""), true), (refusal(404, 21_711), true), (not_found(), false)] {
        let script = Script::of([answer]);
        let left = script.client().leave_service(&canary_token(), &service_sid(), &number_sid(), &open_fence()).await;
        assert_eq!(script.target(), format!("DELETE {MESSAGING}/PhoneNumbers/{}", number_sid()));
        assert_eq!(left.unwrap(), out);
    }
    for (answer, there) in [(answer(200, member), true), (not_found(), false)] {
        let script = Script::of([answer]);
        assert_eq!(script.client().is_in_service(&canary_token(), &service_sid(), &number_sid()).await.unwrap(), there);
    }
    let script = Script::of([]);
    let told = script.client().join_service(&canary_token(), &service_sid(), &number_sid(), &closed_fence()).await;
    assert_eq!((told.unwrap_err().meaning, script.asked().len()), (Meaning::NotSent, 0));
}

#[tokio::test]
async fn papers_are_read_for_a_country_and_kind() {
    const REGULATIONS: &str = "https://numbers.twilio.com/v2/RegulatoryCompliance/Regulations";
    let france = CountryCode::parse("FR").unwrap();
    let rule = |n: u32, requirements: serde_json::Value| json!({"sid": format!("RN{n:032x}"), "friendly_name": format!("rule {n}"), "requirements": requirements});
    let asks = json!({"end_user": [], "supporting_document": [[{"name": "Address"}]]});
    let first = json!({
        "results": [rule(1, json!({"end_user": [], "supporting_document": []})), rule(2, asks)],
        "meta": {"next_page_url": format!("{REGULATIONS}?Page=1")},
    });
    let second =
        json!({"results": [rule(3, json!({"end_user": [{"type": "business"}]}))], "meta": {"next_page_url": null}});
    let sid = BundleSid::parse(&format!("BU{:032x}", 1)).unwrap();
    let bundle = json!({
        "sid": sid, "friendly_name": "ours", "regulation_sid": format!("RN{:032x}", 2), "status": "draft",
        "valid_until": "2027-01-01T00:00:00Z",
    });

    let pages = || [answer(200, first.to_string()), answer(200, second.to_string())];
    let script = Script::of(pages().into_iter().chain([answer(200, bundle.to_string())]));
    let papers = script.client().papers(&canary_token(), &france, NumberType::TollFree, Some(&sid)).await.unwrap();
    let rules: Vec<_> = papers.regulations.iter().map(|rule| (rule.name.as_str(), rule.asks)).collect();
    assert_eq!(rules, [("rule 1", false), ("rule 2", true), ("rule 3", true)], "one that asks for nothing counts");
    let found = papers.bundle.unwrap();
    assert_eq!((found.status.as_str(), found.regulation.as_str()), ("draft", &*format!("RN{:032x}", 2)));
    assert!(found.valid_until.is_some());
    let asked: Vec<_> = script.asked().iter().map(|request| request.uri().to_string()).collect();
    assert_eq!(asked[0], format!("{REGULATIONS}?IsoCountry=FR&NumberType=toll-free&PageSize=1000"));
    assert_eq!(asked[2], format!("https://numbers.twilio.com/v2/RegulatoryCompliance/Bundles/{sid}"));

    // Not there; and without a name those that are approved, as far as they can be listed.
    let script = Script::of(pages().into_iter().chain([not_found()]));
    let papers = script.client().papers(&canary_token(), &france, NumberType::Local, Some(&sid)).await.unwrap();
    assert_eq!(papers.bundle, None);
    let approved = json!({"results": [bundle], "meta": {}});
    let script = Script::of(pages().into_iter().chain([answer(200, approved.to_string())]));
    let papers = script.client().papers(&canary_token(), &france, NumberType::Local, None).await.unwrap();
    assert_eq!(papers.approved.len(), 1);
    assert!(script.asked()[2].uri().to_string().contains("Status=twilio-approved"));
    let script = Script::of(pages().into_iter().chain([answer(500, "")]));
    let papers = script.client().papers(&canary_token(), &france, NumberType::Local, None).await.unwrap();
    assert!(papers.approved.is_empty() && papers.regulations.len() == 3);
    // Nothing is asked for: nothing more is looked at.
    let idle = rule(1, json!({"end_user": [], "supporting_document": []}));
    for results in [json!([]), json!([idle])] {
        let script = Script::of([answer(200, json!({"results": results, "meta": {}}).to_string())]);
        let papers = script.client().papers(&canary_token(), &france, NumberType::Local, Some(&sid)).await.unwrap();
        assert!(papers.regulations.iter().all(|rule| !rule.asks) && script.asked().len() == 1);
    }
    for body in [json!({}), json!({"results": [{}]})] {
        let script = Script::of([answer(200, body.to_string())]);
        assert!(script.client().papers(&canary_token(), &france, NumberType::Local, None).await.is_err(), "{body}");
    }
}
