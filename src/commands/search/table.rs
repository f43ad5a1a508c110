//! Numbers on offer as a person reads them.

use std::fmt::Write as _;

use super::{Found, Offer};
use crate::commands::output::{columns, printable};

/// How many, at which price; the numbers; what a month would cost; what could not be found out.
pub(super) fn render(found: &Found, wide: bool) -> String {
    let mut text = String::new();
    let kind = format!("{} numbers in {}", found.number_type, found.country);
    let _ = match found.count {
        0 => writeln!(text, "No {kind} are on offer for this search just now."),
        30 => writeln!(text, "The first 30 {kind}."),
        count => writeln!(text, "{count} {kind}."),
    };
    if let Some(price) = &found.monthly_price {
        let _ = writeln!(text, "Each costs {} {} a month.", price.amount, price.currency);
    }
    if let Some(price) = &found.sms_prices {
        let (sent, received, currency) = (&price.outbound, &price.inbound, &price.currency);
        let _ = writeln!(
            text,
            "An SMS costs {sent} {currency} sent and {received} {currency} received, before carrier fees."
        );
    }
    if !found.numbers.is_empty() {
        let mut head = vec!["NUMBER", "PHONE NUMBER", "PLACE", "REGION", "CAPABILITIES"];
        if wide {
            head.push("ADDRESS NEEDED");
        }
        let rows: Vec<_> = found.numbers.iter().map(|offer| row(offer, wide)).collect();
        let _ = write!(text, "\n{}", columns(&head, &rows));
    }
    if let Some(month) = &found.estimate {
        let _ = writeln!(
            text,
            "\nA month with {} SMS sent and {} received costs {} {currency}: {} {currency} for them, and the number. MMS have no \
             price in Twilio's list.",
            month.sms_sent,
            month.sms_received,
            month.total,
            month.sms_cost,
            currency = month.currency,
        );
    }
    for problem in &found.problems {
        let _ = writeln!(text, "\n{}", printable(problem));
    }
    text
}

fn row(offer: &Offer, wide: bool) -> Vec<String> {
    let of = |text: &Option<String>| printable(text.as_deref().unwrap_or_default());
    let candidate = &offer.candidate;
    let capabilities: Vec<_> = candidate.capabilities.iter().map(|capability| format!("{capability:?}")).collect();
    let mut row = vec![
        of(&candidate.friendly_name),
        candidate.phone_number.clone(),
        of(&candidate.locality),
        of(&candidate.region),
        capabilities.join(", "),
    ];
    if wide {
        row.push(printable(&offer.address_requirements));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{Candidate, PriceStatus, SmsPrices};
    use crate::commands::search::Estimate;
    use crate::domain::{AccountSid, Capability, CountryCode};

    fn found(numbers: usize) -> Found {
        let offer = |n: usize| Offer {
            candidate: Candidate {
                phone_number: format!("+1418555{n:04}"),
                friendly_name: Some(format!("(418) 555-{n:04}")),
                locality: Some("Québec".to_owned()),
                region: Some("QC".to_owned()),
                capabilities: vec![Capability::SMS, Capability::Voice],
            },
            address_requirements: "none".to_owned(),
        };
        Found {
            account_sid: AccountSid::parse(&format!("AC{:032x}", 1)).unwrap(),
            country: CountryCode::parse("CA").unwrap(),
            number_type: "Local",
            count: numbers,
            numbers: (0..numbers).map(offer).collect(),
            monthly_price: Some(PriceStatus { amount: "1.00".to_owned(), currency: "USD".to_owned() }),
            sms_prices: Some(SmsPrices {
                inbound: "0.0075".to_owned(),
                outbound: "0.0075".to_owned(),
                currency: "USD".to_owned(),
            }),
            estimate: Some(Estimate {
                sms_sent: 500,
                sms_received: 100,
                sms_cost: "4.50".to_owned(),
                total: "5.50".to_owned(),
                currency: "USD".to_owned(),
            }),
            problems: Vec::new(),
        }
    }

    #[test]
    fn numbers_prices_and_the_month_are_told() {
        let text = render(&found(2), false);
        for words in [
            "2 Local numbers in CA.\n",
            "Each costs 1.00 USD a month.",
            "0.0075 USD sent and 0.0075 USD received",
            "(418) 555-0001   +14185550001   Québec   QC       SMS, Voice\n",
            "A month with 500 SMS sent and 100 received costs 5.50 USD: 4.50 USD for them",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        assert!(!text.contains("ADDRESS") && render(&found(2), true).contains("SMS, Voice     none\n"));
    }

    #[test]
    fn none_is_no_empty_table_and_thirty_are_the_first() {
        let none = render(&Found { estimate: None, ..found(0) }, true);
        assert!(none.starts_with("No Local numbers in CA are on offer") && !none.contains("NUMBER  "), "{none}");
        assert!(render(&found(30), false).starts_with("The first 30 "));
    }

    #[test]
    fn what_is_not_known_is_said_and_controls_nothing() {
        let mut found = Found { monthly_price: None, sms_prices: None, estimate: None, ..found(1) };
        found.problems = vec!["the price could not be read: \u{1b}[2J".to_owned()];
        found.numbers[0].candidate.locality = Some("a\u{1b}b".to_owned());
        let text = render(&found, false);
        assert!(!text.contains("USD") && text.contains("could not be read"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
