//! What must never happen, looked at whenever something is sent or written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::fault::Kind;
use super::hub::{Hub, Inner};
use super::world::WINDOW;
use crate::api::v1alpha1::{Claim, ClaimOutcome, ClinicPhoneNumber, DeletionPolicy};
use crate::clock::Clock as _;
use crate::domain::tag::Mark;
use crate::domain::{Moment, OwnerTag};
use crate::simulator::NumberRow;

/// The fuse's hour, less what may lie between the first stamp of a purchase, from which the hour runs, and its sending.
const FUSE: Duration = Duration::from_secs(3600 - 900);

/// What makes a stamp: resource, number, attempts, releases, and when the last attempt was stamped.
type Stamp = (String, String, i32, i32, Option<Time>);

/// What is remembered between looks, by the resources' UIDs.
#[derive(Default)]
pub struct Watched {
    /// Stamps that were used: at most one call for each.
    used: Vec<Stamp>,
    /// When an attempt, and a release, was stamped last.
    stamped: HashMap<String, Moment>,
    releasing: HashMap<String, Moment>,
    /// When a number was recorded.
    recorded: HashMap<String, Moment>,
    /// Messaging Services that status has told of.
    services: BTreeSet<String>,
    /// A person takes finalizers off: whatever is lost then is their doing.
    pub by_hand: bool,
    /// Resources that were suspended, by name.
    pub suspended: HashMap<String, Moment>,
    /// When `Retain` was asked for, by name.
    pub retained: HashMap<String, Moment>,
    /// Purchases that were sent: tag, number, when first.
    bought: Vec<(String, String, Moment)>,
    /// The fuse, where clocks are right.
    pub limit: Option<u32>,
}

/// A resource, as far as the watch looks at it.
#[derive(Clone)]
pub struct Seen {
    name: String,
    number: bool,
    retain: bool,
    claim: Option<Claim>,
}

/// Every resource by its UID.
pub fn claims(resources: &[Arc<ClinicPhoneNumber>]) -> BTreeMap<String, Seen> {
    let seen = |o: &ClinicPhoneNumber| Seen {
        name: o.metadata.name.clone().unwrap_or_default(),
        number: o.status.as_ref().is_some_and(|s| s.phone_number.is_some()),
        retain: o.spec.deletion_policy == DeletionPolicy::Retain,
        claim: o.status.as_ref().and_then(|s| s.claim.clone()),
    };
    resources.iter().map(|o| (o.metadata.uid.clone().unwrap_or_default(), seen(o))).collect()
}

impl Inner {
    /// After a write: when stamps were made, and whether a resource went too early.
    pub fn check_writing(&mut self, before: &BTreeMap<String, Seen>, now: Moment) {
        let after = claims(&self.resources());
        let counts = |seen: Option<&Seen>| {
            let claim = seen.and_then(|s| s.claim.as_ref());
            claim.map_or((0, 0, None), |c| (c.attempts, c.releasing, c.last_attempt_at.clone()))
        };
        let services = self
            .resources()
            .into_iter()
            .filter_map(|o| Some(o.status.as_ref()?.messaging_service.as_ref()?.sid.clone()));
        let services: Vec<_> = services.collect();
        self.watched.services.extend(services);
        for (uid, seen) in &after {
            let ((attempts, releases, at), (had, had_releases, was)) = (counts(Some(seen)), counts(before.get(uid)));
            if attempts > 0 && (attempts, &at) != (had, &was) {
                self.watched.stamped.insert(uid.clone(), now);
            }
            if releases > had_releases {
                self.watched.releasing.insert(uid.clone(), now);
            }
            if seen.number && !before.get(uid).is_some_and(|s| s.number) {
                self.watched.recorded.insert(uid.clone(), now);
            }
        }
        for (uid, seen) in before.iter().filter(|(uid, _)| !after.contains_key(*uid) && !self.watched.by_hand) {
            let open =
                seen.claim.as_ref().is_some_and(|c| matches!(c.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held));
            let sent = self.watched.stamped.get(uid).filter(|_| open);
            let released = self.watched.releasing.get(uid).filter(|_| seen.retain);
            if let Some(since) = sent.max(released).map(|at| now.since(*at)).filter(|since| *since < WINDOW) {
                let name = &seen.name;
                self.violations.push(format!("{name} was let go {since:?} after something was sent for it"));
            }
        }
    }
}

