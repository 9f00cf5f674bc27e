//! Callbacks: which work one is about, and what it means for it.

use super::Engine;
use super::heard::{Entry, Fate, Heard, Holder, Key};
use super::lifecycle::Event;
use super::peers::News;
use crate::record::Metric;
use crate::record::calls::{CallKind, CallNote, CallRow, PairRow};
use crate::record::ledger::Count;
use crate::scenario::Mode;
use crate::time::Tick;
use crate::work::{
    About, Anomaly, CallbackNotice, CallbackSaid, Ending, Slot, Source, Strays, Terminal, WorkId,
};

impl Engine {
    /// A callback was read at `at`.
    pub(super) fn on_callback(&mut self, at: Tick, notice: CallbackNotice) {
        self.recorder.count(Count::Callbacks);
        self.recorder.call(at);
        if notice.verified == Some(false) {
            self.recorder.count(Count::CallbacksUnverified);
        }
        self.find_work(at, notice);
    }

    /// Books a callback on its work, passes it on to the shard that follows it, or keeps it until
    /// somebody knows it.
    pub(super) fn find_work(&mut self, at: Tick, notice: CallbackNotice) {
        let Some(heard) = &mut self.heard else {
            return self.book_unknown(at, &notice);
        };
        let Some(key) = Heard::key_about(&notice.about) else {
            return self.book_nameless(at, &notice);
        };
        match heard.get(key).map(|entry| entry.holder) {
            Some(Holder::Elsewhere(shard)) => {
                let notice = Box::new(notice);
                self.peers.tell_at_once(shard, News::Callback(at, notice));
            }
            Some(Holder::Here(_) | Holder::Left) => self.book(at, key, notice),
            None => {
                if let Some(fate) = heard.fate(&notice.about) {
                    return self.book_forgotten(at, fate, &notice);
                }
                if !notice.taken || matches!(notice.said, CallbackSaid::Nothing) {
                    return self.book_nameless(at, &notice);
                }
                let oldest = heard.park(key, at, notice);
                self.recorder.count(Count::CallbacksParked);
                if let Some((at, notice)) = oldest {
                    self.book_unknown(at, &notice);
                }
            }
        }
    }

    /// A callback has come to the shard that follows its work, from the one that heard it first.
    pub(super) fn hear_callback(&mut self, at: Tick, notice: CallbackNotice) {
        let key = Heard::key_about(&notice.about);
        let known = |heard: &Heard| key.filter(|key| heard.get(*key).is_some());
        match self.heard.as_ref().and_then(known) {
            Some(key) => self.book(at, key, notice),
            None => self.book_unknown(at, &notice),
        }
    }

    /// Another shard follows a work from now on.
    pub(super) fn follow_elsewhere(&mut self, id: u128, shard: u64) {
        let Some(heard) = self.heard.as_mut().filter(|heard| heard.goes_by_id()) else {
            return;
        };
        let key = Key::of_fingerprint(id);
        heard.enter(key, Holder::Elsewhere(shard), 0, Tick::ZERO);
        for (at, notice) in heard.claim(key) {
            let news = News::Callback(at, Box::new(notice));
            self.peers.tell_at_once(shard, news);
        }
    }

    /// That work has settled, and is to be forgotten at `until`.
    pub(super) fn forget_elsewhere(&mut self, id: u128, until: Tick) {
        if let Some(heard) = self.heard.as_mut().filter(|heard| heard.goes_by_id()) {
            heard.forget_at(until, Key::of_fingerprint(id));
        }
    }

    /// The work of a slot was accepted: callbacks that have waited for it are booked.
    pub(super) fn await_callback(&mut self, slot: Slot, at: Tick) {
        let (Some(heard), Some(work)) = (&mut self.heard, self.works.get(slot)) else {
            return;
        };
        let Some(key) = heard.key_of(work.seq, self.works.id(slot.index)) else {
            return;
        };
        heard.enter(key, Holder::Here(slot.index), work.seq, at);
        for (at, notice) in heard.claim(key) {
            self.book(at, key, notice);
        }
    }

