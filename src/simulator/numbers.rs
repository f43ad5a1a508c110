//! `IncomingPhoneNumbers`: buy, read, change, release.

use std::time::Duration;

use serde_json::{Value, json};

use super::routes::Asked;
use super::state::{AccountStatus, AccountType, BuyOwned, Change, LedgerEntry, Number, World};
use super::stock::{self, Filter, Kind, Offer};
use super::wire::{Answer, ApiError, Page, Params, read_bool, rfc2822};
use crate::domain::{AccountSid, E164, PhoneNumberSid};

/// What a settable field holds.
enum Holds {
    Url,
    Method,
    /// An identifier with this prefix; the code when it is none.
    Sid(&'static str, u32),
    Flag,
    OneOf(&'static [&'static str]),
    /// Kept as it comes.
    Text,
}

/// The settable fields, by their form names. `FriendlyName` is apart: it always has a value.
const FIELDS: &[(&str, Holds)] = &[
    ("ApiVersion", Holds::Text),
    ("SmsApplicationSid", Holds::Sid("AP", 21420)),
    ("SmsFallbackMethod", Holds::Method),
    ("SmsFallbackUrl", Holds::Url),
    ("SmsMethod", Holds::Method),
    ("SmsUrl", Holds::Url),
    ("StatusCallback", Holds::Url),
    ("StatusCallbackMethod", Holds::Method),
    ("VoiceApplicationSid", Holds::Sid("AP", 21420)),
    ("VoiceCallerIdLookup", Holds::Flag),
    ("VoiceFallbackMethod", Holds::Method),
    ("VoiceFallbackUrl", Holds::Url),
    ("VoiceMethod", Holds::Method),
    ("VoiceUrl", Holds::Url),
    ("EmergencyAddressSid", Holds::Sid("AD", 20423)),
    ("TrunkSid", Holds::Sid("TK", 20423)),
    ("VoiceReceiveMode", Holds::OneOf(&["voice", "fax"])),
    ("IdentitySid", Holds::Sid("RI", 21651)),
    ("AddressSid", Holds::Sid("AD", 21631)),
    ("BundleSid", Holds::Sid("BU", 21649)),
];

