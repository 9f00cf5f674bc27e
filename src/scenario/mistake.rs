//! What an operator got wrong: where it stands, what was found, what was expected, and a hint.

use std::fmt;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::mask::mask;
use super::tree::{Node, Place};

/// A mistake in a scenario. Pure data; [`picture`] draws it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, such as `load[0].rate`; empty where the text is not TOML at all.
    pub path: String,
    /// Where it stands.
    pub spot: Spot,
    /// What stands there. Never a secret.
    pub found: String,
    /// What should stand there.
    pub expected: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where a mistake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In the file.
    File {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// First byte and the byte after the last.
        bytes: (usize, usize),
    },
    /// In a `--set`, which is given as it was typed; a secret is masked.
    Override(String),
}

/// Mistakes as they are found, one for each key: the first one hides those that follow from it.
pub struct Mistakes<'a> {
    text: &'a str,
    sets: &'a [String],
    list: Vec<Mistake>,
}

impl fmt::Debug for Mistakes<'_> {
    /// Without the text and the overrides, which may hold a secret that does not belong there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl<'a> Mistakes<'a> {
    /// None so far.
    pub const fn new(text: &'a str, sets: &'a [String]) -> Self {
        Self {
            text,
            sets,
            list: Vec::new(),
        }
    }

    /// Adds one, unless its key has one already.
    pub fn add(
        &mut self,
        path: &str,
        place: &Place,
        found: impl Into<String>,
        expected: impl Into<String>,
        hint: Option<String>,
    ) {
        if !path.is_empty() && self.touches(path) {
            return;
        }
        let spot = self.spot(place);
        self.list.push(Mistake {
            path: plain(&mask(path)),
            spot,
            found: plain(&mask(&found.into())),
            expected: expected.into(),
            hint,
        });
    }

    /// Whether a key, or one below or above it, has a mistake.
    pub fn touches(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let known = |mistake: &Mistake| {
            !mistake.path.is_empty() && (within(&mistake.path, path) || within(path, &mistake.path))
        };
        self.list.iter().any(known)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order of the file; overrides last. In a file that is not TOML a key
    /// that seems to be missing may be there, so it is not told.
    pub fn into_sorted(mut self) -> Vec<Mistake> {
        let is_broken = |mistake: &Mistake| {
            mistake.path.is_empty() && matches!(mistake.spot, Spot::File { .. })
        };
        if self.list.iter().any(is_broken) {
            self.list.retain(|mistake| {
                is_broken(mistake) || !matches!(mistake.spot, Spot::File { bytes: (0, 0), .. })
            });
        }
        self.list.sort_by_key(|mistake| match &mistake.spot {
            Spot::File { bytes, .. } => (0, bytes.0),
            Spot::Override(_) => (1, 0),
        });
        self.list
    }

    /// The value of an override as it was typed.
    pub fn typed(&self, place: &Place) -> Option<&'a str> {
        let Place::Override(index) = place else {
            return None;
        };
        let (_, value) = self.sets.get(*index)?.split_once('=')?;
        Some(value.trim())
    }

    fn spot(&self, place: &Place) -> Spot {
        let (from, to) = match place {
            Place::Override(index) => {
                let typed = self.sets.get(*index).map_or("", String::as_str);
                return Spot::Override(mask(typed));
            }
            Place::Text(range) => (range.start, range.end),
            Place::Default => (0, 0),
        };
        let from = from.min(self.text.len());
        let before = self.text.get(..from).unwrap_or("");
        let start_of_line = before.rfind('\n').map_or(0, |at| at + 1);
        Spot::File {
            line: before.matches('\n').count() + 1,
            column: before[start_of_line..].chars().count() + 1,
            bytes: (from, to.clamp(from, self.text.len())),
        }
    }
}

/// Text without control characters: what stands in a file must not steer a terminal.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The place of a node, or that of its parent where it is a default or missing.
pub fn place_of<'a>(node: Option<&'a Node>, parent: &'a Place) -> &'a Place {
    node.map(|node| &node.place)
        .filter(|place| **place != Place::Default)
        .unwrap_or(parent)
}