    /// The submit of an arrival was refused, or had no usable answer.
    pub(super) fn await_no_callback(&mut self, seq: u64) {
        let Some(heard) = &mut self.heard else {
            return;
        };
        let fate = Fate {
            is_known: true,
            ..Fate::default()
        };
        heard.set_fate(seq, fate);
        let waiting = heard.key_of(seq, "").map(|key| heard.claim(key));
        for (at, notice) in waiting.into_iter().flatten() {
            self.book_forgotten(at, fate, &notice);
        }
    }

    /// Gives up callbacks whose work nobody knows, and forgets works that left long ago.
    pub(super) fn expire_heard(&mut self, now: Tick) {
        let Some(heard) = &mut self.heard else {
            return;
        };
        heard.expire(now);
        while let Some((at, notice)) = self.heard.as_mut().and_then(|heard| heard.take_oldest(now))
        {
            self.book_unknown(at, &notice);
        }
    }

    /// A work has its outcome: by a poll or its accept, by a callback, or it was given up.
    pub(super) fn note_settled(&mut self, slot: Slot, polled: Option<(Tick, Ending)>) {
        let Some(entry) = self.entry_of(slot) else {
            return;
        };
        entry.holder = Holder::Left;
        entry.polled = entry.polled.or(polled);
        entry.given_up = polled.is_none() && entry.called.is_none();
    }

    /// Nothing about a work is awaited any more: its entry is forgotten after a while.
    pub(super) fn stop_awaiting(&mut self, slot: Slot, at: Tick) {
        let until = at + self.plan.poll.remember;
        let (Some(heard), Some(work)) = (&mut self.heard, self.works.get(slot)) else {
            return;
        };
        if let Some(key) = heard.key_of(work.seq, self.works.id(slot.index)) {
            heard.forget_at(until, key);
        }
    }

    fn entry_of(&mut self, slot: Slot) -> Option<&mut Entry> {
        let heard = self.heard.as_mut()?;
        let work = self.works.get(slot)?;
        let key = heard.key_of(work.seq, self.works.id(slot.index))?;
        // Of two works with one id the first has the entry.
        heard.get_mut(key).filter(|entry| entry.seq == work.seq)
    }

    /// Books a callback about a work that is followed here, or was.
    fn book(&mut self, at: Tick, key: Key, notice: CallbackNotice) {
        let both = self.plan.observe.mode == Mode::Both;
        let deadline = self.plan.observe.deadline;
        let entry = self.heard.as_mut().and_then(|heard| heard.get_mut(key));
        let Some(entry) = entry else { return };
        // In whole microseconds, so that the files tell the same.
        let micros = |tick: Tick| Tick(tick.0 - tick.0 % 1_000);
        let since_last = (entry.calls > 0).then(|| micros(at).since(micros(entry.last_call)));
        let is_repeated =
            entry.calls > 0 && notice.delivery.is_some() && notice.delivery == entry.delivery;
        entry.calls += 1;
        entry.last_call = entry.last_call.max(at);
        entry.delivery = notice.delivery;
        let mut row = CallRow {
            seq: Some(entry.seq),
            attempt: Some(entry.calls),
            since_last,
            before_accept: at < entry.accepted,
            ..row(at, &notice, CallKind::UnknownWork)
        };
        if let Some(gap) = since_last {
            self.recorder.count(Count::CallbacksAgain);
            self.recorder.record(Metric::CallbackGap, gap);
            self.recorder.gap(entry.calls, gap);
        }
        if row.before_accept {
            self.recorder.count(Anomaly::CallbackBeforeAccept.into());
        }
        let found = *entry;
        row.kind = match notice.said {
            _ if !notice.taken => CallKind::Refused,
            CallbackSaid::Nothing => CallKind::Unreadable,
            CallbackSaid::Open { status, known } => {
                self.note_open_callback(&status, known);
                CallKind::NotTerminal
            }
            CallbackSaid::Terminal(terminal) => {
                let ending = terminal.ending;
                let before = found.called.or(found.polled).map(|(_, ending)| ending);
                row.disagrees = before.is_some_and(|before| before != ending);
                if found.called.is_some() {
                    if is_repeated {
                        self.recorder.count(Count::CallbacksRepeated);
                    }
                    CallKind::Duplicate
                } else {
                    // Before the 202 is read nobody can tell whose it is.
                    let heard_at = at.max(found.accepted);
                    entry.called = Some((heard_at, ending));
                    if at > found.accepted + deadline {
                        self.recorder.count(Count::CallbacksLate);
                    }
                    let is_settled = found.holder == Holder::Left;
                    row.after_settlement = is_settled && !(both && found.polled.is_some());
                    self.first_callback(heard_at, &found, terminal, &notice.about);
                    CallKind::First
                }
            }
        };
        self.write_down(row);
    }

