//! The page with the tables, between its markers.

/// Writes a table between the markers of this name.
pub(crate) fn write(name: &str, table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/accuracy.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let from = page.find(&begin).unwrap() + begin.len();
    let to = page.find(&end).unwrap();
    let page = format!("{}{table}{}", &page[..from], &page[to..]);
    std::fs::write(path, page).unwrap();
}
