//! Which operation a request is, who asks, and whether they may.

use http::Method;
use k8s_openapi::jiff::Timestamp;

use super::state::{Account, AccountStatus, AccountType, ApiKey, Change, KeyType, World};
use super::stock::Kind;
use super::wire::{Answer, ApiError, Params, Request};
use super::{numbers, records, regulatory, search, services};
use crate::domain::{AccountSid, ApiKeySid, BundleSid, E164, MessageSid, MessagingServiceSid, PhoneNumberSid};

/// An operation of Twilio's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// `AvailablePhoneNumbers.json`
    Countries,
    /// `AvailablePhoneNumbers/{country}.json`
    Country(String),
    /// `AvailablePhoneNumbers/{country}/{kind}.json`
    Search(String, String),
    /// `IncomingPhoneNumbers[/{kind}].json`
    ListNumbers(Option<Kind>),
    /// `POST IncomingPhoneNumbers[/{kind}].json`
    Buy(Option<Kind>),
    /// `IncomingPhoneNumbers/{sid}.json`
    FetchNumber(PhoneNumberSid),
    /// `POST IncomingPhoneNumbers/{sid}.json`
    UpdateNumber(PhoneNumberSid),
    /// `DELETE IncomingPhoneNumbers/{sid}.json`
    DeleteNumber(PhoneNumberSid),
    /// `Accounts/{sid}.json`
    FetchAccount,
    /// `Balance.json`
    Balance,
    /// `Messages.json`
    ListMessages,
    /// `POST Messages.json`
    SendMessage,
    /// `Messages/{sid}.json`
    FetchMessage(MessageSid),
    /// `Usage/Records/ThisMonth.json`
    UsageThisMonth,
    /// `/v1/PhoneNumbers/Countries`
    NumberPrices,
    /// `/v1/PhoneNumbers/Countries/{country}`
    NumberPricesOf(String),
    /// `/v1/Messaging/Countries`
    MessagePrices,
    /// `/v1/Messaging/Countries/{country}`
    MessagePricesOf(String),
    /// `/v1/Services…`
    Service(ServiceCall),
    /// `/v1/Tollfree/Verifications`
    Verifications,
    /// `/v1/Alerts`
    Alerts,
    /// `/v2/RegulatoryCompliance/Regulations`
    Regulations,
    /// `/v2/RegulatoryCompliance/Bundles`
    Bundles,
    /// `/v2/RegulatoryCompliance/Bundles/{sid}`
    Bundle(BundleSid),
    /// Anything else, or a method that the path does not have.
    None(ApiError),
}

/// An operation on Messaging Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceCall {
    List,
    Create,
    Fetch(MessagingServiceSid),
    Update(MessagingServiceSid),
    Delete(MessagingServiceSid),
    Numbers(MessagingServiceSid),
    Number(MessagingServiceSid, PhoneNumberSid),
    Join(MessagingServiceSid),
    Leave(MessagingServiceSid, PhoneNumberSid),
    Campaigns(MessagingServiceSid),
}

