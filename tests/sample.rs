//! The run that comes with the repository: its report can be made again from its files, and is the
//! picture in the README.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its files fails"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// What `plimsoll report reports/sample` prints, from the root of the repository.
fn report(flag: Option<&str>) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["report", "reports/sample"])
        .args(flag)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    output.stdout
}

fn file(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_summary_is_rebuilt_from_the_files_byte_for_byte() {
    let rebuilt = String::from_utf8(report(Some("--json"))).unwrap();
    let written = String::from_utf8(file("reports/sample/summary.json")).unwrap();
    assert_eq!(rebuilt, written);
}

#[test]
fn the_picture_in_the_readme_is_this_report() {
    let report = String::from_utf8(report(Some("--plain"))).unwrap();
    let readme = String::from_utf8(file("README.md")).unwrap();
    assert!(
        readme.contains(&format!("\n```\n{report}```\n")),
        "README.md does not show:\n{report}"
    );
}
