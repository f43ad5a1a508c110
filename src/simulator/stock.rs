//! The numbers on offer: a numbering plan and a fixed shuffle of it, no list.
//!
//! Every area code owns a permutation of its subscriber numbers. "The first ones on offer" are the first places of that
//! permutation that are not sold, so two searches see the same numbers, and no number costs memory before it is bought.
//! What is sold is the account model's knowledge and comes in as a question.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan;
use crate::domain::E164;

/// A kind of number, spelt as in Twilio's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Tied to a place.
    Local,
    /// Mobile.
    Mobile,
    /// Free for the caller.
    TollFree,
}

impl Kind {
    /// The kind whose path part this is.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Local, Self::Mobile, Self::TollFree].into_iter().find(|kind| kind.path() == text)
    }

    /// The last part of the search path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::Mobile => "Mobile",
            Self::TollFree => "TollFree",
        }
    }

    /// The key in `subresource_uris`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Mobile => "mobile",
            Self::TollFree => "toll_free",
        }
    }

    /// The name in the price list, which has a space.
    pub fn price_name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Mobile => "mobile",
            Self::TollFree => "toll free",
        }
    }

    /// The usage category of its rent.
    pub fn usage_category(self) -> &'static str {
        match self {
            Self::Local => "phonenumbers-local",
            Self::Mobile => "phonenumbers-mobile",
            Self::TollFree => "phonenumbers-tollfree",
        }
    }
}

/// What a number can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts, as Twilio sends them")]
pub struct Can {
    /// Calls.
    pub voice: bool,
    /// Text messages.
    pub sms: bool,
    /// Picture messages.
    pub mms: bool,
    /// Fax: retired, always false here.
    pub fax: bool,
}

/// A place that numbers belong to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// City.
    pub locality: &'static str,
    /// State or province; empty outside the United States and Canada.
    pub region: &'static str,
    /// Postal code; empty outside the United States and Canada, as all below.
    pub postal_code: &'static str,
    /// Rate centre.
    pub rate_center: &'static str,
    /// Local access and transport area.
    pub lata: &'static str,
    /// Degrees north, as Twilio writes it.
    pub latitude: &'static str,
    /// Degrees east, as Twilio writes it.
    pub longitude: &'static str,
}

impl Place {
    fn coordinates(&self) -> Option<(f64, f64)> {
        Some((self.latitude.parse().ok()?, self.longitude.parse().ok()?))
    }
}

/// The numbers of one area code, mobile prefix or toll-free code.
#[derive(Debug, Clone)]
struct Area {
    country: &'static str,
    kind: Kind,
    code: Cow<'static, str>,
    /// Everything before the subscriber number, without `+`.
    prefix: String,
    /// Digits of the subscriber number.
    digits: usize,
    places: &'static [Place],
}

impl Area {
    /// Whether this is a code of the North American plan, whose exchanges neither start with 0 or 1 nor end in 11.
    fn is_nanp(&self) -> bool {
        self.prefix.starts_with('1')
    }

    fn size(&self) -> u64 {
        if self.is_nanp() {
            8 * 99 * 10_000
        } else {
            // Subscriber numbers do not start with 0 or 1 here either.
            8 * 10_u64.pow(u32::try_from(self.digits).unwrap_or(1) - 1)
        }
    }

    /// The subscriber number at a place of the plan, in ascending order.
    fn subscriber(&self, nth: u64) -> u64 {
        if self.is_nanp() {
            let (exchange, line) = (nth / 10_000, nth % 10_000);
            let (hundred, rest) = (exchange / 99 + 2, exchange % 99);
            let rest = if rest >= 11 { rest + 1 } else { rest };
            (hundred * 100 + rest) * 10_000 + line
        } else {
            self.size() / 4 + nth
        }
    }

