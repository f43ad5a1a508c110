//! `search`: which numbers are on offer just now, and what one would cost. It buys nothing and writes nothing.

mod table;

use std::process::ExitCode;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Answer;
use super::account::AccountArgs;
use super::output::Output;
use crate::api::v1alpha1::{Candidate, PriceStatus, SmsPrices};
use crate::domain::{
    AccountSid, AvailableNumber, Capability, CountryCode, E164, MessagePrice, Money, NumberType, Search, Trouble,
};
use crate::plan;
use crate::twilio::{Client, Credentials};

const MORE: &str = "\
What is asked:
  Twilio's numbers on offer, up to 30, area codes in the order that they are given; and its prices for
  the account: of a number a month, and of an SMS of the country. Nothing is bought, reserved or
  written. A number that is shown may be sold to somebody else the next moment.

What it may cost:
  --sent and --received add what so many SMS a month would cost, with the number's rent. Carrier fees
  and taxes are not in Twilio's price lists, nor are prices of MMS.

Exit code:
  0  there are numbers
  1  Twilio could not be asked, or refused
  2  wrong usage
  3  there are none

Examples:
  clinic-phone-operator search --country CA --area-code 418 --area-code 581
  clinic-phone-operator search --country CA --area-code 514 --contains 1234 --sent 500 --received 100
  clinic-phone-operator search --country GB --type mobile --secret-file twilio.yaml --output json |
    jq -r '.numbers[].phoneNumber'";

/// Shows numbers on offer and what one would cost; buys nothing.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = MORE)]
pub struct SearchArgs {
    /// Country, as its ISO 3166-1 alpha-2 code
    #[arg(long, value_name = "CC")]
    pub country: CountryCode,
    /// Kind of number
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t)]
    pub kind: Kind,
    /// Area code, three digits; several are searched in the order given. US and CA only
    #[arg(long = "area-code", value_name = "NPA", value_delimiter = ',', value_parser = area_code)]
    pub area_codes: Vec<String>,
    /// Digits or letters that the number contains, with Twilio's wildcards
    #[arg(long, value_name = "PATTERN")]
    pub contains: Option<String>,
    /// City
    #[arg(long)]
    pub locality: Option<String>,
    /// State or province, two letters. US and CA only
    #[arg(long)]
    pub region: Option<String>,
    /// Postal code, or the start of one. US and CA only
    #[arg(long)]
    pub postal_code: Option<String>,
    /// A number near which the new one should be, as E.164. US and CA only
    #[arg(long, value_name = "NUMBER")]
    pub near_number: Option<E164>,
    /// How near, in miles
    #[arg(long, value_name = "MILES", requires = "near_number", value_parser = clap::value_parser!(i32).range(1..=500))]
    pub distance_miles: Option<i32>,
    /// What the number must be able to do
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sms", ignore_case = true)]
    pub capabilities: Vec<CapabilityArg>,
    /// Whether numbers that are new to Twilio's platform will do
    #[arg(long)]
    pub allow_beta: bool,
    /// Tell what a month costs in which so many SMS are sent
    #[arg(long, value_name = "SMS")]
    pub sent: Option<u32>,
    /// Tell what a month costs in which so many SMS are received
    #[arg(long, value_name = "SMS")]
    pub received: Option<u32>,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
    /// What is printed
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// Kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Kind {
    #[default]
    Local,
    Mobile,
    TollFree,
}

/// What a number can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the words say it")]
pub enum CapabilityArg {
    Sms,
    Mms,
    Voice,
    Fax,
}

impl From<Kind> for NumberType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Local => Self::Local,
            Kind::Mobile => Self::Mobile,
            Kind::TollFree => Self::TollFree,
        }
    }
}

impl From<CapabilityArg> for Capability {
    fn from(capability: CapabilityArg) -> Self {
        match capability {
            CapabilityArg::Sms => Self::SMS,
            CapabilityArg::Mms => Self::MMS,
            CapabilityArg::Voice => Self::Voice,
            CapabilityArg::Fax => Self::Fax,
        }
    }
}

