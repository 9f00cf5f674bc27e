//! The terminal rule of a profile, made ready: what one answer, or one item of one, says about a
//! work.

use crate::scenario::{HeaderWords, Pointer, TerminalRule};
use crate::wire::pointer::{Found, Kind, Picker};
use crate::wire::words::{Heard, Words, short};
use crate::wire::{Headers, first, instant, text_of};
use crate::work::{Ending, Terminal};

/// What an answer says about a work.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Not yet.
    Open { status: Box<str>, known: bool },
    /// The end.
    Terminal(Terminal),
    /// The rule needs JSON, and this is none.
    NotJson,
    /// The status says nothing about the work.
    Silent,
}

/// A meaning, before the word for it is written down.
type Meaning = Option<Ending>;

/// A [`TerminalRule`], with the pointers that are read in the same pass.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    told_by: ToldBy,
    /// The word or the key; `failed_if`; `finished_at`.
    picker: Picker<3>,
    failed_if: bool,
}

#[derive(Clone, Debug)]
enum ToldBy {
    Word {
        completed: Words,
        failed: Words,
        open: Words,
    },
    Status {
        lists: StatusLists,
        overrule: Option<HeaderWords>,
    },
    KeyGone,
}

#[derive(Clone, Debug)]
struct StatusLists {
    completed: Vec<u16>,
    failed: Vec<u16>,
    open: Vec<u16>,
}

impl StatusLists {
    fn meaning(&self, status: u16) -> Option<Meaning> {
        by_list(&status, &self.completed, &self.failed, &self.open)
    }
}

/// The list that holds a value decides.
fn by_list<T: PartialEq>(value: &T, completed: &[T], failed: &[T], open: &[T]) -> Option<Meaning> {
    let table = [
        (completed, Some(Ending::Completed)),
        (failed, Some(Ending::Failed)),
        (open, None),
    ];
    let row = table.into_iter().find(|(list, _)| list.contains(value));
    row.map(|(_, meaning)| meaning)
}

impl Rule {
    pub(crate) fn new(
        terminal: &TerminalRule,
        failed_if: Option<&Pointer>,
        finished_at: Option<&Pointer>,
    ) -> Self {
        let (told_by, pointer) = match terminal {
            TerminalRule::Word {
                pointer,
                completed,
                failed,
                open,
            } => {
                let [completed, failed, open] =
                    [completed, failed, open].map(|list| Words::new(list));
                (
                    ToldBy::Word {
                        completed,
                        failed,
                        open,
                    },
                    Some(pointer),
                )
            }
            TerminalRule::Status {
                completed,
                failed,
                open,
                overrule,
            } => {
                let [completed, failed, open] = [completed, failed, open].map(Clone::clone);
                let lists = StatusLists {
                    completed,
                    failed,
                    open,
                };
                (
                    ToldBy::Status {
                        lists,
                        overrule: overrule.clone(),
                    },
                    None,
                )
            }
            TerminalRule::KeyGone(pointer) => (ToldBy::KeyGone, Some(pointer)),
        };
        Self {
            told_by,
            picker: Picker::new([pointer, failed_if, finished_at]),
            failed_if: failed_if.is_some(),
        }
    }

    /// Whether the rule itself gives this status a meaning, which then counts before all others.
    pub(crate) fn claims(&self, status: u16) -> bool {
        match &self.told_by {
            ToldBy::Status { lists, .. } => lists.meaning(status).is_some(),
            _ => false,
        }
    }

    pub(crate) fn judge<H: Headers + ?Sized>(
        &self,
        status: u16,
        headers: &H,
        body: &[u8],
    ) -> Verdict {
        match &self.told_by {
            ToldBy::Status { lists, overrule } => {
                self.by_status(lists, overrule.as_ref(), status, headers, body)
            }
            _ if !is_success(status) => Verdict::Silent,
            ToldBy::Word {
                completed,
                failed,
                open,
            } => {
                let Some(found) = self.picker.pick(body) else {
                    return Verdict::NotJson;
                };
                let Some(word) = found[0] else {
                    let known = open.have_left_out();
                    return Verdict::Open {
                        status: "".into(),
                        known,
                    };
                };
                let word = Heard::new(word);
                let text = short(word.text());
                if completed.have(&word) {
                    end(Ending::Completed, text, found, body)
                } else if failed.have(&word) {
                    end(Ending::Failed, text, found, body)
                } else {
                    Verdict::Open {
                        status: text,
                        known: open.have(&word),
                    }
                }
            }
            ToldBy::KeyGone => match self.picker.pick(body) {
                // A bare scalar has no keys either, but says nothing of a work.
                Some(_) if !is_container(body) => Verdict::NotJson,
                None => Verdict::NotJson,
                Some(found) => match found[0] {
                    Some(value) => Verdict::Open {
                        status: short(&value.text()),
                        known: true,
                    },
                    None => end(Ending::Completed, text_of(status), found, body),
                },
            },
        }
    }