    /// The inverse of [`Area::subscriber`]; `None` for what the plan does not have.
    fn nth(&self, subscriber: u64) -> Option<u64> {
        let nth = if self.is_nanp() {
            let (exchange, line) = (subscriber / 10_000, subscriber % 10_000);
            let (hundred, rest) = ((exchange / 100).checked_sub(2)?, exchange % 100);
            let rest = match rest {
                11 => return None,
                12.. => rest - 1,
                0..11 => rest,
            };
            (hundred * 99 + rest) * 10_000 + line
        } else {
            subscriber.checked_sub(self.size() / 4)?
        };
        (nth < self.size()).then_some(nth)
    }

    fn key(&self) -> u64 {
        self.prefix.bytes().fold(0xcbf2_9ce4_8422_2325, |key, byte| mix(key ^ u64::from(byte)))
    }

    /// The digits of the number that the shuffle has at this place, without `+`.
    fn number_at(&self, index: u64) -> String {
        let subscriber = self.subscriber(shuffle(index, self.size(), self.key(), false));
        format!("{}{subscriber:0width$}", self.prefix, width = self.digits)
    }

    /// Where the shuffle has this number (digits without `+`).
    fn index_of(&self, number: &str) -> Option<u64> {
        let subscriber = number.strip_prefix(self.prefix.as_str()).filter(|rest| rest.len() == self.digits)?;
        Some(shuffle(self.nth(subscriber.parse().ok()?)?, self.size(), self.key(), true))
    }

    fn place(&self, number: &str) -> Option<&'static Place> {
        // By exchange, as rate centres are: all numbers of an exchange are in one town.
        let exchange = number.get(..number.len().saturating_sub(4)).unwrap_or_default();
        let draw = exchange.bytes().fold(self.key(), |key, byte| mix(key ^ u64::from(byte)));
        let count = u64::try_from(self.places.len()).ok().filter(|count| *count > 0)?;
        self.places.get(usize::try_from(draw % count).ok()?)
    }

    fn has_full_range(&self) -> bool {
        matches!(self.country, "US" | "CA")
    }

    fn can(&self, number: &str, limited: bool) -> Can {
        let draw = number.bytes().fold(self.key(), |key, byte| mix(key ^ u64::from(byte)));
        // A code with an exact count is a promise about how many numbers a search can sell: all of them can do all.
        let often = |of: u64, salt: u64| limited || !mix(draw ^ salt).is_multiple_of(of);
        let (sms, mms) = match (self.has_full_range(), self.country, self.kind) {
            (true, _, _) => (often(32, 1), often(16, 2)),
            (false, "GB" | "AU", Kind::Local) => (limited || often(2, 1), false),
            (false, _, Kind::Mobile) => (true, false),
            (false, _, _) => (limited, false),
        };
        Can { voice: true, sms, mms: sms && mms, fax: false }
    }

    fn is_beta(&self, number: &str, limited: bool) -> bool {
        !limited && number.bytes().fold(!self.key(), |key, byte| mix(key ^ u64::from(byte))).is_multiple_of(64)
    }
}

/// One step of a well-known integer hash (`SplitMix64`).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A permutation of `0..size` and its inverse: a Feistel network over the next even number of bits, walked until it
/// lands inside.
fn shuffle(value: u64, size: u64, key: u64, backward: bool) -> u64 {
    let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut value = value;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..4 {
            (left, right) = if backward {
                (right ^ (mix(left ^ key ^ (3 - round)) & mask), left)
            } else {
                (right, left ^ (mix(right ^ key ^ round) & mask))
            };
        }
        value = (left << half) | right;
        if value < size {
            return value;
        }
    }
}

/// A number on offer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The number.
    pub phone_number: E164,
    /// ISO country code.
    pub country: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Where it belongs.
    pub place: Option<&'static Place>,
    /// What it can do.
    pub can: Can,
    /// New to Twilio's platform.
    pub beta: bool,
    /// `none`, `any`, `local` or `foreign`.
    pub address_requirements: &'static str,
    /// Whether the country asks for a regulatory bundle.
    pub needs_bundle: bool,
}

/// An exact number of numbers in an area code, in total, sold ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StockLimit {
    /// ISO country code.
    pub country: String,
    /// Kind of number.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The area code; without one, the first code of the country and kind holds them all and the others none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_code: Option<String>,
    /// How many numbers there are.
    pub count: u64,
}

