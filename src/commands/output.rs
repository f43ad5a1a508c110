//! What commands print: tables for people, JSON and YAML for programs.

use serde::Serialize;

use crate::yaml;

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// For people, with more columns
    Wide,
    /// Everything, for programs
    Json,
    /// Everything, for programs
    Yaml,
}

impl Output {
    /// An answer as asked for; `table` draws it, wide or not.
    ///
    /// # Errors
    /// When a value has no YAML form.
    pub(super) fn render<T: Serialize>(
        self,
        answer: &T,
        table: impl FnOnce(&T, bool) -> String,
    ) -> anyhow::Result<String> {
        Ok(match self {
            Self::Table => table(answer, false),
            Self::Wide => table(answer, true),
            Self::Json => serde_json::to_string_pretty(answer)? + "\n",
            Self::Yaml => yaml::to_string(answer)?,
        })
    }
}

/// Columns with room between them, as kubectl prints them; empty cells are `-`.
pub(super) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let mut all = vec![head.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()];
    all.extend(rows.iter().map(|row| row.iter().map(|text| cell(text)).collect()));
    let widths: Vec<_> = (0..head.len())
        .map(|column| all.iter().filter_map(|row| row.get(column)).map(|t| t.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 3));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Control characters do not reach the terminal: what Twilio, Secrets and labels say is other people's words.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
