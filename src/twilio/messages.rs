//! An account's messages, to be counted (<https://www.twilio.com/docs/messaging/api/message-resource>).

use std::collections::HashSet;

use http::Method;
use k8s_openapi::jiff::civil::Date;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, MessagePage, WireMessage};
use super::{Call, Client, Credentials};
use crate::domain::{Currency, E164, ListedMessage, Trouble};

/// Pages that are read of one list: more messages than these are not counted one by one.
const MOST_PAGES: usize = 20;

/// Which messages of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Sent from it.
    Sent,
    /// Received by it.
    Received,
}

impl Client {
    /// The messages that a number sent or received since this day, in GMT. Their text is not read.
    ///
    /// # Errors
    /// When a page failed or cannot be used, or there are more than 20 000.
    pub async fn messages(
        &self,
        credentials: &Credentials,
        number: &E164,
        way: Way,
        since: Date,
    ) -> Result<Vec<ListedMessage>, Trouble> {
        let account = credentials.account();
        let mut url = self.endpoints().account_url(account, "Messages.json");
        url.query_pairs_mut()
            .append_pair(if way == Way::Sent { "From" } else { "To" }, number.as_str())
            // The operator is part of the name, and the day itself is in it.
            .append_pair("DateSent>", &since.to_string())
            .append_pair("PageSize", &PAGE_SIZE.to_string());
        // A message that comes meanwhile may shift another one to a page that is still to come.
        let (mut seen, mut all, mut read_pages) = (HashSet::new(), Vec::new(), 0);
        let call = Call::new("ListMessage", Method::GET, url, credentials).beside_the_point();
        self.pages(call, |answer| {
            let page: MessagePage = wire::decode(&answer.body)?;
            read_pages += 1;
            if read_pages >= MOST_PAGES && page.next_page_uri.as_ref().is_some_and(|next| !next.0.is_empty()) {
                return Err(format!("there are more than {} messages to count", MOST_PAGES * PAGE_SIZE));
            }
            let items = page.messages.len();
            let counted = page.messages.into_iter().filter(|message| counts(message, way));
            all.extend(
                counted.filter(|message| seen.insert(message.sid.0.clone())).filter_map(|message| read(&message)),
            );
            Ok(Page { value: (), items, next: page.next_page_uri })
        })
        .await?;
        Ok(all)
    }
}

/// Whether a message went this way, and went at all.
fn counts(message: &WireMessage, way: Way) -> bool {
    let inbound = message.direction.0.starts_with("inbound");
    let stayed = matches!(message.status.0.as_str(), "failed" | "canceled" | "scheduled");
    inbound == (way == Way::Received) && !stayed
}

/// `None` without any date: then it was not sent yet.
fn read(message: &WireMessage) -> Option<ListedMessage> {
    let at = wire::date(&message.date_sent.0).or_else(|| wire::date(&message.date_created.0))?;
    // What a message costs is written below zero; nothing is written until it is billed.
    let cost = message.price.0.map(|price| price.abs());
    let currency = cost.and_then(|_| Currency::parse(&message.price_unit.0).ok());
    Some(ListedMessage { at, cost: cost.filter(|_| currency.is_some()), currency })
}