/// Draws mistakes as rustc draws its own: title, the line with a mark under it, and the hint.
pub fn picture(name: &str, text: &str, mistakes: &[Mistake], coloured: bool) -> String {
    let source = mask(text);
    let groups: Vec<Group<'_>> = mistakes
        .iter()
        .map(|mistake| group(name, &source, mistake))
        .collect();
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let drawn: Vec<String> = groups
        .iter()
        .map(|group| renderer.render(std::slice::from_ref(group)))
        .collect();
    drawn.join("\n\n")
}

fn group<'a>(name: &'a str, source: &'a str, mistake: &'a Mistake) -> Group<'a> {
    let in_file = matches!(mistake.spot, Spot::File { .. });
    let title = if mistake.path.is_empty() && in_file {
        format!("this is not TOML: expected {}", mistake.expected)
    } else if mistake.path.is_empty() {
        format!("expected {}", mistake.expected)
    } else {
        format!("`{}`: expected {}", mistake.path, mistake.expected)
    };
    let found = format!("found {}", mistake.found);
    let element: Element<'a> = match &mistake.spot {
        Spot::File { bytes, .. } => Snippet::source(source)
            .path(name)
            .annotation(AnnotationKind::Primary.span(bytes.0..bytes.1).label(found))
            .into(),
        Spot::Override(typed) => Origin::path(format!("--set {typed} ({found})")).into(),
    };
    let group = Level::ERROR.primary_title(title).element(element);
    match &mistake.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint.as_str())),
        None => group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        let text = "a = 1\nb = 'é' # x\n";
        let mut mistakes = Mistakes::new(text, &[]);
        let at = text.find('#').unwrap();
        mistakes.add("b", &Place::Text(at..at + 1), "x", "y", None);
        let list = mistakes.into_sorted();
        let Spot::File { line, column, .. } = list[0].spot else {
            panic!("not in the file");
        };
        assert_eq!((line, column), (2, 9));
    }

    #[test]
    fn a_key_has_one_mistake() {
        let mut mistakes = Mistakes::new("", &[]);
        mistakes.add("load[0].rate", &Place::Default, "a", "b", None);
        mistakes.add("load[0].rate", &Place::Default, "c", "d", None);
        mistakes.add("load[0].rate.from", &Place::Default, "c", "d", None);
        mistakes.add("load[0].rates", &Place::Default, "c", "d", None);
        assert_eq!(mistakes.into_sorted().len(), 2);
    }

    #[test]
    fn a_missing_key_is_not_told_of_a_file_that_is_not_toml() {
        let text = "name = = 'x'\n";
        let mut mistakes = Mistakes::new(text, &[]);
        mistakes.add("load", &Place::Default, "nothing", "a list", None);
        mistakes.add("name", &Place::Text(0..4), "x", "y", None);
        mistakes.add("", &Place::Text(7..8), "=", "a value", None);
        let list = mistakes.into_sorted();
        let paths: Vec<&str> = list.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, ["name", ""]);
        let drawn = picture("x.toml", text, &list, false);
        assert!(
            drawn.contains("error: this is not TOML: expected a value"),
            "{drawn}"
        );
    }

    /// Quotes in the wrong place make a key out of what follows, a secret perhaps.
    #[test]
    fn a_key_that_swallowed_a_secret_is_masked() {
        let mut mistakes = Mistakes::new("", &[]);
        mistakes.add("a]\nauth = 'S3CRET'", &Place::Default, "x", "y", None);
        assert_eq!(mistakes.into_sorted()[0].path, "a]\\nauth = '******'");
    }

    #[test]
    fn the_picture_shows_the_line_and_never_the_key() {
        let text = "[target]\napi_key = \"user.abcdefgh\"\n";
        let sets = ["target.api_key=user.zyxwvu".to_owned()];
        let mut mistakes = Mistakes::new(text, &sets);
        mistakes.add(
            "target.api_key",
            &Place::Text(19..34),
            "a literal",
            "env:NAME",
            None,
        );
        mistakes.add(
            "",
            &Place::Override(0),
            "user.zyxwvu",
            "env:NAME",
            Some("do".to_owned()),
        );
        let list = mistakes.into_sorted();
        for coloured in [false, true] {
            let drawn = picture("x.toml", text, &list, coloured);
            assert!(drawn.contains("api_key"), "{drawn}");
            assert!(
                !drawn.contains("abcdef") && !drawn.contains("zyx"),
                "{drawn}"
            );
            assert_eq!(drawn.contains('\u{1b}'), coloured);
        }
    }
}
