//! What the audit tells. The JSON keys are stable: docs/audit.md lists them.

use serde::Serialize;

use crate::domain::{AccountSid, E164, IncomingNumber, InstallationId, Mark, Money, OwnerTag, PhoneNumberSid};

use super::super::ObjectKey;
use super::price::{Cost, sums};
use super::{Obstacle, Record};

/// Everything that one audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The id of this installation.
    pub installation_id: String,
    /// Everything together.
    pub summary: Summary,
    /// One entry for each account, by SID.
    pub accounts: Vec<AccountReport>,
    /// Resources of which no account is known.
    pub unplaced: Vec<Unplaced>,
}

/// Everything together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Accounts that resources name or record.
    pub accounts: usize,
    /// Of those, accounts that were audited.
    pub audited: usize,
    /// Findings, unplaced resources among them.
    pub findings: usize,
    /// Numbers that cost rent and serve nobody.
    pub idle_numbers: usize,
    /// Of those, numbers whose price is not known.
    pub idle_unpriced: usize,
    /// What the others cost a month, one entry a currency.
    pub idle_monthly_cost: Vec<Cost>,
}

/// A resource of which no account is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unplaced {
    /// Which.
    pub resource: ResourceRef,
    /// Why.
    pub problem: String,
}

/// What was found in one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// The account.
    #[serde(rename = "accountSID")]
    pub account_sid: AccountSid,
    /// Whether its list was read.
    pub audited: bool,
    /// Whether the list has every number that it must have.
    pub list_complete: bool,
    /// How many numbers of each sort it holds.
    pub numbers: Counts,
    /// What costs rent and serves nobody.
    pub idle: Idle,
    /// What a person should look at.
    pub findings: Vec<Finding>,
    /// Numbers without any mark: bought by hand, or by something else. Nothing is wrong with them.
    pub untagged: Vec<NumberDetail>,
    /// Numbers with our mark of which it cannot be known whether a resource has them.
    pub unknown_owner: Vec<NumberDetail>,
}

/// How many numbers of each sort an account holds. Every number is counted once, besides in `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All.
    pub total: usize,
    /// Recorded by a resource.
    pub in_use: usize,
    /// Being found out, or to be found by the resource whose tag they carry.
    pub resolving: usize,
    /// With the tag of a resource that records another number.
    pub surplus: usize,
    /// With our mark and without a resource here.
    pub orphaned: usize,
    /// With our mark, of a resource in a namespace that is not served.
    pub not_served: usize,
    /// With our mark, and whether a resource has them cannot be known.
    pub unknown_owner: usize,
    /// With the mark of another installation.
    pub other_installations: usize,
    /// Without any mark.
    pub untagged: usize,
}

/// Numbers that cost rent and serve nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// How many.
    pub numbers: usize,
    /// Of those, numbers whose price is not known.
    pub unpriced: usize,
    /// What the others cost a month; empty when no price is known.
    #[serde(serialize_with = "as_costs")]
    pub monthly_cost: Vec<Money>,
}

fn as_costs<S: serde::Serializer>(money: &[Money], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(money.iter().map(Cost::from))
}

impl Idle {
    pub(super) fn of(prices: impl Iterator<Item = Option<Money>>) -> Self {
        let prices: Vec<_> = prices.collect();
        Self {
            numbers: prices.len(),
            unpriced: prices.iter().filter(|price| price.is_none()).count(),
            monthly_cost: sums(prices.iter().flatten()),
        }
    }

    /// Several together.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        Self {
            numbers: all.clone().map(|idle| idle.numbers).sum(),
            unpriced: all.clone().map(|idle| idle.unpriced).sum(),
            monthly_cost: sums(all.flat_map(|idle| &idle.monthly_cost)),
        }
    }
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known: Vec<_> = self.monthly_cost.iter().map(ToString::to_string).collect();
        match (self.numbers, self.unpriced) {
            (0, _) => f.write_str("none"),
            (_, 0) => f.write_str(&known.join(" and ")),
            (_, _) if known.is_empty() => f.write_str("unknown"),
            (_, n) => write!(f, "{} and {n} of unknown price", known.join(" and ")),
        }
    }
}

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum FindingKind {
    /// A number with our mark and no resource: it goes on costing rent.
    Orphan,
    /// Several numbers with one tag.
    DuplicateTag,
    /// A resource records a number that the account has no more.
    NumberGone,
    /// The list lacks recorded numbers that are not gone: nothing else that was found in it is certain.
    IncompleteList,
    /// The account could not be audited.
    NotAudited,
}

