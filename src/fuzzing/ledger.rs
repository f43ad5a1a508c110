//! The ledger's text, as it stands in a ConfigMap that anybody with the rights may edit.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::controller::ledger;
use crate::domain::Moment;
use crate::plan::fuse::{self, Admission, Entry, Purpose, Request};

const WINDOW: Duration = Duration::from_secs(120);

/// Reads a ledger; what it holds reads back after it is written, and a request is decided on it.
pub fn ledger(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let Ok(entries) = ledger::parse(&text) else { return };
    if let Some(written) = ledger::render(&entries, |_| true) {
        assert_eq!(ledger::parse(&written).as_ref(), Ok(&entries), "{written}");
    }
    // The end of time: everything is older, and nothing may overflow.
    for wall in [now, Timestamp::MIN, Timestamp::MAX] {
        for entry in &entries {
            decide(&entries, entry, wall);
        }
    }
}

fn decide(entries: &[Entry], entry: &Entry, wall: Timestamp) {
    let boot = Moment::since_boot(Duration::from_secs(100_000));
    // Its first sight is now, so it is kept and needed whatever the wall clock says.
    assert!(fuse::is_kept(entry, boot, WINDOW, (wall, boot)) && fuse::is_needed(entry, boot, (wall, boot)));
    for (limit, known) in [(0, Vec::new()), (1, vec![entry.number.clone()]), (u32::MAX, vec![entry.number.clone()])] {
        let tags = vec![entry.tag.clone()];
        let request = Request { entry: Entry { at: wall, ..entry.clone() }, tags, known, looked: boot };
        let sight = |_: &Entry| boot;
        match fuse::admit(entries, &request, limit, WINDOW, sight, (wall, boot)) {
            // Its own stamp is in the ledger, seen just now, and not accounted for.
            Admission::Granted => {
                assert!(!request.known.is_empty() && (limit != 0 || request.entry.purpose != Purpose::Buy));
            }
            Admission::Unsettled(until) => assert!(until > boot),
            Admission::FuseBlown(until) => {
                assert!(request.entry.purpose == Purpose::Buy && limit != u32::MAX);
                assert!(until >= boot && until <= boot.after(Duration::from_secs(3600)), "{until:?}");
            }
        }
    }
}
