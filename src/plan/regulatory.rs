//! What a country asks for before a number is sold there: found out before anything is searched, announced or sent.
//!
//! It is a courtesy, and no guard: Twilio refuses a purchase that lacks papers, and that costs nothing. So what cannot be read
//! stands in nobody's way, and what would be refused anyway is told at once, with what is missing.

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

/// Numbers of which kind in which country are wanted; `None` where nothing is asked for, or that cannot be told.
fn asked(wish: &Wish) -> Option<Asked> {
    let (country, kind) = match (wish.searched(), &wish.exact) {
        (Some((country, kind)), _) => (country.clone(), kind),
        (None, Some(exact)) => match exact.countries().as_slice() {
            [country] => (country.clone(), exact.kind()?),
            _ => return None,
        },
        (None, None) => return None,
    };
    // Twilio's enforcement leaves these two out (https://www.twilio.com/docs/phone-numbers/regulatory).
    let free = ["US", "CA"].contains(&country.as_str());
    (!free).then(|| (country, kind, wish.regulatory.bundle.clone()))
}

/// What stands between the wish and a search or a purchase; `None`: nothing that is known.
pub(super) fn gate(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<Plan> {
    let asked = asked(wish)?;
    let view = observed.papers.as_ref().filter(|(of, _)| *of == asked).map(|(_, view)| view);
    let (country, kind, bundle) = asked;
    match view {
        None => {
            let message = format!("looking what {country} asks for before a {} number is sold there", kind.path());
            let step = Step::ReadPapers { country, kind, bundle };
            Some(Plan::act(step, Situation::new(Kind::Searching, message)))
        }
        Some(PapersView::Unread(_)) => None,
        Some(PapersView::Read(papers)) => {
            let missing = missing(papers, &country, kind, bundle.as_ref(), now)?;
            Some(told(desired, observed, missing, now))
        }
    }
}

/// Whether Twilio sells this number with the papers that are named.
pub(super) fn sells(wish: &Wish, number: &AvailableNumber) -> bool {
    let papers = wish.regulatory.address.is_some() || wish.regulatory.bundle.is_some();
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

fn missing(
    papers: &Papers,
    country: &CountryCode,
    kind: NumberType,
    bundle: Option<&BundleSid>,
    now: Now,
) -> Option<String> {
    if papers.regulations.is_empty() {
        return None;
    }
    let of = format!("{} numbers of {country}", kind.path());
    match (bundle, &papers.bundle) {
        (None, _) => {
            let rules: Vec<_> = papers.regulations.iter().map(|regulation| printable(&regulation.name)).collect();
            Some(format!(
                "Twilio asks for a regulatory bundle before it sells {of} ({}): give the SID of an approved one in spec.regulatory.bundleSID \
                 (BU…). {}. Nothing was searched or bought",
                rules.join(", "),
                having(&papers.approved)
            ))
        }
        (Some(sid), None) => Some(format!(
            "spec.regulatory.bundleSID: the account has no bundle {sid}; {of} need one. Nothing was searched or bought"
        )),
        (Some(sid), Some(bundle)) => unfit(papers, bundle, now)
            .map(|why| format!("spec.regulatory.bundleSID: {sid} {why}. Nothing was searched or bought")),
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
fn unfit(papers: &Papers, bundle: &Bundle, now: Now) -> Option<String> {
    if !APPROVED.contains(&bundle.status.as_str()) {
        let status = printable(&bundle.status);
        return Some(format!(
            "is not approved (Twilio says {status}): complete it in the Twilio Console, or wait for the review"
        ));
    }
    if bundle.valid_until.is_some_and(|until| until <= now.wall) {
        return Some("has expired: renew it in the Twilio Console".to_owned());
    }
    let fits = papers.regulations.iter().any(|regulation| regulation.sid.as_str() == bundle.regulation);
    (!fits && !bundle.regulation.is_empty()).then(|| {
        let rules: Vec<_> = papers.regulations.iter().map(|regulation| printable(&regulation.name)).collect();
        format!("was made for another regulation: one of these is needed: {}", rules.join(", "))
    })
}
