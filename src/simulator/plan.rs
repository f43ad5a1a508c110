//! The numbering plan: which codes exist, where they are, what they cost and what the law asks for.
//!
//! A small, plausible table, not an authority: places stand for their area, prices and rules are examples.

use super::stock::{Kind, Place};

const fn place(
    locality: &'static str,
    region: &'static str,
    postal_code: &'static str,
    rate_center: &'static str,
    lata: &'static str,
    at: (&'static str, &'static str),
) -> Place {
    Place { locality, region, postal_code, rate_center, lata, latitude: at.0, longitude: at.1 }
}

/// A place outside the United States and Canada: Twilio tells its name only.
const fn city(locality: &'static str) -> Place {
    place(locality, "", "", "", "", ("", ""))
}

const QUEBEC_CITY: &[Place] = &[
    place("Québec", "QC", "G1R 4P5", "QUEBEC", "888", ("46.813900", "-71.208000")),
    place("Québec", "QC", "G1V 2L2", "SAINTE-FOY", "888", ("46.781700", "-71.277500")),
    place("Lévis", "QC", "G6V 3P5", "LEVIS", "888", ("46.803300", "-71.177900")),
];
const QUEBEC_EAST: &[Place] = &[
    place("Québec", "QC", "G1R 4P5", "QUEBEC", "888", ("46.813900", "-71.208000")),
    place("Québec", "QC", "G1V 2L2", "SAINTE-FOY", "888", ("46.781700", "-71.277500")),
    place("Lévis", "QC", "G6V 3P5", "LEVIS", "888", ("46.803300", "-71.177900")),
    place("Saguenay", "QC", "G7H 5B8", "CHICOUTIMI", "888", ("48.428000", "-71.068500")),
];
const MONTREAL: &[Place] = &[place("Montréal", "QC", "H2Y 1C6", "MONTREAL", "888", ("45.501700", "-73.567300"))];
const AROUND_MONTREAL: &[Place] = &[
    place("Laval", "QC", "H7V 3Z4", "LAVAL-OUEST", "888", ("45.606600", "-73.712400")),
    place("Longueuil", "QC", "J4K 1A1", "LONGUEUIL", "888", ("45.531200", "-73.518100")),
];
const QUEBEC_WEST: &[Place] = &[
    place("Gatineau", "QC", "J8X 3X2", "OTTAWA-HULL", "888", ("45.476500", "-75.701300")),
    place("Sherbrooke", "QC", "J1H 1A1", "SHERBROOKE", "888", ("45.404200", "-71.892900")),
    place("Trois-Rivières", "QC", "G9A 1A1", "TROIS-RIVIERES", "888", ("46.343200", "-72.543000")),
];
const OTTAWA: &[Place] = &[
    place("Ottawa", "ON", "K1P 5M7", "OTTAWA-HULL", "888", ("45.421500", "-75.697200")),
    place("Kingston", "ON", "K7L 1A1", "KINGSTON", "888", ("44.231200", "-76.486000")),
];
const TORONTO: &[Place] = &[place("Toronto", "ON", "M5H 2N2", "TORONTO", "888", ("43.653200", "-79.383200"))];
const VANCOUVER: &[Place] = &[
    place("Vancouver", "BC", "V6B 1A1", "VANCOUVER", "888", ("49.282700", "-123.120700")),
    place("Burnaby", "BC", "V5H 1A1", "NEW WESTMINSTER", "888", ("49.248800", "-122.980500")),
];
const EDMONTON: &[Place] = &[place("Edmonton", "AB", "T5J 1A1", "EDMONTON", "888", ("53.546100", "-113.493800"))];
const CALGARY: &[Place] = &[place("Calgary", "AB", "T2P 1A1", "CALGARY", "888", ("51.044700", "-114.071900"))];
const HALIFAX: &[Place] = &[
    place("Halifax", "NS", "B3J 1A1", "HALIFAX", "888", ("44.648800", "-63.575200")),
    place("Charlottetown", "PE", "C1A 1A1", "CHARLOTTETOWN", "888", ("46.238200", "-63.131100")),
];
const NEW_YORK: &[Place] = &[place("New York", "NY", "10007", "NWYRCYZN01", "132", ("40.712800", "-74.006000"))];
const SAN_FRANCISCO: &[Place] =
    &[place("San Francisco", "CA", "94103", "SNFC CNTRL", "722", ("37.774900", "-122.419400"))];
const BOSTON: &[Place] = &[
    place("Boston", "MA", "02108", "BOSTON", "128", ("42.360100", "-71.058900")),
    place("Cambridge", "MA", "02139", "CAMBRIDGE", "128", ("42.373600", "-71.109700")),
];
const CHICAGO: &[Place] = &[place("Chicago", "IL", "60602", "CHICAGOZN1", "358", ("41.878100", "-87.629800"))];
const MIAMI: &[Place] = &[place("Miami", "FL", "33128", "MIAMI", "460", ("25.761700", "-80.191800"))];
const SEATTLE: &[Place] = &[place("Seattle", "WA", "98101", "SEATTLE", "674", ("47.606200", "-122.332100"))];
const AUSTIN: &[Place] = &[place("Austin", "TX", "78701", "AUSTIN", "558", ("30.267200", "-97.743100"))];