impl ServiceCall {
    fn id(&self) -> &'static str {
        match self {
            Self::List => "ListService",
            Self::Create => "CreateService",
            Self::Fetch(_) => "FetchService",
            Self::Update(_) => "UpdateService",
            Self::Delete(_) => "DeleteService",
            Self::Numbers(_) => "ListPhoneNumber",
            Self::Number(..) => "FetchPhoneNumber",
            Self::Join(_) => "CreatePhoneNumber",
            Self::Leave(..) => "DeletePhoneNumber",
            Self::Campaigns(_) => "ListUsAppToPerson",
        }
    }

    fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::List | Self::Numbers(_) | Self::Campaigns(_) => PAGING,
            Self::Create | Self::Update(_) => services::PARAMETERS,
            Self::Join(_) => &["PhoneNumberSid"],
            Self::Fetch(_) | Self::Delete(_) | Self::Number(..) | Self::Leave(..) => &[],
        }
    }

    /// The operation of a path below `/v1/Services`; `None`: there is no such path.
    fn find(method: &Method, rest: &[&str]) -> Option<Result<Self, ()>> {
        let service = |sid: &str| MessagingServiceSid::parse(sid).ok();
        Some(Ok(match (rest, method.as_str()) {
            ([], "GET") => Self::List,
            ([], "POST") => Self::Create,
            ([sid], "GET") => Self::Fetch(service(sid)?),
            ([sid], "POST") => Self::Update(service(sid)?),
            ([sid], "DELETE") => Self::Delete(service(sid)?),
            ([sid, "PhoneNumbers"], "GET") => Self::Numbers(service(sid)?),
            ([sid, "PhoneNumbers"], "POST") => Self::Join(service(sid)?),
            ([sid, "PhoneNumbers", number], "GET") => Self::Number(service(sid)?, PhoneNumberSid::parse(number).ok()?),
            ([sid, "PhoneNumbers", number], "DELETE") => {
                Self::Leave(service(sid)?, PhoneNumberSid::parse(number).ok()?)
            }
            ([sid, "Compliance", "Usa2p"], "GET") => Self::Campaigns(service(sid)?),
            ([] | [_] | [_, "PhoneNumbers", ..] | [_, "Compliance", "Usa2p"], _) => return Some(Err(())),
            _ => return None,
        }))
    }

    fn answer(&self, world: &mut World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
        match self {
            Self::List => services::list(world, asked),
            Self::Create => services::create(world, asked),
            Self::Fetch(sid) => services::fetch(world, asked, sid),
            Self::Update(sid) => services::update(world, asked, sid),
            Self::Delete(sid) => services::delete(world, asked, sid),
            Self::Numbers(sid) => services::numbers(world, asked, sid),
            Self::Number(sid, number) => services::number(world, asked, sid, number),
            Self::Join(sid) => services::join(world, asked, sid),
            Self::Leave(sid, number) => services::leave(world, asked, sid, number),
            Self::Campaigns(sid) => services::campaigns(world, asked, sid),
        }
    }
}

const PAGING: &[&str] = &["PageSize", "Page", "PageToken"];
const REGULATION_FILTERS: &[&str] = &["EndUserType", "IsoCountry", "NumberType", "IncludeConstraints"];
const BUNDLE_FILTERS: &[&str] = &[
    "Status",
    "FriendlyName",
    "RegulationSid",
    "IsoCountry",
    "NumberType",
    "HasValidUntilDate",
    "SortBy",
    "SortDirection",
    "ValidUntilDate",
    "ValidUntilDate<",
    "ValidUntilDate>",
];

impl Operation {
    /// Twilio's operationId; empty for [`Operation::None`].
    pub(super) fn id(&self) -> String {
        let kind = |kind: &Option<Kind>| kind.map_or("", Kind::path);
        match self {
            Self::Countries => "ListAvailablePhoneNumberCountry".to_owned(),
            Self::Country(_) => "FetchAvailablePhoneNumberCountry".to_owned(),
            Self::Search(_, kind) => format!("ListAvailablePhoneNumber{kind}"),
            Self::ListNumbers(of) => format!("ListIncomingPhoneNumber{}", kind(of)),
            Self::Buy(of) => format!("CreateIncomingPhoneNumber{}", kind(of)),
            Self::FetchNumber(_) => "FetchIncomingPhoneNumber".to_owned(),
            Self::UpdateNumber(_) => "UpdateIncomingPhoneNumber".to_owned(),
            Self::DeleteNumber(_) => "DeleteIncomingPhoneNumber".to_owned(),
            Self::FetchAccount => "FetchAccount".to_owned(),
            Self::Balance => "FetchBalance".to_owned(),
            Self::ListMessages => "ListMessage".to_owned(),
            Self::SendMessage => "CreateMessage".to_owned(),
            Self::FetchMessage(_) => "FetchMessage".to_owned(),
            Self::UsageThisMonth => "ListUsageRecordThisMonth".to_owned(),
            Self::NumberPrices => "ListPhoneNumberCountry".to_owned(),
            Self::NumberPricesOf(_) => "FetchPhoneNumberCountry".to_owned(),
            Self::MessagePrices => "ListMessagingCountry".to_owned(),
            Self::MessagePricesOf(_) => "FetchMessagingCountry".to_owned(),
            Self::Service(call) => call.id().to_owned(),
            Self::Verifications => "ListTollfreeVerification".to_owned(),
            Self::Alerts => "ListAlert".to_owned(),
            Self::Regulations => "ListRegulation".to_owned(),
            Self::Bundles => "ListBundle".to_owned(),
            Self::Bundle(_) => "FetchBundle".to_owned(),
            Self::None(_) => String::new(),
        }
    }

