//! One gate per Twilio account: how many calls at once, when not to call at all, and the last list.
//!
//! A gate is never awaited: a call that may not go now is told when to come back, so that one slow account holds no worker.
//! Two lanes: periodic checks use at most half of the gate, so they never delay a person's change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::{AccountSid, Class, CountryCode, Meaning, Moment, NumberPrices, PhoneNumberSid, Trouble};
use crate::plan::{AccountList, ObjectKey, price};

/// Calls of one account under way at once. Twilio limits concurrency per account, and other applications share it.
const CONCURRENCY: usize = 8;
/// Calls per second of one account, and how many may come at once after a pause.
const RATE: f64 = 25.0;
const BURST: f64 = 50.0;
/// When a gate is full, so long until the next try.
const FULL: Duration = Duration::from_millis(50);
/// Rejected credentials and suspended accounts are tried again this often: first and last interval.
const PROBE: (Duration, Duration) = (Duration::from_secs(15 * 60), Duration::from_secs(60 * 60));

/// For so long it is remembered that credentials were accepted: longer than any interval between looks.
const ACCEPTED: Duration = Duration::from_secs(25 * 3600);

/// For so long it is remembered that a SID is gone.
const GONE: Duration = Duration::from_secs(3600);

/// Which calls go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A person's change, or money.
    Change,
    /// A periodic check.
    Periodic,
}

/// Why a call may not go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Too many calls under way: nothing to tell, come back then.
    Full(Moment),
    /// Twilio said no: the trouble it told, until then.
    Troubled(Trouble, Moment),
}

/// An account's list and what it lacks: numbers that other resources hold and that ought to be in it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The list.
    pub list: Arc<AccountList>,
    /// Recorded numbers that are missing from it.
    pub lacks: Arc<[(PhoneNumberSid, crate::domain::E164)]>,
}

#[derive(Debug, Default)]
struct Gate {
    under_way: usize,
    tokens: f64,
    refilled: Moment,
    paused: Option<(Trouble, Moment)>,
    /// Credentials that were rejected: only they are kept out, so that rotated ones are tried at once.
    circuits: HashMap<[u8; 32], Circuit>,
    listed: Option<Listed>,
    /// When Twilio last accepted which credentials: what one pair reads tells nothing of another one.
    accepted: HashMap<[u8; 32], Moment>,
    /// What numbers cost, by the credentials that read it: others may be of another account in truth.
    prices: HashMap<([u8; 32], CountryCode), (NumberPrices, Moment)>,
    /// SIDs that Twilio does not know, and when it said so.
    gone: HashMap<PhoneNumberSid, Moment>,
    listing: bool,
    waiting: Vec<ObjectKey>,
}

#[derive(Debug)]
struct Circuit {
    trouble: Trouble,
    until: Moment,
    failures: u32,
}

/// All gates.
#[derive(Debug, Default)]
pub struct Accounts {
    gates: Mutex<HashMap<AccountSid, Gate>>,
}

/// Permission for one call; given back when dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    accounts: &'a Accounts,
    account: AccountSid,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.accounts.locked().get_mut(&self.account) {
            gate.under_way = gate.under_way.saturating_sub(1);
        }
    }
}

/// What became of a wish for a list.
#[derive(Debug)]
pub enum ListTurn<'a> {
    /// A list that began late enough is there.
    Ready(Listed),
    /// It is this caller's turn to fetch one.
    Fetch(Permit<'a>),
    /// Another caller is fetching one; whoever asked is told when it is there.
    Wait,
}