/// What a search asks for. Fields that Twilio ignores outside the United States and Canada are ignored there here too.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent filters of one query")]
pub struct Filter {
    /// Three digits.
    pub area_code: Option<String>,
    /// Digits that the number has.
    pub contains: Option<Pattern>,
    /// Must be able to send and receive text messages.
    pub sms: bool,
    /// … picture messages.
    pub mms: bool,
    /// … calls.
    pub voice: bool,
    /// … fax.
    pub fax: bool,
    /// Without numbers that ask for an address.
    pub exclude_all: bool,
    /// Without numbers that ask for a local address.
    pub exclude_local: bool,
    /// Without numbers that ask for a foreign address.
    pub exclude_foreign: bool,
    /// Without numbers new to the platform.
    pub exclude_beta: bool,
    /// Degrees north, degrees east, miles.
    pub near: Option<(f64, f64, f64)>,
    /// The start of a postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub region: Option<String>,
    /// Local access and transport area.
    pub lata: Option<String>,
    /// Rate centre.
    pub rate_center: Option<String>,
    /// City.
    pub locality: Option<String>,
}

impl Filter {
    fn matches_place(&self, place: Option<&Place>, by_area: bool) -> bool {
        let same = |wanted: &Option<String>, has: fn(&Place) -> &'static str| {
            wanted.as_ref().is_none_or(|wanted| place.is_some_and(|place| fold(has(place)) == fold(wanted)))
        };
        if !same(&self.locality, |place| place.locality) {
            return false;
        }
        if !by_area {
            return true;
        }
        same(&self.region, |place| place.region)
            && same(&self.lata, |place| place.lata)
            && same(&self.rate_center, |place| place.rate_center)
            && self.postal_code.as_ref().is_none_or(|wanted| {
                place.is_some_and(|place| fold(place.postal_code).starts_with(fold(wanted).as_str()))
            })
            && self.near.is_none_or(|(lat, lon, within)| {
                place.and_then(Place::coordinates).is_some_and(|at| miles((lat, lon), at) <= within)
            })
    }

    fn matches_can(&self, can: Can) -> bool {
        (!self.sms || can.sms) && (!self.mms || can.mms) && (!self.voice || can.voice) && (!self.fax || can.fax)
    }

    fn matches_address(&self, requirements: &str) -> bool {
        match requirements {
            "none" => true,
            "local" => !self.exclude_all && !self.exclude_local,
            "foreign" => !self.exclude_all && !self.exclude_foreign,
            _ => !self.exclude_all,
        }
    }
}

/// Letters in one case and without accents or spaces: `Québec` is found as `quebec`.
fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            'à' | 'â' | 'ä' => 'a',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'î' | 'ï' => 'i',
            'ô' | 'ö' => 'o',
            'ù' | 'û' | 'ü' => 'u',
            'ç' => 'c',
            other => other,
        })
        .collect()
}

/// Great-circle distance in miles.
fn miles(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let (d_lat, d_lon) = ((lat_b - lat_a) / 2.0, (b.1 - a.1).to_radians() / 2.0);
    let h = d_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * d_lon.sin().powi(2);
    3958.8 * 2.0 * h.sqrt().min(1.0).asin()
}

/// A `Contains` pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Digits; `None` stands for any one digit.
    tokens: Vec<Option<u8>>,
    at_start: bool,
    at_end: bool,
}

