//! Tidy: what the compiler does not hold. Layers, purity, sizes, and texts that must stay true.
//!
//! Each check is a function from text to findings, and has a planted violation beside it that it
//! must find: a check that finds nothing may be blind.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its files fails"
)]

mod layers;
mod rust;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository; its path counts from the root and has forward slashes.
struct Text {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is made, fetched, or left behind by runs.
fn is_ours(path: &str) -> bool {
    const NOT_OURS: [&str; 7] = [
        ".git",
        "target",
        "Cargo.lock",
        "fuzz/target",
        "fuzz/corpus",
        "fuzz/artifacts",
        "fuzz/Cargo.lock",
    ];
    !NOT_OURS.contains(&path) && (path == "reports/sample" || !is_in(path, "reports/"))
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| !rest.contains('/'))
}

/// Every text file of the repository.
fn repository() -> Vec<Text> {
    let mut texts = Vec::new();
    gather(&root(), "", &mut texts);
    assert!(texts.len() > 100, "only {} files found", texts.len());
    texts
}

fn gather(folder: &Path, prefix: &str, texts: &mut Vec<Text>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if !is_ours(&path) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), &format!("{path}/"), texts);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            texts.push(Text { path, text });
        }
    }
}

/// Fails with all findings at once.
fn none(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

/// Holds a check to find exactly what was planted.
fn finds(findings: &[String], planted: &[&str]) {
    assert_eq!(findings.len(), planted.len(), "{findings:#?}");
    for (finding, planted) in findings.iter().zip(planted) {
        assert!(
            finding.contains(planted),
            "{planted:?} is not in {finding:?}"
        );
    }
}