    /// The parameters it takes, as in Twilio's `OpenAPI` description.
    fn parameters(&self) -> Vec<&'static str> {
        match self {
            Self::Countries | Self::NumberPrices | Self::MessagePrices => PAGING.to_vec(),
            Self::Search(..) => [search::PARAMETERS, PAGING].concat(),
            Self::ListNumbers(_) => [&["Beta", "FriendlyName", "PhoneNumber", "Origin"], PAGING].concat(),
            Self::Buy(None) => numbers::parameters(&["PhoneNumber", "AreaCode"]),
            Self::Buy(Some(_)) => numbers::parameters(&["PhoneNumber"]),
            Self::UpdateNumber(_) => numbers::parameters(&["AccountSid"]),
            Self::ListMessages => [&["To", "From", "DateSent", "DateSent<", "DateSent>"], PAGING].concat(),
            Self::SendMessage => records::MESSAGE_PARAMETERS.to_vec(),
            Self::UsageThisMonth => [&["Category", "StartDate", "EndDate", "IncludeSubaccounts"], PAGING].concat(),
            Self::Service(call) => call.parameters().to_vec(),
            Self::Verifications => [services::VERIFICATION_PARAMETERS, PAGING].concat(),
            Self::Alerts => [&["LogLevel", "StartDate", "EndDate"], PAGING].concat(),
            Self::Regulations => [REGULATION_FILTERS, PAGING].concat(),
            Self::Bundles => [BUNDLE_FILTERS, PAGING].concat(),
            Self::Country(_)
            | Self::Bundle(_)
            | Self::FetchNumber(_)
            | Self::DeleteNumber(_)
            | Self::FetchAccount
            | Self::Balance
            | Self::FetchMessage(_)
            | Self::NumberPricesOf(_)
            | Self::MessagePricesOf(_)
            | Self::None(_) => Vec::new(),
        }
    }
}

/// A request whose operation is known.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) operation: Operation,
    /// The account in the path.
    pub(super) account: Option<AccountSid>,
}

/// Finds the operation of a request.
pub(super) fn find(request: &Request) -> Route {
    let none = |error: ApiError| Route { operation: Operation::None(error), account: None };
    let missing = || ApiError::not_found(&request.path);
    let mut parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v1", "PhoneNumbers", "Countries", rest @ ..] => {
            return Route { operation: prices(request, rest, true), account: None };
        }
        ["v1", "Messaging", "Countries", rest @ ..] => {
            return Route { operation: prices(request, rest, false), account: None };
        }
        ["v1", "Services", rest @ ..] => {
            let operation = match ServiceCall::find(&request.method, rest) {
                Some(Ok(call)) => Operation::Service(call),
                Some(Err(())) => wrong_method(request),
                None => Operation::None(missing()),
            };
            return Route { operation, account: None };
        }
        ["v1", "Tollfree", "Verifications"] => {
            let get = request.method == Method::GET;
            let operation = if get { Operation::Verifications } else { wrong_method(request) };
            return Route { operation, account: None };
        }
        ["v1", "Alerts"] => {
            let get = request.method == Method::GET;
            let operation = if get { Operation::Alerts } else { wrong_method(request) };
            return Route { operation, account: None };
        }
        ["v2", "RegulatoryCompliance", rest @ ..] => {
            let operation = match rest {
                ["Regulations"] => Operation::Regulations,
                ["Bundles"] => Operation::Bundles,
                ["Bundles", sid] => {
                    BundleSid::parse(sid).map_or_else(|_| Operation::None(missing()), Operation::Bundle)
                }
                _ => return none(missing()),
            };
            // Made in the Console.
            let operation = if request.method == Method::GET { operation } else { wrong_method(request) };
            return Route { operation, account: None };
        }
        ["2010-04-01", "Accounts", ..] => {}
        _ => return none(missing()),
    }
    // Without the suffix the real one answers XML, which nobody here wants by accident.
    let Some(last) = parts.last_mut() else { return none(missing()) };
    let Some(stem) = last.strip_suffix(".json") else { return none(missing()) };
    *last = stem;
    let Some(Ok(account)) = parts.get(2).map(|sid| AccountSid::parse(sid)) else { return none(missing()) };
    let operation = resource(request, parts.get(3..).unwrap_or_default());
    Route { operation: operation.unwrap_or_else(|| Operation::None(missing())), account: Some(account) }
}

