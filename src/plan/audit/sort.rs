//! What each number of one account's list is.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::{AccountSid, IncomingNumber, OwnerTag, PhoneNumberSid};

use super::super::ObjectKey;
use super::{Counts, Others, Question, Subject};

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Class<'a> {
    /// A resource records it.
    InUse,
    /// Something was sent for it, or a resource whose tag it carries records none yet: it is being found out, or will be.
    Resolving,
    /// It carries a tag that another number carries too, and serves nobody.
    Surplus,
    /// It carries our mark, and no resource has it; or the resource that has it lives in another account.
    Orphan(Option<&'a Subject>),
    /// It carries our mark, and its resource is in a namespace that is not served.
    NotServed,
    /// It carries our mark, and whether a resource has it cannot be known.
    UnknownOwner,
    /// It carries the mark of another installation.
    Other,
    /// It carries no mark.
    Untagged,
}

/// Numbers that carry one tag, or one resource's tags, and the one that the resource records.
pub(super) struct Group<'a> {
    pub tag: OwnerTag,
    pub owner: Option<&'a ObjectKey>,
    pub recorded: Option<&'a IncomingNumber>,
    pub numbers: Vec<&'a IncomingNumber>,
}

/// A list, sorted.
pub(super) struct Sorted<'a> {
    rows: Vec<(&'a IncomingNumber, Class<'a>)>,
    groups: Vec<Group<'a>>,
}

impl<'a> Sorted<'a> {
    /// Sorts one account's list.
    pub(super) fn new(question: &Question<'a>, account: &AccountSid, numbers: &'a [IncomingNumber]) -> Self {
        let index = Index::new(question, account, numbers);
        let mut rows: Vec<_> = numbers.iter().map(|number| (number, index.class(number))).collect();
        rows.sort_by(|(a, _), (b, _)| (&a.phone_number, &a.sid).cmp(&(&b.phone_number, &b.sid)));
        let groups = index.groups(&rows);
        // Of several that could be found, none is: a person has to say which.
        let several: HashSet<_> = groups.iter().flat_map(|group| &group.numbers).map(|number| &number.sid).collect();
        for (number, class) in &mut rows {
            if *class == Class::Resolving && several.contains(&number.sid) && index.is_free(number) {
                *class = Class::Surplus;
            }
        }
        Self { rows, groups }
    }

    /// Numbers with our mark and no resource, each with the resource that lives in another account.
    pub(super) fn orphans(&self) -> impl Iterator<Item = (&'a IncomingNumber, Option<&'a Subject>)> {
        self.rows.iter().filter_map(|(number, class)| match class {
            Class::Orphan(owner) => Some((*number, *owner)),
            Class::InUse
            | Class::Resolving
            | Class::Surplus
            | Class::NotServed
            | Class::UnknownOwner
            | Class::Other
            | Class::Untagged => None,
        })
    }

    /// Numbers of some classes, in order.
    pub(super) fn of(&self, wanted: impl Fn(&Class<'a>) -> bool) -> impl Iterator<Item = &'a IncomingNumber> {
        self.rows.iter().filter(move |(_, class)| wanted(class)).map(|(number, _)| *number)
    }

    /// Where several numbers carry one tag.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group<'a>> {
        self.groups.iter()
    }

    /// Numbers that cost rent and serve nobody.
    pub(super) fn idle(&self) -> impl Iterator<Item = &'a IncomingNumber> {
        self.of(|class| matches!(class, Class::Orphan(_) | Class::Surplus))
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |wanted: fn(&Class<'a>) -> bool| self.of(wanted).count();
        Counts {
            total: self.rows.len(),
            in_use: count(|class| matches!(class, Class::InUse)),
            resolving: count(|class| matches!(class, Class::Resolving)),
            surplus: count(|class| matches!(class, Class::Surplus)),
            orphaned: count(|class| matches!(class, Class::Orphan(_))),
            not_served: count(|class| matches!(class, Class::NotServed)),
            unknown_owner: count(|class| matches!(class, Class::UnknownOwner)),
            other_installations: count(|class| matches!(class, Class::Other)),
            untagged: count(|class| matches!(class, Class::Untagged)),
        }
    }
}

/// One account's list beside the resources.
struct Index<'a> {
    account: AccountSid,
    question: Question<'a>,
    listed: HashMap<&'a PhoneNumberSid, &'a IncomingNumber>,
}

impl<'a> Index<'a> {
    fn new(question: &Question<'a>, account: &AccountSid, numbers: &'a [IncomingNumber]) -> Self {
        Self {
            account: account.clone(),
            question: *question,
            listed: numbers.iter().map(|number| (&number.sid, number)).collect(),
        }
    }

    /// The number that a resource records, if the list has it.
    fn recorded_by(&self, owner: &Subject) -> Option<&'a IncomingNumber> {
        self.listed.get(&owner.record_in(&self.account)?.sid).copied()
    }

    /// Neither recorded nor waited for.
    fn is_free(&self, number: &IncomingNumber) -> bool {
        let resources = self.question.resources;
        !resources.records(&self.account, &number.sid) && !resources.waits_for(&self.account, &number.phone_number)
    }

    fn class(&self, number: &IncomingNumber) -> Class<'a> {
        let resources = self.question.resources;
        if resources.records(&self.account, &number.sid) {
            return Class::InUse;
        }
        if resources.waits_for(&self.account, &number.phone_number) {
            return Class::Resolving;
        }
        let Some(mark) = number.mark() else { return Class::Untagged };
        if let Some(owner) = resources.owner(&mark.tag) {
            return match owner.account(self.question.secrets) {
                Some(account) if *account != self.account => Class::Orphan(Some(owner)),
                _ if self.recorded_by(owner).is_some() => Class::Surplus,
                // It records none that is there: it finds this one by its tag.
                _ => Class::Resolving,
            };
        }
        if !resources.is_ours(&mark) {
            return Class::Other;
        }
        match &self.question.others {
            Others::None => Class::Orphan(None),
            Others::Unknown => Class::UnknownOwner,
            Others::Known(tags) if tags.contains(&mark.tag) => Class::NotServed,
            Others::Known(_) => Class::Orphan(None),
        }
    }

    /// Groups of two and more. A resource's own number belongs to its group even if its label was changed by hand.
    fn groups(&self, rows: &[(&'a IncomingNumber, Class<'a>)]) -> Vec<Group<'a>> {
        let mut groups: BTreeMap<(Option<&'a ObjectKey>, OwnerTag), Group<'a>> = BTreeMap::new();
        for (number, class) in rows {
            if matches!(class, Class::NotServed | Class::UnknownOwner | Class::Other | Class::Untagged) {
                continue;
            }
            let Some(mark) = number.mark() else { continue };
            let owner = self.question.resources.owner(&mark.tag);
            if owner.is_none() && !self.question.resources.is_ours(&mark) {
                continue;
            }
            // One resource has several tags when the installation id changed: they are one.
            let tag = owner.and_then(|o| o.tags.first()).unwrap_or(&mark.tag).clone();
            let key = owner.map(|o| &o.key);
            let group = groups.entry((key, tag.clone())).or_insert_with(|| {
                let recorded = owner.and_then(|o| self.recorded_by(o));
                Group { tag, owner: key, recorded, numbers: recorded.into_iter().collect() }
            });
            if group.recorded.is_none_or(|recorded| recorded.sid != number.sid) {
                group.numbers.push(number);
            }
        }
        groups.into_values().filter(|group| group.numbers.len() > 1).collect()
    }
}
