//! The audit: what each Twilio account holds, beside the resources that exist. It tells and does nothing.
//!
//! Pure, like the decision: lists, resources and prices come in as values and a [`Report`] goes out. Reading them is for
//! whoever asks. Resources are read twice, before the lists begin and after they end: a number is called an orphan only if
//! neither reading has its resource, and gone only if both record it.
//!
//! Rooms: `subject` (a resource, as far as the audit looks), `resources` (all of them), `sort` (what each number of a list is), `price` (what it costs),
//! `report` (what is told; its JSON keys are stable).

mod price;
mod report;
mod resources;
mod sort;
mod subject;

#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::{AccountSid, CountryCode, IncomingNumber, InstallationId, OwnerTag, PhoneNumberSid};

use super::ObjectKey;

pub use price::{Cost, Prices};
pub use report::{
    AccountReport, Counts, Finding, FindingKind, Idle, NumberDetail, Report, ResourceRef, Summary, Unplaced,
};
pub use resources::Resources;
pub use subject::{Record, Sent, Subject};

use sort::{Class, Sorted};

/// Whose tags are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// This installation.
    pub installation: InstallationId,
    /// The id that it had before.
    pub previous: Option<InstallationId>,
}

impl Ids {
    /// Every id whose tags are ours, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &InstallationId> {
        std::iter::once(&self.installation).chain(&self.previous)
    }
}

/// Resources of namespaces that are not served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Others {
    /// There are none: every namespace is served.
    #[default]
    None,
    /// Some namespaces are not served, and may not be looked into either: whether a tag is theirs cannot be known.
    Unknown,
    /// The tags of their resources.
    Known(HashSet<OwnerTag>),
}

/// Whether a number that a list lacks is there when it is asked for by its SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Twilio says that the account has no such number.
    Gone,
    /// It is there: the list has a hole.
    There,
}

/// One account's whole list, and what was asked besides.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The list.
    pub numbers: Vec<IncomingNumber>,
    /// Recorded numbers that it lacks and that were asked for one by one.
    pub lookups: HashMap<PhoneNumberSid, Lookup>,
    /// The account's prices, as far as they could be read.
    pub prices: Prices,
}

/// Why an account was not audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Obstacle {
    /// No Secret that a resource names has its credentials.
    NoCredentials,
    /// Twilio refuses them, or the account is suspended.
    CredentialsRefused,
    /// Twilio could not be asked. This says nothing about the account; audit again.
    Unreachable,
}

/// What came of the wish to list an account.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Its list.
    Listed(Listing),
    /// None, and why.
    Not(Obstacle, String),
}

/// Everything that the audit looks at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The resources that are served.
    pub resources: &'a Resources<'a>,
    /// Resources elsewhere.
    pub others: &'a Others,
    /// The account that each resource's Secret names now, or why it cannot be told.
    pub secrets: &'a BTreeMap<ObjectKey, Result<AccountSid, String>>,
    /// What was seen of each account.
    pub seen: &'a BTreeMap<AccountSid, Seen>,
}

/// So many numbers that a list lacks are worth asking for one by one. More are no accident of one person: then the list is
/// not believed, whatever else is said.
const LOOKUPS: usize = 5;

/// Compares.
pub fn compare(installation: &InstallationId, question: &Question<'_>) -> Report {
    let accounts = accounts(question);
    let accounts = accounts.into_iter().map(|account| match question.seen.get(&account) {
        Some(Seen::Listed(listing)) => audited(question, &account, listing),
        Some(Seen::Not(obstacle, why)) => not_audited(question, account, *obstacle, why),
        None => not_audited(
            question,
            account,
            Obstacle::NoCredentials,
            "no Secret that a resource names has its credentials",
        ),
    });
    Report::new(installation, accounts.collect(), unplaced(question))
}

/// The recorded numbers that a list lacks and that are to be asked for by their SIDs; empty when there are too many.
pub fn to_look_up(resources: &Resources<'_>, account: &AccountSid, numbers: &[IncomingNumber]) -> Vec<PhoneNumberSid> {
    let listed: HashSet<_> = numbers.iter().map(|n| &n.sid).collect();
    let records = resources.recorded_in(account).filter(|(s, _)| !s.deleting && !s.lost);
    let absent: BTreeSet<_> = records.map(|(_, r)| &r.sid).filter(|sid| !listed.contains(sid)).collect();
    if absent.len() > LOOKUPS { Vec::new() } else { absent.into_iter().cloned().collect() }
}

