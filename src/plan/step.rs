//! Everything that the operator can do, one step at a time. Each step is complete: no choice is left to whoever does it.

use std::time::Duration;

use crate::domain::{
    BundleSid, CountryCode, E164, Field, MessagingServiceSid, Moment, Now, NumberType, PhoneNumberSid, Purchase, Search,
};

use super::{Claim, Held, Membership, Situation};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Do this, then decide again.
    Act {
        /// What to do.
        step: Step,
        /// Where the resource stands meanwhile; a step that writes status writes this.
        situation: Situation,
    },
    /// Nothing to do until then; whatever happens by itself may be awaited.
    Rest {
        /// When to look again.
        until: Moment,
        /// Where the resource stands; `None`: as it says already.
        situation: Option<Situation>,
    },
    /// Nothing will change until a person acts; a slow look is taken all the same.
    Blocked {
        /// When to look again.
        probe: Moment,
        /// Where the resource stands.
        situation: Situation,
    },
    /// Nothing to do, ever: the resource is let go.
    Done,
}

impl Plan {
    pub(super) fn act(step: Step, situation: Situation) -> Self {
        Self::Act { step, situation }
    }

    pub(super) fn rest(until: Moment, situation: Situation) -> Self {
        Self::Rest { until, situation: Some(situation) }
    }