impl Pattern {
    /// Reads a pattern: 2 to 16 characters of `0-9a-zA-Z`, `+` only first, `$` only last, `*` (one digit) and `%` (any
    /// digits) only at the start or the end, no two of these side by side, and at least two others.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let chars: Vec<char> = text.chars().collect();
        if !(2..=16).contains(&chars.len()) {
            return Err("it has 2 to 16 characters");
        }
        let last = chars.len() - 1;
        let is_meta = |c: char| matches!(c, '*' | '%' | '+' | '$');
        if chars.iter().zip(chars.iter().skip(1)).any(|(a, b)| is_meta(*a) && is_meta(*b)) {
            return Err("special characters do not stand side by side");
        }
        if chars.iter().filter(|c| !is_meta(**c)).count() < 2 {
            return Err("it has at least two digits or letters");
        }
        let mut pattern = Self { tokens: Vec::new(), at_start: false, at_end: false };
        for (position, c) in chars.into_iter().enumerate() {
            match c {
                '+' if position == 0 => pattern.at_start = true,
                '$' if position == last => pattern.at_end = true,
                '*' if position == 0 || position == last => pattern.tokens.push(None),
                // Any run of digits at an end is what a search without an anchor means anyway.
                '%' if position == 0 || position == last => {}
                '+' | '$' | '*' | '%' => return Err("special characters stand at the start or at the end only"),
                _ => pattern.tokens.push(Some(keypad(c).ok_or("only 0-9, a-z, A-Z, *, %, + and $ are known")?)),
            }
        }
        Ok(pattern)
    }

    fn matches(&self, number: &str) -> bool {
        let digits = number.as_bytes();
        let fits =
            |window: &[u8]| window.iter().zip(&self.tokens).all(|(digit, token)| token.is_none_or(|t| t == *digit));
        match (self.at_start, self.at_end) {
            (true, true) => digits.len() == self.tokens.len() && fits(digits),
            (true, false) => digits.get(..self.tokens.len()).is_some_and(fits),
            (false, true) => {
                digits.len().checked_sub(self.tokens.len()).and_then(|from| digits.get(from..)).is_some_and(fits)
            }
            (false, false) => digits.windows(self.tokens.len().max(1)).any(fits),
        }
    }

    /// The pattern as a whole subscriber number, if it is that long: the number is then asked for, not looked for.
    fn whole(&self, area: &Area) -> Vec<String> {
        let digits: Option<String> = self.tokens.iter().map(|token| token.map(char::from)).collect();
        let Some(digits) = digits else { return Vec::new() };
        // The pattern may start anywhere in the prefix, as long as it covers the whole subscriber number.
        (0..=area.prefix.len())
            .filter_map(|at| {
                let number = format!("{}{digits}", area.prefix.get(..at)?);
                (number.len() == area.prefix.len() + area.digits && self.matches(&number)).then_some(number)
            })
            .collect()
    }
}

/// The digit under which a telephone's keypad has this letter.
fn keypad(c: char) -> Option<u8> {
    Some(match c.to_ascii_lowercase() {
        digit @ '0'..='9' => u8::try_from(digit).ok()?,
        'a'..='c' => b'2',
        'd'..='f' => b'3',
        'g'..='i' => b'4',
        'j'..='l' => b'5',
        'm'..='o' => b'6',
        'p'..='s' => b'7',
        't'..='v' => b'8',
        'w'..='z' => b'9',
        _ => return None,
    })
}

/// How many places of the shuffles one search looks at before it says that there is nothing.
const LOOKED_AT: u64 = 300_000;

/// All areas, their limits, and how far each is sold out.
#[derive(Debug, Clone)]
pub struct Stock {
    areas: Vec<Area>,
    limits: Vec<StockLimit>,
    /// Exact counts by area.
    counts: BTreeMap<usize, u64>,
    /// Everything before this place of an area's shuffle is sold. A shortcut, never more than the truth.
    sold_until: BTreeMap<usize, u64>,
}

impl Default for Stock {
    fn default() -> Self {
        let mut areas = Vec::new();
        for (country, code, places) in plan::NANP_LOCAL {
            areas.push(nanp(country, Kind::Local, (*code).into(), places));
        }
        for code in plan::TOLL_FREE {
            // One pool for the whole North American plan.
            areas.push(nanp("US", Kind::TollFree, (*code).into(), &[]));
        }
        for entry in plan::ELSEWHERE {
            let prefix = format!("{}{}", entry.calling_code, entry.code);
            let (country, kind, digits, places) = (entry.country, entry.kind, entry.digits, entry.places);
            areas.push(Area { country, kind, code: entry.code.into(), prefix, digits, places });
        }
        Self { areas, limits: Vec::new(), counts: BTreeMap::new(), sold_until: BTreeMap::new() }
    }
}

