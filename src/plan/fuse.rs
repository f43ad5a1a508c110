//! The ledger's decision: may this attempt be stamped now?
//!
//! The ledger holds every stamp of the last day, outside the resources it is about. It counts purchases for the
//! installation's fuse, and it remembers what was sent for a resource that was stripped of its status and applied again.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

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
    /// A further attempt of a purchase whose first one was not answered: it can buy nothing more, so the fuse does not count it.
    Again,
    /// An adoption: costs nothing, so the fuse does not count it.
    Adopt,
}

/// One stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by the wall clock of whoever wrote it, which may have been wrong.
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
    let boot = now.1;
    let forgotten = |e: &&Entry| tags.contains(&e.tag) && !known.contains(&e.number);
    if let Some(until) =
        entries.iter().filter(forgotten).map(|e| first_seen(e).after(window)).max().filter(|until| until > looked)
    {
        return Admission::Unsettled(until);
    }
    if holds(Rule::Fuse) && request.purpose == Purpose::Buy {
        let bought = entries.iter().filter(|e| e.purpose == Purpose::Buy);
        let recent = bought.map(|e| (e, leaves_the_hour(e, first_seen(e), now))).filter(|(_, at)| *at > boot);
        let recent: Vec<_> = recent.collect();
        // A stamp may be here whose claim could not be written: the same purchase, once more. But a number may also be given back
        // and bought anew, each time for another month's rent: so once, and no more.
        if recent.iter().filter(|(e, _)| e.tag == request.tag && e.number == request.number).count() == 1 {
            return Admission::Granted;
        }
        let mut leave: Vec<_> = recent.into_iter().map(|(_, at)| at).collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if leave.len() >= limit {
            leave.sort_unstable();
            // The oldest of the last `limit` purchases has to leave the hour first.
            let oldest = leave.get(leave.len().saturating_sub(limit.max(1)));
            return Admission::FuseBlown(oldest.copied().unwrap_or(boot.after(HOUR)));
        }
    }
    Admission::Granted
}

/// When a stamp is an hour old. One from the future was written by a clock that was wrong: its age counts from when this process
/// saw it first.
fn leaves_the_hour(entry: &Entry, first_seen: Moment, (wall, boot): (Timestamp, Moment)) -> Moment {
    match Duration::try_from(wall.duration_since(entry.at)) {
        Ok(age) => boot.after(HOUR.saturating_sub(age)),
        Err(_) => first_seen.min(boot).after(HOUR),
    }
}

/// Whether a stamp is still of use: for a day, and as long as what was sent for it may take effect. The wall clock alone does
/// not end it, since it may be wrong by more than a day.
pub fn is_kept(entry: &Entry, first_seen: Moment, window: Duration, (wall, boot): (Timestamp, Moment)) -> bool {
    let seen = boot.since(first_seen);
    let age = Duration::try_from(wall.duration_since(entry.at)).unwrap_or(seen);
    age < KEPT || seen < window
}

/// Whether a decision may rest on a stamp: the fuse counts it, or what was sent for it may take effect. Every window is shorter
/// than an hour.
pub fn is_needed(entry: &Entry, first_seen: Moment, now: (Timestamp, Moment)) -> bool {
    leaves_the_hour(entry, first_seen, now) > now.1 || now.1.since(first_seen) < HOUR
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
        let again = Entry { purpose: Purpose::Again, ..entry(10_050, A, 1) };
        let entries = [entry(10_000, A, 1), again.clone(), entry(10_100, B, 2)];
        assert_eq!(ask(&entries, &entry(10_200, "ccccccccccc", 3), &[], 3, 10_200), Admission::Granted);
        assert_eq!(ask(&entries, &entry(10_200, "ccccccccccc", 3), &[], 2, 10_200), Admission::FuseBlown(at(13_600)));
        assert_eq!(ask(&entries, &entry(13_600, "ccccccccccc", 3), &[], 2, 13_600), Admission::Granted);
        // Another attempt on a number that was counted is free: it can buy nothing more.
        let again = Entry { at: Timestamp::from_second(10_200).unwrap(), ..again };
        assert_eq!(ask(&entries, &again, std::slice::from_ref(&again.number), 2, 10_200), Admission::Granted);
    }

    #[test]
    fn a_number_that_is_given_back_and_bought_anew_again_and_again_is_counted() {
        let lost = [entry(10_000, A, 1)];
        assert_eq!(ask(&lost, &entry(10_600, A, 1), &[], 1, 10_600), Admission::Granted, "a stamp without a claim");
        let entries = [entry(10_000, A, 1), entry(10_300, A, 1)];
        assert_eq!(ask(&entries, &entry(10_600, A, 1), &[], 2, 10_600), Admission::FuseBlown(at(13_600)));
        assert_eq!(ask(&entries, &entry(13_600, A, 1), &[], 2, 13_600), Admission::Granted);
    }

    #[test]
    fn an_adoption_makes_no_purchase_of_the_same_number_free() {
        let adopt = Entry { purpose: Purpose::Adopt, ..entry(10_000, A, 1) };
        assert!(matches!(ask(&[adopt], &entry(10_200, A, 1), &[], 0, 10_200), Admission::FuseBlown(_)));
    }

    #[test]
    fn stamps_of_a_clock_that_was_ahead_count_for_an_hour_from_their_first_sight() {
        let entries = [entry(900_000, A, 1)];
        let request =
            |now| Request { entry: entry(now, B, 2), tags: Vec::new(), known: Vec::new(), looked: Moment::default() };
        let ask = |now: u64| {
            let wall = Timestamp::from_second(i64::try_from(now).unwrap()).unwrap();
            admit(&entries, &request(wall.as_second()), 1, WINDOW, |_| at(10_000), (wall, at(now)))
        };
        assert_eq!(ask(10_200), Admission::FuseBlown(at(13_600)));
        assert_eq!(ask(13_600), Admission::Granted);
    }

    #[test]
    fn a_stamp_is_kept_for_a_day_and_never_dropped_before_its_window_is_over() {
        let now = (Timestamp::from_second(1_000_000).unwrap(), at(500));
        let kept = |second, seen| is_kept(&entry(second, A, 1), at(seen), WINDOW, now);
        assert!(kept(1_000_000 - 86_399, 100) && !kept(1_000_000 - 86_401, 100));
        assert!(kept(0, 381) && !kept(0, 380), "old by a clock that may be wrong, seen a moment ago");
        assert!(kept(2_000_000, 100), "from the future");
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
