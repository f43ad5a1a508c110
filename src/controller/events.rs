//! Events: told once for each step that costs, ends or repairs something.
//!
//! Written with a plain create: kube's recorder folds a second note with the same reason into the first within six
//! minutes and drops its text, and here the text names the number.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Resource as _;

use crate::api::ClinicPhoneNumber;
use crate::plan::Note;

use super::Context;
use super::error::call;

/// Kubernetes' limit of a note.
const NOTE_BYTES: usize = 1024;
const CONTROLLER: &str = "clinic-phone-operator";

/// Tells an event. A failure is logged and never in the way: in a namespace that is being deleted events are refused.
pub async fn tell(context: &Context, about: &ClinicPhoneNumber, note: &Note) {
    tell_of(context, about.object_ref(&()), note).await;
}

/// As [`tell`], of any object.
pub async fn tell_of(context: &Context, reference: ObjectReference, note: &Note) {
    let now = context.now();
    let name = reference.name.clone().unwrap_or_default();
    if note.warning {
        tracing::warn!(namespace = reference.namespace, name, reason = note.reason, "{}", note.text);
    } else {
        tracing::info!(namespace = reference.namespace, name, reason = note.reason, "{}", note.text);
    }
    let mut end = note.text.len().min(NOTE_BYTES);
    while !note.text.is_char_boundary(end) {
        end -= 1;
    }
    let namespace = reference.namespace.clone().unwrap_or_default();
    let event = Event {
        metadata: ObjectMeta {
            namespace: Some(namespace.clone()),
            name: Some(format!("{name}.{:x}{:x}", now.wall.as_second(), now.boot.nanoseconds())),
            ..ObjectMeta::default()
        },
        action: Some(note.action.to_owned()),
        reason: Some(note.reason.to_owned()),
        note: note.text.get(..end).map(str::to_owned),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        event_time: Some(MicroTime(now.wall)),
        regarding: Some(reference),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(context.settings.instance.clone()),
        ..Event::default()
    };
    let api: kube::Api<Event> = kube::Api::namespaced(context.kube.clone(), &namespace);
    if let Err(error) = call("telling an event", api.create(&kube::api::PostParams::default(), &event)).await {
        tracing::debug!(%error, "event not told");
    }
}
