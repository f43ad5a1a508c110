//! The ledger of stamps: one ConfigMap in the operator's namespace, written by compare-and-swap before every stamp.
//!
//! It survives restarts, deleted resources and stripped status. Whether a stamp may be given is decided by
//! [`crate::plan::fuse`]; here is only how the ledger is read and written, several requests in one write when several are
//! due.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::oneshot;

use crate::clock::SharedClock;
use crate::domain::{AccountSid, E164, Moment, OwnerTag};
use crate::plan::fuse::{self, Admission, Entry, Purpose, Request};

use super::error::{Error, call};

/// Name of the ConfigMap.
pub const NAME: &str = "clinic-phone-operator-ledger";
const STAMPS: &str = "stamps";
/// Kubernetes takes 1 MiB; beyond this the oldest stamps that no decision needs are dropped early.
const FULL_BYTES: usize = 900_000;

type Waiting = (Request, oneshot::Sender<Result<Admission, String>>);
/// What identifies a stamp.
type Stamp = (OwnerTag, E164, Timestamp);

/// The ledger.
pub struct Ledger {
    api: kube::Api<ConfigMap>,
    clock: SharedClock,
    limit: u32,
    window: Duration,
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<Known>,
}

/// What this process knows of the ledger.
#[derive(Default)]
struct Known {
    /// As read or written last; `None`: to be read.
    current: Option<ConfigMap>,
    /// First sight of each stamp, on this process's clock.
    sights: HashMap<Stamp, Moment>,
}

impl Ledger {
    /// The ledger in this namespace.
    pub fn new(kube: kube::Client, namespace: &str, clock: SharedClock, limit: u32, window: Duration) -> Self {
        Self {
            api: kube::Api::namespaced(kube, namespace),
            clock,
            limit,
            window,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Asks for a stamp. Requests that come while another is being written are written together.
    ///
    /// # Errors
    /// When the ledger cannot be read or written: then nothing may be sent.
    pub async fn stamp(&self, request: Request) -> Result<Admission, Error> {
        let (sender, mut receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((request, sender));
        let mut known = self.turn.lock().await;
        // Whoever had the turn before may have answered this request already.
        if let Ok(answer) = receiver.try_recv() {
            return answer.map_err(Error::Ledger);
        }
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let answers = self.write(&mut known, &batch).await;
        for ((_, sender), answer) in batch.into_iter().zip(answers) {
            // Whoever does not wait any more gave the stamp up: its entry stays, which errs on the safe side.
            drop(sender.send(answer));
        }
        receiver.await.map_err(|_| Error::Bug("a ledger request was not answered".to_owned()))?.map_err(Error::Ledger)
    }

    /// Until when stamps of this resource that `known` does not account for may still take effect.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn unsettled(&self, tags: &[OwnerTag]) -> Result<Option<Moment>, Error> {
        let mut known = self.turn.lock().await;
        known.current = None;
        let entries = self.read(&mut known).await.map_err(Error::Ledger)?;
        Ok(entries.iter().filter(|e| tags.contains(&e.tag)).map(|e| known.sight(e).after(self.window)).max())
    }

    /// Reads the ledger once, so that the windows of what it holds begin now and not at the first purchase.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn prime(&self) -> Result<(), Error> {
        let mut known = self.turn.lock().await;
        self.read(&mut known).await.map(drop).map_err(Error::Ledger)
    }

    async fn read(&self, known: &mut Known) -> Result<Vec<Entry>, String> {
        if known.current.is_none() {
            let read = call("reading the ledger", self.api.get_opt(NAME)).await.map_err(|e| e.to_string())?;
            known.current = Some(read.unwrap_or_else(empty));
        }
        let text = known
            .current
            .as_ref()
            .and_then(|c| c.data.as_ref())
            .and_then(|d| d.get(STAMPS))
            .cloned()
            .unwrap_or_default();
        let entries = parse(&text)?;
        known.see(&entries, self.clock.now().whole_seconds().boot);
        Ok(entries)
    }

    async fn write(&self, known: &mut Known, batch: &[Waiting]) -> Vec<Result<Admission, String>> {
        // Each try is a compare-and-swap; a conflict means that another operator wrote, and everything is decided anew.
        for _ in 0..8 {
            match self.try_write(known, batch).await {
                Ok(answers) => return answers.into_iter().map(Ok).collect(),
                Err(TryAgain::Conflict) => known.current = None,
                Err(TryAgain::Failed(why)) => {
                    known.current = None;
                    return batch.iter().map(|_| Err(why.clone())).collect();
                }
            }
        }
        batch.iter().map(|_| Err("written by others again and again".to_owned())).collect()
    }

    async fn try_write(&self, known: &mut Known, batch: &[Waiting]) -> Result<Vec<Admission>, TryAgain> {
        let mut entries = self.read(known).await.map_err(TryAgain::Failed)?;
        let before = entries.len();
        let now = self.clock.now().whole_seconds();
        let mut answers = Vec::with_capacity(batch.len());
        for (request, _) in batch {
            let sight = |e: &Entry| known.sight(e);
            let answer = fuse::admit(&entries, request, self.limit, self.window, sight, (now.wall, now.boot));
            if answer == Admission::Granted {
                entries.push(request.entry.clone());
            }
            answers.push(answer);
        }
        if entries.len() == before {
            return Ok(answers);
        }
        entries.retain(|e| fuse::is_kept(e, known.sight(e).min(now.boot), self.window, (now.wall, now.boot)));
        let needed = |e: &Entry| fuse::is_needed(e, known.sight(e).min(now.boot), (now.wall, now.boot));
        let text = render(&entries, needed).ok_or_else(|| {
            TryAgain::Failed(
                "more stamps within an hour than a ConfigMap can hold; lower --max-purchases-per-hour".to_owned(),
            )
        })?;
        let mut next = known.current.clone().unwrap_or_else(empty);
        next.data = Some(BTreeMap::from([(STAMPS.to_owned(), text)]));
        let post = kube::api::PostParams::default();
        let written = if next.metadata.resource_version.is_some() {
            call("writing the ledger", self.api.replace(NAME, &post, &next)).await
        } else {
            call("creating the ledger", self.api.create(&post, &next)).await
        };
        match written {
            Ok(written) => {
                known.current = Some(written);
                known.see(&entries, now.boot);
                Ok(answers)
            }
            Err(Error::Conflict(_) | Error::Gone) => Err(TryAgain::Conflict),
            Err(error) => Err(TryAgain::Failed(error.to_string())),
        }
    }
}

enum TryAgain {
    Conflict,
    Failed(String),
}

impl Known {
    fn see(&mut self, entries: &[Entry], now: Moment) {
        let mut sights = HashMap::with_capacity(entries.len());
        for entry in entries {
            let stamp = (entry.tag.clone(), entry.number.clone(), entry.at);
            let first = self.sights.get(&stamp).copied().unwrap_or(now);
            sights.insert(stamp, first);
        }
        self.sights = sights;
    }

