//! The state of all accounts, and the only way to change it.
//!
//! Everything that happens is a [`Change`]; [`World::apply`] is the one place that changes the world. Replaying the
//! changes gives the same world again, which is what the state file does. No I/O and no clock here.

use std::collections::{BTreeMap, HashMap, HashSet};

use data_encoding::HEXLOWER;
use k8s_openapi::jiff::Timestamp;
use ring::digest;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::faults::{FaultSpec, Faults};
use super::plan;
use super::regulatory::BundleSpec;
use super::services::Service;
use super::stock::{Can, Filter, Kind, Offer, Stock, StockLimit};
use crate::domain::{AccountSid, ApiKeySid, E164, MessageSid, MessagingServiceSid, PhoneNumberSid};

/// What a purchase of a number that the account already holds is answered. Both have been reported of the real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuyOwned {
    /// 201, and it acts like an update: SID and creation date stay.
    #[default]
    Upsert,
    /// 400 with 21422.
    Refuse,
}

/// How the simulated Twilio behaves; changed with `PUT /_simulator/settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behaviour {
    /// What a purchase of an owned number is answered.
    pub buy_owned: BuyOwned,
    /// How long every answer takes.
    pub latency_ms: u64,
    /// How long a bought number is missing from lists.
    pub list_lag_ms: u64,
    /// Whether an unknown parameter is an error. The real one ignores it.
    pub strict: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { buy_owned: BuyOwned::Upsert, latency_ms: 0, list_lag_ms: 0, strict: true }
    }
}

/// Whether an account is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AccountType {
    /// May hold any number of numbers.
    #[default]
    Full,
    /// May hold one.
    Trial,
}

/// Whether an account may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// In service.
    #[default]
    Active,
    /// Not paid, or stopped by its parent.
    Suspended,
    /// Gone for good.
    Closed,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeyType {
    /// Everything.
    Main,
    /// Everything but the account itself.
    #[default]
    Standard,
    /// What its permissions list.
    Restricted,
}

/// An API key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// Its SID, the user name.
    pub sid: ApiKeySid,
    /// Its secret, the password.
    pub secret: String,
    /// What it may do.
    #[serde(default, rename = "type")]
    pub kind: KeyType,
    /// For a restricted key: the operationIds that it may call.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("sid", &self.sid).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// An account as the accounts file and `POST /_simulator/accounts` describe it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountSpec {
    /// The account.
    pub account_sid: AccountSid,
    /// Its auth token.
    pub auth_token: String,
    /// Its API keys.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    /// What it is billed in.
    #[serde(default = "usd")]
    pub currency: String,
    /// Paid for or not.
    #[serde(default, rename = "type")]
    pub kind: AccountType,
    /// In service or not.
    #[serde(default)]
    pub status: AccountStatus,
    /// The parent, for a subaccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_account_sid: Option<AccountSid>,
    /// Numbers that it already holds.
    #[serde(default)]
    pub numbers: Vec<HeldSpec>,
    /// Its regulatory bundles.
    #[serde(default)]
    pub bundles: Vec<BundleSpec>,
}

impl AccountSpec {
    /// A full, active account in USD.
    pub fn new(account_sid: AccountSid, auth_token: &str) -> Self {
        Self {
            account_sid,
            auth_token: auth_token.to_owned(),
            api_keys: Vec::new(),
            currency: usd(),
            kind: AccountType::Full,
            status: AccountStatus::Active,
            owner_account_sid: None,
            numbers: Vec::new(),
            bundles: Vec::new(),
        }
    }
}

impl std::fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountSpec").field("account_sid", &self.account_sid).finish_non_exhaustive()
    }
}

fn usd() -> String {
    "USD".to_owned()
}

/// A number that an account holds from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldSpec {
    /// The number.
    pub phone_number: E164,
    /// Its SID; made up when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<PhoneNumberSid>,
    /// Its label; the national form when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<String>,
    /// Where messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_url: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_method: Option<String>,
    /// What shadows `smsUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_application_sid: Option<String>,
    /// Where calls go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_url: Option<String>,
    /// What keeps it from being released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_address_sid: Option<String>,
    /// `twilio` or `hosted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// What `PATCH /_simulator/accounts/{sid}` changes.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountPatch {
    /// A new auth token: the old one stops working at once.
    #[serde(default)]
    pub auth_token: Option<String>,
    /// A new status.
    #[serde(default)]
    pub status: Option<AccountStatus>,
    /// A new type.
    #[serde(default, rename = "type")]
    pub kind: Option<AccountType>,
}

