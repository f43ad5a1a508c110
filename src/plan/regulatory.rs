//! What a country asks for before a number is sold there: found out before anything is searched, announced or sent.
//!
//! It is a courtesy, and no guard: Twilio refuses a purchase that lacks papers, and that costs nothing. So what cannot be read, or is
//! not certain, stands in nobody's way, and what would be refused anyway is told at once, with what is missing.

use std::time::Duration;

use crate::domain::{
    AvailableNumber, Bundle, BundleSid, CountryCode, Now, NumberType, Papers, Trouble, webhook::printable,
};

use super::acquire::of_this_life;
use super::{Desired, Kind, Observed, Plan, Situation, Step, Wish, record, setback};

/// What a reading gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PapersView {
    /// What is asked, and what there is for it.
    Read(Papers),
    /// It could not be read.
    Unread(Trouble),
}

/// What was read: of which numbers, and with which bundle.
pub type Asked = (CountryCode, NumberType, Option<BundleSid>);

/// Words of Twilio's for a bundle with which numbers are sold.
const APPROVED: [&str; 2] = ["twilio-approved", "provisionally-approved"];

/// After a reading that failed, none is made for so long: what is only a courtesy keeps nobody from buying.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// Numbers of which kind in which country are wanted; `None` where nothing is asked for, or that cannot be told. An exact number is of
/// its own country and kind, whatever is searched beside it.
fn asked(wish: &Wish) -> Option<Asked> {
    let (country, kind) = match &wish.exact {
        Some(exact) => match exact.countries().as_slice() {
            [country] => (country.clone(), exact.kind()?),
            _ => return None,
        },
        None => wish.searched().map(|(country, kind)| (country.clone(), kind))?,
    };
    // Twilio's enforcement leaves these two out (https://www.twilio.com/docs/phone-numbers/regulatory).
    let free = ["US", "CA"].contains(&country.as_str());
    (!free).then(|| (country, kind, wish.regulatory.bundle.clone()))
}

/// What has to be read before anything can be said of it; `None`: nothing.
pub(super) fn reading(observed: &Observed, wish: &Wish, now: Now) -> Option<Step> {
    let asked = asked(wish)?;
    let read = observed.papers.as_ref().is_some_and(|(of, _)| *of == asked);
    let rests = observed.memory.papers_failed.is_some_and(|at| now.boot.since(at) < PAUSE);
    let (country, kind, bundle) = asked;
    (!read && !rests).then_some(Step::ReadPapers { country, kind, bundle })
}

/// What is missing, as far as it was read.
pub(super) fn lacking(observed: &Observed, wish: &Wish, now: Now) -> Option<String> {
    let asked = asked(wish)?;
    match observed.papers.as_ref().filter(|(of, _)| *of == asked) {
        Some((_, PapersView::Read(papers))) => missing(papers, wish, &asked, now),
        Some((_, PapersView::Unread(_))) | None => None,
    }
}

/// What stands between the wish and a search or a purchase; `None`: nothing that is known.
pub(super) fn gate(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<Plan> {
    if let Some(step) = reading(observed, wish, now) {
        let message = "looking what the country asks for before a number is sold there";
        return Some(Plan::act(step, Situation::new(Kind::Searching, message)));
    }
    lacking(observed, wish, now).map(|missing| told(desired, observed, missing, now))
}

/// Whether Twilio sells this number with the papers that are named.
pub(super) fn sells(wish: &Wish, number: &AvailableNumber) -> bool {
    let named = &wish.regulatory;
    let papers = named.address.is_some() || named.bundle.is_some() || named.identity.is_some();
    papers || matches!(number.address_requirements.as_str(), "" | "none")
}

/// Everything on offer asks for an address, and none is named.
pub(super) fn no_address(desired: &Desired, observed: &Observed, number: &AvailableNumber, now: Now) -> Plan {
    let which = match number.address_requirements.as_str() {
        "local" => "an address in the number's own area",
        "foreign" => "an address outside the number's country",
        _ => "an address",
    };
    let message = format!(
        "Twilio asks for {which} before it sells any of the numbers on offer: give the SID of a validated one in \
         spec.regulatory.addressSID (AD…). Nothing was bought"
    );
    told(desired, observed, message, now)
}

/// What is missing, unless this resource has its number already: that asks for nothing any more.
fn told(desired: &Desired, observed: &Observed, message: String, now: Now) -> Plan {
    let situation = Situation::new(Kind::RegulatoryDataRequired, message);
    let after = of_this_life(desired, observed, now);
    match observed.list_after(after) {
        None => {
            let looking = "looking whether the account holds this resource's number";
            Plan::act(Step::List { after, periodic: false }, Situation::new(Kind::Searching, looking))
        }
        Some(list) => setback::incomplete(desired, observed, now)
            .or_else(|| record::found(desired, observed, list, now))
            .unwrap_or_else(|| Plan::blocked(now, setback::PROBE, situation)),
    }
}

/// Only what is certain: where one sort of customer is asked for nothing, or other papers are named, Twilio decides.
fn missing(papers: &Papers, wish: &Wish, (country, kind, bundle): &Asked, now: Now) -> Option<String> {
    let of = format!("{} numbers of {country}", kind.path());
    match (bundle, &papers.bundle) {
        (None, _) => {
            let all = !papers.regulations.is_empty() && papers.regulations.iter().all(|regulation| regulation.asks);
            let others = wish.regulatory.address.is_some() || wish.regulatory.identity.is_some();
            let rules: Vec<_> = papers.regulations.iter().map(|regulation| printable(&regulation.name)).collect();
            (all && !others).then(|| {
                format!(
                    "Twilio asks for a regulatory bundle before it sells {of} ({}): give the SID of an approved one in \
                     spec.regulatory.bundleSID (BU…). {}. Nothing was bought",
                    rules.join(", "),
                    having(&papers.approved)
                )
            })
        }
        (Some(_), None) if !papers.regulations.iter().any(|regulation| regulation.asks) => None,
        (Some(sid), None) => Some(format!(
            "spec.regulatory.bundleSID: the account has no bundle {sid}; {of} need one. Nothing was bought"
        )),
        (Some(sid), Some(bundle)) => {
            unfit(bundle, now).map(|why| format!("spec.regulatory.bundleSID: {sid} {why}. Nothing was bought"))
        }
    }
}

/// The account's approved bundles, for whoever has to name one.
fn having(approved: &[Bundle]) -> String {
    let named: Vec<_> = approved.iter().take(5).map(|one| format!("{} ({})", one.sid, printable(&one.name))).collect();
    if named.is_empty() {
        "The account shows none: make one in the Twilio Console, under Phone Numbers, Regulatory Compliance".to_owned()
    } else {
        format!("The account has {}", named.join(", "))
    }
}

/// Why Twilio would not sell a number with this bundle.
fn unfit(bundle: &Bundle, now: Now) -> Option<String> {
    if !APPROVED.contains(&bundle.status.as_str()) {
        let status = printable(&bundle.status);
        return Some(format!(
            "is not approved (Twilio says {status}): complete it in the Twilio Console, or wait for the review"
        ));
    }
    let expired = bundle.valid_until.is_some_and(|until| until <= now.wall);
    expired.then(|| "has expired: renew it in the Twilio Console".to_owned())
}
