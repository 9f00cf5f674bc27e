//! The result on the terminal.

use super::result::Sizing;

/// The whole result.
pub fn table(sizing: &Sizing, files: &str, columns: usize) -> String {
    format!("{files} {columns} {:#?}", sizing.peaks)
}

/// One line.
pub fn line(sizing: &Sizing) -> String {
    sizing.scenario.clone()
}
