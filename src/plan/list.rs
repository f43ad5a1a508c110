//! One look at an account: the whole list of numbers it holds, and when that look began.

use std::collections::HashMap;

use crate::domain::{AccountSid, E164, IncomingNumber, Moment, OwnerTag, PhoneNumberSid};

/// The whole list of an account, with indexes so that ten thousand resources can share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountList {
    /// The account.
    pub account: AccountSid,
    /// When the first page was asked for. Only what happened before this moment is sure to be in the list.
    pub started: Moment,
    numbers: Vec<IncomingNumber>,
    by_number: HashMap<E164, usize>,
    by_sid: HashMap<PhoneNumberSid, usize>,
    by_tag: HashMap<OwnerTag, Vec<usize>>,
}

impl AccountList {
    /// A list that was begun at `started` and is whole.
    pub fn new(account: AccountSid, started: Moment, numbers: Vec<IncomingNumber>) -> Self {
        let mut list = Self {
            account,
            started,
            by_number: HashMap::with_capacity(numbers.len()),
            by_sid: HashMap::with_capacity(numbers.len()),
            by_tag: HashMap::new(),
            numbers: Vec::new(),
        };
        for (index, number) in numbers.iter().enumerate() {
            list.by_number.insert(number.phone_number.clone(), index);
            list.by_sid.insert(number.sid.clone(), index);
            if let Some(mark) = number.mark() {
                list.by_tag.entry(mark.tag).or_default().push(index);
            }
        }
        list.numbers = numbers;
        list
    }

    /// All of them, in Twilio's order.
    pub fn all(&self) -> &[IncomingNumber] {
        &self.numbers
    }

    /// The number, if the account holds it.
    pub fn number(&self, number: &E164) -> Option<&IncomingNumber> {
        self.by_number.get(number).and_then(|i| self.numbers.get(*i))
    }

    /// The number with this SID, if the account holds it.
    pub fn sid(&self, sid: &PhoneNumberSid) -> Option<&IncomingNumber> {
        self.by_sid.get(sid).and_then(|i| self.numbers.get(*i))
    }

    /// Every number that carries one of these tags.
    pub fn tagged<'a>(&'a self, tags: &'a [OwnerTag]) -> impl Iterator<Item = &'a IncomingNumber> + 'a {
        tags.iter().flat_map(|t| self.by_tag.get(t).into_iter().flatten()).filter_map(|i| self.numbers.get(*i))
    }
}