/// What was found. Numbers and prices have the names that they have in a resource's status.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Who would pay.
    #[serde(rename = "accountSID")]
    pub account_sid: AccountSid,
    /// Where was searched.
    pub country: CountryCode,
    /// Which kind.
    #[serde(rename = "type")]
    pub number_type: &'static str,
    /// How many there are below.
    pub count: usize,
    /// On offer, in the order of the searches.
    pub numbers: Vec<Offer>,
    /// What each of them costs a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_price: Option<PriceStatus>,
    /// What one SMS costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_prices: Option<SmsPrices>,
    /// What a month would cost, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// What could not be found out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One number on offer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// As in `status.candidates`.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// `none`, `any`, `local` or `foreign`: the address that Twilio asks for before it sells it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address_requirements: String,
}

/// A month with so many SMS, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// How many are sent.
    pub sms_sent: u32,
    /// How many are received.
    pub sms_received: u32,
    /// What they cost, before carrier fees.
    pub sms_cost: String,
    /// With the number's rent.
    pub total: String,
    /// ISO 4217.
    pub currency: String,
}

impl Estimate {
    /// What a month costs; `None`: there is no sum of these prices.
    pub fn of(monthly: &Money, message: &MessagePrice, sent: u32, received: u32) -> Option<Self> {
        let messages = message.outbound.times(sent)?.plus(&message.inbound.times(received)?)?;
        Some(Self {
            sms_sent: sent,
            sms_received: received,
            sms_cost: messages.cents(),
            total: monthly.plus(&messages)?.cents(),
            currency: monthly.currency.to_string(),
        })
    }
}

/// There is nothing on offer.
const NONE: u8 = 3;
/// The most that are shown, as many as a resource shows.
const MOST: usize = 30;

fn area_code(text: &str) -> Result<String, String> {
    let well = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with(['0', '1']);
    if well { Ok(text.to_owned()) } else { Err("an area code is three digits, the first of them 2 to 9".to_owned()) }
}

/// One search and its prices.
///
/// # Errors
/// When there are no credentials, a flag cannot be, or Twilio did not answer.
pub async fn run(args: &SearchArgs, stop: CancellationToken) -> anyhow::Result<Answer> {
    let searches = args.searches()?;
    let (twilio, credentials) = args.account.open()?;
    let found = tokio::select! {
        found = args.ask(&twilio, &credentials, &searches) => found?,
        () = stop.cancelled() => anyhow::bail!("stopped"),
    };
    answer(&found, args.output)
}

fn answer(found: &Found, output: Output) -> anyhow::Result<Answer> {
    let code = if found.numbers.is_empty() { ExitCode::from(NONE) } else { ExitCode::SUCCESS };
    Ok(Answer { text: output.render(found, table::render)?, code })
}

/// Twilio's no, and what to do about it.
fn refused(trouble: &Trouble) -> String {
    format!("{trouble}. {}", trouble.remedy).trim_end_matches([' ', '.']).to_owned()
}

impl SearchArgs {
    fn searches(&self) -> anyhow::Result<Vec<Search>> {
        let by_area = [
            ("--area-code", !self.area_codes.is_empty()),
            ("--region", self.region.is_some()),
            ("--postal-code", self.postal_code.is_some()),
            ("--near-number", self.near_number.is_some()),
        ];
        if let Some((flag, _)) = by_area.iter().find(|(_, given)| *given && !self.country.searches_by_area()) {
            anyhow::bail!(
                "{flag}: Twilio ignores it outside the United States and Canada; use --contains or --locality"
            );
        }
        if self.kind == Kind::Mobile && self.country.searches_by_area() {
            anyhow::bail!("--type: the United States and Canada have no mobile numbers at Twilio; use local");
        }
        let one = Search {
            country: self.country.clone(),
            number_type: self.kind.into(),
            area_code: None,
            contains: self.contains.clone(),
            locality: self.locality.clone(),
            region: self.region.clone(),
            postal_code: self.postal_code.clone(),
            near_number: self.near_number.clone(),
            distance_miles: self.distance_miles,
            capabilities: self.capabilities.iter().map(|capability| (*capability).into()).collect(),
            allow_beta: self.allow_beta,
        };
        let codes = &self.area_codes;
        let each = codes.iter().map(|code| Search { area_code: Some(code.clone()), ..one.clone() });
        Ok(if codes.is_empty() { vec![one] } else { each.collect() })
    }