impl Accounts {
    fn locked(&self) -> MutexGuard<'_, HashMap<AccountSid, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one call.
    ///
    /// # Errors
    /// When it may not go now, and when to come back.
    pub fn admit(
        &self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        lane: Lane,
        now: Moment,
    ) -> Result<Permit<'_>, Closed> {
        let mut gates = self.locked();
        let gate =
            gates.entry(account.clone()).or_insert_with(|| Gate { tokens: BURST, refilled: now, ..Gate::default() });
        gate.admit(fingerprint, lane, now)?;
        Ok(Permit { accounts: self, account: account.clone() })
    }

    /// Asks for a list that began after `after`, for one resource. One that other credentials read serves if these were accepted
    /// after that moment too: they may have been revoked, or never been right.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn list_turn(
        &self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        after: Moment,
        lane: Lane,
        who: &ObjectKey,
        now: Moment,
    ) -> Result<ListTurn<'_>, Closed> {
        let mut gates = self.locked();
        let gate =
            gates.entry(account.clone()).or_insert_with(|| Gate { tokens: BURST, refilled: now, ..Gate::default() });
        let accepted = gate.accepted.get(fingerprint).is_some_and(|at| *at > after);
        if let Some(listed) = gate.listed.as_ref().filter(|l| accepted && l.list.started > after) {
            return Ok(ListTurn::Ready(listed.clone()));
        }
        if gate.listing {
            if !gate.waiting.contains(who) {
                gate.waiting.push(who.clone());
            }
            return Ok(ListTurn::Wait);
        }
        gate.admit(fingerprint, lane, now)?;
        gate.listing = true;
        Ok(ListTurn::Fetch(Permit { accounts: self, account: account.clone() }))
    }

    /// Ends a fetch that [`Self::list_turn`] allowed, and returns who waits for it.
    pub fn listed(&self, account: &AccountSid, listed: Option<Listed>) -> Vec<ObjectKey> {
        let mut gates = self.locked();
        let Some(gate) = gates.get_mut(account) else { return Vec::new() };
        gate.listing = false;
        if listed.is_some() {
            gate.listed = listed;
        }
        std::mem::take(&mut gate.waiting)
    }

    /// The last list, if it began after `after`: for what decides nothing.
    pub fn latest(&self, account: &AccountSid, after: Moment) -> Option<Arc<AccountList>> {
        let gates = self.locked();
        let list = &gates.get(account)?.listed.as_ref()?.list;
        (list.started > after).then(|| Arc::clone(list))
    }

    /// Drops the list: something changed since that a resource to come must not miss.
    pub fn unlist(&self, account: &AccountSid) {
        if let Some(gate) = self.locked().get_mut(account) {
            gate.listed = None;
        }
    }

    /// Notes that Twilio does not know this SID. SIDs are not given out again.
    pub fn gone(&self, account: &AccountSid, sid: &PhoneNumberSid, now: Moment) {
        if let Some(gate) = self.locked().get_mut(account) {
            gate.gone.retain(|_, at| now.since(*at) < GONE);
            gate.gone.insert(sid.clone(), now);
        }
    }

    /// Whether that was noted lately.
    pub fn is_gone(&self, account: &AccountSid, sid: &PhoneNumberSid, now: Moment) -> bool {
        let gates = self.locked();
        gates.get(account).and_then(|gate| gate.gone.get(sid)).is_some_and(|at| now.since(*at) < GONE)
    }

    /// The prices of a country, if these credentials read them in a reading that began after `after`.
    pub fn prices(
        &self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        country: &CountryCode,
        after: Moment,
    ) -> Option<(NumberPrices, Moment)> {
        let gates = self.locked();
        let known = gates.get(account)?.prices.get(&(*fingerprint, country.clone()));
        known.filter(|(_, at)| *at > after).cloned()
    }

    /// Keeps prices that were read, for others; `at`: when the reading began.
    pub fn priced(
        &self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        country: &CountryCode,
        (prices, at): (NumberPrices, Moment),
    ) {
        let mut gates = self.locked();
        let Some(gate) = gates.get_mut(account) else { return };
        gate.prices.retain(|_, (_, read)| price::is_kept(*read, at));
        gate.prices.insert((*fingerprint, country.clone()), (prices, at));
    }

    /// Takes note of how a call ended; returns until when the account is not called, if the answer closes the gate.
    pub fn note(
        &self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        result: Result<(), &Trouble>,
        now: Moment,
    ) -> Option<Moment> {
        let mut gates = self.locked();
        let gate = gates.get_mut(account)?;
        match result {
            Ok(()) => {
                gate.circuits.remove(fingerprint);
                gate.accepted.retain(|_, at| now.since(*at) < ACCEPTED);
                gate.accepted.insert(*fingerprint, now);
                None
            }
            Err(trouble)
                if trouble.meaning == Meaning::Credentials
                    && !trouble.lacks_a_right()
                    && matches!(trouble.class, Class::CredentialsRejected | Class::AccountSuspended) =>
            {
                gate.accepted.remove(fingerprint);
                // Credentials that nobody has used for long were replaced: their trace may go.
                gate.circuits.retain(|_, c| now.since(c.until) < PROBE.1);
                let failures = gate.circuits.get(fingerprint).map_or(0, |c| c.failures + 1);
                let pause = PROBE.0.saturating_mul(1_u32.checked_shl(failures.min(8)).unwrap_or(u32::MAX)).min(PROBE.1);
                let until = now.after(pause);
                gate.circuits.insert(*fingerprint, Circuit { trouble: trouble.clone(), until, failures });
                Some(until)
            }
            Err(trouble) if trouble.meaning == Meaning::Throttled => {
                let until = now.after(trouble.retry_after.unwrap_or(Duration::from_secs(1)).min(PROBE.0));
                gate.paused = Some((trouble.clone(), until));
                Some(until)
            }
            Err(_) => None,
        }
    }
}