fn nanp(country: &'static str, kind: Kind, code: Cow<'static, str>, places: &'static [Place]) -> Area {
    Area { country, kind, prefix: format!("1{code}"), code, digits: 7, places }
}

/// Whether this is written as an area code of the North American plan.
pub fn is_area_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) && text.bytes().next().is_some_and(|b| b >= b'2')
}

/// The country whose pool of this kind a search uses: toll-free numbers are one pool for the North American plan.
fn pool(country: &str, kind: Kind) -> &str {
    if kind == Kind::TollFree && country == "CA" { "US" } else { country }
}

impl Stock {
    /// The limits in force.
    pub fn limits(&self) -> &[StockLimit] {
        &self.limits
    }

    /// Replaces all limits. Areas without one hold as much as their plan has.
    pub fn set_limits(&mut self, limits: Vec<StockLimit>) -> Result<(), String> {
        let mut counts = BTreeMap::new();
        for limit in &limits {
            let country = pool(&limit.country, limit.kind);
            if !kinds(&limit.country).contains(&limit.kind) {
                return Err(format!("{} has no numbers of type {}", limit.country, limit.kind.path()));
            }
            if let Some(code) = &limit.area_code {
                let area = match self.area(country, limit.kind, code) {
                    Some(area) => area,
                    None => self.add_area(country, limit.kind, code)?,
                };
                counts.insert(area, limit.count);
            } else {
                let mut left = limit.count;
                for (at, _) in
                    self.areas.iter().enumerate().filter(|(_, a)| a.country == country && a.kind == limit.kind)
                {
                    counts.insert(at, std::mem::take(&mut left));
                }
            }
        }
        self.counts = counts;
        self.limits = limits;
        Ok(())
    }

    fn area(&self, country: &str, kind: Kind, code: &str) -> Option<usize> {
        self.areas.iter().position(|area| area.country == country && area.kind == kind && area.code == code)
    }

    /// A code of the North American plan that the simulator's own table does not have.
    fn add_area(&mut self, country: &str, kind: Kind, code: &str) -> Result<usize, String> {
        let country = match country {
            "US" => "US",
            "CA" => "CA",
            _ => return Err(format!("no area code {code} of type {} in {country}", kind.path())),
        };
        let area = nanp(country, kind, code.to_owned().into(), &[]);
        if !is_area_code(code) || self.areas.iter().any(|other| other.prefix == area.prefix) {
            return Err(format!("{code} is not an area code of {country}"));
        }
        self.areas.push(area);
        Ok(self.areas.len() - 1)
    }

    fn count(&self, at: usize, area: &Area) -> u64 {
        self.counts.get(&at).map_or(area.size(), |count| (*count).min(area.size()))
    }

    fn offer(&self, at: usize, area: &Area, number: &str) -> Option<Offer> {
        let limited = self.counts.contains_key(&at);
        let (address_requirements, needs_bundle) = plan::regulation(area.country, area.kind);
        Some(Offer {
            phone_number: E164::parse(&format!("+{number}")).ok()?,
            country: area.country,
            kind: area.kind,
            place: area.place(number),
            can: area.can(number, limited),
            beta: area.is_beta(number, limited),
            address_requirements,
            needs_bundle,
        })
    }

    /// The number as the stock has it, sold or not; `None` when the plan or a limit leaves it out.
    pub fn find(&self, number: &E164) -> Option<Offer> {
        let digits = number.as_str().strip_prefix('+')?;
        let (at, area, index) = self
            .areas
            .iter()
            .enumerate()
            .find_map(|(at, area)| area.index_of(digits).map(|index| (at, area, index)))?;
        (index < self.count(at, area)).then(|| self.offer(at, area, digits))?
    }

