//! What of a report is news: each finding is told once in the life of a process, and again when it changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::AccountSid;
use crate::plan::audit::{AccountReport, Finding, FindingKind, Idle, NumberDetail, Report};
use crate::plan::{Note, ObjectKey};
use crate::telemetry::audit::Figures;

/// More numbers than these are told by their count.
const NAMED: usize = 8;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// An event of a resource.
    Resource(ObjectKey, Note),
    /// An event about what no resource has.
    Installation(Note),
    /// A line of the log for a number that no resource has.
    Idle(AccountSid, NumberDetail, String),
    /// A line of the log.
    Line(AccountSid, FindingKind, String),
}

/// What was told, and the last report of each account.
#[derive(Debug, Default)]
pub(super) struct Told {
    texts: HashMap<(AccountSid, String), String>,
    accounts: BTreeMap<AccountSid, AccountReport>,
    unplaced: usize,
}

impl Told {
    /// Takes a report in, and returns what of it was not told before.
    ///
    /// An account that could not be read this time is not forgotten: what was found in it before still stands.
    pub(super) fn news(&mut self, report: &Report) -> Vec<News> {
        let mut news = Vec::new();
        let mut standing = HashSet::new();
        for account in &report.accounts {
            let sid = &account.account_sid;
            let mut once = |id: String, text: &str, tell: &mut dyn FnMut() -> News| {
                let id = (sid.clone(), id);
                if self.texts.get(&id).is_none_or(|before| before != text) {
                    self.texts.insert(id.clone(), text.to_owned());
                    news.push(tell());
                }
                standing.insert(id);
            };
            for finding in &account.findings {
                for (id, text, item) in items(account, finding) {
                    once(id, &text, &mut || item.clone());
                }
            }
            if let Some(note) = orphans(account) {
                once("orphans".to_owned(), &note.text, &mut || News::Installation(note.clone()));
            }
        }
        let (now, read): (HashSet<_>, HashSet<_>) = (
            report.accounts.iter().map(|a| &a.account_sid).collect(),
            report.accounts.iter().filter(|a| a.audited).map(|a| &a.account_sid).collect(),
        );
        self.texts.retain(|id, _| standing.contains(id) || (now.contains(&id.0) && !read.contains(&id.0)));
        self.accounts.retain(|account, _| now.contains(account));
        for account in &report.accounts {
            let known = self.accounts.entry(account.account_sid.clone()).or_insert_with(|| account.clone());
            if account.audited {
                known.clone_from(account);
            } else {
                // The obstacle is new, the rest is as it was.
                known.findings.retain(|finding| finding.kind != FindingKind::NotAudited);
                known.findings.extend(account.findings.iter().cloned());
            }
        }
        self.unplaced = report.unplaced.len();
        news
    }

    /// The figures of everything that stands.
    pub(super) fn figures(&self, completed: Option<i64>) -> Figures {
        let count = |kind| self.accounts.values().map(|account| account.count(kind)).sum::<usize>();
        let unplaced = |kind| if kind == FindingKind::NotAudited { self.unplaced } else { 0 };
        let idle = Idle::sum(self.accounts.values().map(|account| &account.idle));
        Figures {
            findings: FindingKind::ALL.into_iter().map(|k| (k.label(), count(k) + unplaced(k))).collect(),
            idle: idle.numbers,
            unpriced: idle.unpriced,
            // A gauge is a float whatever it counts; the exact amounts are in the report.
            costs: idle
                .monthly_cost
                .iter()
                .map(|money| (money.currency.to_string(), money.amount.to_string().parse().unwrap_or(f64::NAN)))
                .collect(),
            completed,
        }
    }
}

/// What one finding is told as: an identity, what is compared with what was told before, and the news.
fn items(account: &AccountReport, finding: &Finding) -> Vec<(String, String, News)> {
    let sid = &account.account_sid;
    let doubt = if finding.certain { "" } else { "; the account's list was incomplete, so this is not certain" };
    let resource =
        finding.resource.as_ref().map(|r| ObjectKey { namespace: r.namespace.clone(), name: r.name.clone() });
    let numbers = finding.numbers.iter().map(|n| n.phone_number.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!("audit of account {sid}: {numbers}: {}{doubt}", finding.message);
    let event = |reason| warning(reason, text.clone());
    let by_resource = |kind: &str, key: &ObjectKey| format!("{kind} {key}");
    match (finding.kind, resource) {
        (FindingKind::NumberGone, Some(key)) => {
            let news = News::Resource(key.clone(), event("AuditNumberGone"));
            vec![(by_resource("gone", &key), text, news)]
        }
        (FindingKind::DuplicateTag, Some(key)) => {
            let news = News::Resource(key.clone(), event("AuditTagHeldTwice"));
            vec![(by_resource("twice", &key), text, news)]
        }
        (FindingKind::Orphan, _) => finding
            .numbers
            .iter()
            .map(|number| {
                let line = News::Idle(sid.clone(), number.clone(), format!("{}{doubt}", finding.message));
                (format!("orphan {}", number.phone_number_sid), text.clone(), line)
            })
            .collect(),
        (kind, _) => {
            let tag = finding.tag.as_ref().map(ToString::to_string).unwrap_or_default();
            let line = News::Line(sid.clone(), kind, text.clone());
            vec![(format!("{} {tag}", kind.label()), text, line)]
        }
    }
}

/// One event an account about all its orphans: a namespace that was emptied may leave hundreds.
fn orphans(account: &AccountReport) -> Option<Note> {
    let numbers: Vec<_> = account
        .findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::Orphan)
        .flat_map(|finding| &finding.numbers)
        .map(|number| number.phone_number.to_string())
        .collect();
    let (first, rest) = numbers.split_at(numbers.len().min(NAMED));
    if first.is_empty() {
        return None;
    }
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(warning(
        "AuditOrphanNumbers",
        format!(
            "account {} holds numbers of this installation that no resource here uses: {}{more}; idle numbers there cost {} a month",
            account.account_sid,
            first.join(", "),
            account.idle
        ),
    ))
}

fn warning(reason: &'static str, text: String) -> Note {
    Note { warning: true, reason, action: "Audit", text }
}