/// An account.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) sid: AccountSid,
    pub(super) auth_token: String,
    /// False as long as the token was made up here because nobody has shown one.
    pub(super) token_seen: bool,
    /// Came to life by being used.
    pub(super) automatic: bool,
    pub(super) keys: Vec<ApiKey>,
    pub(super) currency: String,
    pub(super) kind: AccountType,
    pub(super) status: AccountStatus,
    pub(super) owner: Option<AccountSid>,
    #[serde(default)]
    pub(super) bundles: Vec<BundleSpec>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// A number that an account holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "a phone number is called so everywhere")]
pub(super) struct Number {
    /// The order of lists.
    pub(super) seq: u64,
    pub(super) sid: PhoneNumberSid,
    pub(super) account: AccountSid,
    pub(super) phone_number: E164,
    pub(super) country: String,
    pub(super) kind: Kind,
    pub(super) friendly_name: String,
    pub(super) can: Can,
    pub(super) beta: bool,
    pub(super) address_requirements: String,
    pub(super) origin: String,
    /// Whether it was bought here, rather than held from the beginning: only then does the list lag.
    pub(super) bought: bool,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// The settable fields by their form names; unset ones are absent.
    pub(super) fields: BTreeMap<String, String>,
}

impl Number {
    /// A settable field; empty when unset.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A method field, which has a default.
    pub(super) fn method(&self, name: &str) -> &str {
        self.fields.get(name).map_or("POST", String::as_str)
    }
}

/// A sale or a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub account_sid: AccountSid,
    /// Which number.
    pub phone_number: E164,
    /// Under which SID.
    pub sid: PhoneNumberSid,
    /// Its label at that time.
    pub friendly_name: String,
}

/// All sales and releases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// New sales; an update of an owned number is none.
    pub purchases: Vec<LedgerEntry>,
    /// Releases.
    pub releases: Vec<LedgerEntry>,
}

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// Twilio's operationId; empty for a path that is none of Twilio's.
    pub operation: String,
    /// The account in the path, or the one that asked.
    pub account_sid: Option<AccountSid>,
    /// What was answered; 0: nothing.
    pub status: u16,
}

/// A held number, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberRow {
    /// Who holds it.
    pub account_sid: AccountSid,
    /// Its SID.
    pub sid: PhoneNumberSid,
    /// The number.
    pub phone_number: E164,
    /// Its label.
    pub friendly_name: String,
    /// Where messages go; empty when unset.
    pub sms_url: String,
    /// How.
    pub sms_method: String,
    /// What shadows `sms_url`; empty when unset.
    pub sms_application_sid: String,
    /// `twilio` or `hosted`.
    pub origin: String,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Received by a number.
    #[serde(rename = "inbound")]
    Inbound,
    /// Sent through the API.
    #[serde(rename = "outbound-api")]
    OutboundApi,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// When it was sent or received.
    pub at: Timestamp,
    /// Its SID.
    pub sid: MessageSid,
    /// Whose.
    pub account_sid: AccountSid,
    /// Sender.
    pub from: String,
    /// Recipient.
    pub to: String,
    /// Text.
    pub body: String,
    /// Which way.
    pub direction: Direction,
    /// Parts that it is billed as.
    pub segments: u32,
    /// What it costs, as a decimal number.
    pub price: String,
    /// The Messaging Service that sent it.
    pub messaging_service_sid: Option<String>,
}

/// What becomes of messages to one number: `PUT /_simulator/fates`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fate {
    /// The recipient.
    pub to: String,
    /// Twilio's word for how it ends: `sent`, `undelivered`, `failed`, …
    pub status: String,
    /// Twilio's code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
}

/// What the debugger notes of a message whose webhook did not take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) sid: String,
    pub(super) account: AccountSid,
    pub(super) message: String,
    pub(super) code: u32,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) at: Timestamp,
}

/// What happened in one account in one month.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// Billed units: segments for messages.
    pub(super) usage: u64,
    pub(super) price: Decimal,
}

