//! `/_simulator/`: what a test looks at and turns. Not part of Twilio; never faulted, never delayed.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::FaultSpec;
use super::services::Compliance;
use super::state::{AccountPatch, AccountSpec, Behaviour, BuyOwned};
use super::stock::StockLimit;
use super::{InboundMessage, Response, Simulator};
use crate::domain::AccountSid;

/// What `PUT settings` changes; what is left out stays.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BehaviourPatch {
    buy_owned: Option<BuyOwned>,
    latency_ms: Option<u64>,
    list_lag_ms: Option<u64>,
    strict: Option<bool>,
}

/// Answers a request to the control API; `path` is what follows `/_simulator/`.
pub(super) async fn answer(simulator: &Simulator, method: &Method, path: &str, body: &[u8]) -> Response {
    let parts: Vec<&str> = path.split('/').collect();
    let answered = match (method.as_str(), parts.as_slice()) {
        ("GET", ["ledger"]) => ok(&simulator.ledger()),
        ("GET", ["numbers"]) => ok(&simulator.numbers()),
        ("GET", ["calls"]) => ok(&simulator.calls()),
        ("GET", ["messages"]) => ok(&simulator.messages()),
        ("GET", ["faults"]) => ok(&simulator.faults()),
        ("PUT", ["faults"]) => read::<Vec<FaultSpec>>(body).map(|faults| {
            simulator.put_faults(faults);
            (200, json!(simulator.faults()))
        }),
        ("GET", ["stock"]) => ok(&simulator.stock()),
        ("PUT", ["stock"]) => read::<Vec<StockLimit>>(body)
            .and_then(|limits| simulator.put_stock(limits).map_err(|problem| (400, problem)))
            .and_then(|()| ok(&simulator.stock())),
        ("GET", ["settings"]) => ok(&simulator.behaviour()),
        ("PUT", ["settings"]) => read::<BehaviourPatch>(body).and_then(|patch| {
            let now = simulator.behaviour();
            simulator.set_settings(Behaviour {
                buy_owned: patch.buy_owned.unwrap_or(now.buy_owned),
                latency_ms: patch.latency_ms.unwrap_or(now.latency_ms),
                list_lag_ms: patch.list_lag_ms.unwrap_or(now.list_lag_ms),
                strict: patch.strict.unwrap_or(now.strict),
            });
            ok(&simulator.behaviour())
        }),
        ("PUT", ["fates"]) => read(body).map(|fates| {
            simulator.put_fates(fates);
            (200, simulator.read(|world| json!(world.fates)))
        }),
        ("PUT", ["compliance"]) => read::<Compliance>(body).and_then(|states| {
            simulator.put_compliance(states).map_err(|problem| (404, problem))?;
            Ok((200, json!({})))
        }),
        ("GET", ["accounts"]) => Ok((200, accounts(simulator))),
        ("POST", ["accounts"]) => read_accounts(body)
            .and_then(|accounts| simulator.add_accounts(accounts).map_err(|problem| (409, problem)))
            .map(|()| (201, accounts(simulator))),
        ("PATCH", ["accounts", sid]) => known(simulator, sid).and_then(|sid| {
            let change = read::<AccountPatch>(body)?;
            simulator.patch_account(&sid, change);
            Ok((200, accounts_of(simulator, Some(&sid)).pop().unwrap_or_default()))
        }),
        ("GET", ["accounts", sid, "token"]) => {
            known(simulator, sid).map(|sid| (200, json!({"accountSid": sid, "authToken": simulator.token(&sid)})))
        }
        ("POST", ["messages"]) => match read::<InboundMessage>(body) {
            Ok(message) => {
                let delivery = simulator.deliver(message).await;
                Ok((delivery.http_status(), json!(delivery)))
            }
            Err(problem) => Err(problem),
        },
        _ => Err((404, format!("no {method} {path} here; docs/simulator.md has the list"))),
    };
    let (status, body) = answered.unwrap_or_else(|(status, problem)| (status, json!({"error": problem})));
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

type Answered = Result<(u16, Value), (u16, String)>;

fn ok(value: &impl Serialize) -> Answered {
    serde_json::to_value(value).map(|value| (200, value)).map_err(|error| (500, error.to_string()))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (u16, String)> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| (400, error.to_string()))
}

/// One account or a list of them.
fn read_accounts(body: &[u8]) -> Result<Vec<AccountSpec>, (u16, String)> {
    if read::<Value>(body)?.is_array() { read(body) } else { read(body).map(|account| vec![account]) }
}

fn known(simulator: &Simulator, sid: &str) -> Result<AccountSid, (u16, String)> {
    let sid = AccountSid::parse(sid).map_err(|error| (400, error.to_string()))?;
    if simulator.token(&sid).is_some() { Ok(sid) } else { Err((404, format!("no account {sid}"))) }
}

fn accounts(simulator: &Simulator) -> Value {
    accounts_of(simulator, None).into()
}

/// Accounts without their secrets.
fn accounts_of(simulator: &Simulator, only: Option<&AccountSid>) -> Vec<Value> {
    simulator.read(|world| {
        world
            .accounts()
            .into_iter()
            .filter(|account| only.is_none_or(|only| account.sid == *only))
            .map(|account| {
                json!({
                    "accountSid": account.sid, "status": account.status, "type": account.kind,
                    "currency": account.currency, "numbers": world.held_count(&account.sid),
                })
            })
            .collect()
    })
}