impl Gate {
    fn admit(&mut self, fingerprint: &[u8; 32], lane: Lane, now: Moment) -> Result<(), Closed> {
        if let Some(circuit) = self.circuits.get(fingerprint).filter(|c| c.until > now) {
            return Err(Closed::Troubled(circuit.trouble.clone(), circuit.until));
        }
        if let Some((trouble, until)) = self.paused.as_ref().filter(|(_, until)| *until > now) {
            return Err(Closed::Troubled(trouble.clone(), *until));
        }
        self.tokens = (self.tokens + now.since(self.refilled).as_secs_f64() * RATE).min(BURST);
        self.refilled = now;
        let (places, reserve) = match lane {
            Lane::Change => (CONCURRENCY, 1.0),
            Lane::Periodic => (CONCURRENCY / 2, BURST / 2.0),
        };
        if self.under_way >= places {
            return Err(Closed::Full(now.after(FULL)));
        }
        if self.tokens < reserve {
            let missing = (reserve - self.tokens) / RATE;
            return Err(Closed::Full(now.after(Duration::from_secs_f64(missing).max(FULL))));
        }
        self.tokens -= 1.0;
        self.under_way += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    fn account() -> AccountSid {
        AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap()
    }
    fn at(second: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(second))
    }
    fn trouble(meaning: Meaning, class: Class, retry_after: Option<Duration>) -> Trouble {
        Trouble {
            operation: "ListIncomingPhoneNumber",
            meaning,
            class,
            http_status: None,
            code: None,
            detail: String::new(),
            remedy: String::new(),
            retry_after,
            request_id: None,
        }
    }

    #[test]
    fn periodic_checks_leave_half_of_the_gate_to_changes() {
        let accounts = Accounts::default();
        let periodic: Vec<_> =
            std::iter::from_fn(|| accounts.admit(&account(), &A, Lane::Periodic, at(1)).ok()).take(100).collect();
        assert_eq!(periodic.len(), CONCURRENCY / 2);
        let changes: Vec<_> =
            std::iter::from_fn(|| accounts.admit(&account(), &A, Lane::Change, at(1)).ok()).take(100).collect();
        assert_eq!(changes.len(), CONCURRENCY - CONCURRENCY / 2);
        drop(periodic);
        assert!(accounts.admit(&account(), &A, Lane::Change, at(1)).is_ok());
    }