/// All parameters of a create or an update. `EmergencyStatus` is taken and ignored, as the real one does.
pub(super) fn parameters(more: &[&'static str]) -> Vec<&'static str> {
    FIELDS
        .iter()
        .map(|(name, _)| *name)
        .chain(["FriendlyName", "EmergencyStatus"])
        .chain(more.iter().copied())
        .collect()
}

fn is_sid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn checked(name: &str, holds: &Holds, value: &str) -> Result<String, ApiError> {
    let ok = |good: bool, code: u32| {
        if good { Ok(value.to_owned()) } else { Err(ApiError::bad(code, format!("{name} is not valid: {value}"))) }
    };
    match holds {
        Holds::Url => ok(is_url(value), 21402),
        Holds::Method => {
            let method = value.to_ascii_uppercase();
            ok(matches!(method.as_str(), "GET" | "POST"), 21403).map(|_| method)
        }
        Holds::Sid(prefix, code) => ok(is_sid(prefix, value), *code),
        Holds::Flag => read_bool(name, value).map(|flag| flag.to_string()),
        Holds::OneOf(values) => ok(values.contains(&value), 20422),
        Holds::Text => Ok(value.to_owned()),
    }
}

/// Writes the parameters that are there into the number: omitted ones stay, empty ones clear.
fn set_fields(number: &mut Number, params: &Params) -> Result<(), ApiError> {
    if let Some(name) = params.get("FriendlyName") {
        if name.chars().count() > 64 {
            return Err(ApiError::bad(20002, "FriendlyName has more than 64 characters"));
        }
        number.friendly_name = if name.is_empty() { number.phone_number.national() } else { name.to_owned() };
    }
    for (name, holds) in FIELDS {
        match params.get(name) {
            None => {}
            Some("") => drop(number.fields.remove(*name)),
            Some(value) => drop(number.fields.insert((*name).to_owned(), checked(name, holds, value)?)),
        }
    }
    // Each of these two overrides the other and the voice URL; setting one removes the other.
    if params.filled("TrunkSid").is_some() {
        number.fields.remove("VoiceApplicationSid");
    } else if params.filled("VoiceApplicationSid").is_some() {
        number.fields.remove("TrunkSid");
    }
    for (main, fallback, code) in [("SmsUrl", "SmsFallbackUrl", 21406), ("VoiceUrl", "VoiceFallbackUrl", 21405)] {
        if number.field(main).is_empty() && !number.field(fallback).is_empty() {
            return Err(ApiError::bad(code, format!("{fallback} needs {main}")));
        }
    }
    Ok(())
}

/// The paths that have the kind of number in them do not have it in their answers.
fn of_kind(mut resource: Value, kind: Option<Kind>) -> Value {
    if let (Some(fields), Some(_)) = (resource.as_object_mut(), kind) {
        fields.remove("type");
    }
    resource
}

fn resource(number: &Number) -> Value {
    // Unset comes back as "" for some fields and as null for others, as in the real samples.
    let text = |name: &str| Value::from(number.field(name));
    let or_null =
        |name: &str| Some(number.field(name)).filter(|value| !value.is_empty()).map_or(Value::Null, Value::from);
    let registered = !number.field("EmergencyAddressSid").is_empty();
    let can = number.can;
    json!({
        "sid": number.sid.as_str(),
        "account_sid": number.account.as_str(),
        "phone_number": number.phone_number.as_str(),
        "friendly_name": number.friendly_name,
        "api_version": "2010-04-01",
        "beta": number.beta,
        "capabilities": {"voice": can.voice, "sms": can.sms, "mms": can.mms, "fax": can.fax},
        "origin": number.origin,
        "status": "in-use",
        "type": number.kind.key().replace('_', "-"),
        "address_requirements": number.address_requirements,
        "address_sid": or_null("AddressSid"),
        "identity_sid": or_null("IdentitySid"),
        "bundle_sid": or_null("BundleSid"),
        "trunk_sid": or_null("TrunkSid"),
        "sms_url": text("SmsUrl"),
        "sms_method": number.method("SmsMethod"),
        "sms_fallback_url": text("SmsFallbackUrl"),
        "sms_fallback_method": number.method("SmsFallbackMethod"),
        "sms_application_sid": text("SmsApplicationSid"),
        "voice_url": or_null("VoiceUrl"),
        "voice_method": number.method("VoiceMethod"),
        "voice_fallback_url": or_null("VoiceFallbackUrl"),
        "voice_fallback_method": number.method("VoiceFallbackMethod"),
        "voice_application_sid": text("VoiceApplicationSid"),
        "voice_caller_id_lookup": number.field("VoiceCallerIdLookup") == "true",
        "voice_receive_mode": number.fields.get("VoiceReceiveMode").map_or("voice", String::as_str),
        "status_callback": text("StatusCallback"),
        "status_callback_method": number.method("StatusCallbackMethod"),
        "emergency_status": if registered { "Active" } else { "Inactive" },
        "emergency_address_sid": or_null("EmergencyAddressSid"),
        "emergency_address_status": if registered { "registered" } else { "unregistered" },
        "date_created": rfc2822(number.created),
        "date_updated": rfc2822(number.updated),
        "uri": format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers/{}.json", number.account, number.sid),
    })
}

/// `GET IncomingPhoneNumbers[/{kind}].json`
pub(super) fn list(world: &World, asked: &Asked<'_>, kind: Option<Kind>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let page = Page::read(params, true)?;
    let lag = Duration::from_millis(world.behaviour.list_lag_ms);
    let without_beta = params.flag("Beta")? == Some(false);
    let pattern = params.filled("PhoneNumber");
    let passes = |number: &&Number| {
        !(number.bought && asked.now.duration_since(number.created).unsigned_abs() < lag)
            && kind.is_none_or(|kind| number.kind == kind)
            && pattern.is_none_or(|pattern| looks_like(number.phone_number.as_str(), pattern))
            && params.filled("FriendlyName").is_none_or(|name| number.friendly_name == name)
            && params.filled("Origin").is_none_or(|origin| number.origin == origin)
            && !(without_beta && number.beta)
    };
    // One whole number is found without reading the list.
    let exact = pattern.and_then(|pattern| E164::parse(pattern).ok()).filter(|_| page.after.is_none());
    let held: Vec<&Number> = match exact.and_then(|exact| world.holder(&exact)) {
        Some(number) if number.account == asked.account => [number].into_iter().filter(passes).collect(),
        _ => world.held_after(&asked.account, page.after).filter(passes).take(page.size + 1).collect(),
    };
    let shown: Vec<&Number> = held.iter().take(page.size).copied().collect();
    let more = if held.len() > page.size { shown.last().map(|number| number.seq) } else { None };
    let items = shown.into_iter().map(|number| of_kind(resource(number), kind)).collect();
    Ok(Answer::ok(page.envelope(&asked.request.path, params, "incoming_phone_numbers", items, more)))
}

/// Whether a number has this pattern somewhere in it; `*` stands for any digit.
fn looks_like(number: &str, pattern: &str) -> bool {
    let (number, pattern) = (number.as_bytes(), pattern.as_bytes());
    number.windows(pattern.len().max(1)).any(|window| {
        window.iter().zip(pattern).all(|(c, wanted)| c == wanted || (*wanted == b'*' && c.is_ascii_digit()))
    })
}

/// `POST IncomingPhoneNumbers[/{kind}].json`
pub(super) fn buy(world: &mut World, asked: &Asked<'_>, kind: Option<Kind>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let offer = match (params.filled("PhoneNumber"), params.filled("AreaCode")) {
        (Some(text), _) => {
            let number =
                E164::parse(text).map_err(|_| ApiError::bad(21421, format!("{text} is not a valid number")))?;
            if let Some(owned) = world.holder(&number).filter(|owned| owned.account == asked.account) {
                let owned = owned.clone();
                return buy_owned(world, asked, owned);
            }
            let offer = world.stock.find(&number).filter(|_| !world.is_sold(&number));
            offer.ok_or_else(|| ApiError::bad(21422, format!("{number} is not available")))?
        }
        (None, Some(code)) => any_of(world, code)?,
        (None, None) => return Err(ApiError::bad(21421, "PhoneNumber or AreaCode is required")),
    };
    if kind.is_some_and(|kind| kind != offer.kind) {
        return Err(ApiError::bad(21458, format!("{} is not of this type", offer.phone_number)));
    }
    let mut number = unwired(world, asked, &offer)?;
    set_fields(&mut number, params)?;
    let trial = world.account(&asked.account).is_some_and(|account| account.kind == AccountType::Trial);
    if trial && world.held_count(&asked.account) > 0 {
        return Err(ApiError::bad(21404, "Trial accounts are allowed only one Twilio number"));
    }
    regulate(&number, &offer)?;
    let entry = LedgerEntry {
        at: asked.now,
        account_sid: number.account.clone(),
        phone_number: number.phone_number.clone(),
        sid: number.sid.clone(),
        friendly_name: number.friendly_name.clone(),
    };
    let answer = Answer::created(of_kind(resource(&number), kind));
    world.apply(Change::Number(Box::new(number)));
    world.apply(Change::Sold(entry));
    Ok(answer)
}

/// The first number on offer in an area code.
fn any_of(world: &mut World, code: &str) -> Result<Offer, ApiError> {
    if !stock::is_area_code(code) {
        return Err(ApiError::bad(21451, format!("AreaCode {code:?} is invalid")));
    }
    let filter = Filter { area_code: Some(code.to_owned()), ..Filter::default() };
    let offer = ["CA", "US"].into_iter().find_map(|country| world.search(country, Kind::Local, &filter, 0, 1).pop());
    offer.ok_or_else(|| ApiError::bad(21452, format!("No phone numbers found in area code {code}")))
}

fn unwired(world: &mut World, asked: &Asked<'_>, offer: &Offer) -> Result<Number, ApiError> {
    let sid = world.new_sid("PN", asked.now);
    Ok(Number {
        seq: world.next_seq(),
        sid: PhoneNumberSid::parse(&sid).map_err(|error| ApiError::new(500, 20500, error.to_string()))?,
        account: asked.account.clone(),
        phone_number: offer.phone_number.clone(),
        country: offer.country.to_owned(),
        kind: offer.kind,
        friendly_name: offer.phone_number.national(),
        can: offer.can,
        beta: offer.beta,
        address_requirements: offer.address_requirements.to_owned(),
        origin: "twilio".to_owned(),
        bought: true,
        created: asked.now,
        updated: asked.now,
        fields: std::collections::BTreeMap::new(),
    })
}

fn buy_owned(world: &mut World, asked: &Asked<'_>, mut owned: Number) -> Result<Answer, ApiError> {
    match world.behaviour.buy_owned {
        BuyOwned::Refuse => Err(ApiError::bad(21422, format!("{} is not available", owned.phone_number))),
        BuyOwned::Upsert => {
            set_fields(&mut owned, &asked.params)?;
            owned.updated = asked.now;
            let answer = Answer::created(resource(&owned));
            world.apply(Change::Number(Box::new(owned)));
            Ok(answer)
        }
    }
}

/// Refuses a purchase that lacks what the country's law asks for.
fn regulate(number: &Number, offer: &Offer) -> Result<(), ApiError> {
    if offer.needs_bundle && number.field("BundleSid").is_empty() {
        let kind = offer.kind.path().to_uppercase();
        return Err(ApiError::bad(
            21649,
            format!("Bundle required for phone number with country: [{}] and numberType: [{kind}]", offer.country),
        ));
    }
    if offer.address_requirements != "none" && number.field("AddressSid").is_empty() {
        return Err(ApiError::bad(
            21631,
            format!("Phone number requires an AddressSid: address_requirements is {}", offer.address_requirements),
        ));
    }
    Ok(())
}

fn held<'a>(world: &'a World, asked: &Asked<'_>, sid: &PhoneNumberSid) -> Result<&'a Number, ApiError> {
    let number = world.number(sid).filter(|number| number.account == asked.account);
    number.ok_or_else(|| ApiError::not_found(&asked.request.path))
}

/// `GET IncomingPhoneNumbers/{sid}.json`
pub(super) fn fetch(world: &World, asked: &Asked<'_>, sid: &PhoneNumberSid) -> Result<Answer, ApiError> {
    Ok(Answer::ok(resource(held(world, asked, sid)?)))
}

/// `POST IncomingPhoneNumbers/{sid}.json`
pub(super) fn update(world: &mut World, asked: &Asked<'_>, sid: &PhoneNumberSid) -> Result<Answer, ApiError> {
    let mut number = held(world, asked, sid)?.clone();
    if let Some(target) = asked.params.filled("AccountSid")
        && target != number.account.as_str()
    {
        number.account = transfer_target(world, asked, target)?;
    }
    set_fields(&mut number, &asked.params)?;
    number.updated = asked.now;
    let answer = Answer::ok(resource(&number));
    world.apply(Change::Number(Box::new(number)));
    Ok(answer)
}

/// The account that a number may be moved to: parent or child of the same family, moved by the parent.
fn transfer_target(world: &World, asked: &Asked<'_>, target: &str) -> Result<AccountSid, ApiError> {
    let target = AccountSid::parse(target).map_err(|_| ApiError::bad(21470, "AccountSid is invalid"))?;
    let family = world.children(&asked.caller).contains(&target) || asked.caller == target;
    if !family {
        return Err(ApiError::bad(21474, "Only the parent account may move a number, and only within its accounts"));
    }
    match world.account(&target) {
        Some(account) if account.status == AccountStatus::Active => Ok(target),
        Some(_) => Err(ApiError::bad(21472, "The target account is not active")),
        None => Err(ApiError::bad(21471, "The target account does not exist")),
    }
}

/// `DELETE IncomingPhoneNumbers/{sid}.json`
pub(super) fn delete(world: &mut World, asked: &Asked<'_>, sid: &PhoneNumberSid) -> Result<Answer, ApiError> {
    let number = held(world, asked, sid)?;
    if !number.field("EmergencyAddressSid").is_empty() {
        return Err(ApiError::bad(
            20422,
            format!("{} has a registered emergency address: remove EmergencyAddressSid first", number.phone_number),
        ));
    }
    let entry = LedgerEntry {
        at: asked.now,
        account_sid: number.account.clone(),
        phone_number: number.phone_number.clone(),
        sid: number.sid.clone(),
        friendly_name: number.friendly_name.clone(),
    };
    world.apply(Change::Released(entry));
    Ok(Answer::no_content())
}
