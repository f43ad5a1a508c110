//! Scripted failures: which call fails, and how.
//!
//! Only the bookkeeping is here. What a fault does to the answer is the service's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::{AccountSid, E164};

/// What goes wrong.
///
/// *Before* means that nothing happened, *after* that the call took effect although nobody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered 400: for a purchase as if the number had just been sold to someone else.
    Refuse,
    /// No effect, no answer until the client gives up.
    TimeoutBefore,
    /// Effect, no answer until the client gives up.
    TimeoutAfter,
    /// No effect, connection cut.
    ResetBefore,
    /// Effect, connection cut.
    ResetAfter,
    /// No answer until the client gives up; the effect comes this many milliseconds later, whether it has or not.
    Late(u64),
    /// Answered 429, no effect.
    Http429,
    /// Answered 503, no effect.
    Http503,
    /// Answered 500, though it took effect.
    Http500After,
    /// Takes effect, and the answer has the right status and an unreadable body.
    Garbage,
    /// Answered 404, no effect.
    NotFound,
    /// Takes effect at once, answered this many milliseconds later.
    Slow(u64),
}

const PLAIN: &[(&str, Fault)] = &[
    ("refuse", Fault::Refuse),
    ("timeout_before", Fault::TimeoutBefore),
    ("timeout_after", Fault::TimeoutAfter),
    ("reset_before", Fault::ResetBefore),
    ("reset_after", Fault::ResetAfter),
    ("http_429", Fault::Http429),
    ("http_503", Fault::Http503),
    ("http_500_after", Fault::Http500After),
    ("garbage", Fault::Garbage),
    ("not_found", Fault::NotFound),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(ms) => write!(f, "late:{ms}"),
            Self::Slow(ms) => write!(f, "slow:{ms}"),
            Self::Refuse
            | Self::TimeoutBefore
            | Self::TimeoutAfter
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Http429
            | Self::Http503
            | Self::Http500After
            | Self::Garbage
            | Self::NotFound => f.write_str(PLAIN.iter().find(|(_, fault)| fault == self).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, fault)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(*fault);
        }
        let timed = text.split_once(':').and_then(|(name, ms)| Some((name, ms.parse().ok()?)));
        match timed {
            Some(("late", ms)) => Ok(Self::Late(ms)),
            Some(("slow", ms)) => Ok(Self::Slow(ms)),
            _ => {
                let names: Vec<&str> = PLAIN.iter().map(|(name, _)| *name).collect();
                Err(format!("no fault {text:?}; there are {}, late:<ms>, slow:<ms>", names.join(", ")))
            }
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which calls a fault is for, beyond the operation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultMatch {
    /// The account in the path (for prices: the one that asks).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_sid: Option<AccountSid>,
    /// The number in the form, or the one whose SID is in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<E164>,
}

/// A fault and when it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultSpec {
    /// Twilio's operationId, such as `CreateIncomingPhoneNumber`, or `*`.
    pub operation: String,
    /// Narrows it down.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<FaultMatch>,
    /// The first matching call that fails, counted from 1 since the faults were put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How many matching calls fail from there on; 0: all of them.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens to them.
    pub fault: Fault,
}

const fn once() -> u64 {
    1
}

impl FaultSpec {
    /// A fault for the next call of this operation.
    pub fn once(operation: &str, fault: Fault) -> Self {
        Self { operation: operation.to_owned(), matching: None, nth: None, times: 1, fault }
    }

    /// A fault for every call of this operation.
    pub fn always(operation: &str, fault: Fault) -> Self {
        Self { times: 0, ..Self::once(operation, fault) }
    }

    /// The same fault, for the nth matching call.
    pub fn nth(self, nth: u64) -> Self {
        Self { nth: Some(nth), ..self }
    }

    /// The same fault, for calls about this number.
    pub fn for_number(mut self, number: E164) -> Self {
        self.matching.get_or_insert_default().phone_number = Some(number);
        self
    }

    /// The same fault, for calls of this account.
    pub fn for_account(mut self, account: AccountSid) -> Self {
        self.matching.get_or_insert_default().account_sid = Some(account);
        self
    }

