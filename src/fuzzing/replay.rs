//! The committed inputs, and plain changes of them, in the test suite: no fuzzer, always the same, a few seconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use cpn_env::chance::Chance;

use super::TARGETS;

/// Changed inputs for each target: fewer where one may be a thousand pages, or a search that looks at many numbers.
fn changes(name: &str) -> u64 {
    match name {
        "simulator" => 80,
        "twilio" => 800,
        _ => 2000,
    }
}

/// Another number gives other changes.
const SEED: u64 = 20_261_125;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

/// What a reader may stumble over.
const ODD: &[&[u8]] = &[
    b"\n%%\n",
    b"\0",
    b"\xff",
    b"\xe2\x80\xae",
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"18446744073709551615",
    b"1e999",
    b"#",
    b"?",
    b"@",
    b"%2f",
    b"..",
    b"\r\n",
    b": ",
    b"{secret}",
    b"{token}",
    b"\xc3\xa9",
];

fn change(input: &[u8], others: &[(String, Vec<u8>)], random: &mut Chance) -> Vec<u8> {
    let mut changed = input.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(changed.len() + 1);
        let end = (at + random.below(16)).min(changed.len());
        match random.below(6) {
            0 => drop(changed.splice(at..end, std::iter::empty())),
            1 => drop(changed.splice(at..at, ODD[random.below(ODD.len())].iter().copied())),
            2 => drop(changed.splice(at..end, ODD[random.below(ODD.len())].iter().copied())),
            3 => changed.extend_from_within(at..end),
            4 if at < changed.len() => changed[at] ^= 1 << random.below(8),
            _ => {
                let other = &others[random.below(others.len())].1;
                let from = random.below(other.len() + 1);
                changed.truncate(at);
                changed.extend_from_slice(&other[from..]);
            }
        }
    }
    changed
}

fn passes(name: &str, run: fn(&[u8]), input: &[u8], what: &str) {
    let passed = catch_unwind(AssertUnwindSafe(|| run(input))).is_ok();
    assert!(
        passed,
        "target {name}, {what}: the input is\n{}\nas a file in fuzz/corpus/{name} it stays a test",
        input.escape_ascii()
    );
}

fn replay(name: &str) {
    let (_, run) = TARGETS.into_iter().find(|(is, _)| *is == name).unwrap();
    let corpus = files(&folder("corpus").join(name));
    for (file, input) in &corpus {
        passes(name, run, input, file);
    }
    let mut random = Chance::of(SEED);
    for nth in 0..changes(name) {
        let (file, input) = &corpus[random.below(corpus.len())];
        let changed = change(input, &corpus, &mut random);
        passes(name, run, &changed, &format!("change {nth} of seed {SEED}, of {file}"));
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*
    };
}
replayed!(inbox ledger resource secret simulator twilio words yaml);

#[test]
fn every_target_is_everywhere() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, REPLAYED);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    let stems: Vec<String> =
        files(&folder("fuzz_targets")).into_iter().map(|(file, _)| file.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(stems, names);
}
