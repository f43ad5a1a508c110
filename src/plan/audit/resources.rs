//! All resources, by what a number may be known by. Built once for all accounts.

use std::collections::{HashMap, HashSet};

use crate::domain::{AccountSid, E164, InstallationId, Mark, OwnerTag, PhoneNumberSid};

use super::super::ObjectKey;
use super::{Ids, Record, Subject};

/// The resources that are served, read twice.
#[derive(Debug)]
pub struct Resources<'a> {
    ours: HashSet<String>,
    owners: HashMap<&'a OwnerTag, &'a Subject>,
    recorded: HashSet<(&'a AccountSid, &'a PhoneNumberSid)>,
    sent: HashSet<(&'a AccountSid, &'a E164)>,
    before: HashMap<&'a AccountSid, Vec<(&'a Subject, &'a Record)>>,
    after: HashMap<&'a ObjectKey, &'a Subject>,
    accounts: HashSet<&'a AccountSid>,
}

impl<'a> Resources<'a> {
    /// The resources as they were before the lists began, and as they were after they ended.
    pub fn new(ids: &Ids, before: &'a [Subject], after: &'a [Subject]) -> Self {
        // The later reading wins: what it says of a resource is newer.
        let (first, second) = (before, after);
        let both = || first.iter().chain(second);
        let mut recorded: HashMap<_, Vec<_>> = HashMap::new();
        for subject in before {
            if let Some(record) = &subject.record {
                recorded.entry(&record.account).or_default().push((subject, record));
            }
        }
        for records in recorded.values_mut() {
            records.sort_by_key(|(subject, _)| &subject.key);
        }
        let after: HashMap<_, _> = after.iter().map(|s| (&s.key, s)).collect();
        // Of a resource that came meanwhile no Secret was read; of one that went nothing is expected.
        let stays = before.iter().filter(|s| after.contains_key(&s.key));
        let accounts = stays.flat_map(Subject::accounts).collect();
        Self {
            ours: ids.all().map(InstallationId::short).collect(),
            owners: both().flat_map(|s| s.tags.iter().map(move |tag| (tag, s))).collect(),
            recorded: both().filter_map(|s| s.record.as_ref()).map(|record| (&record.account, &record.sid)).collect(),
            sent: both().filter_map(|s| s.sent.as_ref()).map(|sent| (&sent.account, &sent.number)).collect(),
            before: recorded,
            after,
            accounts,
        }
    }

    /// Whether a mark is this installation's.
    pub(super) fn is_ours(&self, mark: &Mark) -> bool {
        self.ours.contains(&mark.installation)
    }

    /// The resource with this tag.
    pub(super) fn owner(&self, tag: &OwnerTag) -> Option<&'a Subject> {
        self.owners.get(tag).copied()
    }

    /// Whether a resource records this number of this account.
    pub(super) fn records(&self, account: &AccountSid, sid: &PhoneNumberSid) -> bool {
        self.recorded.contains(&(account, sid))
    }

    /// Whether something was sent for this number in this account.
    pub(super) fn waits_for(&self, account: &AccountSid, number: &E164) -> bool {
        self.sent.contains(&(account, number))
    }

    /// The numbers that were recorded in this account before its list began, by resource.
    pub(super) fn recorded_in(&self, account: &AccountSid) -> impl Iterator<Item = (&'a Subject, &'a Record)> {
        self.before.get(account).into_iter().flatten().copied()
    }

    /// A resource as it is now.
    pub(super) fn now(&self, key: &ObjectKey) -> Option<&'a Subject> {
        self.after.get(key).copied()
    }

    /// All of them, as they are now.
    pub(super) fn all_now(&self) -> impl Iterator<Item = &'a Subject> {
        self.after.values().copied()
    }

    /// Every account that the status of a resource that stays named before the lists began.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &'a AccountSid> {
        self.accounts.iter().copied()
    }
}