fn wrong_method(request: &Request) -> Operation {
    Operation::None(ApiError::new(405, 20004, format!("Method {} is not allowed here", request.method)))
}

fn prices(request: &Request, rest: &[&str], of_numbers: bool) -> Operation {
    if request.method != Method::GET {
        return wrong_method(request);
    }
    match (rest, of_numbers) {
        ([], true) => Operation::NumberPrices,
        ([], false) => Operation::MessagePrices,
        ([country], true) => Operation::NumberPricesOf((*country).to_owned()),
        ([country], false) => Operation::MessagePricesOf((*country).to_owned()),
        _ => Operation::None(ApiError::not_found(&request.path)),
    }
}

fn resource(request: &Request, rest: &[&str]) -> Option<Operation> {
    let get = request.method == Method::GET;
    let post = request.method == Method::POST;
    let operation = match rest {
        [] => get.then_some(Operation::FetchAccount),
        ["Balance"] => get.then_some(Operation::Balance),
        ["AvailablePhoneNumbers"] => get.then_some(Operation::Countries),
        ["AvailablePhoneNumbers", country] => get.then(|| Operation::Country((*country).to_owned())),
        ["AvailablePhoneNumbers", country, kind] => {
            get.then(|| Operation::Search((*country).to_owned(), (*kind).to_owned()))
        }
        ["IncomingPhoneNumbers", rest @ ..] => return incoming(request, rest),
        ["Messages"] if get => Some(Operation::ListMessages),
        ["Messages"] => post.then_some(Operation::SendMessage),
        ["Messages", sid] => {
            let sid = MessageSid::parse(sid).ok()?;
            get.then_some(Operation::FetchMessage(sid))
        }
        ["Usage", "Records", "ThisMonth"] => get.then_some(Operation::UsageThisMonth),
        _ => return None,
    };
    Some(operation.unwrap_or_else(|| wrong_method(request)))
}

fn incoming(request: &Request, rest: &[&str]) -> Option<Operation> {
    let get = request.method == Method::GET;
    let post = request.method == Method::POST;
    let of = match rest {
        [] => Some(None),
        [kind] => Kind::read(kind).map(Some),
        _ => return None,
    };
    Some(match (of, rest) {
        (Some(of), _) if get => Operation::ListNumbers(of),
        (Some(of), _) if post => Operation::Buy(of),
        (None, [sid]) => {
            let sid = PhoneNumberSid::parse(sid).ok()?;
            match request.method.as_str() {
                "GET" => Operation::FetchNumber(sid),
                "POST" => Operation::UpdateNumber(sid),
                "DELETE" => Operation::DeleteNumber(sid),
                _ => wrong_method(request),
            }
        }
        _ => wrong_method(request),
    })
}