impl FindingKind {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Orphan, Self::DuplicateTag, Self::NumberGone, Self::IncompleteList, Self::NotAudited];

    /// The word for figures.
    pub fn label(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::DuplicateTag => "duplicate_tag",
            Self::NumberGone => "number_gone",
            Self::IncompleteList => "incomplete_list",
            Self::NotAudited => "not_audited",
        }
    }
}

/// One thing that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// `false` when it was found in a list that is known to have a hole.
    pub certain: bool,
    /// Why an account was not audited.
    pub obstacle: Option<Obstacle>,
    /// In words.
    pub message: String,
    /// The resource that it is about.
    pub resource: Option<ResourceRef>,
    /// The tag that it is about.
    pub tag: Option<OwnerTag>,
    /// The numbers that it is about.
    pub numbers: Vec<NumberDetail>,
}

/// Which resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl From<&ObjectKey> for ResourceRef {
    fn from(key: &ObjectKey) -> Self {
        Self { namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl std::fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A number, as far as a person needs it to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberDetail {
    /// The number, E.164.
    pub phone_number: E164,
    /// Twilio's SID of it.
    #[serde(rename = "phoneNumberSID")]
    pub phone_number_sid: PhoneNumberSid,
    /// The tag that it carries.
    pub tag: Option<OwnerTag>,
    /// Its label, without the mark. Empty for a number that is known from status alone.
    pub label: String,
    /// Since when the account has it, RFC 3339.
    pub since: Option<String>,
    /// What it costs a month; absent: not known.
    pub monthly_cost: Option<Cost>,
}

impl NumberDetail {
    pub(super) fn of(number: &IncomingNumber, price: Option<&Money>) -> Self {
        let mark = number.mark();
        let label = match &mark {
            Some(_) => number.friendly_name.split_once(']').map_or("", |(_, label)| label).trim(),
            None => number.friendly_name.as_str(),
        };
        Self {
            phone_number: number.phone_number.clone(),
            phone_number_sid: number.sid.clone(),
            tag: mark.map(|Mark { tag, .. }| tag),
            label: label.to_owned(),
            since: number.date_created.map(|at| at.to_string()),
            monthly_cost: price.map(Cost::from),
        }
    }

    pub(super) fn recorded(record: &Record) -> Self {
        Self {
            phone_number: record.number.clone(),
            phone_number_sid: record.sid.clone(),
            tag: None,
            label: String::new(),
            since: None,
            monthly_cost: None,
        }
    }
}

impl AccountReport {
    pub(super) fn new(account_sid: AccountSid, list_complete: bool, numbers: Counts, findings: Vec<Finding>) -> Self {
        Self {
            account_sid,
            audited: false,
            list_complete,
            numbers,
            idle: Idle::default(),
            findings,
            untagged: Vec::new(),
            unknown_owner: Vec::new(),
        }
    }

    /// How many findings of one kind.
    pub fn count(&self, kind: FindingKind) -> usize {
        self.findings.iter().filter(|finding| finding.kind == kind).count()
    }

    /// Whether Twilio could not be asked: nothing is known of the account, and asking again may help.
    pub fn unreachable(&self) -> bool {
        self.findings.iter().any(|finding| finding.obstacle == Some(Obstacle::Unreachable))
    }
}

impl Report {
    pub(super) fn new(installation: &InstallationId, accounts: Vec<AccountReport>, unplaced: Vec<Unplaced>) -> Self {
        let idle = Idle::sum(accounts.iter().map(|account| &account.idle));
        let summary = Summary {
            accounts: accounts.len(),
            audited: accounts.iter().filter(|account| account.audited).count(),
            findings: accounts.iter().map(|account| account.findings.len()).sum::<usize>() + unplaced.len(),
            idle_numbers: idle.numbers,
            idle_unpriced: idle.unpriced,
            idle_monthly_cost: idle.monthly_cost.iter().map(Cost::from).collect(),
        };
        Self { installation_id: installation.to_string(), summary, accounts, unplaced }
    }

    /// Whether Twilio could not be asked about some account.
    pub fn unreachable(&self) -> bool {
        self.accounts.iter().any(AccountReport::unreachable)
    }
}