    /// The country and kind of a number, whatever the limits say.
    pub fn classify(&self, number: &E164) -> Option<(&'static str, Kind)> {
        let digits = number.as_str().strip_prefix('+')?;
        self.areas.iter().find(|area| area.index_of(digits).is_some()).map(|area| (area.country, area.kind))
    }

    /// The coordinates of a number's place.
    pub fn coordinates(&self, number: &E164) -> Option<(f64, f64)> {
        let digits = number.as_str().strip_prefix('+')?;
        let area = self.areas.iter().find(|area| area.index_of(digits).is_some())?;
        area.place(digits)?.coordinates()
    }

    /// The first `wanted` numbers on offer that pass the filter, after leaving out `skip` of them.
    pub fn search(
        &mut self,
        country: &str,
        kind: Kind,
        filter: &Filter,
        skip: usize,
        wanted: usize,
        is_sold: &dyn Fn(&E164) -> bool,
    ) -> Vec<Offer> {
        let by_area = matches!(country, "US" | "CA");
        let chosen: Vec<usize> = (0..self.areas.len())
            .filter(|at| {
                self.areas.get(*at).is_some_and(|area| {
                    area.country == pool(country, kind)
                        && area.kind == kind
                        && (!by_area || filter.area_code.as_ref().is_none_or(|code| area.code == *code))
                        && (filter.matches_place(None, by_area)
                            || area.places.iter().any(|place| filter.matches_place(Some(place), by_area)))
                })
            })
            .collect();
        // Nothing on offer can do fax: no need to look at every number to know.
        if chosen.is_empty() || filter.fax || wanted == 0 {
            return Vec::new();
        }
        for at in &chosen {
            self.move_on(*at, is_sold);
        }
        let passes = |offer: &Offer| {
            filter.matches_can(offer.can)
                && filter.matches_address(offer.address_requirements)
                && (!filter.exclude_beta || !offer.beta)
                && filter.matches_place(offer.place, by_area)
                && !is_sold(&offer.phone_number)
        };
        if let Some(pattern) = &filter.contains {
            let whole = self.whole(&chosen, pattern).into_iter().filter(passes);
            let found: Vec<Offer> = whole.skip(skip).take(wanted).collect();
            if !found.is_empty() {
                return found;
            }
        }
        let mut found = Vec::new();
        let mut left_out = skip;
        // In turn, one number of each area: a search without an area code sees all of the country.
        let rounds = LOOKED_AT / u64::try_from(chosen.len()).unwrap_or(1).max(1);
        for step in 0..rounds {
            let mut exhausted = true;
            for at in &chosen {
                let Some(area) = self.areas.get(*at) else { continue };
                let index = self.sold_until.get(at).copied().unwrap_or(0) + step;
                if index >= self.count(*at, area) {
                    continue;
                }
                exhausted = false;
                let number = area.number_at(index);
                if filter.contains.as_ref().is_some_and(|pattern| !pattern.matches(&number)) {
                    continue;
                }
                let Some(offer) = self.offer(*at, area, &number).filter(passes) else { continue };
                if left_out > 0 {
                    left_out -= 1;
                    continue;
                }
                found.push(offer);
                if found.len() >= wanted {
                    return found;
                }
            }
            if exhausted {
                break;
            }
        }
        found
    }

    /// The numbers of these areas that a pattern spells out: they are asked for rather than looked for.
    fn whole(&self, chosen: &[usize], pattern: &Pattern) -> Vec<Offer> {
        let mut offers = Vec::new();
        for at in chosen {
            let Some(area) = self.areas.get(*at) else { continue };
            for number in pattern.whole(area) {
                if area.index_of(&number).is_some_and(|index| index < self.count(*at, area)) {
                    offers.extend(self.offer(*at, area, &number));
                }
            }
        }
        offers
    }

    /// Moves an area's shortcut past what is sold.
    fn move_on(&mut self, at: usize, is_sold: &dyn Fn(&E164) -> bool) {
        let Some(area) = self.areas.get(at) else { return };
        let count = self.count(at, area);
        let from = self.sold_until.get(&at).copied().unwrap_or(0);
        let first_left = (from..count)
            .find(|index| E164::parse(&format!("+{}", area.number_at(*index))).is_ok_and(|number| !is_sold(&number)))
            .unwrap_or(count.max(from));
        self.sold_until.insert(at, first_left);
    }
}

