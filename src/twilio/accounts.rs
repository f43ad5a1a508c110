//! The account itself (<https://www.twilio.com/docs/iam/api/account>).

use http::Method;

use super::wire::{self, Text, WireAccount};
use super::{Call, Client, Credentials};
use crate::domain::{AccountSid, Trouble};

/// Whether an account is in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountStatus {
    /// In service.
    Active,
    /// Out of service, mostly for want of funds. Rent of its numbers goes on.
    Suspended,
    /// Closed for good.
    Closed,
    /// A word that this release does not know.
    Other(String),
}

/// What an account may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountType {
    /// Everything.
    Full,
    /// One number, and messages to verified recipients only.
    Trial,
    /// A word that this release does not know.
    Other(String),
}

/// An account, as far as it concerns the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its SID.
    pub sid: AccountSid,
    /// Its name in the Twilio Console.
    pub friendly_name: String,
    /// Whether it is in service.
    pub status: AccountStatus,
    /// What it may do.
    pub account_type: AccountType,
}

impl Client {
    /// The account of these credentials.
    ///
    /// Twilio lets only the auth token and *Main* API keys read it: a good *Standard* key gets 401 with code 20003 here
    /// (<https://www.twilio.com/docs/iam/api-keys>). With an API key that refusal is therefore told as
    /// [`Class::AccountLimited`](crate::domain::Class::AccountLimited) and says nothing about the key; list the
    /// account's numbers to prove credentials.
    ///
    /// # Errors
    /// When the call failed, or the answer is about another account.
    pub async fn account(&self, credentials: &Credentials) -> Result<Account, Trouble> {
        let url =
            self.endpoints().url(super::Product::Api, &format!("/2010-04-01/Accounts/{}.json", credentials.account()));
        let call = Call::new("FetchAccount", Method::GET, url, credentials).beside_the_point();
        self.call(call, |answer| {
            let account: WireAccount = wire::decode(&answer.body)?;
            if account.sid != *credentials.account() {
                return Err("it is about another account".to_owned());
            }
            Ok(Account {
                sid: account.sid,
                friendly_name: account.friendly_name.0,
                status: status(account.status),
                account_type: account_type(account.kind),
            })
        })
        .await
    }
}

fn status(text: Text) -> AccountStatus {
    match text.0.to_ascii_lowercase().as_str() {
        "active" => AccountStatus::Active,
        "suspended" => AccountStatus::Suspended,
        "closed" => AccountStatus::Closed,
        _ => AccountStatus::Other(text.0),
    }
}

fn account_type(text: Text) -> AccountType {
    match text.0.to_ascii_lowercase().as_str() {
        "full" => AccountType::Full,
        "trial" => AccountType::Trial,
        _ => AccountType::Other(text.0),
    }
}
