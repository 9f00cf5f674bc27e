//! Callbacks: which work one is about, and what it means for it.

use super::Engine;
use crate::record::ledger::Count;
use crate::time::Tick;
use crate::work::{CallbackNotice, Strays};

impl Engine {
    /// A callback was read at `at`.
    pub(super) fn on_callback(&mut self, _at: Tick, notice: CallbackNotice) {
        self.recorder.count(Count::Callbacks);
        drop(notice);
    }

    /// The receiver had requests that are no callbacks.
    pub(super) fn count_strays(&mut self, strays: Strays) {
        let mut count = |what, times| self.recorder.count_many(what, times);
        count(Count::BadToken, strays.bad_token);
        count(Count::BadCalls, strays.malformed);
        count(Count::SlowCalls, strays.timed_out);
        count(Count::Evicted, strays.evicted);
    }
}