/// The kinds of number that a country has; empty for a country that is not on offer.
pub fn kinds(country: &str) -> &'static [Kind] {
    match country {
        "US" | "CA" => &[Kind::Local, Kind::TollFree],
        "GB" | "FR" | "DE" | "AU" => &[Kind::Local, Kind::Mobile],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn filter(area_code: &str) -> Filter {
        Filter { area_code: Some(area_code.to_owned()), ..Filter::default() }
    }

    fn numbers(stock: &mut Stock, country: &str, kind: Kind, filter: &Filter, wanted: usize) -> Vec<String> {
        let offers = stock.search(country, kind, filter, 0, wanted, &|_| false);
        offers.into_iter().map(|offer| offer.phone_number.to_string()).collect()
    }

    #[test]
    fn the_shuffle_is_a_permutation_with_an_inverse() {
        for size in [1, 2, 3, 10, 1000, 4096] {
            let seen: HashSet<u64> = (0..size).map(|value| shuffle(value, size, 7, false)).collect();
            assert_eq!(seen.len(), usize::try_from(size).unwrap());
            for value in 0..size {
                assert_eq!(shuffle(shuffle(value, size, 7, false), size, 7, true), value);
            }
        }
    }

    #[test]
    fn every_area_maps_numbers_both_ways() {
        for area in Stock::default().areas {
            for index in [0, 1, 9_999, area.size() - 1] {
                let number = area.number_at(index);
                assert_eq!(area.index_of(&number), Some(index), "{number}");
                assert!(E164::parse(&format!("+{number}")).is_ok(), "{number}");
            }
            assert!(area.size() >= 10_000);
        }
    }

    #[test]
    fn the_north_american_plan_has_no_such_numbers() {
        let stock = Stock::default();
        for bad in ["+14181551234", "+14180551234", "+14184111234", "+1418555123", "+19995551234"] {
            assert!(E164::parse(bad).is_err() || stock.find(&E164::parse(bad).unwrap()).is_none(), "{bad}");
        }
        let offer = stock.find(&E164::parse("+14185551234").unwrap()).unwrap();
        assert_eq!((offer.country, offer.kind), ("CA", Kind::Local));
    }

    #[test]
    fn searches_are_repeatable_and_skip_what_is_sold() {
        let mut stock = Stock::default();
        let first = numbers(&mut stock, "CA", Kind::Local, &filter("418"), 20);
        assert_eq!(first.len(), 20);
        assert!(first.iter().all(|number| number.starts_with("+1418")));
        assert_eq!(first, numbers(&mut Stock::default(), "CA", Kind::Local, &filter("418"), 20));
        let sold: HashSet<E164> = first.iter().take(3).map(|n| E164::parse(n).unwrap()).collect();
        let offers = stock.search("CA", Kind::Local, &filter("418"), 0, 1, &|number| sold.contains(number));
        assert_eq!(offers[0].phone_number.as_str(), first[3]);
    }

    #[test]
    fn a_search_without_an_area_code_sees_all_of_the_country() {
        let mut stock = Stock::default();
        let found = numbers(&mut stock, "CA", Kind::Local, &Filter::default(), 15);
        let codes: HashSet<_> = found.iter().map(|number| number[2..5].to_owned()).collect();
        assert_eq!(codes.len(), 15);
    }

    #[test]
    fn a_limit_is_exact() {
        let mut stock = Stock::default();
        let limit = |code: &str, count| StockLimit {
            country: "CA".to_owned(),
            kind: Kind::Local,
            area_code: Some(code.to_owned()),
            count,
        };
        stock.set_limits(vec![limit("418", 3), limit("250", 2)]).unwrap();
        let sms = Filter { sms: true, mms: true, exclude_beta: true, ..filter("418") };
        let three = numbers(&mut stock, "CA", Kind::Local, &sms, 50);
        assert_eq!(three.len(), 3);
        assert_eq!(numbers(&mut stock, "CA", Kind::Local, &filter("250"), 50).len(), 2);
        let outside = (0..10).map(|line| E164::parse(&format!("+1418555000{line}")).unwrap());
        assert!(outside.into_iter().all(|n| stock.find(&n).is_none() || three.contains(&n.to_string())));
        assert!(stock.set_limits(vec![limit("055", 1)]).is_err());
        stock.set_limits(Vec::new()).unwrap();
        assert_eq!(numbers(&mut stock, "CA", Kind::Local, &filter("418"), 50).len(), 50);
    }

    #[test]
    fn area_filters_are_ignored_elsewhere() {
        let mut stock = Stock::default();
        let wrong = Filter { region: Some("QC".to_owned()), postal_code: Some("G1".to_owned()), ..filter("418") };
        assert_eq!(numbers(&mut stock, "GB", Kind::Local, &wrong, 5).len(), 5);
        let london = Filter { locality: Some("london".to_owned()), ..Filter::default() };
        assert!(numbers(&mut stock, "GB", Kind::Local, &london, 5).iter().all(|n| n.starts_with("+4420")));
    }

    #[test]
    fn places_are_found_by_name_code_and_distance() {
        let mut stock = Stock::default();
        let by = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter
        };
        let locality = by(|f| f.locality = Some("quebec".to_owned()));
        for offer in stock.search("CA", Kind::Local, &locality, 0, 10, &|_| false) {
            assert_eq!(offer.place.unwrap().locality, "Québec");
        }
        let near = by(|f| f.near = Some((46.81, -71.21, 25.0)));
        assert!(
            numbers(&mut stock, "CA", Kind::Local, &near, 10)
                .iter()
                .all(|n| { n.starts_with("+1418") || n.starts_with("+1581") || n.starts_with("+1367") })
        );
        let region = by(|f| f.region = Some("on".to_owned()));
        assert!(!numbers(&mut stock, "CA", Kind::Local, &region, 5).is_empty());
        let nowhere = by(|f| f.locality = Some("Atlantis".to_owned()));
        assert!(numbers(&mut stock, "CA", Kind::Local, &nowhere, 5).is_empty());
    }

    #[test]
    fn patterns_are_read_as_documented() {
        for bad in ["1", "", "12345678901234567", "1*2", "**12", "+*12", "1+2", "$12", "*1*", "a-b", "1 2"] {
            assert!(Pattern::read(bad).is_err(), "{bad}");
        }
        let matches = |pattern: &str, number: &str| Pattern::read(pattern).unwrap().matches(number);
        assert!(matches("1234", "14185512340") && !matches("1234", "14185512430"));
        assert!(matches("+1418", "14185551234") && !matches("+418", "14185551234"));
        assert!(matches("1234$", "14185551234") && !matches("1234$", "14181234555"));
        assert!(matches("*4185", "14185551234") && !matches("*1418", "14185551234"));
        assert!(matches("34%", "14185551234") && matches("FLOWERS", "14183569377"));
        assert!(matches("34*", "14185553412") && !matches("34*", "14185551234"));
    }

    #[test]
    fn a_whole_number_is_found_however_deep_it_lies() {
        let mut stock = Stock::default();
        let mut by = filter("418");
        for pattern in ["5551234", "4185551234", "+14185551234", "85551234$"] {
            by.contains = Some(Pattern::read(pattern).unwrap());
            assert_eq!(numbers(&mut stock, "CA", Kind::Local, &by, 5), ["+14185551234"], "{pattern}");
        }
    }

    #[test]
    fn toll_free_numbers_are_one_pool() {
        let mut stock = Stock::default();
        let by = filter("833");
        let us = numbers(&mut stock, "US", Kind::TollFree, &by, 3);
        assert!(us[0].starts_with("+1833"));
        assert_eq!(us, numbers(&mut stock, "CA", Kind::TollFree, &by, 3));
    }
}
