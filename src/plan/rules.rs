//! The rules of the purchase protocol, by name (docs/money-safety.md).
//!
//! `holds(Rule::…)` stands where a rule is kept. In the product that is the constant `true`. Tests take out one rule at a time
//! and have to see what it prevents: a rule whose absence nothing notices is either not needed or not tested.

/// Writes the rules once: what each says, what it is called here, and in docs/money-safety.md.
macro_rules! rules {
    ($($(#[$says:meta])+ $rule:ident = $name:literal,)+) => {
        /// A rule. Each says what is kept; the page says what happens without it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$says])+ $rule,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// Its name in docs/money-safety.md.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }
        }
    };
}

rules! {
    /// The finalizer is put on before anything else.
    FinalizerFirst = "finalizer-first",
    /// Nothing is done for a claim or a number with another account's credentials.
    AccountLock = "account-in-claim",
    /// A number of the account with the resource's tag is recorded, and nothing is bought.
    OwnTagFirst = "record-before-stamp",
    /// A number that the account holds without the resource's tag is not the resource's: no purchase is sent for it.
    HeldIsNotOurs = "held-is-not-bought",
    /// A number is taken over as `adoptionPolicy` says and not otherwise.
    AdoptAsAsked = "adopt-as-asked",
    /// A claim is announced before others' claims are looked at.
    AnnounceThenLook = "announce-before-look",
    /// Between stamp and taking over, the number is looked at once more.
    AdoptionLooks = "look-before-taking-over",
    /// Of two that announced the same number one withdraws, and always the same one.
    OneYields = "only-one-yields",
    /// A claim for which something was sent never yields to another resource's.
    SentNeverYields = "yield-before-first-attempt",
    /// Status is written by compare-and-swap.
    CompareAndSwap = "compare-and-swap",
    /// Every attempt is in the ledger.
    Ledger = "ledger",
    /// Every attempt is stamped into the claim before it is sent.
    StampBeforeSend = "stamp-before-send",
    /// What was stamped is sent soon or not at all.
    SendFence = "send-fence",
    /// Nothing is decided before what was sent has either taken effect or never will.
    SettleWindow = "settle-window",
    /// The window runs from this process's own first sight of the stamp, on its boot clock.
    WindowByOwnSight = "own-first-sight",
    /// The first sight is of this very stamp, not of an earlier one with the same count.
    SightOfThisStamp = "sight-of-this-stamp",
    /// A list that decides that a number was not bought began after the window.
    FreshLookUp = "fresh-absence",
    /// A list that lacks another recorded number of the account proves nothing.
    IncompleteList = "incomplete-list",
    /// An answer that does not settle anything is never taken for a refusal.
    AmbiguousIsNoRefusal = "doubt-is-no-refusal",
    /// A refusal ends a claim at once only if no attempt is unanswered.
    RefusalOfEveryAttempt = "no-clear-while-unanswered",
    /// As long as an attempt may have succeeded, it is the same number that is tried again.
    SameNumberAgain = "same-number-again",
    /// An exact number that is refused is never followed by another one.
    ExactIsExact = "exact-stays-exact",
    /// Suspending or editing a resource stops new attempts.
    WishStopsAttempts = "resolve-despite-edits",
    /// A claim of another installation id is left alone.
    ClaimsOwnTag = "own-installation",
    /// At most so many purchases an hour.
    Fuse = "purchase-fuse",
    /// A number that costs more than the limit is not bought.
    PriceLimit = "price-limit",
    /// With `purchasePolicy: Manual` a person chooses.
    PersonChooses = "person-chooses",
    /// A number that carries somebody else's tag is not written to.
    ForeignTagUntouched = "foreign-tag",
    /// A field that somebody else keeps changing back is left to a person.
    ContestEnds = "contest-ends",
    /// A lost number is never replaced without a person's word.
    LostIsNotReplaced = "lost-needs-a-word",
    /// Only a fresh look brings a lost number back.
    FreshLookOfLost = "fresh-look-of-lost",
    /// A word that came before the loss does not count.
    WordAfterLoss = "word-after-loss",
    /// A number whose mark says that it was adopted is recorded as adopted.
    AdoptedStaysAdopted = "adopted-in-the-mark",
    /// Something that was sent may still take effect: the resource is not let go before that is over.
    LetGoAfterWindow = "release-after-the-window",
    /// A release needs the number, repeated.
    ReleaseConfirmed = "release-asked-twice",
    /// A number that was adopted is never released.
    ReleaseBoughtOnly = "release-bought-only",
    /// A number that does not carry the resource's tag is not released.
    ReleaseOwnTag = "release-own-tag",
    /// A release is stamped before it is sent.
    StampBeforeRelease = "release-stamped",
    /// After a stamped release a change to `Retain` looks at Twilio before it says that the number is kept.
    RetainLooks = "retain-looks",
    /// Nothing is released while the CustomResourceDefinition is going away.
    CrdStays = "crd-stays",
}

/// Whether a rule is kept: always.
#[cfg(not(test))]
#[inline]
pub const fn holds(_: Rule) -> bool {
    true
}

/// Whether a rule is kept: unless a test has taken it out.
#[cfg(test)]
pub fn holds(rule: Rule) -> bool {
    TAKEN_OUT.get() != Some(rule)
}

#[cfg(test)]
thread_local! {
    static TAKEN_OUT: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

/// Takes a rule out, on this thread, while `run` runs.
#[cfg(test)]
pub fn without<T>(rule: Option<Rule>, run: impl FnOnce() -> T) -> T {
    struct Back(Option<Rule>);
    impl Drop for Back {
        fn drop(&mut self) {
            TAKEN_OUT.set(self.0);
        }
    }
    let _back = Back(TAKEN_OUT.replace(rule));
    run()
}