/// Something that happened.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "change", content = "is")]
pub(super) enum Change {
    /// The state file was opened for the nth time.
    Start(u64),
    Behaviour(Behaviour),
    Stock(Vec<StockLimit>),
    Faults(Faults),
    Account(Account),
    Number(Box<Number>),
    Sold(LedgerEntry),
    Released(LedgerEntry),
    Call(Call),
    Message(Message),
    Service(Service),
    ServiceGone(MessagingServiceSid),
    /// The state of a toll-free number's verification, in Twilio's word.
    Verification(PhoneNumberSid, String),
}

/// All accounts and what happened to them.
#[derive(Default)]
pub(super) struct World {
    pub(super) behaviour: Behaviour,
    /// Whether that is what someone set since: only then does it outlive the command line's flags.
    behaviour_was_put: bool,
    /// Whether an unknown account comes to life when it is used.
    pub(super) any_account: bool,
    pub(super) stock: Stock,
    pub(super) faults: Faults,
    pub(super) ledger: Ledger,
    pub(super) calls: Vec<Call>,
    pub(super) messages: Vec<Message>,
    /// What becomes of messages, and what the debugger noted; both are forgotten with the process.
    pub(super) fates: Vec<Fate>,
    pub(super) alerts: Vec<Alert>,
    services: BTreeMap<MessagingServiceSid, Service>,
    verifications: BTreeMap<PhoneNumberSid, String>,
    accounts: HashMap<AccountSid, Account>,
    children: HashMap<AccountSid, Vec<AccountSid>>,
    keys: HashMap<ApiKeySid, AccountSid>,
    numbers: HashMap<PhoneNumberSid, Number>,
    by_phone: HashMap<E164, PhoneNumberSid>,
    by_account: HashMap<AccountSid, BTreeMap<u64, PhoneNumberSid>>,
    /// Released numbers rest; nobody gets them again here.
    retired: HashSet<E164>,
    messages_of: HashMap<AccountSid, Vec<usize>>,
    messages_with: HashMap<String, Vec<usize>>,
    message_by_sid: HashMap<MessageSid, usize>,
    /// By account, month (`2026-11`) and usage category.
    tallies: HashMap<AccountSid, BTreeMap<(String, &'static str), Tally>>,
    next_seq: u64,
    sids_made: u64,
    /// How often the state file was opened: part of every new identifier, so that a restart does not make old ones.
    pub(super) starts: u64,
    /// Lines for the state file, if there is one.
    journal: Option<Vec<String>>,
}

impl World {
    /// An empty world.
    pub(super) fn new(behaviour: Behaviour, any_account: bool) -> Self {
        Self { behaviour, any_account, ..Self::default() }
    }

    /// Changes the world, and notes the change if the world is written down.
    pub(super) fn apply(&mut self, change: Change) {
        if let Some(journal) = &mut self.journal {
            // These types have neither maps with odd keys nor fallible serialisers: it cannot fail.
            journal.extend(serde_json::to_string(&change));
        }
        match change {
            Change::Start(nth) => self.starts = nth,
            Change::Behaviour(behaviour) => {
                self.behaviour = behaviour;
                self.behaviour_was_put = true;
            }
            // Limits were checked before they became a change.
            Change::Stock(limits) => drop(self.stock.set_limits(limits)),
            Change::Faults(faults) => self.faults = faults,
            Change::Account(account) => self.put_account(account),
            Change::Number(number) => self.put_number(*number),
            Change::Sold(entry) => {
                self.tally_sale(&entry);
                self.ledger.purchases.push(entry);
            }
            Change::Released(entry) => {
                self.remove_number(&entry.sid);
                for service in self.services.values_mut() {
                    service.numbers.retain(|number| *number != entry.sid);
                }
                self.retired.insert(entry.phone_number.clone());
                self.ledger.releases.push(entry);
            }
            Change::Call(call) => self.calls.push(call),
            Change::Message(message) => self.put_message(message),
            Change::Service(service) => drop(self.services.insert(service.sid.clone(), service)),
            Change::ServiceGone(sid) => drop(self.services.remove(&sid)),
            Change::Verification(number, state) => drop(self.verifications.insert(number, state)),
        }
    }

    fn put_account(&mut self, account: Account) {
        for key in &account.keys {
            self.keys.insert(key.sid.clone(), account.sid.clone());
        }
        if let Some(owner) = &account.owner {
            let children = self.children.entry(owner.clone()).or_default();
            if !children.contains(&account.sid) {
                children.push(account.sid.clone());
            }
        }
        self.accounts.insert(account.sid.clone(), account);
    }

