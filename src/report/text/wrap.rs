//! Long sentences on a terminal: broken between words.

/// Breaks a text into lines of at most `room` characters; a longer word has a line of its own.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if column + 1 + length <= room => {
                line.push(' ');
                line.push_str(word);
                column += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                column = length;
            }
        }
    }
    lines
}

/// A text on lines of at most `columns` characters, all but the first behind `indent` spaces.
pub fn hanging(text: &str, indent: usize, columns: usize) -> String {
    let room = columns.saturating_sub(indent);
    wrap(text, room).join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let check = |text: &str, room: usize, lines: &[&str]| assert_eq!(wrap(text, room), lines);
        check("", 8, &[""]);
        check("one two", 7, &["one two"]);
        check("one two", 6, &["one", "two"]);
        check("äöü äöü ß", 7, &["äöü äöü", "ß"]);
        check("a incomprehensible b", 8, &["a", "incomprehensible", "b"]);
        assert_eq!(hanging("one two three", 4, 11), "one two\n    three");
    }
}
