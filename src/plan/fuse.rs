//! The ledger's decision: may this attempt be stamped now?
//!
//! The ledger holds every stamp of the last day, outside the resources it is about. It counts purchases for the
//! installation's fuse, and it remembers what was sent for a resource that was stripped of its status and applied again.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::domain::{AccountSid, E164, Moment, OwnerTag};

use super::{Rule, holds};

/// How long stamps are kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// What a stamp was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A purchase.
    Buy,
    /// An adoption: costs nothing, so the fuse does not count it.
    Adopt,
}

/// One stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by the wall clock of whoever wrote it.
    pub at: Timestamp,
    /// For which resource.
    pub tag: OwnerTag,
    /// For which number.
    pub number: E164,
    /// In which account.
    pub account: AccountSid,
    /// What for.
    pub purpose: Purpose,
}

/// What the ledger says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go ahead.
    Granted,
    /// Something that was sent for an earlier life of this resource may still take effect until then.
    Unsettled(Moment),
    /// The installation has bought as many as it may within an hour; the next may be bought then.
    FuseBlown(Moment),
}

/// A request for a stamp, and what it rests on.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be stamped.
    pub entry: Entry,
    /// The resource's tags: of the installation id of today, and of the one before.
    pub tags: Vec<OwnerTag>,
    /// Numbers whose stamps the resource's claim accounts for: they are settled or counted there. A stamp of another number
    /// under the same tag comes from a life that the resource has forgotten.
    pub known: Vec<E164>,
    /// When the look at the account began that found nothing: what an earlier life sent must have been settled by then, not
    /// only by now, since a process may have stood still in between.
    pub looked: Moment,
}

/// Decides one request against the ledger. `first_seen` tells when this process first saw an entry.
pub fn admit(
    entries: &[Entry],
    request: &Request,
    limit: u32,
    window: Duration,
    first_seen: impl Fn(&Entry) -> Moment,
    now: (Timestamp, Moment),
) -> Admission {
    let Request { entry: request, tags, known, looked } = request;
    let (wall, boot) = now;
    let forgotten = |e: &&Entry| tags.contains(&e.tag) && !known.contains(&e.number);
    if let Some(until) =
        entries.iter().filter(forgotten).map(|e| first_seen(e).after(window)).max().filter(|until| until > looked)
    {
        return Admission::Unsettled(until);
    }
    let counted = holds(Rule::Fuse)
        && request.purpose == Purpose::Buy
        && !entries.iter().any(|e| e.tag == request.tag && e.number == request.number && recent(e.at, wall));
    if counted {
        let mut purchases = first_attempts(entries, wall);
        let limit_len = usize::try_from(limit).unwrap_or(usize::MAX);
        if purchases.len() >= limit_len {
            purchases.sort_unstable();
            // The oldest of the last `limit` purchases has to leave the hour first.
            let index = purchases.len().saturating_sub(limit_len.max(1));
            let oldest = purchases.get(index).copied().unwrap_or(wall);
            let age = Duration::try_from(wall.duration_since(oldest)).unwrap_or_default();
            return Admission::FuseBlown(boot.after(HOUR.saturating_sub(age)));
        }
    }
    Admission::Granted
}

/// When each purchase that began within the last hour was stamped first. Further attempts on the same number belong to the
/// same purchase, unless an hour lies between.
fn first_attempts(entries: &[Entry], wall: Timestamp) -> Vec<Timestamp> {
    let mut stamps: std::collections::HashMap<(&OwnerTag, &E164), Vec<Timestamp>> = std::collections::HashMap::new();
    for entry in entries.iter().filter(|e| e.purpose == Purpose::Buy) {
        stamps.entry((&entry.tag, &entry.number)).or_default().push(entry.at);
    }
    let began = |mut times: Vec<Timestamp>| {
        times.sort_unstable();
        let mut times = times.into_iter();
        let first = times.next()?;
        let hour = SignedDuration::from_hours(1);
        Some(
            times
                .fold(
                    (first, first),
                    |(began, last), at| if at.duration_since(last) < hour { (began, at) } else { (at, at) },
                )
                .0,
        )
    };
    stamps.into_values().filter_map(began).filter(|at| recent(*at, wall)).collect()
}