    fn is_for(&self, subject: &Subject<'_>) -> bool {
        let (account, number) =
            self.matching.as_ref().map_or((None, None), |m| (m.account_sid.as_ref(), m.phone_number.as_ref()));
        (self.operation == "*" || self.operation == subject.operation)
            && account.is_none_or(|account| subject.account == Some(account))
            && number.is_none_or(|number| subject.number == Some(number))
    }

    fn strikes(&self, call: u64) -> bool {
        let first = self.nth.unwrap_or(1).max(1);
        call >= first && (self.times == 0 || call - first < self.times)
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Twilio's operationId.
    pub operation: &'a str,
    /// Whose account.
    pub account: Option<&'a AccountSid>,
    /// Which number.
    pub number: Option<&'a E164>,
}

/// The faults in force, each with the matching calls it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults(Vec<(FaultSpec, u64)>);

impl Faults {
    /// These faults, none of which has seen a call.
    pub fn new(specs: Vec<FaultSpec>) -> Self {
        Self(specs.into_iter().map(|spec| (spec, 0)).collect())
    }

    /// The faults as they were put.
    pub fn specs(&self) -> Vec<FaultSpec> {
        self.0.iter().map(|(spec, _)| spec.clone()).collect()
    }

    /// Whether there are none, so that a call need not be counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the call for every fault that matches it and returns the first one that strikes.
    pub fn strike(&mut self, subject: &Subject<'_>) -> Option<Fault> {
        let mut struck = None;
        for (spec, seen) in self.0.iter_mut().filter(|(spec, _)| spec.is_for(subject)) {
            *seen += 1;
            if struck.is_none() && spec.strikes(*seen) {
                struck = Some(spec.fault);
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str) -> Subject<'_> {
        Subject { operation, account: None, number: None }
    }

    #[test]
    fn faults_are_written_as_they_are_read() {
        let all = PLAIN.iter().map(|(_, fault)| *fault).chain([Fault::Late(250), Fault::Slow(1)]);
        for fault in all {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for bad in ["", "late", "late:", "late:x", "slow", "refused"] {
            assert!(bad.parse::<Fault>().unwrap_err().contains("timeout_before"), "{bad}");
        }
    }

    #[test]
    fn nth_and_times_count_matching_calls_only() {
        let mut faults = Faults::new(vec![FaultSpec { times: 2, ..FaultSpec::once("A", Fault::Http503).nth(2) }]);
        let struck: Vec<bool> = ["A", "B", "A", "B", "A", "A"].map(|op| faults.strike(&call(op)).is_some()).to_vec();
        assert_eq!(struck, [false, false, true, false, true, false]);
    }

    #[test]
    fn each_fault_counts_for_itself_and_the_first_that_strikes_wins() {
        let mut faults = Faults::new(vec![
            FaultSpec::once("*", Fault::Http503).nth(1),
            FaultSpec::once("*", Fault::Http429).nth(2),
            FaultSpec::always("*", Fault::NotFound).nth(2),
        ]);
        let struck: Vec<_> = (0..3).map(|_| faults.strike(&call("A"))).collect();
        assert_eq!(struck, [Some(Fault::Http503), Some(Fault::Http429), Some(Fault::NotFound)]);
    }

    #[test]
    fn a_match_narrows_a_fault_down() {
        let number = E164::parse("+14185551234").unwrap();
        let account = AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap();
        let spec = FaultSpec::always("*", Fault::Refuse).for_number(number.clone()).for_account(account.clone());
        let mut faults = Faults::new(vec![spec]);
        assert_eq!(faults.strike(&call("A")), None);
        let subject = Subject { operation: "A", account: Some(&account), number: Some(&number) };
        assert_eq!(faults.strike(&subject), Some(Fault::Refuse));
    }

    #[test]
    fn the_control_form_is_read() {
        let spec: FaultSpec = serde_json::from_str(
            r#"{"operation":"*","match":{"phoneNumber":"+14185551234"},"nth":3,"times":0,"fault":"late:500"}"#,
        )
        .unwrap();
        assert_eq!((spec.nth, spec.times, spec.fault), (Some(3), 0, Fault::Late(500)));
        assert!(serde_json::from_str::<FaultSpec>(r#"{"operation":"*","fault":"late:5","nht":3}"#).is_err());
    }
}
