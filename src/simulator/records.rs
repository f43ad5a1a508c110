//! Accounts, balance, messages, usage and prices.

use k8s_openapi::jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::plan;
use super::routes::Asked;
use super::services::listed;
use super::state::{AccountStatus, AccountType, Alert, Change, Direction, Fate, Message, Tally, World};
use super::stock;
use super::wire::{Answer, ApiError, Page, rfc2822, with};
use crate::domain::{AccountSid, E164, MessageSid, MessagingServiceSid};

/// The parameters of `POST Messages.json`.
pub(super) const MESSAGE_PARAMETERS: &[&str] = &[
    "To",
    "StatusCallback",
    "ApplicationSid",
    "MaxPrice",
    "ProvideFeedback",
    "Attempt",
    "ValidityPeriod",
    "ForceDelivery",
    "ContentRetention",
    "AddressRetention",
    "SmartEncoded",
    "PersistentAction",
    "TrafficType",
    "MessageIntent",
    "ShortenUrls",
    "ScheduleType",
    "SendAt",
    "SendAsMms",
    "ContentVariables",
    "RiskCheck",
    "From",
    "FallbackFrom",
    "MessagingServiceSid",
    "Body",
    "MediaUrl",
    "ContentSid",
];

/// What an account has, most of which is not simulated.
const SUBRESOURCES: &[(&str, &str)] = &[
    ("addresses", "Addresses"),
    ("applications", "Applications"),
    ("authorized_connect_apps", "AuthorizedConnectApps"),
    ("available_phone_numbers", "AvailablePhoneNumbers"),
    ("balance", "Balance"),
    ("calls", "Calls"),
    ("conferences", "Conferences"),
    ("connect_apps", "ConnectApps"),
    ("incoming_phone_numbers", "IncomingPhoneNumbers"),
    ("keys", "Keys"),
    ("messages", "Messages"),
    ("notifications", "Notifications"),
    ("outgoing_caller_ids", "OutgoingCallerIds"),
    ("queues", "Queues"),
    ("recordings", "Recordings"),
    ("short_codes", "SMS/ShortCodes"),
    ("signing_keys", "SigningKeys"),
    ("sip", "SIP"),
    ("transcriptions", "Transcriptions"),
    ("usage", "Usage"),
];

/// `GET Accounts/{sid}.json`. Has the auth token in clear, as the real one: clients must not log it.
pub(super) fn account(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let account = world.account(&asked.account).ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    let base = format!("/2010-04-01/Accounts/{}", account.sid);
    let status = match account.status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Closed => "closed",
    };
    let kind = match account.kind {
        AccountType::Full => "Full",
        AccountType::Trial => "Trial",
    };
    Ok(Answer::ok(json!({
        "sid": account.sid.as_str(),
        "friendly_name": format!("Simulated account {}", account.sid),
        "status": status,
        "type": kind,
        "owner_account_sid": account.owner.as_ref().unwrap_or(&account.sid).as_str(),
        "auth_token": account.auth_token,
        "date_created": rfc2822(account.created),
        "date_updated": rfc2822(account.updated),
        "uri": format!("{base}.json"),
        "subresource_uris": SUBRESOURCES
            .iter()
            .map(|(name, path)| ((*name).to_owned(), format!("{base}/{path}.json").into()))
            .collect::<serde_json::Map<_, Value>>(),
    })))
}

/// `GET Balance.json`
pub(super) fn balance(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let account = world.account(&asked.account).ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    // Subaccounts spend their parent's.
    let of = account.owner.as_ref().unwrap_or(&account.sid);
    Ok(Answer::ok(json!({"account_sid": of.as_str(), "balance": "100.00", "currency": account.currency})))
}

