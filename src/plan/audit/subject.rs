//! A resource, as far as the audit looks at it.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber, ClinicPhoneNumberStatus, CredentialsSecretRef};
use crate::domain::{AccountSid, E164, OwnerTag, PhoneNumberSid};

use super::super::{Claim, ObjectKey};
use super::Ids;

/// A number that a status records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The number.
    pub number: E164,
    /// Its SID.
    pub sid: PhoneNumberSid,
    /// The account that holds it.
    pub account: AccountSid,
}

/// A claim for which something was sent, and which was not given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The number.
    pub number: E164,
    /// The account.
    pub account: AccountSid,
}

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Which.
    pub key: ObjectKey,
    /// Tells it from another one of the same name.
    pub uid: String,
    /// Its tags: that of this installation first, then that of the previous id and that of its claim.
    pub tags: Vec<OwnerTag>,
    /// Where its credentials are.
    pub secret: CredentialsSecretRef,
    /// The number that its status records.
    pub record: Option<Record>,
    /// What was sent for it.
    pub sent: Option<Sent>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its status says that the number is lost.
    pub lost: bool,
}

impl Subject {
    /// Reads a resource. A status that cannot be read counts as none: its tags still speak for it, so that what carries them
    /// is not called an orphan.
    pub fn read(resource: &ClinicPhoneNumber, ids: &Ids) -> Self {
        let key = ObjectKey { namespace: resource.namespace().unwrap_or_default(), name: resource.name_any() };
        let status = resource.status.as_ref();
        let record = status.and_then(|status| {
            Some(Record {
                number: E164::parse(status.phone_number.as_deref()?).ok()?,
                sid: PhoneNumberSid::parse(status.phone_number_sid.as_deref()?).ok()?,
                account: AccountSid::parse(status.account_sid.as_deref()?).ok()?,
            })
        });
        let claim = status.and_then(|s| s.claim.as_ref()).and_then(|claim| Claim::read(claim).ok());
        let mut tags: Vec<_> = ids.all().map(|id| id.tag(&key.namespace, &key.name)).collect();
        tags.extend(claim.as_ref().map(|c| c.tag.clone()).filter(|tag| !tags.contains(tag)));
        let sent = claim
            .filter(|claim| claim.unsettled() || claim.outcome == ClaimOutcome::Held)
            .map(|claim| Sent { number: claim.number, account: claim.account });
        Self {
            uid: resource.uid().unwrap_or_default(),
            tags,
            secret: resource.spec.credentials_secret_ref.clone(),
            record,
            sent,
            deleting: resource.metadata.deletion_timestamp.is_some(),
            lost: status.is_some_and(ClinicPhoneNumberStatus::is_lost),
            key,
        }
    }

    /// The number that it records in this account.
    pub(super) fn record_in(&self, account: &AccountSid) -> Option<&Record> {
        self.record.as_ref().filter(|record| record.account == *account)
    }

    /// The accounts that its status names.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountSid> {
        self.record.iter().map(|record| &record.account).chain(self.sent.iter().map(|sent| &sent.account))
    }

    /// The account that it lives in: the one that holds its number, else the one where something was sent, else the one that
    /// its Secret names.
    pub(super) fn account<'a>(
        &'a self,
        secrets: &'a BTreeMap<ObjectKey, Result<AccountSid, String>>,
    ) -> Option<&'a AccountSid> {
        self.accounts().next().or_else(|| secrets.get(&self.key)?.as_ref().ok())
    }
}
