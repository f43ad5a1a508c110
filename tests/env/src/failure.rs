//! Why a command could not do what it should.

/// What ended a command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something of the environment.
    #[error(transparent)]
    Environment(#[from] cpn_env::Error),

    /// Something that the person at the keyboard can mend, in a sentence.
    #[error("{0}")]
    Told(String),

    /// Something did not become true in time.
    #[error("expected {expected}\n    found    {found}")]
    Wrong {
        /// What was waited for.
        expected: String,
        /// What was there instead at the end.
        found: String,
    },

    /// The statements were told to be wrong already.
    #[error("not everything is as it should be")]
    Statements,
}

impl Failure {
    /// A closure for `map_err` that says what was attempted.
    pub fn doing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Environment(cpn_env::Error::Io { doing: what.into(), source })
    }
}