fn message_resource(message: &Message, currency: &str, just_sent: bool, fates: &[Fate]) -> Value {
    let fate = fates.iter().find(|fate| fate.to == message.to && !just_sent);
    let base = format!("/2010-04-01/Accounts/{}/Messages/{}", message.account_sid, message.sid);
    // Through a Messaging Service: the sender, and with it the cut into parts, comes later.
    let unchosen = just_sent && message.messaging_service_sid.is_some();
    let (status, price, unit) = match message.direction {
        Direction::Inbound => ("received", Value::from(negative(&message.price)), Value::from(currency)),
        // Billed when it is sent, which is after the answer.
        Direction::OutboundApi if unchosen => ("accepted", Value::Null, Value::Null),
        Direction::OutboundApi if just_sent => ("queued", Value::Null, Value::Null),
        Direction::OutboundApi => {
            let ends = fate.map_or("delivered", |fate| fate.status.as_str());
            (ends, Value::from(negative(&message.price)), Value::from(currency))
        }
    };
    let at = rfc2822(message.at);
    let feedback = (!just_sent).then(|| ("feedback", format!("{base}/Feedback.json").into()));
    let subresources = with(json!({"media": format!("{base}/Media.json")}), feedback);
    json!({
        "sid": message.sid.as_str(),
        "account_sid": message.account_sid.as_str(),
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": at,
        "date_sent": at,
        "date_updated": at,
        "direction": match message.direction {
            Direction::Inbound => "inbound",
            Direction::OutboundApi => "outbound-api",
        },
        "error_code": fate.and_then(|fate| fate.error_code),
        "error_message": null,
        // Sent through a service: there is none until a sender is chosen.
        "from": if message.from.is_empty() { Value::Null } else { message.from.as_str().into() },
        "to": message.to,
        "messaging_service_sid": message.messaging_service_sid,
        "num_media": "0",
        "num_segments": if unchosen { "0".to_owned() } else { message.segments.to_string() },
        "price": price,
        "price_unit": unit,
        "status": status,
        "subresource_uris": subresources,
        "uri": format!("{base}.json"),
    })
}

/// What a message costs is shown below zero, with five decimals.
fn negative(price: &str) -> String {
    format!("{:.5}", -price.parse::<Decimal>().unwrap_or_default())
}

/// How many parts a text is sent in.
pub(super) fn segments(body: &str) -> u32 {
    // Close enough to GSM-7 against UCS-2: accented letters make a message of the second kind.
    let (single, part) = if body.is_ascii() { (160, 153) } else { (70, 67) };
    let length = u32::try_from(body.encode_utf16().count()).unwrap_or(u32::MAX);
    if length <= single { 1 } else { length.div_ceil(part) }
}

/// A message of `account`, priced by `country`.
pub(super) fn new_message(
    world: &mut World,
    now: Timestamp,
    account: &AccountSid,
    country: &str,
    direction: Direction,
    text: (&str, &str, &str),
) -> Result<Message, ApiError> {
    let (from, to, body) = text;
    let sid = world.new_sid("SM", now);
    let segments = segments(body);
    let (received, sent) = plan::message_price(country);
    let each: Decimal = match direction {
        Direction::Inbound => received,
        Direction::OutboundApi => sent,
    }
    .parse()
    .unwrap_or_default();
    Ok(Message {
        at: now,
        sid: MessageSid::parse(&sid).map_err(|error| ApiError::new(500, 20500, error.to_string()))?,
        account_sid: account.clone(),
        from: from.to_owned(),
        to: to.to_owned(),
        body: body.to_owned(),
        direction,
        segments,
        price: (each * Decimal::from(segments)).to_string(),
        messaging_service_sid: None,
    })
}

