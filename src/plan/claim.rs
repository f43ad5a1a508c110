//! The claim: what is written into status before anything is sent, so that nothing can be bought twice.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::v1alpha1::{self, ClaimOutcome};
use crate::domain::{AccountSid, E164, OwnerTag, ParseError};

use super::{Rule, holds};

/// The most numbers that `tried` keeps; the CRD's limit.
const TRIED: usize = 32;

/// A purchase or adoption of one exact number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The number.
    pub number: E164,
    /// The tag that it carries, or will.
    pub tag: OwnerTag,
    /// The account for which the claim was made; nothing is done for it with another account's credentials.
    pub account: AccountSid,
    /// The generation of the spec that led to the number.
    pub generation: Option<i64>,
    /// How many times sending was stamped.
    pub attempts: u32,
    /// How many of those had no answer that settles them.
    pub unanswered: u32,
    /// When the first was stamped.
    pub first_attempt_at: Option<Timestamp>,
    /// When the last was stamped.
    pub last_attempt_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: ClaimOutcome,
    /// Numbers not to be tried again.
    pub tried: Vec<E164>,
    /// How many times a release was stamped.
    pub releasing: u32,
}

/// What tells one state of a claim from another: what a first sight is of. Times in it are compared with each other and never
/// with a clock.
///
/// The count of attempts alone does not: a number that was refused and is announced anew counts from zero again, and another
/// operator may have missed everything in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    number: E164,
    attempts: u32,
    releasing: u32,
    stamped: Option<i64>,
    given_up: bool,
}

impl Claim {
    /// Which state of which claim this is.
    pub fn identity(&self) -> Identity {
        let own = holds(Rule::SightOfThisStamp);
        Identity {
            number: self.number.clone(),
            attempts: self.attempts,
            releasing: self.releasing,
            stamped: self.last_attempt_at.filter(|_| own).map(Timestamp::as_second),
            given_up: own && matches!(self.outcome, ClaimOutcome::Refused | ClaimOutcome::Abandoned),
        }
    }

    /// A claim that announces `number`: nothing was sent yet.
    pub fn announce(number: E164, tag: OwnerTag, account: AccountSid, generation: i64, tried: Vec<E164>) -> Self {
        Self {
            number,
            tag,
            account,
            generation: Some(generation),
            attempts: 0,
            unanswered: 0,
            first_attempt_at: None,
            last_attempt_at: None,
            outcome: ClaimOutcome::Unknown,
            tried,
            releasing: 0,
        }
    }

    /// Whether something was sent and nobody knows yet what became of it.
    pub fn unsettled(&self) -> bool {
        self.attempts > 0 && self.outcome == ClaimOutcome::Unknown
    }

    /// Whether the claim still stands: announced, sent or held.
    pub fn stands(&self) -> bool {
        matches!(self.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held)
    }

    /// Whether it is announced and nothing was sent.
    pub fn announced(&self) -> bool {
        self.attempts == 0 && self.outcome == ClaimOutcome::Unknown
    }

    /// The claim with one more attempt stamped.
    pub fn stamped(&self, now: Timestamp) -> Self {
        Self {
            attempts: self.attempts.saturating_add(1),
            unanswered: self.unanswered.saturating_add(1),
            first_attempt_at: self.first_attempt_at.or(Some(now)),
            last_attempt_at: Some(now),
            ..self.clone()
        }
    }

    /// The claim with one attempt answered by a refusal, or known never to have been sent.
    pub fn answered(&self) -> Self {
        Self { unanswered: self.unanswered.saturating_sub(1), ..self.clone() }
    }

    /// The numbers whose stamps in the ledger this claim accounts for, once it is stamped.
    ///
    /// The number of a first attempt is not among them: a stamp of it that the ledger holds already comes from a life that
    /// the resource has forgotten, or from a stamp whose own answer was lost, and may still take effect.
    pub fn accounts_for(&self) -> Vec<E164> {
        self.tried.iter().chain((self.attempts > 1).then_some(&self.number)).cloned().collect()
    }

    /// The claim settled; when the number itself was the reason it is not tried again.
    pub fn settled(&self, outcome: ClaimOutcome, never_again: bool) -> Self {
        let mut claim = Self { outcome, ..self.clone() };
        if never_again && !claim.tried.contains(&claim.number) {
            let surplus = (claim.tried.len() + 1).saturating_sub(TRIED);
            claim.tried.drain(..surplus);
            claim.tried.push(claim.number.clone());
        }
        claim
    }

    /// Reads what stands in status.
    ///
    /// # Errors
    /// When a field is not what the operator writes, as after an edit by hand.
    pub fn read(status: &v1alpha1::Claim) -> Result<Self, ParseError> {
        let missing = |what| ParseError { what, problem: "it is missing".to_owned() };
        let count = |n: i32| u32::try_from(n).unwrap_or(0);
        Ok(Self {
            number: E164::parse(&status.phone_number)?,
            tag: OwnerTag::parse(status.tag.as_deref().ok_or_else(|| missing("status.claim.tag"))?)?,
            account: AccountSid::parse(
                status.account_sid.as_deref().ok_or_else(|| missing("status.claim.accountSID"))?,
            )?,
            generation: status.generation,
            attempts: count(status.attempts),
            unanswered: count(status.unanswered),
            first_attempt_at: status.first_attempt_at.as_ref().map(|t| t.0),
            last_attempt_at: status.last_attempt_at.as_ref().map(|t| t.0),
            outcome: status.outcome,
            tried: status.tried.iter().map(|n| E164::parse(n)).collect::<Result<_, _>>()?,
            releasing: count(status.releasing),
        })
    }

    /// The claim as it stands in status.
    pub fn write(&self) -> v1alpha1::Claim {
        let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        v1alpha1::Claim {
            phone_number: self.number.to_string(),
            tag: Some(self.tag.to_string()),
            account_sid: Some(self.account.to_string()),
            generation: self.generation,
            attempts: count(self.attempts),
            unanswered: count(self.unanswered),
            first_attempt_at: self.first_attempt_at.map(Time),
            last_attempt_at: self.last_attempt_at.map(Time),
            outcome: self.outcome,
            tried: self.tried.iter().map(ToString::to_string).collect(),
            releasing: count(self.releasing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        let number = E164::parse("+14185550100").unwrap();
        let account = AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap();
        Claim::announce(number, OwnerTag::parse("abcdefghijk").unwrap(), account, 1, Vec::new())
    }

    #[test]
    fn status_reads_back() {
        let now = Timestamp::from_second(1_000).unwrap();
        let claim = claim().stamped(now).stamped(now).answered().settled(ClaimOutcome::Refused, true);
        assert_eq!(Claim::read(&claim.write()).unwrap(), claim);
        assert_eq!((claim.attempts, claim.unanswered, claim.tried.len()), (2, 1, 1));
    }

    #[test]
    fn tried_keeps_the_newest_32() {
        let mut claim = claim();
        for i in 0..40 {
            claim.number = E164::parse(&format!("+141855501{i:02}")).unwrap();
            claim = claim.settled(ClaimOutcome::Refused, true);
        }
        assert_eq!((claim.tried.len(), claim.tried[31].as_str()), (32, "+14185550139"));
    }
}
