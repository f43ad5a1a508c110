//! The rules of the purchase protocol, by name (docs/money-safety.md).
//!
//! `holds(Rule::…)` stands where a rule is kept. In the product that is the constant `true`. Tests take out one rule at a time
//! and have to see what it prevents: a rule whose absence nothing notices is either not needed or not tested.

/// A rule. Each says what is kept; the page above says what happens without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The finalizer is put on before anything else.
    FinalizerFirst,
    /// Nothing is done for a claim or a number with another account's credentials.
    AccountLock,
    /// A number of the account with the resource's tag is recorded, and nothing is bought.
    OwnTagFirst,
    /// A number that the account holds without the resource's tag is not the resource's: no purchase is sent for it.
    HeldIsNotOurs,
    /// A number is taken over as `adoptionPolicy` says and not otherwise.
    AdoptAsAsked,
    /// A claim is announced before others' claims are looked at.
    AnnounceThenLook,
    /// Of two that announced the same number one withdraws, and always the same one.
    OneYields,
    /// A claim for which something was sent never yields to another resource's.
    SentNeverYields,
    /// Status is written by compare-and-swap.
    CompareAndSwap,
    /// Every attempt is in the ledger.
    Ledger,
    /// Every attempt is stamped into the claim before it is sent.
    StampBeforeSend,
    /// What was stamped is sent soon or not at all.
    SendFence,
    /// Nothing is decided before what was sent has either taken effect or never will.
    SettleWindow,
    /// The window runs from this process's own first sight of the stamp, on its boot clock.
    WindowByOwnSight,
    /// A list that decides that a number was not bought began after the window.
    FreshLookUp,
    /// A list that lacks another recorded number of the account proves nothing.
    IncompleteList,
    /// An answer that does not settle anything is never taken for a refusal.
    AmbiguousIsNoRefusal,
    /// A refusal ends a claim at once only if no attempt is unanswered.
    RefusalOfEveryAttempt,
    /// As long as an attempt may have succeeded, it is the same number that is tried again.
    SameNumberAgain,
    /// An exact number that is refused is never followed by another one.
    ExactIsExact,
    /// Suspending or editing a resource stops new attempts.
    WishStopsAttempts,
    /// A claim of another installation id is left alone.
    ClaimsOwnTag,
    /// At most so many purchases an hour.
    Fuse,
    /// A number that costs more than the limit is not bought.
    PriceLimit,
    /// With `purchasePolicy: Manual` a person chooses.
    PersonChooses,
    /// A number that carries somebody else's tag is not written to.
    ForeignTagUntouched,
    /// A field that somebody else keeps changing back is left to a person.
    ContestEnds,
    /// A lost number is never replaced without a person's word.
    LostIsNotReplaced,
    /// A word that came before the loss does not count.
    WordAfterLoss,
    /// A number whose mark says that it was adopted is recorded as adopted.
    AdoptedStaysAdopted,
    /// Something that was sent may still take effect: the resource is not let go before that is over.
    LetGoAfterWindow,
    /// A release needs the number, repeated.
    ReleaseConfirmed,
    /// A number that was adopted is never released.
    ReleaseBoughtOnly,
    /// A number that does not carry the resource's tag is not released.
    ReleaseOwnTag,
    /// A release is stamped before it is sent.
    StampBeforeRelease,
    /// After a stamped release a change to `Retain` looks at Twilio before it says that the number is kept.
    RetainLooks,
    /// Nothing is released while the CustomResourceDefinition is going away.
    CrdStays,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 37] = [
        Self::FinalizerFirst,
        Self::AccountLock,
        Self::OwnTagFirst,
        Self::HeldIsNotOurs,
        Self::AdoptAsAsked,
        Self::AnnounceThenLook,
        Self::OneYields,
        Self::SentNeverYields,
        Self::CompareAndSwap,
        Self::Ledger,
        Self::StampBeforeSend,
        Self::SendFence,
        Self::SettleWindow,
        Self::WindowByOwnSight,
        Self::FreshLookUp,
        Self::IncompleteList,
        Self::AmbiguousIsNoRefusal,
        Self::RefusalOfEveryAttempt,
        Self::SameNumberAgain,
        Self::ExactIsExact,
        Self::WishStopsAttempts,
        Self::ClaimsOwnTag,
        Self::Fuse,
        Self::PriceLimit,
        Self::PersonChooses,
        Self::ForeignTagUntouched,
        Self::ContestEnds,
        Self::LostIsNotReplaced,
        Self::WordAfterLoss,
        Self::AdoptedStaysAdopted,
        Self::LetGoAfterWindow,
        Self::ReleaseConfirmed,
        Self::ReleaseBoughtOnly,
        Self::ReleaseOwnTag,
        Self::StampBeforeRelease,
        Self::RetainLooks,
        Self::CrdStays,
    ];

    /// Its name in docs/money-safety.md.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FinalizerFirst => "finalizer-first",
            Self::AccountLock => "account-in-claim",
            Self::OwnTagFirst => "record-before-stamp",
            Self::HeldIsNotOurs => "held-is-not-bought",
            Self::AdoptAsAsked => "adopt-as-asked",
            Self::AnnounceThenLook => "announce-before-look",
            Self::OneYields => "only-one-yields",
            Self::SentNeverYields => "yield-before-first-attempt",
            Self::CompareAndSwap => "compare-and-swap",
            Self::Ledger => "ledger",
            Self::StampBeforeSend => "stamp-before-send",
            Self::SendFence => "send-fence",
            Self::SettleWindow => "settle-window",
            Self::WindowByOwnSight => "own-first-sight",
            Self::FreshLookUp => "fresh-absence",
            Self::IncompleteList => "incomplete-list",
            Self::AmbiguousIsNoRefusal => "doubt-is-no-refusal",
            Self::RefusalOfEveryAttempt => "no-clear-while-unanswered",
            Self::SameNumberAgain => "same-number-again",
            Self::ExactIsExact => "exact-stays-exact",
            Self::WishStopsAttempts => "resolve-despite-edits",
            Self::ClaimsOwnTag => "own-installation",
            Self::Fuse => "purchase-fuse",
            Self::PriceLimit => "price-limit",
            Self::PersonChooses => "person-chooses",
            Self::ForeignTagUntouched => "foreign-tag",
            Self::ContestEnds => "contest-ends",
            Self::LostIsNotReplaced => "lost-needs-a-word",
            Self::WordAfterLoss => "word-after-loss",
            Self::AdoptedStaysAdopted => "adopted-in-the-mark",
            Self::LetGoAfterWindow => "release-after-the-window",
            Self::ReleaseConfirmed => "release-asked-twice",
            Self::ReleaseBoughtOnly => "release-bought-only",
            Self::ReleaseOwnTag => "release-own-tag",
            Self::StampBeforeRelease => "release-stamped",
            Self::RetainLooks => "retain-looks",
            Self::CrdStays => "crd-stays",
        }
    }
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