/// `POST Messages.json`
pub(super) fn send_message(world: &mut World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let to = params.filled("To").ok_or_else(|| ApiError::bad(21604, "A 'To' phone number is required"))?;
    let to = E164::parse(to).map_err(|_| ApiError::bad(21211, format!("Invalid 'To' Phone Number: {to}")))?;
    let service = params.filled("MessagingServiceSid");
    if let Some(sid) = service {
        let known = MessagingServiceSid::parse(sid).ok().and_then(|sid| world.service(&sid));
        known
            .filter(|service| service.account == asked.account)
            .ok_or_else(|| ApiError::new(404, 21701, format!("The Messaging Service {sid} does not exist")))?;
    }
    let from = match (params.filled("From"), service) {
        (Some(from), _) => {
            let number = E164::parse(from).map_err(|_| ApiError::bad(21212, format!("Invalid 'From' {from}")))?;
            let held = world.holder(&number).filter(|held| held.account == asked.account && held.can.sms);
            held.ok_or_else(|| ApiError::bad(21606, format!("{from} cannot send messages of this account")))?;
            from
        }
        // A sender is chosen later; none are kept here.
        (None, Some(_)) => "",
        (None, None) => return Err(ApiError::bad(21603, "A 'From' phone number or MessagingServiceSid is required")),
    };
    let body = params.filled("Body").or(params.filled("MediaUrl")).or(params.filled("ContentSid"));
    let body = body.ok_or_else(|| ApiError::bad(21602, "Message body is required"))?;
    let account = world.account(&asked.account).ok_or_else(ApiError::unauthorized)?;
    if account.kind == AccountType::Trial {
        return Err(ApiError::bad(
            21608,
            format!("{to} is not verified: trial accounts send to verified numbers only"),
        ));
    }
    let currency = account.currency.clone();
    let country = world.stock.classify(&to).map_or("", |(country, _)| country);
    let text = (from, to.as_str(), body);
    let mut message = new_message(world, asked.now, &asked.account, country, Direction::OutboundApi, text)?;
    message.messaging_service_sid = service.map(str::to_owned);
    let answer = Answer::created(message_resource(&message, &currency, true, &[]));
    world.apply(Change::Message(message));
    Ok(answer)
}

/// `GET Messages/{sid}.json`
pub(super) fn fetch_message(world: &World, asked: &Asked<'_>, sid: &MessageSid) -> Result<Answer, ApiError> {
    let message = world.message(sid).filter(|message| message.account_sid == asked.account);
    let message = message.ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    Ok(Answer::ok(message_resource(message, currency(world, &asked.account), false, &world.fates)))
}

fn currency<'a>(world: &'a World, account: &AccountSid) -> &'a str {
    world.account(account).map_or("USD", |account| account.currency.as_str())
}

/// The times that a date filter covers: an instant, or a whole day in GMT. `DateSent` itself means the day also of an instant, which is
/// what Twilio's own libraries send for a day.
fn time_range(name: &str, text: &str) -> Result<(Timestamp, Timestamp), ApiError> {
    let bad = || ApiError::bad(20422, format!("{name} is neither YYYY-MM-DD nor a time in ISO 8601"));
    let instant = text.parse::<Timestamp>().ok();
    if let Some(at) = instant.filter(|_| name != "DateSent") {
        return Ok((at, at));
    }
    let day = match instant {
        Some(at) => at.to_zoned(TimeZone::UTC).date(),
        None => text.parse::<Date>().map_err(|_| bad())?,
    };
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|at| at.timestamp());
    let from = midnight(day).map_err(|_| bad())?;
    let until = day.tomorrow().and_then(midnight).map_err(|_| bad())?;
    Ok((from, until))
}

/// `GET Messages.json`, newest first.
pub(super) fn list_messages(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let page = Page::read(params, true)?;
    let range = |name: &str| params.filled(name).map(|text| time_range(name, text)).transpose();
    let (on, before, after) = (range("DateSent")?, range("DateSent<")?, range("DateSent>")?);
    let (to, from) = (params.filled("To"), params.filled("From"));
    let passes = |message: &Message| {
        message.account_sid == asked.account
            && to.is_none_or(|to| message.to == to)
            && from.is_none_or(|from| message.from == from)
            && on.is_none_or(|(first, end)| message.at >= first && message.at < end)
            && before.is_none_or(|(first, _)| message.at <= first)
            && after.is_none_or(|(first, _)| message.at >= first)
    };
    let places = world.message_places(&asked.account, to.or(from)).iter().rev().copied();
    let found: Vec<(u64, &Message)> = places
        .filter_map(|place| Some((u64::try_from(place).ok()?, world.messages.get(place)?)))
        .filter(|(place, message)| page.after.is_none_or(|after| *place < after) && passes(message))
        .take(page.size + 1)
        .collect();
    let more = if found.len() > page.size { found.get(page.size - 1).map(|(place, _)| *place) } else { None };
    let currency = currency(world, &asked.account);
    let items = found
        .iter()
        .take(page.size)
        .map(|(_, message)| message_resource(message, currency, false, &world.fates))
        .collect();
    Ok(Answer::ok(page.envelope(&asked.request.path, params, "messages", items, more)))
}