    fn put_number(&mut self, number: Number) {
        self.remove_number(&number.sid);
        self.next_seq = self.next_seq.max(number.seq + 1);
        self.by_phone.insert(number.phone_number.clone(), number.sid.clone());
        self.by_account.entry(number.account.clone()).or_default().insert(number.seq, number.sid.clone());
        self.numbers.insert(number.sid.clone(), number);
    }

    fn remove_number(&mut self, sid: &PhoneNumberSid) {
        if let Some(number) = self.numbers.remove(sid) {
            self.by_phone.remove(&number.phone_number);
            if let Some(held) = self.by_account.get_mut(&number.account) {
                held.remove(&number.seq);
            }
        }
    }

    fn put_message(&mut self, message: Message) {
        let index = self.messages.len();
        self.messages_of.entry(message.account_sid.clone()).or_default().push(index);
        for number in [&message.from, &message.to] {
            self.messages_with.entry(number.clone()).or_default().push(index);
        }
        self.message_by_sid.insert(message.sid.clone(), index);
        let categories: [&'static str; 2] = match message.direction {
            Direction::Inbound => ["sms-inbound", "sms-inbound-longcode"],
            Direction::OutboundApi => ["sms-outbound", "sms-outbound-longcode"],
        };
        let tally =
            Tally { count: 1, usage: u64::from(message.segments), price: message.price.parse().unwrap_or_default() };
        for category in categories.into_iter().chain(["sms", "totalprice"]) {
            self.tally(&message.account_sid, message.at, category, tally);
        }
        self.messages.push(message);
    }

    fn tally_sale(&mut self, entry: &LedgerEntry) {
        // Asked of the plan, not of the number: it may have been released since.
        let (country, kind) = self.stock.classify(&entry.phone_number).unwrap_or(("", Kind::Local));
        let price = plan::monthly_price(country, kind).parse().unwrap_or_default();
        let tally = Tally { count: 1, usage: 1, price };
        for category in [kind.usage_category(), "phonenumbers", "totalprice"] {
            self.tally(&entry.account_sid, entry.at, category, tally);
        }
    }

    fn tally(&mut self, account: &AccountSid, at: Timestamp, category: &'static str, more: Tally) {
        let tallies = self.tallies.entry(account.clone()).or_default();
        let sum = tallies.entry((month(at), category)).or_default();
        sum.count += more.count;
        sum.usage += more.usage;
        sum.price += more.price;
    }

    /// What happened in an account in the month of `at`, by usage category.
    pub(super) fn tallies(&self, account: &AccountSid, at: Timestamp) -> impl Iterator<Item = (&'static str, Tally)> {
        let month = month(at);
        let all = self.tallies.get(account).into_iter().flatten();
        all.filter(move |((of, _), _)| *of == month).map(|((_, category), tally)| (*category, *tally))
    }

    /// An account.
    pub(super) fn account(&self, sid: &AccountSid) -> Option<&Account> {
        self.accounts.get(sid)
    }

    /// All accounts, in the order of their SIDs.
    pub(super) fn accounts(&self) -> Vec<&Account> {
        let mut all: Vec<_> = self.accounts.values().collect();
        all.sort_by(|a, b| a.sid.cmp(&b.sid));
        all
    }

    /// The subaccounts of an account.
    pub(super) fn children(&self, sid: &AccountSid) -> &[AccountSid] {
        self.children.get(sid).map_or(&[], Vec::as_slice)
    }

    /// A Messaging Service.
    pub(super) fn service(&self, sid: &MessagingServiceSid) -> Option<&Service> {
        self.services.get(sid)
    }

    /// All Messaging Services, in the order of their SIDs.
    pub(super) fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The toll-free verifications of an account: of which number, and how far it is.
    pub(super) fn verifications(&self, account: &AccountSid) -> impl Iterator<Item = (&PhoneNumberSid, &str)> {
        let of = |sid: &PhoneNumberSid| self.numbers.get(sid).is_some_and(|number| number.account == *account);
        self.verifications.iter().filter(move |(sid, _)| of(sid)).map(|(sid, state)| (sid, state.as_str()))
    }

    /// The account that owns an API key, and the key.
    pub(super) fn key(&self, sid: &ApiKeySid) -> Option<(&Account, &ApiKey)> {
        let account = self.accounts.get(self.keys.get(sid)?)?;
        Some((account, account.keys.iter().find(|key| key.sid == *sid)?))
    }