    fn sight(&self, entry: &Entry) -> Moment {
        // An entry that is not there was added a moment ago: as late as can be.
        self.sights
            .get(&(entry.tag.clone(), entry.number.clone(), entry.at))
            .copied()
            .unwrap_or(Moment::since_boot(Duration::MAX / 2))
    }
}

fn empty() -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

/// One line a stamp: time, tag, number, account, purpose.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            parse_line(line).ok_or_else(|| {
                format!(
                    "line {} of ConfigMap {NAME} is not <time> <tag> <number> <account> <buy|again|adopt>: mend it, nothing is bought until then",
                    index + 1
                )
            })
        })
        .collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let entry = Entry {
        at: words.next()?.parse().ok()?,
        tag: OwnerTag::parse(words.next()?).ok()?,
        number: E164::parse(words.next()?).ok()?,
        account: AccountSid::parse(words.next()?).ok()?,
        purpose: match words.next()? {
            "buy" => Purpose::Buy,
            "again" => Purpose::Again,
            "adopt" => Purpose::Adopt,
            _ => return None,
        },
    };
    words.next().is_none().then_some(entry)
}

/// The text, or `None` when what decisions need does not fit. When it is tight, the others go first.
pub(crate) fn render(entries: &[Entry], needed: impl Fn(&Entry) -> bool) -> Option<String> {
    let line = |e: &Entry| {
        let purpose = match e.purpose {
            Purpose::Buy => "buy",
            Purpose::Again => "again",
            Purpose::Adopt => "adopt",
        };
        format!("{} {} {} {} {purpose}\n", e.at, e.tag, e.number, e.account)
    };
    let all: String = entries.iter().map(line).collect();
    if all.len() <= FULL_BYTES {
        return Some(all);
    }
    let needed: String = entries.iter().filter(|e| needed(e)).map(line).collect();
    (needed.len() <= FULL_BYTES).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, line: u32) -> Entry {
        Entry {
            at: Timestamp::from_second(second).unwrap(),
            tag: OwnerTag::parse("abcdefghijk").unwrap(),
            number: E164::parse(&format!("+1418{line:07}")).unwrap(),
            account: AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap(),
            purpose: if line.is_multiple_of(2) { Purpose::Buy } else { Purpose::Adopt },
        }
    }

    #[test]
    fn the_text_reads_back() {
        let again = Entry { purpose: Purpose::Again, ..entry(999_998, 2) };
        let entries = vec![entry(0, 1), entry(1_000_000 - 86_399, 2), again, entry(999_999, 3)];
        assert_eq!(parse(&render(&entries, |_| true).unwrap()).unwrap(), entries);
    }

    #[test]
    fn a_line_that_cannot_be_read_stops_everything() {
        assert!(parse("yesterday abc\n").unwrap_err().contains("line 1"));
    }

    #[test]
    fn ten_thousand_stamps_fit_and_old_ones_go_first() {
        let needed = |e: &Entry| e.at.as_second() == 999_999;
        let fresh: Vec<_> = (0..10_000).map(|i| entry(999_999, i)).collect();
        assert_eq!(parse(&render(&fresh, needed).unwrap()).unwrap().len(), 10_000);
        let mixed: Vec<_> = (0..10_000).map(|i| entry(990_000, i)).chain(fresh.iter().cloned()).collect();
        assert_eq!(parse(&render(&mixed, needed).unwrap()).unwrap(), fresh);
        let many: Vec<_> = (0..20_000).map(|i| entry(999_999, i)).collect();
        assert_eq!(render(&many, needed), None);
    }
}