/// Category, description, unit of the count, unit of the usage.
const CATEGORIES: &[(&str, &str, &str, &str)] = &[
    ("phonenumbers", "Phone Numbers", "numbers", "numbers"),
    ("phonenumbers-local", "Local Phone Numbers", "numbers", "numbers"),
    ("phonenumbers-mobile", "Mobile Phone Numbers", "numbers", "numbers"),
    ("phonenumbers-tollfree", "Toll Free Phone Numbers", "numbers", "numbers"),
    ("sms", "SMS", "messages", "segments"),
    ("sms-inbound", "Inbound SMS", "messages", "segments"),
    ("sms-inbound-longcode", "Inbound Long Code SMS", "messages", "segments"),
    ("sms-outbound", "Outbound SMS", "messages", "segments"),
    ("sms-outbound-longcode", "Outbound Long Code SMS", "messages", "segments"),
    ("totalprice", "Total Price", "", "usd"),
];

/// `GET Usage/Records/ThisMonth.json`
pub(super) fn usage(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let page = Page::read(params, false)?;
    let with_children = params.flag("IncludeSubaccounts")?.unwrap_or(true);
    let children = if with_children { world.children(&asked.account) } else { &[] };
    let sum = |category: &str| {
        let accounts = std::iter::once(&asked.account).chain(children);
        let tallies = accounts.flat_map(|account| world.tallies(account, asked.now));
        tallies.filter(|(of, _)| *of == category).fold(Tally::default(), |sum, (_, tally)| Tally {
            count: sum.count + tally.count,
            usage: sum.usage + tally.usage,
            price: sum.price + tally.price,
        })
    };
    let asked_for = params.filled("Category");
    let skip = usize::try_from(page.number).unwrap_or(usize::MAX).saturating_mul(page.size);
    let items = CATEGORIES
        .iter()
        .filter(|(category, ..)| asked_for.is_none_or(|wanted| wanted == *category))
        .map(|entry| (entry, sum(entry.0)))
        // A category that was asked for is answered with zeros, others are left out; the total is always there.
        .filter(|(entry, tally)| asked_for.is_some() || tally.count > 0 || entry.0 == "totalprice")
        .skip(skip)
        .take(page.size)
        .map(|(entry, tally)| usage_record(world, asked, entry, tally))
        .collect();
    Ok(Answer::ok(page.envelope(&asked.request.path, params, "usage_records", items, None)))
}

fn usage_record(world: &World, asked: &Asked<'_>, entry: &(&str, &str, &str, &str), tally: Tally) -> Value {
    let (category, description, count_unit, usage_unit) = entry;
    let today = asked.now.to_zoned(TimeZone::UTC).date();
    let base = format!("/2010-04-01/Accounts/{}/Usage/Records", asked.account);
    let sub = |name: &str| format!("{base}/{name}.json?Category={category}");
    let usage = if *category == "totalprice" { tally.price.to_string() } else { tally.usage.to_string() };
    json!({
        "account_sid": asked.account.as_str(),
        "api_version": "2010-04-01",
        "as_of": asked.now.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        "category": category,
        "description": description,
        "count": tally.count.to_string(),
        "count_unit": count_unit,
        "usage": usage,
        "usage_unit": usage_unit,
        "price": tally.price.to_string(),
        "price_unit": currency(world, &asked.account).to_ascii_lowercase(),
        "start_date": today.first_of_month().to_string(),
        "end_date": today.to_string(),
        "uri": sub("ThisMonth"),
        "subresource_uris": {
            "all_time": sub("AllTime"), "daily": sub("Daily"), "last_month": sub("LastMonth"),
            "monthly": sub("Monthly"), "this_month": sub("ThisMonth"), "today": sub("Today"),
            "yearly": sub("Yearly"), "yesterday": sub("Yesterday"),
        },
    })
}