/// Within the last hour; a stamp from the future (a clock that was wrong) counts.
fn recent(at: Timestamp, wall: Timestamp) -> bool {
    wall.duration_since(at) < SignedDuration::from_hours(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, tag: &str, line: u32) -> Entry {
        Entry {
            at: Timestamp::from_second(second).unwrap(),
            tag: OwnerTag::parse(tag).unwrap(),
            number: E164::parse(&format!("+1418555{line:04}")).unwrap(),
            account: AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap(),
            purpose: Purpose::Buy,
        }
    }
    const A: &str = "aaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbb";
    const WINDOW: Duration = Duration::from_secs(120);

    fn ask(entries: &[Entry], request: &Entry, known: &[E164], limit: u32, now: i64) -> Admission {
        let boot = |second: i64| Moment::since_boot(Duration::from_secs(u64::try_from(second).unwrap()));
        let tags = vec![request.tag.clone()];
        let request = Request { entry: request.clone(), tags, known: known.to_vec(), looked: boot(now) };
        let sight = |e: &Entry| boot(e.at.as_second());
        admit(entries, &request, limit, WINDOW, sight, (Timestamp::from_second(now).unwrap(), boot(now)))
    }
    fn at(second: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(second))
    }

    #[test]
    fn what_was_sent_under_the_installation_id_before_is_waited_for() {
        let request = Request {
            entry: entry(10_000, B, 2),
            tags: vec![OwnerTag::parse(B).unwrap(), OwnerTag::parse(A).unwrap()],
            known: Vec::new(),
            looked: at(10_000),
        };
        let now = (Timestamp::from_second(10_000).unwrap(), at(10_000));
        let answer = admit(&[entry(9_990, A, 1)], &request, 30, WINDOW, |_| at(9_990), now);
        assert_eq!(answer, Admission::Unsettled(at(9_990 + 120)));
    }

    #[test]
    fn the_fuse_counts_first_attempts_of_the_last_hour() {
        let entries = [entry(10_000, A, 1), entry(10_050, A, 1), entry(10_100, B, 2)];
        assert_eq!(ask(&entries, &entry(10_200, "ccccccccccc", 3), &[], 3, 10_200), Admission::Granted);
        assert_eq!(ask(&entries, &entry(10_200, "ccccccccccc", 3), &[], 2, 10_200), Admission::FuseBlown(at(13_600)));
        assert_eq!(ask(&entries, &entry(13_600, "ccccccccccc", 3), &[], 2, 13_600), Admission::Granted);
        // Another attempt on a number that was counted is free: it can buy nothing more.
        assert_eq!(ask(&entries, &entry(10_200, A, 1), &[entry(0, A, 1).number], 2, 10_200), Admission::Granted);
    }

    #[test]
    fn a_limit_of_zero_buys_nothing() {
        assert!(matches!(ask(&[], &entry(10_000, A, 1), &[], 0, 10_000), Admission::FuseBlown(_)));
    }

    #[test]
    fn adoption_is_not_counted() {
        let adopt = Entry { purpose: Purpose::Adopt, ..entry(10_000, A, 1) };
        assert_eq!(ask(&[], &adopt, &[], 0, 10_000), Admission::Granted);
        assert_eq!(ask(&[adopt], &entry(10_001, B, 2), &[], 1, 10_001), Admission::Granted);
    }

    #[test]
    fn a_forgotten_stamp_makes_the_resource_wait() {
        let entries = [entry(10_000, A, 1)];
        assert_eq!(ask(&entries, &entry(10_010, A, 2), &[], 30, 10_010), Admission::Unsettled(at(10_120)));
        assert_eq!(ask(&entries, &entry(10_120, A, 2), &[], 30, 10_120), Admission::Granted);
        assert_eq!(
            ask(&entries, &entry(10_010, A, 2), &[entry(0, A, 1).number], 30, 10_010),
            Admission::Granted,
            "the claim accounts for it"
        );
        assert_eq!(ask(&entries, &entry(10_010, B, 2), &[], 30, 10_010), Admission::Granted, "another resource's");
    }
}