impl Hub {
    /// Whether another resource recorded a number so long ago that every list has to have it.
    pub fn anchored(&self) -> bool {
        let now = self.clock.now().boot;
        let mut inner = self.inner();
        let at_work = inner.at_work.as_ref().map(|key| key.name.clone());
        claims(&inner.resources()).into_iter().any(|(uid, seen)| {
            let long = inner.watched.recorded.get(&uid).is_some_and(|at| now.since(*at) > WINDOW);
            Some(&seen.name) != at_work.as_ref() && seen.number && long
        })
    }

    /// Credentials go to Twilio and to nobody else.
    pub fn check_host(&self, request: &Request<Bytes>) {
        if request.uri().host() != Some("api.example.com") {
            self.violation(format!("credentials are sent to {:?}", request.uri().host()));
        }
    }

    /// What is about to be sent must have been stamped, must be ours, and must have been asked for.
    pub fn check_sending(&self, request: &Request<Bytes>, kind: &Kind) {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.body()).into_owned().collect::<BTreeMap<_, _>>();
        let sid = request.uri().path().rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
        let held = self.simulator.numbers().into_iter().find(|n| n.sid.as_str() == sid);
        match kind.name.as_str() {
            "buy" => {
                let number = form.get("PhoneNumber").cloned().unwrap_or_default();
                let tag = form.get("FriendlyName").and_then(|name| Mark::read(name)).map(|m| m.tag);
                self.check_stamp(&number, tag.as_ref(), "bought");
                self.check_fuse(&number, tag.as_ref());
                let of_this_account = |n: &NumberRow| request.uri().path().contains(n.account_sid.as_str());
                let held = self.simulator.numbers().into_iter().find(|n| n.phone_number.as_str() == number);
                if let Some(held) = held.filter(of_this_account) {
                    let theirs = Mark::read(&held.friendly_name).is_none_or(|m| Some(&m.tag) != tag.as_ref());
                    if theirs {
                        self.violation(format!(
                            "a purchase of {number} was sent although the account holds it as another's"
                        ));
                    }
                }
            }
            "update" => {
                let Some(held) = held else { return };
                let mark = Mark::read(&held.friendly_name);
                let foreign = mark.as_ref().is_some_and(|m| !self.inner().tags.contains_key(&m.tag));
                let anew = form.get("FriendlyName").and_then(|name| Mark::read(name)).map(|m| m.tag);
                if let (Some(mark), Some(anew)) = (&mark, anew) {
                    let owner = self.inner().tags.get(&mark.tag).cloned();
                    let owned = self.objects().into_iter().any(|o| o.metadata.name == owner);
                    let same = self.inner().tags.get(&anew) == owner.as_ref();
                    if owned && !same {
                        self.violation(format!("{} is taken from {owner:?}, which is still there", held.phone_number));
                    }
                }
                let allowed = self.inner().may_take_over.contains(held.phone_number.as_str());
                if foreign && !allowed {
                    self.violation(format!(
                        "{} carries another installation's tag and was written to",
                        held.phone_number
                    ));
                }
            }
            "release" => {
                let Some(held) = held else { return };
                let number = held.phone_number.to_string();
                let asked = self.inner().may_release.contains(&number);
                if !asked {
                    self.violation(format!("{number} is being released and nobody asked for it"));
                }
                let stamp = self.objects().into_iter().find_map(|o| {
                    let claim =
                        o.status.as_ref()?.claim.clone().filter(|c| c.phone_number == number && c.releasing > 0)?;
                    Some((
                        o.metadata.uid.clone()?,
                        number.clone(),
                        claim.attempts,
                        claim.releasing,
                        claim.last_attempt_at,
                    ))
                });
                let sent = stamp.as_ref().and_then(|s| self.inner().watched.stamped.get(&s.0).copied());
                let since = sent.map(|at| self.clock.now().boot.since(at)).filter(|since| *since < WINDOW);
                if let Some(since) = since {
                    self.violation(format!("{number} is being released {since:?} after a purchase of it was sent"));
                }
                let kept = stamp.as_ref().is_some_and(|stamp| self.kept_before(&stamp.0));
                if kept {
                    self.violation(format!(
                        "{number} is being released by a stamp that was made after Retain was asked for"
                    ));
                }
                self.use_up(stamp, &format!("a release of {number}"));
            }
            "join" | "leave" => {
                let service = request.uri().path().split('/').nth(3).unwrap_or_default().to_owned();
                let recorded = self.inner().watched.services.contains(&service);
                if !recorded {
                    self.violation(format!("{} of {service}, and no status has told of it", kind.name));
                }
            }
            _ => {}
        }
    }

    fn check_stamp(&self, number: &str, tag: Option<&OwnerTag>, what: &str) {
        let stamp = self.objects().into_iter().find_map(|o| {
            let claim = o.status.as_ref()?.claim.clone().filter(|c| {
                c.phone_number == number && c.attempts > 0 && c.tag.as_deref() == tag.map(OwnerTag::as_str)
            })?;
            let stamp = (o.metadata.uid.clone()?, number.to_owned(), claim.attempts, -1, claim.last_attempt_at);
            (claim.outcome == ClaimOutcome::Unknown).then_some((o, stamp))
        });
        let stamp = stamp.map(|(object, stamp)| {
            self.check_wish(&object, number);
            stamp
        });
        let ledger = self.inner().api.get("configmaps", "operator", crate::controller::ledger::NAME).cloned();
        let stamps = ledger.map(|l| l["data"]["stamps"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        let line = format!(" {} {number} ", tag.map(OwnerTag::as_str).unwrap_or_default());
        if !stamps.contains(&line) {
            self.violation(format!("{number} is being {what} and the ledger does not know"));
        }
        self.use_up(stamp, &format!("a purchase of {number}"));
    }

    /// No more purchases within an hour than the fuse allows.
    fn check_fuse(&self, number: &str, tag: Option<&OwnerTag>) {
        let now = self.clock.now().boot;
        let mut inner = self.inner();
        let it = (tag.map(ToString::to_string).unwrap_or_default(), number.to_owned());
        let watched = &mut inner.watched;
        watched.bought.retain(|(.., at)| now.since(*at) < FUSE);
        if !watched.bought.iter().any(|(tag, number, _)| (tag, number) == (&it.0, &it.1)) {
            watched.bought.push((it.0, it.1, now));
        }
        let count = watched.bought.len();
        if watched.limit.is_some_and(|limit| count > limit as usize) {
            inner.violations.push(format!("{count} purchases within an hour"));
        }
    }

    /// What was wished of the resource when its purchase is sent.
    fn check_wish(&self, object: &ClinicPhoneNumber, number: &str) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let claim = object.status.as_ref().and_then(|s| s.claim.as_ref());
        let current = claim.is_some_and(|c| c.generation == object.metadata.generation);
        if current && object.spec.phone_number.as_ref().is_some_and(|exact| exact != number) {
            self.violation(format!("{number} is being bought and another one was named"));
        }
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let stamped_since = {
            let watched = &self.inner().watched;
            watched.suspended.get(&name).is_some_and(|at| watched.stamped.get(&uid).is_some_and(|stamp| stamp > at))
        };
        if stamped_since {
            self.violation(format!(
                "{number} is being bought by a stamp that was made after the resource was suspended"
            ));
        }
    }

    /// Whether `Retain` was asked for before the last stamp of a release.
    fn kept_before(&self, uid: &str) -> bool {
        let name = self
            .objects()
            .into_iter()
            .find(|o| o.metadata.uid.as_deref() == Some(uid))
            .and_then(|o| o.metadata.name.clone());
        let watched = &self.inner().watched;
        let (Some(name), Some(stamped)) = (name, watched.releasing.get(uid)) else { return false };
        watched.retained.get(&name).is_some_and(|at| at < stamped)
    }

    /// One stamp allows one call.
    fn use_up(&self, stamp: Option<Stamp>, what: &str) {
        let Some(stamp) = stamp else { return self.violation(format!("{what} is sent without a stamp")) };
        let again = self.inner().watched.used.contains(&stamp);
        if again {
            self.violation(format!("{what} is sent twice for one stamp"));
        }
        self.inner().watched.used.push(stamp);
    }
}
