//! The directory of an earlier run, whose works a virtual run has end alike.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Mistake;
use crate::report::text::number::{percent, tame, time};
use crate::scenario::earlier::{CURVE, Unlike};
use crate::sim::Like;

/// Characters of its path that are shown.
const MOST_OF_PATH: usize = 200;

/// An earlier run.
pub(super) struct EarlierRun {
    path: PathBuf,
    /// How its works ended.
    pub(super) like: Like,
}

impl EarlierRun {
    /// Reads what it left behind.
    pub(super) fn read(path: &Path) -> Result<Self, Mistake> {
        let file = path.join(CURVE);
        let shown = file.display();
        let bytes = fs::read(&file).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound if path.is_dir() => {
                    "a run of this version writes it; the directory is of an earlier one, of a run \
                     that was killed, or of none"
                }
                _ => "--like names the directory of an earlier run",
            };
            Mistake(format!("cannot read {shown}: {error}\nhint: {hint}"))
        })?;
        let like = Like::read(&bytes).map_err(|error| {
            let hint = match error {
                Unlike::Nothing => {
                    "that run could not tell the sojourn time; its summary.json says why"
                }
                Unlike::NoEnd => "a longer drain or a longer poll.give_up_after sees works end",
                Unlike::Unreadable(_) => "was the file edited?",
            };
            Mistake(format!("cannot play {shown}: {error}\nhint: {hint}"))
        })?;
        Ok(Self {
            path: path.to_owned(),
            like,
        })
    }

    /// How works end, for people who read the numbers.
    pub(super) fn how_works_end(&self) -> String {
        let like = &self.like;
        let rest = match like.endless() {
            0.0 => String::new(),
            endless => format!(
                "; the other {}, of which it saw no end, have none",
                percent(endless)
            ),
        };
        // A path may have a line break in it, and the file that keeps this sentence has lines.
        let path = tame(&self.path.display().to_string(), MOST_OF_PATH);
        format!(
            "works end as those of {path} did ({CURVE}, {} points): {} complete and {} fail, the \
             last after {}{rest}",
            like.points,
            percent(like.completed),
            percent(like.failed),
            time(like.until)
        )
    }
}