    /// A held number.
    pub(super) fn number(&self, sid: &PhoneNumberSid) -> Option<&Number> {
        self.numbers.get(sid)
    }

    /// Who holds this number.
    pub(super) fn holder(&self, number: &E164) -> Option<&Number> {
        self.numbers.get(self.by_phone.get(number)?)
    }

    /// The numbers of an account from a place in its list on.
    pub(super) fn held_after(&self, account: &AccountSid, after: Option<u64>) -> impl Iterator<Item = &Number> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let held = self.by_account.get(account);
        held.into_iter().flat_map(move |held| held.range(from..)).filter_map(|(_, sid)| self.numbers.get(sid))
    }

    /// The bundles of an account.
    pub(super) fn bundles(&self, account: &AccountSid) -> &[BundleSpec] {
        self.account(account).map_or(&[], |account| account.bundles.as_slice())
    }

    /// How many numbers an account holds.
    pub(super) fn held_count(&self, account: &AccountSid) -> usize {
        self.by_account.get(account).map_or(0, BTreeMap::len)
    }

    /// Whether this number is held by someone or rests after a release.
    pub(super) fn is_sold(&self, number: &E164) -> bool {
        self.by_phone.contains_key(number) || self.retired.contains(number)
    }

    /// What is on offer: see [`Stock::search`].
    pub(super) fn search(
        &mut self,
        country: &str,
        kind: Kind,
        filter: &Filter,
        skip: usize,
        wanted: usize,
    ) -> Vec<Offer> {
        let Self { stock, by_phone, retired, .. } = self;
        let is_sold = |number: &E164| by_phone.contains_key(number) || retired.contains(number);
        stock.search(country, kind, filter, skip, wanted, &is_sold)
    }

    /// A message.
    pub(super) fn message(&self, sid: &MessageSid) -> Option<&Message> {
        self.messages.get(*self.message_by_sid.get(sid)?)
    }

    /// The places of an account's messages, oldest first; only those with this number on either side, if one is given.
    pub(super) fn message_places(&self, account: &AccountSid, with: Option<&str>) -> &[usize] {
        match with {
            Some(number) => self.messages_with.get(number),
            None => self.messages_of.get(account),
        }
        .map_or(&[], Vec::as_slice)
    }

    /// A place at the end of every list of numbers.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// A new identifier: `prefix` and 32 hexadecimal digits. Repeatable in a test.
    pub(super) fn new_sid(&mut self, prefix: &str, now: Timestamp) -> String {
        self.sids_made += 1;
        let seed = format!("{prefix}/{}/{}/{}", now.as_nanosecond(), self.starts, self.sids_made);
        let hash = digest::digest(&digest::SHA256, seed.as_bytes());
        let half = hash.as_ref().get(..16).unwrap_or_default();
        format!("{prefix}{}", HEXLOWER.encode(half))
    }

    /// Adds or replaces an account and adds the numbers it holds.
    pub(super) fn add_account(&mut self, spec: AccountSpec, now: Timestamp) -> Result<(), String> {
        let sid = spec.account_sid;
        if let Some(taken) = spec.numbers.iter().find_map(|held| {
            self.holder(&held.phone_number).filter(|number| number.account != sid).map(|_| &held.phone_number)
        }) {
            return Err(format!("{taken} is held by another account"));
        }
        if let Some(key) = spec.api_keys.iter().find(|key| self.key(&key.sid).is_some_and(|(of, _)| of.sid != sid)) {
            return Err(format!("{} belongs to another account", key.sid));
        }
        let created = self.account(&sid).map_or(now, |account| account.created);
        self.apply(Change::Account(Account {
            sid: sid.clone(),
            auth_token: spec.auth_token,
            token_seen: true,
            automatic: false,
            keys: spec.api_keys,
            currency: spec.currency,
            kind: spec.kind,
            status: spec.status,
            owner: spec.owner_account_sid,
            bundles: spec.bundles,
            created,
            updated: now,
        }));
        for held in spec.numbers {
            if self.holder(&held.phone_number).is_none() {
                let number = self.seeded(&sid, held, now)?;
                self.apply(Change::Number(Box::new(number)));
            }
        }
        Ok(())
    }