    async fn ask(&self, twilio: &Client, credentials: &Credentials, searches: &[Search]) -> anyhow::Result<Found> {
        let mut offers: Vec<AvailableNumber> = Vec::new();
        for search in searches {
            if offers.len() >= MOST {
                break;
            }
            let more = twilio.search(credentials, search).await;
            let more = more.map_err(|why| anyhow::anyhow!("the search failed: {}", refused(&why)))?;
            let known = |offer: &AvailableNumber| offers.iter().any(|o| o.phone_number == offer.phone_number);
            let more: Vec<_> = more.into_iter().filter(|offer| !known(offer)).collect();
            offers.extend(more);
        }
        offers.truncate(MOST);
        let kind = self.kind.into();
        let mut problems = Vec::new();
        let mut noted = |what: &str, why: String| problems.push(format!("{what}: {why}"));
        let monthly = match twilio.number_prices(credentials, &self.country).await {
            Ok(prices) => prices.monthly(kind),
            Err(why) => {
                noted("the price of a number could not be read", refused(&why));
                None
            }
        };
        let message = match twilio.message_prices(credentials, &self.country).await {
            Ok(prices) => prices.of(kind),
            Err(why) => {
                noted("the prices of SMS could not be read", refused(&why));
                None
            }
        };
        let asked = self.sent.is_some() || self.received.is_some();
        let estimate = monthly.as_ref().zip(message.as_ref()).filter(|_| asked).and_then(|(monthly, message)| {
            Estimate::of(monthly, message, self.sent.unwrap_or(0), self.received.unwrap_or(0))
        });
        if asked && estimate.is_none() {
            noted("no estimate", "it needs both prices, in one currency".to_owned());
        }
        let numbers = offers.iter().map(|offer| Offer {
            candidate: plan::candidate(offer),
            address_requirements: offer.address_requirements.clone(),
        });
        Ok(Found {
            account_sid: credentials.account().clone(),
            country: self.country.clone(),
            number_type: NumberType::from(self.kind).path(),
            count: offers.len(),
            numbers: numbers.collect(),
            monthly_price: monthly.as_ref().map(PriceStatus::from),
            sms_prices: message.as_ref().map(SmsPrices::from),
            estimate,
            problems,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use clap::Parser as _;
    use tower::ServiceExt as _;
    use tower::util::BoxCloneSyncService;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::Currency;
    use crate::simulator::Simulator;
    use crate::twilio::{Auth, Endpoints, TransportError};

    fn money(amount: &str, currency: &str) -> Money {
        Money { amount: amount.parse().unwrap(), currency: Currency::parse(currency).unwrap() }
    }

    /// A clinic's month: 500 reminders and 100 replies.
    #[test]
    fn a_month_costs_its_messages_and_the_rent() {
        let message = MessagePrice { inbound: money("0.0075", "USD"), outbound: money("0.0075", "USD") };
        let month = Estimate::of(&money("1.00", "USD"), &message, 500, 100).unwrap();
        assert_eq!((month.sms_cost.as_str(), month.total.as_str(), month.currency.as_str()), ("4.50", "5.50", "USD"));
        let dearer = MessagePrice { outbound: money("0.0079", "USD"), ..message.clone() };
        assert_eq!(Estimate::of(&money("1.15", "USD"), &dearer, 347, 89).unwrap().total, "4.5588");
        assert_eq!(Estimate::of(&money("1.15", "CAD"), &message, 1, 1), None, "currencies are never mixed");
    }

    /// The whole command but for the socket: what Twilio is asked, and what is printed.
    #[tokio::test]
    async fn what_is_on_offer_is_told_with_what_a_month_costs() {
        let account = AccountSid::parse(&format!("AC{:032x}", 1)).unwrap();
        let token = "0badc0de0badc0de0badc0de0badc0de";
        let simulator = Simulator::new(
            crate::simulator::Settings {
                record: crate::simulator::Recorder::of_tests(),
                ..crate::simulator::Settings::default()
            },
            Arc::new(SystemClock),
        );
        let auth = |token: &str| Credentials::new(account.clone(), Auth::AuthToken(token.into()));
        let transport = simulator.service().map_err(|cut| TransportError::Interrupted(cut.to_string()));
        let twilio =
            Client::new(Endpoints::twilio().unwrap(), BoxCloneSyncService::new(transport), Duration::from_secs(5));
        let ask = async |flags: &[&str], token: &str| {
            let args = Alone::try_parse_from(["search"].iter().chain(flags)).unwrap().search;
            let found = args.ask(&twilio, &auth(token), &args.searches().unwrap()).await?;
            answer(&found, args.output)
        };
        let month = ["--country", "CA", "--area-code", "418,581", "--sent", "500", "--received", "100"];
        let told = ask(&month, token).await.unwrap();
        assert_eq!(told.code, ExitCode::SUCCESS);
        for words in ["The first 30 Local numbers in CA.", "(418) ", "Each costs 1.15 USD", "costs 5.65 USD: 4.50 USD"]
        {
            assert!(told.text.contains(words), "{words} in {}", told.text);
        }
        let json = ask(&["--country", "CA", "--contains", "418555010", "--output", "json"], token).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&json.text).unwrap();
        let numbers = json["numbers"].as_array().unwrap();
        assert_eq!(json["count"], numbers.len());
        assert!(numbers.iter().all(|n| n["phoneNumber"].as_str().unwrap().contains("418555010")), "{json}");
        assert!(json.get("estimate").is_none() && json["smsPrices"]["inbound"] == "0.0075", "{json}");
        let none = ask(&["--country", "CA", "--area-code", "418", "--contains", "5145551234"], token).await.unwrap();
        assert_eq!(none.code, ExitCode::from(NONE));
        let why = ask(&["--country", "CA"], &token.replace('0', "1")).await.unwrap_err().to_string();
        assert!(why.contains("20003") && !why.contains("badc1de"), "{why}");
        assert!(simulator.calls().iter().all(|call| call.method == "GET"), "nothing but questions");
    }

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        search: SearchArgs,
    }

    fn searches(flags: &[&str]) -> Result<Vec<Search>, String> {
        let parsed = Alone::try_parse_from(["search"].iter().chain(flags)).map_err(|e| e.to_string())?;
        parsed.search.searches().map_err(|e| e.to_string())
    }

    #[test]
    fn area_codes_are_searched_in_their_order() {
        let all = searches(&["--country", "CA", "--area-code", "581,418", "--contains", "1234"]).unwrap();
        let codes: Vec<_> = all.iter().map(|search| search.area_code.as_deref().unwrap()).collect();
        assert_eq!(codes, ["581", "418"]);
        assert!(all.iter().all(|search| search.contains.as_deref() == Some("1234")));
        assert_eq!(all[0].capabilities, [Capability::SMS]);
        let one = searches(&["--country", "GB", "--type", "mobile", "--capabilities", "SMS,voice"]).unwrap();
        assert_eq!((one.len(), one[0].number_type), (1, NumberType::Mobile));
        assert_eq!(one[0].capabilities, [Capability::SMS, Capability::Voice]);
    }

    #[test]
    fn a_filter_that_twilio_would_ignore_is_refused_by_its_flag() {
        for (flags, named) in [
            (&["--country", "GB", "--area-code", "418"][..], "--area-code"),
            (&["--country", "FR", "--region", "QC"], "--region"),
            (&["--country", "DE", "--postal-code", "101"], "--postal-code"),
            (&["--country", "GB", "--near-number", "+14185550100"], "--near-number"),
            (&["--country", "CA", "--type", "mobile"], "--type"),
            (&["--country", "CA", "--distance-miles", "10"], "--near-number"),
            (&["--country", "CA", "--area-code", "18"], "three digits"),
            (&["--country", "Canada"], "--country"),
            (&["--country", "CA", "--near-number", "418"], "E.164"),
        ] {
            let why = searches(flags).unwrap_err();
            assert!(why.contains(named), "{flags:?}: {why}");
        }
    }
}
