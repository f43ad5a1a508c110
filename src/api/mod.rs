//! The resource that users write and read. No I/O and no decisions here: types, their schema, and the words of status.

pub mod conditions;
pub mod crd;
pub mod v1alpha1;

pub use v1alpha1::{ClinicPhoneNumber, ClinicPhoneNumberSpec, ClinicPhoneNumberStatus};

/// The API group.
pub const GROUP: &str = "telephony.chiroflow.io";
/// The finalizer that keeps a resource until its number is accounted for.
pub const FINALIZER: &str = "telephony.chiroflow.io/phone-number";
/// Annotation: any new value asks for a look now; acknowledged in `status.lastHandledReconcileAt`.
pub const REQUESTED_AT: &str = "telephony.chiroflow.io/requested-at";
/// Annotation: a person's word that this lost number may be replaced.
pub const FORGET_NUMBER: &str = "telephony.chiroflow.io/forget-number";