/// `GET /v1/{product}/Countries`
pub(super) fn price_countries(asked: &Asked<'_>, product: &str) -> Result<Answer, ApiError> {
    let page = Page::read(&asked.params, false)?;
    let url = format!("{}/v1/{product}/Countries", asked.request.base("pricing"));
    let skip = usize::try_from(page.number).unwrap_or(usize::MAX).saturating_mul(page.size);
    let countries: Vec<Value> = plan::COUNTRIES
        .iter()
        .skip(skip)
        .take(page.size)
        .map(|(code, name)| json!({"country": name, "iso_country": code, "url": format!("{url}/{code}")}))
        .collect();
    let at = |number: u64| format!("{url}?PageSize={}&Page={number}", page.size);
    let more = plan::COUNTRIES.len() > skip.saturating_add(page.size);
    Ok(Answer::ok(json!({
        "countries": countries,
        "meta": {
            "key": "countries", "page": page.number, "page_size": page.size,
            "url": at(page.number), "first_page_url": at(0), "previous_page_url": null,
            "next_page_url": more.then(|| at(page.number + 1)),
        },
    })))
}

fn priced_country(asked: &Asked<'_>, country: &str) -> Result<(&'static str, &'static str), ApiError> {
    let known = plan::COUNTRIES.iter().find(|(code, _)| *code == country).copied();
    known.ok_or_else(|| ApiError::not_found(&asked.request.path))
}

/// `GET /v1/PhoneNumbers/Countries/{country}`
pub(super) fn number_prices(world: &World, asked: &Asked<'_>, country: &str) -> Result<Answer, ApiError> {
    let (code, name) = priced_country(asked, country)?;
    let prices: Vec<Value> = stock::kinds(code)
        .iter()
        .map(|kind| {
            let price = plan::monthly_price(code, *kind);
            json!({"number_type": kind.price_name(), "base_price": price, "current_price": price})
        })
        .collect();
    Ok(Answer::ok(json!({
        "country": name, "iso_country": code, "phone_number_prices": prices,
        "price_unit": currency(world, &asked.account), "url": format!("{}/v1/PhoneNumbers/Countries/{code}", asked.request.base("pricing")),
    })))
}

/// `GET /v1/Messaging/Countries/{country}`
pub(super) fn message_prices(world: &World, asked: &Asked<'_>, country: &str) -> Result<Answer, ApiError> {
    let (code, name) = priced_country(asked, country)?;
    let (received, sent) = plan::message_price(code);
    let each = |price: &str| -> Vec<Value> {
        stock::kinds(code)
            .iter()
            .map(|kind| json!({"number_type": kind.price_name(), "base_price": price, "current_price": price}))
            .collect()
    };
    Ok(Answer::ok(json!({
        "country": name, "iso_country": code, "price_unit": currency(world, &asked.account),
        "inbound_sms_prices": each(received),
        "outbound_sms_prices": [{"carrier": "Any", "mcc": "000", "mnc": "00", "prices": each(sent)}],
        "url": format!("{}/v1/Messaging/Countries/{code}", asked.request.base("pricing")),
    })))
}

/// `GET /v1/Alerts`: webhooks that did not take a message.
pub(super) fn alerts(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let time = |name: &str| {
        let at = asked.params.filled(name).map(str::parse::<Timestamp>).transpose();
        at.map_err(|_| ApiError::bad(20422, format!("{name} is no time in ISO 8601")))
    };
    let (start, end) = (time("StartDate")?, time("EndDate")?);
    let level = asked.params.filled("LogLevel").is_none_or(|level| level == "error");
    let fits = |alert: &&Alert| {
        alert.account == asked.account
            && level
            && start.is_none_or(|start| alert.at >= start)
            && end.is_none_or(|end| alert.at <= end)
    };
    let shown = |alert: &Alert| {
        let at = alert.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({
            "sid": alert.sid, "account_sid": alert.account, "resource_sid": alert.message, "service_sid": null,
            "error_code": alert.code.to_string(), "log_level": "error", "alert_text": "", "api_version": "2010-04-01",
            "more_info": format!("https://www.twilio.com/docs/errors/{}", alert.code),
            "request_method": alert.method, "request_url": alert.url, "date_created": at, "date_generated": at,
            "date_updated": at, "url": format!("{}/v1/Alerts/{}", asked.request.base("monitor"), alert.sid),
        })
    };
    listed(asked, "monitor", "alerts", world.alerts.iter().rev().filter(fits).map(shown).collect())
}