/// The number that a call is about: the one in the form, or the one whose SID is in the path.
pub(super) fn subject(world: &World, request: &Request, operation: &Operation) -> Option<E164> {
    match operation {
        Operation::FetchNumber(sid) | Operation::UpdateNumber(sid) | Operation::DeleteNumber(sid) => {
            world.number(sid).map(|number| number.phone_number.clone())
        }
        Operation::Buy(_) => request.form_value("PhoneNumber").and_then(|text| E164::parse(text).ok()),
        Operation::Service(ServiceCall::Number(_, sid) | ServiceCall::Leave(_, sid)) => {
            world.number(sid).map(|number| number.phone_number.clone())
        }
        Operation::Countries
        | Operation::Service(_)
        | Operation::Verifications
        | Operation::Alerts
        | Operation::Regulations
        | Operation::Bundles
        | Operation::Bundle(_)
        | Operation::Country(_)
        | Operation::Search(..)
        | Operation::ListNumbers(_)
        | Operation::FetchAccount
        | Operation::Balance
        | Operation::ListMessages
        | Operation::SendMessage
        | Operation::FetchMessage(_)
        | Operation::UsageThisMonth
        | Operation::NumberPrices
        | Operation::NumberPricesOf(_)
        | Operation::MessagePrices
        | Operation::MessagePricesOf(_)
        | Operation::None(_) => None,
    }
}

/// A call that may go ahead.
pub(super) struct Asked<'a> {
    /// The account that is acted upon.
    pub(super) account: AccountSid,
    /// The account whose credentials were used: the same, or its parent.
    pub(super) caller: AccountSid,
    pub(super) request: &'a Request,
    pub(super) params: Params,
    pub(super) now: Timestamp,
}

/// Answers a request, with all its effects on the world.
pub(super) fn handle(world: &mut World, request: &Request, route: &Route, now: Timestamp) -> Answer {
    respond(world, request, route, now).unwrap_or_else(Answer::from)
}

fn respond(world: &mut World, request: &Request, route: &Route, now: Timestamp) -> Result<Answer, ApiError> {
    if let Operation::None(error) = &route.operation {
        return Err(error.clone());
    }
    let (account, caller) = authenticate(world, request, route, now)?;
    let params = Params::read(request, &route.operation.parameters(), world.behaviour.strict)?;
    let asked = Asked { account, caller, request, params, now };
    match &route.operation {
        Operation::Countries => search::countries(&asked),
        Operation::Country(country) => search::country(&asked, country),
        Operation::Search(country, kind) => search::numbers(world, &asked, country, kind),
        Operation::ListNumbers(kind) => numbers::list(world, &asked, *kind),
        Operation::Buy(kind) => numbers::buy(world, &asked, *kind),
        Operation::FetchNumber(sid) => numbers::fetch(world, &asked, sid),
        Operation::UpdateNumber(sid) => numbers::update(world, &asked, sid),
        Operation::DeleteNumber(sid) => numbers::delete(world, &asked, sid),
        Operation::FetchAccount => records::account(world, &asked),
        Operation::Balance => records::balance(world, &asked),
        Operation::ListMessages => records::list_messages(world, &asked),
        Operation::SendMessage => records::send_message(world, &asked),
        Operation::FetchMessage(sid) => records::fetch_message(world, &asked, sid),
        Operation::UsageThisMonth => records::usage(world, &asked),
        Operation::NumberPrices => records::price_countries(&asked, "PhoneNumbers"),
        Operation::NumberPricesOf(country) => records::number_prices(world, &asked, country),
        Operation::MessagePrices => records::price_countries(&asked, "Messaging"),
        Operation::MessagePricesOf(country) => records::message_prices(world, &asked, country),
        Operation::Service(call) => call.answer(world, &asked),
        Operation::Verifications => services::verifications(world, &asked),
        Operation::Alerts => records::alerts(world, &asked),
        Operation::Regulations => regulatory::regulations(&asked),
        Operation::Bundles => regulatory::bundles(world, &asked),
        Operation::Bundle(sid) => regulatory::bundle(world, &asked, sid),
        Operation::None(error) => Err(error.clone()),
    }
}