    fn seeded(&mut self, account: &AccountSid, held: HeldSpec, now: Timestamp) -> Result<Number, String> {
        let phone = held.phone_number;
        // A number outside the simulator's plan may be held all the same: ported in, hosted, or from anywhere.
        let offer = self.stock.find(&phone);
        let sid = match held.sid {
            Some(sid) if self.number(&sid).is_some() => return Err(format!("{sid} is another number's SID")),
            Some(sid) => sid,
            None => PhoneNumberSid::parse(&self.new_sid("PN", now)).map_err(|error| error.to_string())?,
        };
        let fields = [
            ("SmsUrl", held.sms_url),
            ("SmsMethod", held.sms_method),
            ("SmsApplicationSid", held.sms_application_sid),
            ("VoiceUrl", held.voice_url),
            ("EmergencyAddressSid", held.emergency_address_sid),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Ok(Number {
            seq: self.next_seq(),
            sid,
            account: account.clone(),
            country: offer.as_ref().map_or("", |offer| offer.country).to_owned(),
            kind: offer.as_ref().map_or(Kind::Local, |offer| offer.kind),
            friendly_name: held.friendly_name.unwrap_or_else(|| phone.national()),
            can: Can { voice: true, sms: true, mms: true, fax: false },
            beta: false,
            address_requirements: offer.as_ref().map_or("none", |offer| offer.address_requirements).to_owned(),
            origin: held.origin.unwrap_or_else(|| "twilio".to_owned()),
            bought: false,
            created: now,
            updated: now,
            fields,
            phone_number: phone,
        })
    }

    /// Changes an account; false when there is none.
    pub(super) fn patch_account(&mut self, sid: &AccountSid, patch: AccountPatch, now: Timestamp) -> bool {
        let Some(mut account) = self.account(sid).cloned() else { return false };
        if let Some(token) = patch.auth_token {
            account.auth_token = token;
            account.token_seen = true;
        }
        account.status = patch.status.unwrap_or(account.status);
        account.kind = patch.kind.unwrap_or(account.kind);
        account.updated = now;
        self.apply(Change::Account(account));
        true
    }

    /// All held numbers, in the order in which they were bought.
    pub(super) fn rows(&self) -> Vec<NumberRow> {
        let mut all: Vec<&Number> = self.numbers.values().collect();
        all.sort_by_key(|number| number.seq);
        all.into_iter()
            .map(|number| NumberRow {
                account_sid: number.account.clone(),
                sid: number.sid.clone(),
                phone_number: number.phone_number.clone(),
                friendly_name: number.friendly_name.clone(),
                sms_url: number.field("SmsUrl").to_owned(),
                sms_method: number.method("SmsMethod").to_owned(),
                sms_application_sid: number.field("SmsApplicationSid").to_owned(),
                origin: number.origin.clone(),
            })
            .collect()
    }

    /// Replaces the faults.
    pub(super) fn put_faults(&mut self, specs: Vec<FaultSpec>) {
        self.apply(Change::Faults(Faults::new(specs)));
    }

    /// Replaces the stock's limits.
    pub(super) fn put_stock(&mut self, limits: Vec<StockLimit>) -> Result<(), String> {
        self.stock.clone().set_limits(limits.clone())?;
        self.apply(Change::Stock(limits));
        Ok(())
    }

    /// Starts writing changes down.
    pub(super) fn start_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// The lines since the last time.
    pub(super) fn take_journal(&mut self) -> Vec<String> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The shortest list of changes that makes this world from an empty one.
    pub(super) fn snapshot(&self) -> Vec<Change> {
        let mut numbers: Vec<&Number> = self.numbers.values().collect();
        numbers.sort_by_key(|number| number.seq);
        let ledger = &self.ledger;
        // Releases after numbers: they take numbers away.
        let behaviour = self.behaviour_was_put.then_some(Change::Behaviour(self.behaviour));
        behaviour
            .into_iter()
            .chain([Change::Start(self.starts), Change::Stock(self.stock.limits().to_vec())])
            .chain([Change::Faults(self.faults.clone())])
            .chain(self.accounts().into_iter().cloned().map(Change::Account))
            .chain(numbers.into_iter().cloned().map(|number| Change::Number(Box::new(number))))
            .chain(ledger.purchases.iter().cloned().map(Change::Sold))
            .chain(ledger.releases.iter().cloned().map(Change::Released))
            .chain(self.calls.iter().cloned().map(Change::Call))
            .chain(self.messages.iter().cloned().map(Change::Message))
            .collect()
    }
}

/// The month of usage records: days are GMT.
pub(super) fn month(at: Timestamp) -> String {
    at.strftime("%Y-%m").to_string()
}