/// The countries whose prices are needed to say what is idle. A resource that comes meanwhile only makes them fewer; a Secret
/// that was not read yet may say that its resource lives elsewhere, and that what carries its tag here is idle too.
pub fn to_price(
    resources: &Resources<'_>,
    account: &AccountSid,
    numbers: &[IncomingNumber],
    secrets: &BTreeMap<ObjectKey, Result<AccountSid, String>>,
) -> BTreeSet<CountryCode> {
    let (others, seen) = (Others::None, BTreeMap::new());
    let question = Question { resources, others: &others, secrets, seen: &seen };
    let sorted = Sorted::new(&question, account, numbers);
    let unsettled = |number: &&IncomingNumber| {
        let owner = number.mark().and_then(|mark| resources.owner(&mark.tag));
        owner.is_some_and(|owner| owner.accounts().next().is_none() && !secrets.contains_key(&owner.key))
    };
    let open = sorted.of(|class| matches!(class, Class::Resolving)).filter(unsettled);
    sorted.idle().chain(open).flat_map(|number| number.phone_number.countries()).collect()
}

/// Every account that a Secret names now, or that a status records.
fn accounts(question: &Question<'_>) -> BTreeSet<AccountSid> {
    let recorded = question.resources.accounts().cloned();
    let named = question.secrets.values().filter_map(|named| named.as_ref().ok()).cloned();
    recorded.chain(named).chain(question.seen.keys().cloned()).collect()
}

/// Resources of which no account is known: nothing of theirs was audited.
fn unplaced(question: &Question<'_>) -> Vec<Unplaced> {
    let problems = question.secrets.iter().filter_map(|(key, named)| Some((key, named.as_ref().err()?)));
    problems
        .filter(|(key, _)| question.resources.now(key).is_some_and(|s| !s.deleting && s.accounts().next().is_none()))
        .map(|(key, problem)| Unplaced { resource: key.into(), problem: problem.clone() })
        .collect()
}

fn not_audited(question: &Question<'_>, account: AccountSid, obstacle: Obstacle, why: &str) -> AccountReport {
    let is_of_it = |s: &&Subject| {
        let named = question.secrets.get(&s.key).and_then(|n| n.as_ref().ok());
        s.accounts().chain(named).any(|a| *a == account)
    };
    let users: BTreeSet<_> = question.resources.all_now().filter(is_of_it).map(|s| s.key.to_string()).collect();
    let users = users.into_iter().collect::<Vec<_>>();
    let message = format!("not audited: {why}{}", some_of("; used by ", &users));
    let finding = Finding {
        kind: FindingKind::NotAudited,
        certain: true,
        obstacle: Some(obstacle),
        message,
        resource: None,
        tag: None,
        numbers: Vec::new(),
    };
    AccountReport::new(account, false, Counts::default(), vec![finding])
}

