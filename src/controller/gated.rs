//! Calls that are nobody's pass: they wait for their turn at the account's gate, where changes go first.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::{AccountSid, Class, Meaning, Trouble};
use crate::twilio::Credentials;

use super::accounts::{Accounts, Closed, Lane, Permit};

/// So long a call waits for its turn at a gate. Whoever waits here is nobody's worker.
const PATIENCE: Duration = Duration::from_secs(120);

/// Operations that may be refused to good credentials: that is no reason to close the gate to them.
const BESIDE_THE_POINT: [&str; 9] = [
    "FetchAccount",
    "FetchPhoneNumberCountry",
    "FetchMessagingCountry",
    "ListUsageRecordThisMonth",
    "ListMessage",
    "ListService",
    "ListPhoneNumber",
    "ListUsAppToPerson",
    "ListTollfreeVerification",
];

/// The gates, and what it takes to wait at them.
pub(super) struct Gated<'a> {
    /// The gates.
    pub gates: &'a Accounts,
    /// The clocks.
    pub clock: &'a dyn Clock,
    /// Salt of credential fingerprints.
    pub salt: &'a [u8],
}

impl Gated<'_> {
    /// One call, when the gate lets it through; the gate is told how it ended.
    pub(super) async fn call<T>(
        &self,
        credentials: &Credentials,
        request: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, Trouble> {
        let (account, fingerprint) = (credentials.account(), credentials.fingerprint(self.salt));
        let permit = self.admitted(account, &fingerprint).await?;
        let result = request.await;
        drop(permit);
        let noted = result.as_ref().map(|_| ());
        let tells = |trouble: &&Trouble| {
            !BESIDE_THE_POINT.contains(&trouble.operation) || trouble.meaning == Meaning::Throttled
        };
        if noted.as_ref().err().is_none_or(tells) {
            self.gates.note(account, &fingerprint, noted, self.clock.now().boot);
        }
        result
    }

    async fn admitted(&self, account: &AccountSid, fingerprint: &[u8; 32]) -> Result<Permit<'_>, Trouble> {
        let patience = self.clock.now().boot.after(PATIENCE);
        loop {
            let now = self.clock.now().boot;
            let until = match self.gates.admit(account, fingerprint, Lane::Periodic, now) {
                Ok(permit) => return Ok(permit),
                Err(Closed::Full(until)) if until < patience => until,
                Err(Closed::Troubled(trouble, until)) if trouble.meaning == Meaning::Throttled && until < patience => {
                    until
                }
                Err(Closed::Full(_)) => return Err(busy()),
                Err(Closed::Troubled(trouble, _)) => return Err(trouble),
            };
            tokio::time::sleep(until.until(now)).await;
        }
    }
}

/// The gate had no place for so long.
fn busy() -> Trouble {
    Trouble {
        operation: "ListIncomingPhoneNumber",
        meaning: Meaning::NotSent,
        class: Class::RateLimited,
        http_status: None,
        code: None,
        detail: format!("changes kept the account busy for {PATIENCE:?}, and they go first"),
        remedy: String::new(),
        retry_after: None,
        request_id: None,
    }
}
