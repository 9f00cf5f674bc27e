//! What polls saw of the life of a work, as windows of its age.
//!
//! A poll counts at the age at which it was sent, whatever it saw. That it looks a little later is
//! so of the submit too: where both take as long to reach the service, the age is how long the
//! service had the work. (From the sending of the one poll to the receipt of the other would be
//! safer, and wrong: a poll would count earlier where it sees the work open than where it sees its
//! end, and by as much as a trip takes the estimate would know more than anybody saw.)

use super::works::Work;
use super::{Engine, Trip};
use crate::record::stints::Stint;
use crate::record::windows::{Edge, Happening, Window};
use crate::time::{Span, Tick};
use crate::work::{Ending, Slot, Source, Terminal};

impl Work {
    /// Its age at an instant: ages count from the first time its submit was sent.
    fn age(&self, at: Tick) -> Span {
        at.since(self.sent)
    }

    /// Its age at the last instant at which it is known to have been open.
    fn age_when_open(&self) -> Span {
        self.last_open.get().map_or(Span::ZERO, |at| self.age(at))
    }
}

impl Engine {
    /// Whether polls tell the distribution of the ends: they do where each work is asked until a
    /// poll has seen its end. Where a callback ends the asking, which works are asked for long
    /// depends on their ends, and nothing that their polls saw can be read without that.
    fn sees_ends(&self) -> bool {
        self.plan.observe.mode.polls_to_the_end()
    }

    /// A poll that was sent at `sent` sees the work begun. To be told before the poll counts as the
    /// last one that found it open.
    pub(super) fn saw_begun(&mut self, slot: Slot, sent: Tick) {
        if !self.sees_ends() || self.works.begun(slot.index).is_some() {
            return;
        }
        let Some(work) = self.works.get(slot) else {
            return;
        };
        let window = Window::seen(Happening::Begun, work.age_when_open(), work.age(sent));
        self.recorder.window(window);
        self.works
            .begin(slot, window.from, window.to.unwrap_or(Edge::LAST));
    }

    /// The end of a work was seen.
    pub(super) fn saw_end(
        &mut self,
        slot: Slot,
        (sent, at): Trip,
        terminal: &Terminal,
        source: Source,
    ) {
        let Some(work) = self.works.get(slot) else {
            return;
        };
        let what = match terminal.ending {
            Ending::Completed => Happening::Completed,
            Ending::Failed => Happening::Failed,
        };
        let (from, to) = (work.age_when_open(), work.age(sent));
        if let Some(finished) = terminal.finished {
            let seen = [work.sent, work.last_open.get().unwrap_or(work.sent), at];
            if source == Source::Callback {
                // It tells what the clock shows; when works ended is told by those who ask for all.
                self.recorder.stamps().bound_by(finished, seen);
            } else {
                self.recorder.stamps().count(what, finished, seen);
            }
        }
        if source == Source::Callback || !self.sees_ends() {
            return;
        }
        if source == Source::Sync {
            // It ended while its submit was answered. That the receipt is not the end itself
            // is an error of at most the accept service time.
            self.recorder.window(Window::point(what, work.age(at)));
            return;
        }
        let ended = Window::seen(what, from, to);
        self.recorder.window(ended);
        self.saw_of_ages(slot, Some(sent));
        let begun = self.works.begun(slot.index).unwrap_or_else(|| {
            let begun = Happening::BegunUnseen;
            self.recorder.window(Window {
                what: begun,
                ..ended
            });
            (ended.from, ended.to.unwrap_or(Edge::LAST))
        });
        self.recorder.stint(Stint::of(begun, ended));
    }

    /// A work is followed no longer, and its end was not seen.
    pub(super) fn saw_no_end(&mut self, slot: Slot) {
        if !self.sees_ends() {
            return;
        }
        let Some(work) = self.works.get(slot) else {
            return;
        };
        let open = work.age_when_open();
        self.saw_of_ages(slot, None);
        let ended = Window::censored(Happening::Completed, open);
        self.recorder.window(ended);
        match self.works.begun(slot.index) {
            Some(begun) => self.recorder.stint(Stint::of(begun, ended)),
            None => self.recorder.window(Window {
                what: Happening::BegunUnseen,
                ..ended
            }),
        }
    }
}