fn audited(question: &Question<'_>, account: &AccountSid, listing: &Listing) -> AccountReport {
    let sorted = Sorted::new(question, account, &listing.numbers);
    let detail = |number: &IncomingNumber| NumberDetail::of(number, listing.prices.of(number).as_ref());
    let mut findings = Vec::new();
    for (number, owner) in sorted.orphans() {
        let message = match owner {
            Some(owner) => {
                let uses = owner.account(question.secrets).map(ToString::to_string).unwrap_or_default();
                format!("its resource {} lives in account {uses}: this number serves nobody", owner.key)
            }
            None => "it carries this installation's mark and no resource has it".to_owned(),
        };
        findings.push(Finding {
            kind: FindingKind::Orphan,
            certain: true,
            obstacle: None,
            message,
            resource: owner.map(|owner| (&owner.key).into()),
            tag: number.mark().map(|mark| mark.tag),
            numbers: vec![detail(number)],
        });
    }
    findings.extend(sorted.groups().map(|group| {
        let (held, owner) = (group.recorded.map(|n| n.phone_number.to_string()), group.owner);
        let message = match (owner, held) {
            (Some(owner), Some(held)) => format!("{owner} holds {held}; the others carry its tag and serve nobody"),
            (Some(owner), None) => format!("{owner} holds none of them: which one is to serve, a person has to say"),
            (None, _) => "they carry one tag, and no resource has it".to_owned(),
        };
        Finding {
            kind: FindingKind::DuplicateTag,
            certain: true,
            obstacle: None,
            message,
            resource: owner.map(Into::into),
            tag: Some(group.tag.clone()),
            numbers: group.numbers.iter().map(|n| detail(n)).collect(),
        }
    }));
    let (gone, lacks) = absent(question, account, listing);
    for (subject, record) in gone {
        let elsewhere = listing.numbers.iter().find(|n| n.phone_number == record.number);
        let message = match elsewhere {
            Some(number) => {
                format!("{} records it under another SID: the account has it as {}", subject.key, number.sid)
            }
            None => format!("{} records it, and the account has it no more", subject.key),
        };
        findings.push(Finding {
            kind: FindingKind::NumberGone,
            certain: true,
            obstacle: None,
            message,
            resource: Some((&subject.key).into()),
            tag: subject.tags.first().cloned(),
            numbers: vec![NumberDetail::recorded(record)],
        });
    }
    let complete = lacks.is_empty();
    if !complete {
        for finding in &mut findings {
            finding.certain = false;
        }
        let names: Vec<_> = lacks.iter().map(|(s, r)| format!("{} of {}", r.number, s.key)).collect();
        findings.push(Finding {
            kind: FindingKind::IncompleteList,
            certain: true,
            obstacle: None,
            message: format!(
                "the list lacks numbers that resources record and that Twilio does not say are gone{}; audit again",
                some_of(": ", &names)
            ),
            resource: None,
            tag: None,
            numbers: lacks.iter().map(|(_, record)| NumberDetail::recorded(record)).collect(),
        });
    }
    let list = |wanted: fn(&Class<'_>) -> bool| sorted.of(wanted).map(|n| NumberDetail::of(n, None)).collect();
    let mut report = AccountReport::new(account.clone(), complete, sorted.counts(), findings);
    report.audited = true;
    report.idle = Idle::of(sorted.idle().map(|number| listing.prices.of(number)));
    report.untagged = list(|class| matches!(class, Class::Untagged));
    report.unknown_owner = list(|class| matches!(class, Class::UnknownOwner));
    report
}

type Recorded<'a> = (&'a Subject, &'a Record);

/// Recorded numbers that the list lacks: those that are gone, and those of which that is not proved.
///
/// Left out: what was recorded or given up while the account was read, and what is being deleted, whose number may be on its
/// way back to Twilio.
fn absent<'a>(
    question: &Question<'a>,
    account: &AccountSid,
    listing: &Listing,
) -> (Vec<Recorded<'a>>, Vec<Recorded<'a>>) {
    let listed: HashSet<_> = listing.numbers.iter().map(|n| &n.sid).collect();
    let stays = |s: &Subject| {
        question
            .resources
            .now(&s.key)
            .is_some_and(|n| n.uid == s.uid && n.record == s.record && !n.deleting && !s.deleting)
    };
    // Released and bought back by hand, tag and all: its resource finds it under the new SID.
    let found = |s: &Subject, record: &Record| {
        let again = listing.numbers.iter().filter(|n| n.phone_number == record.number);
        again.filter_map(IncomingNumber::mark).any(|mark| s.tags.contains(&mark.tag))
    };
    let absent = question
        .resources
        .recorded_in(account)
        .filter(|(s, record)| stays(s) && !listed.contains(&record.sid) && !found(s, record));
    // What the operator itself has called lost after repeated looks needs no further proof.
    absent.partition(|(s, record)| match listing.lookups.get(&record.sid) {
        Some(Lookup::Gone) => true,
        Some(Lookup::There) => false,
        None => s.lost,
    })
}

/// The first few of many, for a message.
fn some_of(before: &str, names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => String::new(),
        n if n > SHOWN => format!("{before}{shown} and {} more", n - SHOWN),
        _ => format!("{before}{shown}"),
    }
}