    fn by_status<H: Headers + ?Sized>(
        &self,
        lists: &StatusLists,
        overrule: Option<&HeaderWords>,
        status: u16,
        headers: &H,
        body: &[u8],
    ) -> Verdict {
        let listed = lists.meaning(status);
        let word = overrule
            .filter(|_| listed.is_some() || is_success(status))
            .and_then(|words| Some((words, first(headers, &words.name)?)));
        let (meaning, text) = match (word, listed) {
            (Some((words, value)), _) => {
                let value = String::from_utf8_lossy(value).trim().to_owned();
                let meaning = by_list(&value, &words.completed, &words.failed, &words.open);
                (meaning, short(&value))
            }
            (None, Some(meaning)) => (Some(meaning), text_of(status)),
            (None, None) => return Verdict::Silent,
        };
        let Some(Some(ending)) = meaning else {
            return Verdict::Open {
                status: text,
                known: meaning.is_some(),
            };
        };
        match self.picker.pick(body) {
            Some(found) => end(ending, text, found, body),
            // An empty answer says by its status all that it has to say.
            None if self.failed_if && !body.is_empty() => Verdict::NotJson,
            None => end(ending, text, [None; 3], body),
        }
    }

    /// The end that the profile's configured `good` statuses of an accept mean.
    pub(crate) fn at_once(&self, status: u16, body: &[u8]) -> Verdict {
        let found = self.picker.pick(body).unwrap_or_default();
        end(Ending::Completed, text_of(status), found, body)
    }
}

fn end(ending: Ending, status: Box<str>, found: [Option<Found<'_>>; 3], body: &[u8]) -> Verdict {
    let [_, failed_if, finished] = found;
    let failed = failed_if.is_some_and(|value| !matches!(value.raw(), "null" | "false"));
    Verdict::Terminal(Terminal {
        ending: if failed { Ending::Failed } else { ending },
        status,
        finished: finished.and_then(instant::from_json),
        body: crate::wire::lossy(body),
    })
}

const fn is_success(status: u16) -> bool {
    matches!(status, 200..300)
}

fn is_container(body: &[u8]) -> bool {
    let first = body
        .iter()
        .find(|byte| !b"\xef\xbb\xbf \t\r\n".contains(byte));
    matches!(first, Some(b'{' | b'['))
}

/// Finds the item of one work in a collection.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    items: Picker<1>,
    id: Picker<1>,
}

/// What a collection holds of a work.
#[derive(Debug, PartialEq)]
pub(crate) enum Member<'b> {
    /// The item.
    Item(&'b [u8]),
    /// The collection does not hold it.
    Missing,
    /// This is no collection.
    NoArray,
}

impl Collection {
    pub(crate) fn new(items: &Pointer, id: &Pointer) -> Self {
        Self {
            items: Picker::new([Some(items)]),
            id: Picker::new([Some(id)]),
        }
    }

    /// The first item with this id; a number counts as it is written.
    pub(crate) fn find<'b>(&self, body: &'b [u8], work_id: &str) -> Member<'b> {
        let array = self.items.pick(body).and_then(|[items]| items);
        let Some(array) = array.filter(|found| found.kind() == Kind::Array) else {
            return Member::NoArray;
        };
        let item = array.find_item(|item| {
            let id = self.id.pick(item.raw().as_bytes()).and_then(|[id]| id);
            id.is_some_and(|id| {
                matches!(id.kind(), Kind::String | Kind::Number) && id.text() == work_id
            })
        });
        item.map_or(Member::Missing, |item| Member::Item(item.raw().as_bytes()))
    }
}
