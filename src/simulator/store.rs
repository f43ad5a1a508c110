//! The state file: one change a line, appended before the answer is sent.
//!
//! Opening it replays the lines and writes them anew in their shortest form, atomically (beside it, then renamed over
//! it). A last line that was cut off by a crash was never answered and is dropped. Survives the end of the process at
//! any point; a power cut may lose the last seconds.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::state::{Change, World};

/// An open state file.
pub(super) struct Store {
    file: File,
}

impl Store {
    /// Replays the file into `world`, rewrites it, and lets the world note its changes from now on.
    pub(super) fn open(path: &Path, world: &mut World) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => replay(&text, world)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        world.apply(Change::Start(world.starts + 1));
        let mut name = OsString::from(path);
        name.push(".new");
        let beside = PathBuf::from(name);
        // It holds tokens; simulated ones, but people copy real ones into all sorts of places.
        let options = |how: &mut OpenOptions| how.create(true).mode(0o600).to_owned();
        let mut file = options(OpenOptions::new().write(true).truncate(true)).open(&beside)?;
        for change in world.snapshot() {
            serde_json::to_writer(&mut file, &change)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        world.start_journal();
        Ok(Self { file: options(OpenOptions::new().append(true)).open(path)? })
    }

    /// Appends lines, in one write.
    pub(super) fn append(&mut self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

fn replay(text: &str, world: &mut World) -> io::Result<()> {
    let complete = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    for (number, line) in complete.lines().enumerate() {
        let change: Change = serde_json::from_str(line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {} of the state file: {error}", number + 1))
        })?;
        world.apply(change);
    }
    Ok(())
}
