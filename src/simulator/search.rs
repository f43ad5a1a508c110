//! `AvailablePhoneNumbers`: what is on offer.

use serde_json::{Map, Value, json};

use super::plan;
use super::routes::Asked;
use super::state::World;
use super::stock::{self, Filter, Kind, Offer, Pattern};
use super::wire::{Answer, ApiError, Page, Params};
use crate::domain::E164;

/// The parameters of a search, paging aside.
pub(super) const PARAMETERS: &[&str] = &[
    "AreaCode",
    "Contains",
    "SmsEnabled",
    "MmsEnabled",
    "VoiceEnabled",
    "ExcludeAllAddressRequired",
    "ExcludeLocalAddressRequired",
    "ExcludeForeignAddressRequired",
    "Beta",
    "NearNumber",
    "NearLatLong",
    "Distance",
    "InPostalCode",
    "InRegion",
    "InRateCenter",
    "InLata",
    "InLocality",
    "FaxEnabled",
];

fn base(asked: &Asked<'_>) -> String {
    format!("/2010-04-01/Accounts/{}/AvailablePhoneNumbers", asked.account)
}

fn country_item(asked: &Asked<'_>, code: &str, name: &str) -> Value {
    let base = base(asked);
    let kinds: Map<String, Value> = stock::kinds(code)
        .iter()
        .map(|kind| (kind.key().to_owned(), format!("{base}/{code}/{}.json", kind.path()).into()))
        .collect();
    json!({
        "country_code": code, "country": name, "beta": false, "uri": format!("{base}/{code}.json"),
        "subresource_uris": kinds,
    })
}

/// `AvailablePhoneNumbers.json`
#[allow(clippy::unnecessary_wraps, reason = "one signature for all operations")]
pub(super) fn countries(asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let all: Vec<_> = plan::COUNTRIES.iter().map(|(code, name)| country_item(asked, code, name)).collect();
    Ok(Answer::ok(json!({"countries": all, "uri": format!("{}.json", base(asked))})))
}

/// `AvailablePhoneNumbers/{country}.json`
pub(super) fn country(asked: &Asked<'_>, country: &str) -> Result<Answer, ApiError> {
    let (code, name) = plan::COUNTRIES
        .iter()
        .find(|(code, _)| *code == country)
        .ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    Ok(Answer::ok(country_item(asked, code, name)))
}

/// `AvailablePhoneNumbers/{country}/{kind}.json`
pub(super) fn numbers(world: &mut World, asked: &Asked<'_>, country: &str, kind: &str) -> Result<Answer, ApiError> {
    let kind = Kind::read(kind).filter(|kind| stock::kinds(country).contains(kind));
    let kind = kind.ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    let filter = filter(world, &asked.params, country)?;
    let page = Page::read(&asked.params, false)?;
    let skip = usize::try_from(page.number).unwrap_or(usize::MAX).saturating_mul(page.size);
    let offers = world.search(country, kind, &filter, skip, page.size);
    let items: Vec<_> = offers.iter().map(|offer| item(offer, country)).collect();
    // As Twilio's own samples: the items and the URI, none of the paging fields of other lists.
    Ok(Answer::ok(json!({"available_phone_numbers": items, "uri": asked.request.path})))
}

fn item(offer: &Offer, country: &str) -> Value {
    let text = |read: fn(&stock::Place) -> &'static str| {
        offer.place.map(read).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from)
    };
    json!({
        "friendly_name": offer.phone_number.national(),
        "phone_number": offer.phone_number.as_str(),
        "lata": text(|place| place.lata),
        "locality": text(|place| place.locality),
        "rate_center": text(|place| place.rate_center),
        "latitude": text(|place| place.latitude),
        "longitude": text(|place| place.longitude),
        "region": text(|place| place.region),
        "postal_code": text(|place| place.postal_code),
        "iso_country": country,
        "address_requirements": offer.address_requirements,
        "beta": offer.beta,
        // Upper case for two of them, here and nowhere else.
        "capabilities": {"voice": offer.can.voice, "SMS": offer.can.sms, "MMS": offer.can.mms, "fax": offer.can.fax},
    })
}

fn filter(world: &World, params: &Params, country: &str) -> Result<Filter, ApiError> {
    let by_area = matches!(country, "US" | "CA");
    let owned = |name: &str| params.filled(name).map(str::to_owned);
    // `SmsEnabled=false` asks for nothing: it does not mean "without".
    let wants = |name: &str| Ok::<_, ApiError>(params.flag(name)? == Some(true));
    let contains = params
        .get("Contains")
        .map(|text| Pattern::read(text).map_err(|rule| ApiError::bad(20422, format!("Contains is invalid: {rule}"))))
        .transpose()?;
    let mut filter = Filter {
        contains,
        sms: wants("SmsEnabled")?,
        mms: wants("MmsEnabled")?,
        voice: wants("VoiceEnabled")?,
        fax: wants("FaxEnabled")?,
        exclude_all: wants("ExcludeAllAddressRequired")?,
        exclude_local: wants("ExcludeLocalAddressRequired")?,
        exclude_foreign: wants("ExcludeForeignAddressRequired")?,
        exclude_beta: params.flag("Beta")? == Some(false),
        locality: owned("InLocality"),
        ..Filter::default()
    };
    // Elsewhere Twilio ignores all of the following, silently.
    if by_area {
        if let Some(code) = owned("AreaCode") {
            if !stock::is_area_code(&code) {
                return Err(ApiError::bad(21451, format!("AreaCode {code:?} is invalid")));
            }
            filter.area_code = Some(code);
        }
        filter.region = owned("InRegion");
        filter.postal_code = owned("InPostalCode");
        filter.lata = owned("InLata");
        filter.rate_center = owned("InRateCenter");
        if filter.rate_center.is_some() && filter.lata.is_none() {
            return Err(ApiError::bad(20422, "InRateCenter requires InLata"));
        }
        filter.near = near(world, params)?;
    }
    Ok(filter)
}

fn near(world: &World, params: &Params) -> Result<Option<(f64, f64, f64)>, ApiError> {
    let miles = params.number("Distance")?.unwrap_or(25);
    let miles = u32::try_from(miles).ok().filter(|miles| *miles <= 500);
    let miles = miles.ok_or_else(|| ApiError::bad(20422, "Distance is at most 500 miles"))?;
    let at = if let Some(text) = params.filled("NearLatLong") {
        let at =
            text.split_once(',').and_then(|(lat, long)| Some((lat.trim().parse().ok()?, long.trim().parse().ok()?)));
        Some(at.ok_or_else(|| ApiError::bad(20422, "NearLatLong is written as latitude,longitude"))?)
    } else if let Some(text) = params.filled("NearNumber") {
        let number = E164::parse(text).map_err(|_| ApiError::bad(21401, format!("NearNumber {text:?} is invalid")))?;
        // A number without a known place is near to nothing.
        Some(world.stock.coordinates(&number).unwrap_or((f64::NAN, f64::NAN)))
    } else {
        None
    };
    Ok(at.map(|(lat, long): (f64, f64)| (lat, long, f64::from(miles))))
}
