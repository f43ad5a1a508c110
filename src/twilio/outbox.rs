//! One message: sent, followed, and found when it came in; and what Twilio's debugger says of it
//! (<https://www.twilio.com/docs/messaging/api/message-resource>, <https://www.twilio.com/docs/usage/monitor-alert>).
//!
//! For tests by people: the operator itself sends nothing. A text is sent and never read back.

use http::Method;
use k8s_openapi::jiff::Timestamp;
use url::form_urlencoded::Serializer;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, AlertPage, Received, ReceivedPage, SentMessage};
use super::{Call, Client, Credentials, Product};
use crate::domain::{Alert, ArrivedMessage, E164, MessageSid, MessageState, Trouble};

const ALERTS: &str = "/v1/Alerts";

impl Client {
    /// Sends one message from a number of the account. It costs money, and is not repeated.
    ///
    /// # Errors
    /// When Twilio refuses, or the outcome is unknown: then it may have been sent.
    pub async fn send_message(
        &self,
        credentials: &Credentials,
        from: &E164,
        to: &E164,
        body: &str,
    ) -> Result<(MessageSid, MessageState), Trouble> {
        let form = [("From", from.as_str()), ("To", to.as_str()), ("Body", body)];
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let url = self.endpoints().account_url(credentials.account(), "Messages.json");
        let call = Call::new("CreateMessage", Method::POST, url, credentials).form(form).accepting(&[201]);
        self.call(call, |answer| state(&answer.body)).await
    }

    /// How far a message is.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn message_state(&self, credentials: &Credentials, sid: &MessageSid) -> Result<MessageState, Trouble> {
        let url = self.endpoints().account_url(credentials.account(), &format!("Messages/{sid}.json"));
        let call = Call::new("FetchMessage", Method::GET, url, credentials);
        self.call(call, |answer| {
            let (told, state) = state(&answer.body)?;
            if told == *sid { Ok(state) } else { Err("it is about another message than the one asked for".to_owned()) }
        })
        .await
    }

    /// Messages that a number received since this moment, the latest first; the first page of them.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn received_since(
        &self,
        credentials: &Credentials,
        number: &E164,
        since: Timestamp,
    ) -> Result<Vec<ArrivedMessage>, Trouble> {
        let mut url = self.endpoints().account_url(credentials.account(), "Messages.json");
        let day = since.strftime("%Y-%m-%d").to_string();
        url.query_pairs_mut()
            .append_pair("To", number.as_str())
            .append_pair("DateSent>", &day)
            .append_pair("PageSize", "50");
        let call = Call::new("ListMessage", Method::GET, url, credentials);
        self.call(call, |answer| {
            let page: ReceivedPage = wire::decode(&answer.body)?;
            let inbound = page.messages.into_iter().filter(|message| message.direction.0 == "inbound");
            Ok(inbound.filter_map(Received::read).collect())
        })
        .await
    }

    /// What Twilio's debugger has noted since this moment.
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn alerts_since(&self, credentials: &Credentials, since: Timestamp) -> Result<Vec<Alert>, Trouble> {
        let mut url = self.endpoints().url(Product::Monitor, ALERTS);
        url.query_pairs_mut()
            .append_pair("StartDate", &since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .append_pair("PageSize", &PAGE_SIZE.to_string());
        let mut all = Vec::new();
        let call = Call::new("ListAlert", Method::GET, url, credentials).beside_the_point();
        self.pages_below(ALERTS.to_owned(), call, |answer| {
            let page: AlertPage = wire::decode(&answer.body)?;
            let items = page.alerts.len();
            all.extend(page.alerts.into_iter().map(Alert::from));
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }
}

fn state(body: &[u8]) -> Result<(MessageSid, MessageState), String> {
    let message: SentMessage = wire::decode(body)?;
    Ok((message.sid, MessageState { status: message.status.0, error: message.error_code.0.parse().ok() }))
}