/// Country, area code and places of the North American plan.
pub(super) const NANP_LOCAL: &[(&str, &str, &[Place])] = &[
    ("CA", "418", QUEBEC_EAST),
    ("CA", "581", QUEBEC_CITY),
    ("CA", "367", QUEBEC_CITY),
    ("CA", "514", MONTREAL),
    ("CA", "438", MONTREAL),
    ("CA", "450", AROUND_MONTREAL),
    ("CA", "819", QUEBEC_WEST),
    ("CA", "873", QUEBEC_WEST),
    ("CA", "613", OTTAWA),
    ("CA", "416", TORONTO),
    ("CA", "647", TORONTO),
    ("CA", "604", VANCOUVER),
    ("CA", "780", EDMONTON),
    ("CA", "403", CALGARY),
    ("CA", "902", HALIFAX),
    ("US", "212", NEW_YORK),
    ("US", "415", SAN_FRANCISCO),
    ("US", "617", BOSTON),
    ("US", "312", CHICAGO),
    ("US", "305", MIAMI),
    ("US", "206", SEATTLE),
    ("US", "512", AUSTIN),
];

/// Toll-free codes of the North American plan.
pub(super) const TOLL_FREE: &[&str] = &["800", "888", "877", "866", "855", "844", "833"];

/// A code outside the North American plan.
pub(super) struct Entry {
    pub(super) country: &'static str,
    pub(super) kind: Kind,
    pub(super) calling_code: &'static str,
    pub(super) code: &'static str,
    /// Digits of the subscriber number.
    pub(super) digits: usize,
    pub(super) places: &'static [Place],
}

const fn entry(
    country: &'static str,
    calling_code: &'static str,
    kind: Kind,
    code: &'static str,
    digits: usize,
    places: &'static [Place],
) -> Entry {
    Entry { country, kind, calling_code, code, digits, places }
}

/// Codes of the other countries.
pub(super) const ELSEWHERE: &[Entry] = &[
    entry("GB", "44", Kind::Local, "20", 8, &[city("London")]),
    entry("GB", "44", Kind::Local, "121", 7, &[city("Birmingham")]),
    entry("GB", "44", Kind::Local, "161", 7, &[city("Manchester")]),
    entry("GB", "44", Kind::Mobile, "74", 8, &[]),
    entry("FR", "33", Kind::Local, "1", 8, &[city("Paris")]),
    entry("FR", "33", Kind::Local, "4", 8, &[city("Lyon"), city("Marseille")]),
    entry("FR", "33", Kind::Mobile, "6", 8, &[]),
    entry("DE", "49", Kind::Local, "30", 8, &[city("Berlin")]),
    entry("DE", "49", Kind::Local, "89", 8, &[city("München")]),
    entry("DE", "49", Kind::Mobile, "157", 8, &[]),
    entry("AU", "61", Kind::Local, "2", 8, &[city("Sydney"), city("Canberra")]),
    entry("AU", "61", Kind::Local, "3", 8, &[city("Melbourne")]),
    entry("AU", "61", Kind::Mobile, "4", 8, &[]),
];

/// Codes and names of the countries on offer.
pub(super) const COUNTRIES: &[(&str, &str)] = &[
    ("CA", "Canada"),
    ("US", "United States"),
    ("GB", "United Kingdom"),
    ("FR", "France"),
    ("DE", "Germany"),
    ("AU", "Australia"),
];

/// What must be on file before such a number is sold: which address (`none`, `any`, `local`), and whether a bundle.
pub(super) fn regulation(country: &str, kind: Kind) -> (&'static str, bool) {
    match (country, kind) {
        ("GB" | "AU", Kind::Local) => ("any", false),
        ("FR" | "DE", Kind::Local) => ("local", true),
        ("GB" | "AU" | "FR" | "DE", Kind::Mobile) => ("any", true),
        _ => ("none", false),
    }
}

/// The monthly price of a number.
pub(super) fn monthly_price(country: &str, kind: Kind) -> &'static str {
    match (country, kind) {
        (_, Kind::TollFree) => "2.15",
        ("AU", Kind::Local) => "3.00",
        ("AU", Kind::Mobile) => "6.50",
        ("DE", Kind::Mobile) => "15.00",
        (_, Kind::Mobile) | ("GB" | "FR" | "DE" | "CA" | "US", Kind::Local) => "1.15",
        (_, Kind::Local) => "1.00",
    }
}

/// The price of a message: received, sent.
pub(super) fn message_price(country: &str) -> (&'static str, &'static str) {
    match country {
        "GB" => ("0.0075", "0.0524"),
        "FR" => ("0.0075", "0.0798"),
        "DE" => ("0.0075", "0.1120"),
        "AU" => ("0.0075", "0.0515"),
        "CA" => ("0.0075", "0.0075"),
        _ => ("0.0083", "0.0083"),
    }
}