    /// The first terminal callback of a work.
    fn first_callback(&mut self, at: Tick, entry: &Entry, terminal: Terminal, about: &About) {
        match entry.holder {
            Holder::Here(place) => {
                if let Some(slot) = self.works.slot_at(place) {
                    self.end(slot, (at, at), terminal, Source::Callback, false);
                }
            }
            Holder::Left | Holder::Elsewhere(_) => {
                if self.plan.observe.mode == Mode::Both
                    && let Some((polled, _)) = entry.polled
                {
                    let id = match about {
                        About::Id(id) => id.clone(),
                        About::Own { .. } | About::Nobody => WorkId("".into()),
                    };
                    self.pair(entry.seq, id, at, polled);
                }
            }
        }
    }

    /// A poll has seen the end of a work of which a callback had told.
    pub(super) fn paired(
        &mut self,
        slot: Slot,
        polled: Tick,
        ending: Ending,
        anomaly: Option<Anomaly>,
    ) {
        if let Some(anomaly) = anomaly {
            self.recorder.count(anomaly.into());
        }
        let id = WorkId(self.works.id(slot.index).into());
        let seq = self.works.get(slot).map(|work| work.seq);
        let called = self.entry_of(slot).and_then(|entry| {
            entry.polled = Some((polled, ending));
            entry.called
        });
        if let (Some(seq), Some((called, _))) = (seq, called) {
            self.pair(seq, id, called, polled);
        }
    }

    fn pair(&mut self, seq: u64, work_id: WorkId, called: Tick, polled: Tick) {
        if called <= polled {
            self.recorder.count(Count::CallbackAhead);
            let ahead = polled.since(called);
            self.recorder.record(Metric::CallbackAhead, ahead);
        } else {
            self.recorder.count(Count::PollAhead);
            self.recorder
                .record(Metric::PollAhead, called.since(polled));
        }
        if self.plan.report.works {
            self.calls.push(CallNote::Pair(PairRow {
                seq,
                work_id,
                called,
                polled,
            }));
        }
    }

    /// A callback to the URL of a work of which only its fate is known.
    fn book_forgotten(&mut self, at: Tick, fate: Fate, notice: &CallbackNotice) {
        let mut row = row(at, notice, CallKind::NotAccepted);
        if let About::Own { seq } = notice.about {
            row.seq = Some(seq);
        }
        row.kind = match &notice.said {
            _ if !notice.taken => CallKind::Refused,
            _ if !fate.was_accepted => CallKind::NotAccepted,
            CallbackSaid::Nothing => CallKind::Unreadable,
            CallbackSaid::Open { status, known } => {
                self.note_open_callback(status, *known);
                CallKind::NotTerminal
            }
            CallbackSaid::Terminal(terminal) => {
                let before = fate.called.or(fate.polled);
                row.disagrees = before.is_some_and(|before| before != terminal.ending);
                if fate.called.is_some() {
                    CallKind::Duplicate
                } else {
                    row.after_settlement = true;
                    let called = Some(terminal.ending);
                    if let (Some(heard), Some(seq)) = (&mut self.heard, row.seq) {
                        heard.set_fate(seq, Fate { called, ..fate });
                    }
                    CallKind::First
                }
            }
        };
        self.write_down(row);
    }

