//! What is known of this machine from its last selftest.

use std::path::Path;

use crate::report::selftest::{LastSelftest, Quoted};
use crate::report::text::number;
use crate::shell::state_file;

/// Characters of a path that are shown.
const MOST_OF_PATH: usize = 200;

/// What a report quotes, and what is wrong with the file, if anything is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quote {
    pub(super) quoted: Quoted,
    pub(super) damage: Option<String>,
}

impl Quote {
    /// Of a run in which no machine has a part.
    pub(super) fn of_nothing() -> Self {
        Self::default()
    }

    /// Of the last selftest of this machine.
    pub(super) fn of_this_machine() -> Self {
        state_file::selftest_path().map_or_else(Self::never, |path| Self::of_file(&path))
    }

    fn never() -> Self {
        Self {
            quoted: Quoted::Never,
            damage: None,
        }
    }

    fn of_file(path: &Path) -> Self {
        let damaged = |what: &str| {
            let path = number::tame(&path.display().to_string(), MOST_OF_PATH);
            Self {
                damage: Some(format!(
                    "the last selftest cannot be read from {path}: {what}; a new one replaces it"
                )),
                ..Self::never()
            }
        };
        match state_file::read(path) {
            Ok(None) => Self::never(),
            Ok(Some(bytes)) => match LastSelftest::read(&bytes) {
                Ok(last) => Self {
                    quoted: Quoted::Last(last),
                    damage: None,
                },
                Err(what) => damaged(&what),
            },
            Err(error) => damaged(&error.to_string()),
        }
    }
}

/// A warning where a plan's peak is above what the last selftest of this machine held.
pub fn selftest_warning(plan: &crate::scenario::Plan) -> Option<String> {
    let peak = crate::check::shards::requests(plan);
    let Quote { quoted, .. } = Quote::of_this_machine();
    quoted.warning(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_never_and_what_is_damaged_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("selftest.json");
        assert_eq!(Quote::of_file(&path), Quote::never());
        let check = |bytes: &[u8], part: &str| {
            state_file::write(&path, bytes).unwrap();
            let Quote { quoted, damage } = Quote::of_file(&path);
            assert_eq!(quoted, Quoted::Never);
            assert!(damage.as_deref().unwrap().contains(part), "{damage:?}");
        };
        check(b"", "EOF");
        check(
            b"{\"schema\": \"plimsoll.selftest/2\"}",
            "found no \"schema\"",
        );
        // A directory in its place is no file.
        assert!(Quote::of_file(folder.path()).damage.is_some());
    }
}