    #[test]
    fn credentials_that_lack_one_right_may_do_the_rest() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        let lacks = |operation| {
            let rejected = trouble(Meaning::Credentials, Class::CredentialsRejected, None);
            Trouble { operation, http_status: Some(403), ..rejected }
        };
        assert_eq!(accounts.note(&account(), &A, Err(&lacks("CreateIncomingPhoneNumber")), at(1)), None);
        assert!(accounts.admit(&account(), &A, Lane::Change, at(2)).is_ok());
        // Whoever may not look at the account's numbers can do nothing.
        assert!(accounts.note(&account(), &A, Err(&lacks("ListIncomingPhoneNumber")), at(3)).is_some());
        assert!(accounts.admit(&account(), &A, Lane::Change, at(4)).is_err());
    }

    #[test]
    fn what_is_gone_is_remembered_for_an_hour() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        let sid = PhoneNumberSid::parse(&format!("PN{}", "0".repeat(32))).unwrap();
        assert!(!accounts.is_gone(&account(), &sid, at(1)));
        accounts.gone(&account(), &sid, at(1));
        assert!(accounts.is_gone(&account(), &sid, at(3600)) && !accounts.is_gone(&account(), &sid, at(3601)));
    }

    #[test]
    fn a_list_that_was_dropped_serves_nobody() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        accounts.note(&account(), &A, Ok(()), at(2));
        let list = Arc::new(AccountList::new(account(), at(2), Vec::new()));
        accounts.listed(&account(), Some(Listed { list, lacks: [].into() }));
        let key = ObjectKey { namespace: "ns".into(), name: "a".into() };
        let ready =
            || matches!(accounts.list_turn(&account(), &A, at(1), Lane::Change, &key, at(3)), Ok(ListTurn::Ready(_)));
        assert!(ready());
        accounts.unlist(&account());
        assert!(!ready());
    }

    #[test]
    fn the_rate_is_bounded_and_refills() {
        let accounts = Accounts::default();
        let burst = std::iter::from_fn(|| accounts.admit(&account(), &A, Lane::Change, at(1)).ok().map(drop))
            .take(1000)
            .count();
        assert_eq!(burst, 50);
        let Err(Closed::Full(until)) = accounts.admit(&account(), &A, Lane::Change, at(1)) else {
            panic!("should be full")
        };
        assert!(until > at(1));
        assert!(accounts.admit(&account(), &A, Lane::Change, at(2)).is_ok());
    }

    #[test]
    fn rejected_credentials_are_kept_out_and_rotated_ones_are_not() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        let rejected = trouble(Meaning::Credentials, Class::CredentialsRejected, None);
        let until = accounts.note(&account(), &A, Err(&rejected), at(1)).unwrap();
        assert_eq!(until, at(901));
        assert!(matches!(accounts.admit(&account(), &A, Lane::Change, at(2)), Err(Closed::Troubled(..))));
        assert!(accounts.admit(&account(), &B, Lane::Change, at(2)).is_ok());
        assert!(accounts.admit(&account(), &A, Lane::Change, at(901)).is_ok(), "the slow probe");
        assert_eq!(accounts.note(&account(), &A, Err(&rejected), at(901)).unwrap(), at(901 + 1800), "slower each time");
        assert_eq!(accounts.note(&account(), &B, Ok(()), at(902)), None);
        assert!(
            accounts.admit(&account(), &A, Lane::Change, at(903)).is_err(),
            "another Secret's success says nothing of these"
        );
        assert_eq!(accounts.note(&account(), &A, Ok(()), at(2701)), None);
        assert!(accounts.admit(&account(), &A, Lane::Change, at(2702)).is_ok());
    }

    #[test]
    fn retry_after_is_honoured() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        let throttled = trouble(Meaning::Throttled, Class::RateLimited, Some(Duration::from_secs(7)));
        assert_eq!(accounts.note(&account(), &A, Err(&throttled), at(1)), Some(at(8)));
        assert!(accounts.admit(&account(), &B, Lane::Change, at(7)).is_err(), "it is the account that is throttled");
        assert!(accounts.admit(&account(), &A, Lane::Change, at(8)).is_ok());
    }

    #[test]
    fn prices_are_kept_for_a_day_for_the_credentials_that_read_them() {
        let accounts = Accounts::default();
        drop(accounts.admit(&account(), &A, Lane::Change, at(1)));
        let country = |code: &str| CountryCode::parse(code).unwrap();
        let prices = NumberPrices::new(crate::domain::Currency::parse("USD").unwrap(), Vec::new());
        accounts.priced(&account(), &A, &country("CA"), (prices.clone(), at(10)));
        let known = |who: &[u8; 32], code: &str, after| accounts.prices(&account(), who, &country(code), at(after));
        assert_eq!(known(&A, "CA", 9), Some((prices.clone(), at(10))));
        assert_eq!(known(&A, "CA", 10), None, "it must begin after, not with");
        assert_eq!(known(&A, "US", 9), None);
        assert_eq!(known(&B, "CA", 9), None, "another Secret reads for itself");
        accounts.priced(&account(), &B, &country("US"), (prices, at(10 + 24 * 3600)));
        assert_eq!(known(&A, "CA", 0), None, "nothing is kept for longer than it may be used");
    }

    #[test]
    fn one_list_serves_all_who_may_use_it() {
        let accounts = Accounts::default();
        let key = |name: &str| ObjectKey { namespace: "ns".into(), name: name.into() };
        let turn = |who: &str, after, now| {
            accounts.list_turn(&account(), &A, at(after), Lane::Change, &key(who), at(now)).unwrap()
        };
        let permit = turn("a", 1, 2);
        assert!(matches!(permit, ListTurn::Fetch(_)));
        assert!(matches!(turn("b", 1, 2), ListTurn::Wait));
        let list = Arc::new(AccountList::new(account(), at(2), Vec::new()));
        drop(permit);
        assert_eq!(accounts.note(&account(), &A, Ok(()), at(2)), None);
        assert_eq!(accounts.listed(&account(), Some(Listed { list, lacks: Arc::new([]) })), vec![key("b")]);
        assert!(matches!(turn("b", 1, 3), ListTurn::Ready(_)));
        assert!(matches!(turn("c", 2, 3), ListTurn::Fetch(_)), "it must begin after, not with");
    }

    /// A list tells nothing of credentials that did not read it: they may have been revoked, or never been right.
    #[test]
    fn a_list_is_for_credentials_that_were_accepted_since() {
        let accounts = Accounts::default();
        let key = |name: &str| ObjectKey { namespace: "ns".into(), name: name.into() };
        let turn = |who: &str, with, after, now| {
            accounts.list_turn(&account(), with, at(after), Lane::Change, &key(who), at(now))
        };
        let fetch = |who: &str, with, after, now| {
            let turn = turn(who, with, after, now).unwrap();
            assert!(matches!(turn, ListTurn::Fetch(_)), "{who} at {now}: {turn:?}");
            drop(turn);
            let list = Arc::new(AccountList::new(account(), at(now), Vec::new()));
            accounts.note(&account(), with, Ok(()), at(now));
            accounts.listed(&account(), Some(Listed { list, lacks: Arc::new([]) }));
        };
        fetch("a", &A, 1, 10);
        fetch("b", &B, 1, 11);
        assert!(matches!(turn("a", &A, 1, 12), Ok(ListTurn::Ready(_))), "one that B fetched");
        assert!(matches!(turn("b", &B, 1, 12), Ok(ListTurn::Ready(_))));
        fetch("b", &B, 12, 100);
        fetch("a", &A, 12, 101);
        let rejected = trouble(Meaning::Credentials, Class::CredentialsRejected, None);
        accounts.note(&account(), &A, Err(&rejected), at(102));
        assert!(matches!(turn("a", &A, 12, 103), Err(Closed::Troubled(..))), "rejected since");
        assert!(matches!(turn("b", &B, 12, 103), Ok(ListTurn::Ready(_))));
    }
}