/// Checks the credentials. Returns the account acted upon and the one that acts.
fn authenticate(
    world: &mut World,
    request: &Request,
    route: &Route,
    now: Timestamp,
) -> Result<(AccountSid, AccountSid), ApiError> {
    let (user, password) = request.credentials.as_ref().ok_or_else(ApiError::unauthorized)?;
    let (caller, key) = if let Ok(sid) = AccountSid::parse(user) {
        show_token(world, &sid, password, now);
        let account = world.account(&sid).ok_or_else(ApiError::unauthorized)?;
        if account.auth_token != *password {
            return Err(ApiError::unauthorized());
        }
        (account.clone(), None)
    } else {
        let sid = ApiKeySid::parse(user).map_err(|_| ApiError::unauthorized())?;
        show_key(world, &sid, password, route.account.as_ref(), now);
        let (account, key) = world.key(&sid).ok_or_else(ApiError::unauthorized)?;
        if key.secret != *password {
            return Err(ApiError::unauthorized());
        }
        (account.clone(), Some(key.clone()))
    };
    let target = match &route.account {
        Some(target) if *target != caller.sid => {
            // A parent acts on its subaccounts with its own token; whether its API keys may is unknown.
            let sub = world.account(target).filter(|sub| key.is_none() && sub.owner.as_ref() == Some(&caller.sid));
            sub.cloned().ok_or_else(ApiError::unauthorized)?
        }
        _ => caller.clone(),
    };
    if let Some(key) = &key {
        permit(key, &route.operation)?;
    }
    // A parent may see that its subaccount is suspended; nobody may do anything else there.
    let only_looks = route.operation == Operation::FetchAccount;
    let parent = caller.owner.as_ref().and_then(|owner| world.account(owner));
    let stopped = [Some(&caller), parent, (!only_looks).then_some(&target)]
        .into_iter()
        .flatten()
        .find(|account| account.status != AccountStatus::Active);
    match stopped {
        Some(account) => {
            let state = if account.status == AccountStatus::Closed { "closed" } else { "suspended" };
            Err(ApiError::new(403, 20403, format!("Account {} is {state}", account.sid)))
        }
        None => Ok((target.sid, caller.sid)),
    }
}

fn permit(key: &ApiKey, operation: &Operation) -> Result<(), ApiError> {
    match key.kind {
        KeyType::Standard if *operation == Operation::FetchAccount => Err(ApiError::unauthorized()),
        KeyType::Main | KeyType::Standard => Ok(()),
        KeyType::Restricted if key.permissions.iter().any(|allowed| *allowed == operation.id()) => Ok(()),
        KeyType::Restricted => Err(ApiError::new(403, 70051, "Authorization Failed: the key lacks the permission")),
    }
}

/// Lets an account come to life, or takes the first token shown for it, where accounts are not given.
fn show_token(world: &mut World, sid: &AccountSid, token: &str, now: Timestamp) {
    if token.len() != 32 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    let account = match world.account(sid) {
        None if world.any_account => automatic(sid, token, true, now),
        Some(account) if !account.token_seen => {
            Account { auth_token: token.to_owned(), token_seen: true, ..account.clone() }
        }
        _ => return,
    };
    world.apply(Change::Account(account));
}

/// Takes an unknown key as a main key of the account in the path, where accounts are not given.
fn show_key(world: &mut World, sid: &ApiKeySid, secret: &str, account: Option<&AccountSid>, now: Timestamp) {
    let Some(of) = account.filter(|_| world.any_account && !secret.is_empty() && world.key(sid).is_none()) else {
        return;
    };
    let mut account = match world.account(of) {
        None => {
            // Its token is made up until somebody shows one: messages to it must be signed with something.
            let made_up = world.new_sid("", now);
            automatic(of, &made_up, false, now)
        }
        Some(account) if account.automatic => account.clone(),
        Some(_) => return,
    };
    account.keys.push(ApiKey {
        sid: sid.clone(),
        secret: secret.to_owned(),
        kind: KeyType::Main,
        permissions: Vec::new(),
    });
    world.apply(Change::Account(account));
}

fn automatic(sid: &AccountSid, token: &str, token_seen: bool, now: Timestamp) -> Account {
    Account {
        sid: sid.clone(),
        auth_token: token.to_owned(),
        token_seen,
        automatic: true,
        keys: Vec::new(),
        currency: "USD".to_owned(),
        kind: AccountType::Full,
        status: AccountStatus::Active,
        owner: None,
        bundles: Vec::new(),
        created: now,
        updated: now,
    }
}
