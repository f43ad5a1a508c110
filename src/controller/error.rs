//! What can go wrong between the operator and the API server.

/// A pass that could not be finished. Trouble at Twilio is not among these: it is part of the decision.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote the object since it was read: read again, decide again.
    #[error("the object changed while {0}")]
    Conflict(&'static str),
    /// The object is gone.
    #[error("the object is gone")]
    Gone,
    /// The API server refused or could not be reached.
    #[error("{doing}: {source}")]
    Api {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time: the write may or may not have taken effect.
    #[error("the API server did not answer in time while {0}")]
    TimedOut(&'static str),
    /// The ledger cannot be read or written; nothing is sent without it.
    #[error("ledger: {0}")]
    Ledger(String),
    /// The operator contradicts itself.
    #[error("bug: {0}")]
    Bug(String),
}

impl Error {
    /// A bounded word for metrics and logs.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Gone => "gone",
            Self::Api { .. } => "api",
            Self::TimedOut(_) => "timeout",
            Self::Ledger(_) => "ledger",
            Self::Bug(_) => "bug",
        }
    }
}

/// How long the API server may take for one call. kube's own client would wait for ever.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// Whether a 404 is about an object. A path that is not served, for a moment or for good, says nothing about what is stored there:
/// `the server could not find the requested resource`, `404 page not found`.
fn names_an_object(message: &str) -> bool {
    message.ends_with("\" not found")
}

/// Awaits one call of the API server, bounded in time, its failures sorted.
pub async fn call<T>(doing: &'static str, call: impl Future<Output = kube::Result<T>> + Send) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Err(_) => Err(Error::TimedOut(doing)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Error::Conflict(doing)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 && names_an_object(&status.message) => Err(Error::Gone),
        Ok(Err(source)) => Err(Error::Api { doing, source: Box::new(source) }),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    async fn refused(code: u16, message: &str) -> Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        call("reading", async { Err::<(), _>(kube::Error::Api(Box::new(status))) }).await.unwrap_err()
    }

    #[tokio::test]
    async fn only_an_object_is_gone() {
        let gone = "clinicphonenumbers.telephony.chiroflow.io \"reception\" not found";
        assert!(matches!(refused(404, gone).await, Error::Gone));
        // A path that is not served, as long as the API server starts or the CRD is missing.
        for message in ["the server could not find the requested resource", "404 page not found", ""] {
            assert!(matches!(refused(404, message).await, Error::Api { .. }), "{message}");
        }
    }

    #[tokio::test]
    async fn a_conflict_is_told_from_other_refusals() {
        assert!(matches!(refused(409, "").await, Error::Conflict(_)));
        assert!(matches!(refused(403, "").await, Error::Api { .. }));
    }
}
