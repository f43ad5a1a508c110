//! `docs/conditions.md` has a row for each situation, and the row says what the code does.

use std::collections::BTreeMap;

use clinic_phone_operator::plan::Kind;

use crate::{Outcome, read};

#[test]
fn the_table_of_situations_is_the_code() -> Outcome {
    let page = read("docs/conditions.md")?;
    let section = page.split("## Situations").nth(1).and_then(|rest| rest.split("\n## ").next()).ok_or("no section")?;
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| situation")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, ready, reconciling, stalled, reason, meaning, remedy] = cells.as_slice() else {
            return Err(format!("a row with {} cells: {line}", cells.len()).into());
        };
        assert!(!meaning.is_empty() && !remedy.is_empty(), "{name} lacks words");
        rows.insert(
            (*name).to_owned(),
            (*ready == "True", *reconciling == "True", *stalled == "True", (*reason).to_owned()),
        );
    }
    for kind in Kind::ALL {
        let row = kind.row();
        let said = rows.remove(&format!("{kind:?}")).ok_or_else(|| format!("{kind:?} has no row"))?;
        assert_eq!(said, (row.ready, row.reconciling, row.stalled, row.reason.as_str().to_owned()), "{kind:?}");
    }
    assert!(rows.is_empty(), "rows of situations that do not exist: {rows:?}");
    Ok(())
}