    pub(super) fn blocked(now: Now, after: Duration, situation: Situation) -> Self {
        Self::Blocked { probe: now.boot.after(after), situation }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Put our finalizer on.
    AddFinalizer,
    /// Read the Secret.
    ReadSecret,
    /// List the account's numbers, all of them, in a list that began after this moment.
    List {
        /// Only a list that began later will do.
        after: Moment,
        /// Whether this is only a periodic check, which must not delay a person's change.
        periodic: bool,
    },
    /// Read one number.
    GetNumber {
        /// Which.
        sid: PhoneNumberSid,
        /// Whether this is only a periodic check.
        periodic: bool,
    },
    /// Search for numbers on offer.
    Search {
        /// Which of the wish's searches.
        index: usize,
        /// The search.
        search: Search,
    },
    /// Look whether this very number is on offer as this search describes it.
    FindOffer {
        /// The number.
        number: E164,
        /// Country and kind, and the number as the pattern.
        search: Search,
    },
    /// Read what numbers of a country cost this account, in a reading that began after this moment.
    ReadPrices {
        /// The country.
        country: CountryCode,
        /// Only a reading that began later will do.
        after: Moment,
    },
    /// Read what messages of a country's numbers cost this account, to show it.
    ReadMessagePrices {
        /// The country.
        country: CountryCode,
    },
    /// Read what is asked for before such numbers are sold, and what the account has for it.
    ReadPapers {
        /// The country.
        country: CountryCode,
        /// The kind of number.
        kind: NumberType,
        /// The bundle that the spec names.
        bundle: Option<BundleSid>,
    },
    /// Note which numbers other resources claim, as the watch last told it.
    NoteClaims,
    /// Read, uncached, which other resources claim this number.
    LookAtRivals {
        /// The number.
        number: E164,
    },
    /// Read, uncached, which resources exist: whether a tag's owner is gone.
    LookAtOwners,
    /// Write status: this claim and this number, with the situation's conditions.
    Save {
        /// The claim.
        claim: Option<Claim>,
        /// The number.
        held: Option<Held>,
        /// What to tell.
        note: Option<Note>,
    },
    /// Write the ledger, then the claim with one more attempt: the permission to send once.
    Stamp {
        /// The claim as it will stand.
        claim: Claim,
        /// What will be sent.
        post: Post,
    },
    /// Send what was stamped. Possible only with the permission that the stamp gave.
    Post(Post),
    /// Bring a held number to what is wanted.
    Update {
        /// Which number.
        sid: PhoneNumberSid,
        /// What to set.
        fields: Vec<(Field, String)>,
        /// Whether somebody else changed it (and not the spec).
        drift: bool,
    },
    /// Read a Messaging Service.
    ReadService {
        /// Which.
        service: MessagingServiceSid,
    },
    /// Write status: the Messaging Service that the number is in, or is about to be put into.
    SaveMembership {
        /// Which.
        membership: Option<Membership>,
        /// What to tell.
        note: Option<Note>,
        /// Whether it is put back after somebody took it out.
        repair: bool,
    },
    /// Read whether the number is in a Messaging Service, of that very service.
    ReadMembership {
        /// Of which.
        service: MessagingServiceSid,
        /// Which number.
        sid: PhoneNumberSid,
    },
    /// Put a held number into a Messaging Service.
    Join {
        /// Into which.
        service: MessagingServiceSid,
        /// Which number.
        sid: PhoneNumberSid,
    },
    /// Take a held number out of a Messaging Service.
    Leave {
        /// Out of which.
        service: MessagingServiceSid,
        /// Which number.
        sid: PhoneNumberSid,
    },
    /// Read from discovery whether the CRD itself is going away.
    ReadDiscovery,
    /// Read the ledger's stamps of this resource.
    ReadLedger,
    /// Write the claim with one more release stamped: the permission to send one DELETE.
    StampRelease {
        /// The claim as it will stand.
        claim: Claim,
    },
    /// Give the number back. Possible only with the permission that the stamp gave.
    Release {
        /// Which number.
        sid: PhoneNumberSid,
        /// The number, for the record.
        number: E164,
    },
    /// Take our finalizer off.
    RemoveFinalizer {
        /// What to tell.
        note: Option<Note>,
    },
}

impl Step {
    /// Its name, for log lines: what it carries may hold a webhook's query.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddFinalizer => "AddFinalizer",
            Self::ReadSecret => "ReadSecret",
            Self::List { .. } => "List",
            Self::GetNumber { .. } => "GetNumber",
            Self::Search { .. } => "Search",
            Self::FindOffer { .. } => "FindOffer",
            Self::ReadPrices { .. } => "ReadPrices",
            Self::ReadMessagePrices { .. } => "ReadMessagePrices",
            Self::ReadPapers { .. } => "ReadPapers",
            Self::NoteClaims => "NoteClaims",
            Self::LookAtRivals { .. } => "LookAtRivals",
            Self::LookAtOwners => "LookAtOwners",
            Self::Save { .. } => "Save",
            Self::Stamp { .. } => "Stamp",
            Self::Post(Post::Buy(_)) => "Buy",
            Self::Post(Post::Adopt { .. }) => "Adopt",
            Self::Update { .. } => "Update",
            Self::ReadService { .. } => "ReadService",
            Self::SaveMembership { .. } => "SaveMembership",
            Self::ReadMembership { .. } => "ReadMembership",
            Self::Join { .. } => "Join",
            Self::Leave { .. } => "Leave",
            Self::ReadDiscovery => "ReadDiscovery",
            Self::ReadLedger => "ReadLedger",
            Self::StampRelease { .. } => "StampRelease",
            Self::Release { .. } => "Release",
            Self::RemoveFinalizer { .. } => "RemoveFinalizer",
        }
    }
}

/// What is sent after a stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// Buy this exact number.
    Buy(Purchase),
    /// Take over a number that the account holds: mark and wire it by its SID.
    Adopt {
        /// Which number.
        sid: PhoneNumberSid,
        /// What to set.
        fields: Vec<(Field, String)>,
    },
}

/// An event for people: something that cost money, ended something, or needs a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// The event's reason, for tools.
    pub reason: &'static str,
    /// What was done, in one word.
    pub action: &'static str,
    /// What happened.
    pub text: String,
}

impl Note {
    pub(super) fn normal(reason: &'static str, action: &'static str, text: impl Into<String>) -> Self {
        Self { warning: false, reason, action, text: text.into() }
    }

    pub(super) fn warning(reason: &'static str, action: &'static str, text: impl Into<String>) -> Self {
        Self { warning: true, reason, action, text: text.into() }
    }
}
