//! What is kept of this machine between runs: the result of its last selftest.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where programs keep their state, by the XDG Base Directory Specification 0.8.
const STATE: &str = "XDG_STATE_HOME";
/// Below the home directory, where that variable is not set.
const DEFAULT: &str = ".local/state";
/// Our own place in there.
const FILE: &str = "plimsoll/selftest.json";

/// The file of the last selftest of this machine; none where the environment names no place for it.
pub fn selftest_path() -> Option<PathBuf> {
    path(std::env::var_os(STATE), std::env::var_os("HOME"))
}

/// A path that is not absolute is to be ignored, says the specification.
fn path(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute);
    let state = state.or_else(|| Some(home.and_then(absolute)?.join(DEFAULT)));
    state.map(|state| state.join(FILE))
}

/// The bytes of the file; none if there is none.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file whole or not at all, and its directory where that is missing: whoever reads it
/// meanwhile finds the old one or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What was begun is of no use; that it may not be there at all does not matter.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_specification() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = path(state.map(OsString::from), home.map(OsString::from));
            assert_eq!(found, expected.map(PathBuf::from));
        };
        let own = Some("/s/plimsoll/selftest.json");
        let default = Some("/h/.local/state/plimsoll/selftest.json");
        check(Some("/s"), Some("/h"), own);
        check(None, Some("/h"), default);
        check(Some(""), Some("/h"), default);
        check(Some("relative"), Some("/h"), default);
        check(None, None, None);
        check(None, Some(""), None);
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file.json");
        assert_eq!(read(&path).unwrap(), None);
        for bytes in [&b"one"[..], b"two, longer"] {
            write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some(bytes));
        }
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, b"x").unwrap();
        assert!(write(&file.join("below"), b"x").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }
}