    /// A callback that names no work, or was not taken in: nothing is to be known by it.
    fn book_nameless(&mut self, at: Tick, notice: &CallbackNotice) {
        let kind = if notice.taken {
            CallKind::Unreadable
        } else {
            CallKind::Refused
        };
        self.write_down(row(at, notice, kind));
    }

    fn book_unknown(&mut self, at: Tick, notice: &CallbackNotice) {
        self.write_down(row(at, notice, CallKind::UnknownWork));
    }

    fn note_open_callback(&mut self, status: &str, known: bool) {
        // The words of polls and of callbacks are told apart nowhere: both are the service's.
        self.words.number(status);
        if !known {
            self.recorder.count(Anomaly::UnknownStatus.into());
        }
    }

    /// Counts a callback, and writes its row.
    fn write_down(&mut self, row: CallRow) {
        self.recorder.count(match row.kind {
            CallKind::First => Count::CallbacksFirst,
            CallKind::Duplicate => Anomaly::DuplicateCallback.into(),
            CallKind::NotTerminal => Count::CallbacksOpen,
            CallKind::Unreadable => Count::CallbacksUnreadable,
            CallKind::Refused => Count::CallbacksRefused,
            CallKind::NotAccepted => Count::CallbacksUnaccepted,
            CallKind::UnknownWork => Anomaly::UnknownWork.into(),
        });
        if let (CallKind::First, Some(finished)) = (row.kind, row.finished) {
            self.recorder.lag(row.at, finished);
        }
        if row.after_settlement {
            self.recorder.count(Anomaly::CallbackAfterSettlement.into());
        }
        if row.disagrees {
            self.recorder.count(Anomaly::Disagreement.into());
        }
        if self.plan.report.works {
            self.calls.push(CallNote::Call(row));
        }
    }

    /// A work leaves of which a callback told, and no poll saw its end.
    pub(super) fn unpair(&mut self, slot: Slot, at: Tick) {
        self.saw_no_end(slot);
        self.stop_watching(slot, at);
    }

    /// A settled work is not polled any more.
    pub(super) fn stop_watching(&mut self, slot: Slot, at: Tick) {
        self.stop_awaiting(slot, at);
        self.bodies.take(slot.index);
        self.timers.cancel(slot.index);
        self.works.remove(slot);
    }

    /// The receiver had requests that are no callbacks.
    pub(super) fn count_strays(&mut self, strays: Strays) {
        let mut count = |what, times| self.recorder.count_many(what, times);
        count(Count::BadToken, strays.bad_token);
        count(Count::BadCalls, strays.malformed);
        count(Count::SlowCalls, strays.timed_out);
        count(Count::Evicted, strays.evicted);
    }

    /// What a callback means for the work of a slot.
    pub(super) fn called(&self, ending: Ending) -> Event {
        if self.plan.observe.mode == Mode::Both {
            Event::CalledAndWatched(ending)
        } else {
            Event::Called(ending)
        }
    }
}

/// The row of a callback, as far as it tells by itself.
fn row(at: Tick, notice: &CallbackNotice, kind: CallKind) -> CallRow {
    CallRow {
        at,
        seq: None,
        work_id: match &notice.about {
            About::Id(id) => Some(id.clone()),
            About::Own { .. } | About::Nobody => None,
        },
        kind,
        attempt: None,
        since_last: None,
        ending: match &notice.said {
            CallbackSaid::Terminal(terminal) => Some(terminal.ending),
            CallbackSaid::Open { .. } | CallbackSaid::Nothing => None,
        },
        finished: match &notice.said {
            CallbackSaid::Terminal(terminal) => terminal.finished,
            CallbackSaid::Open { .. } | CallbackSaid::Nothing => None,
        },
        delivery: notice.delivery,
        verified: notice.verified,
        before_accept: false,
        after_settlement: false,
        disagrees: false,
    }
}

#[cfg(test)]
mod tests;
