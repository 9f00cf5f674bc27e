//! The books: counts of works that must balance, and counts of requests and anomalies beside them.
//!
//! ```text
//! scheduled = sent + dropped + queued + missed + unknown
//! sent      = accepted + rejected + intake_failed + submitting
//! accepted  = completed + failed + expired + lost + open
//! ```

use crate::work::Anomaly;

/// Where in `summary.json` a count stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Counts works.
    Ledger,
    /// Counts requests.
    Requests,
    /// Counts callbacks.
    Callbacks,
    /// Counts broken promises.
    Anomalies,
    /// Only in `intervals.csv`: needed to rebuild a report from the files.
    Files,
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $group:ident;)+) => {
        /// A thing that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Count { $($(#[doc = $doc])+ $variant,)+ }

        impl Count {
            /// Every count, in the order of the files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in every file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Where it stands in `summary.json`.
            pub const fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)+ }
            }
        }
    };
}

counts! {
    /// Arrivals whose intended start has come.
    Scheduled, "scheduled", Ledger;
    /// Arrivals whose submit was handed to the client.
    Sent, "sent", Ledger;
    /// Arrivals not sent because of a local limit that the scenario chose.
    Dropped, "dropped", Ledger;
    /// Arrivals due while no process ran.
    Missed, "missed", Ledger;
    /// Arrivals perhaps sent in the last unsynced second before a kill.
    Unknown, "unknown", Ledger;
    /// Works that the service took.
    Accepted, "accepted", Ledger;
    /// Submits answered, but not accepted.
    Rejected, "rejected", Ledger;
    /// Submits without a usable answer.
    IntakeFailed, "intake_failed", Ledger;
    /// Those of them whose request was written.
    MaybeAccepted, "maybe_accepted", Ledger;
    /// Works told to be completed.
    Completed, "completed", Ledger;
    /// Works told to have failed.
    Failed, "failed", Ledger;
    /// Works given up.
    Expired, "expired", Ledger;
    /// Works that the service denies.
    Lost, "lost", Ledger;
    /// Submit requests, retries included.
    Submits, "submits", Requests;
    /// Submits sent again after a 429.
    SubmitRetries, "submit_retries", Requests;
    /// Poll requests, rechecks apart.
    Polls, "polls", Requests;
    /// Polls with a fault or a status that says nothing about the work.
    PollErrors, "poll_errors", Requests;
    /// Answers 429 (or 503 with `Retry-After`) to submits and polls.
    RateLimited, "rate_limited", Requests;
    /// Those to submits.
    RateLimitedSubmits, "rate_limited_submits", Requests;
    /// Those to polls, rechecks included.
    RateLimitedPolls, "rate_limited_polls", Requests;
    /// Polls denied before the work was ever seen.
    NotVisible, "not_visible", Requests;
    /// Poll slots that passed while an earlier poll was waiting or on the wire.
    SkippedSlots, "skipped_slots", Requests;
    /// Polls of works that had settled.
    Rechecks, "rechecks", Requests;
    /// Connections opened.
    NewConnections, "new_connections", Requests;
    /// Values in headers cut to the longest wait that is believed.
    HintClamps, "hint_clamps", Requests;
    /// Times that a 429 closed the gate; many answers of one round trip are one.
    GateClosures, "gate_closures", Requests;
    /// Callbacks that carried the token of the run and were read whole. Each is one of the next
    /// six, a `duplicate_callback` or an `unknown_work`, or is still parked.
    Callbacks, "callbacks", Callbacks;
    /// The first terminal one of each work.
    CallbacksFirst, "callbacks_first", Callbacks;
    /// Those that say that a work has not ended.
    CallbacksOpen, "callbacks_not_terminal", Callbacks;
    /// Those of which the profile understands nothing.
    CallbacksUnreadable, "callbacks_unreadable", Callbacks;
    /// Those that the receiver refused on purpose, by a fault of the scenario.
    CallbacksRefused, "callbacks_refused", Callbacks;
    /// Those of works whose submit was refused or had no usable answer. With ids nobody knows
    /// whose they are: then they are `unknown_work`.
    CallbacksUnaccepted, "callbacks_not_accepted", Callbacks;
    /// Duplicates that carried the delivery id of the callback before them.
    CallbacksRepeated, "callbacks_same_delivery", Callbacks;
    /// Those of works of which one had come within `poll.remember`: the end event of
    /// `callback_gap`.
    CallbacksAgain, "callbacks_again", Callbacks;
    /// Those whose signature does not fit.
    CallbacksUnverified, "callbacks_unverified", Callbacks;
    /// Those that came before anybody knew their work, and waited.
    CallbacksParked, "callbacks_parked", Callbacks;
    /// First ones that came after the deadline.
    CallbacksLate, "callbacks_late", Callbacks;
    /// Works whose callback had not come at the deadline (not in mode both).
    CallbacksOverdue, "callbacks_overdue", Callbacks;
    /// Of those the works whose end a poll found.
    CallbacksSwept, "callbacks_swept", Callbacks;
    /// Works whose end both told, the callback not later: the end event of `callback_ahead`.
    CallbackAhead, "pairs_callback_first", Callbacks;
    /// Works whose end both told, the poll earlier: the end event of `poll_ahead`.
    PollAhead, "pairs_poll_first", Callbacks;
    /// Polls that found a work open after its terminal callback had come.
    PollsBehind, "polls_behind_callback", Callbacks;
    /// Requests to the receiver without the token of the run, answered 404.
    BadToken, "receiver_bad_token", Callbacks;
    /// Requests to the receiver that are none with a body that can be read.
    BadCalls, "receiver_malformed", Callbacks;
    /// Requests to the receiver that were not whole in time.
    SlowCalls, "receiver_timed_out", Callbacks;
    /// Connections to the receiver that were closed to make room for others.
    Evicted, "receiver_evicted", Callbacks;
    /// Polls that were answered: the end event of `poll_round_trip`.
    PollAnswers, "poll_answers", Files;
    /// Works told to be completed or failed: the end event of `time_to_terminal`.
    Terminal, "terminal", Files;
    /// Accepts that a caller who waits for each answer would have heard: the end event of
    /// `closed_loop_latency`.
    ClosedLoopAccepts, "closed_loop_accepts", Files;
    /// Probes of the watchdog that shards have read: the end event of `stamp_delay`.
    Probes, "probes", Files;
    /// Last bodies of open works that were not kept, for want of room.
    BodiesNotKept, "bodies_not_kept", Files;
    /// The callback overtook the 202.
    CallbackBeforeAccept, "callback_before_accept", Anomalies;
    /// The same callback came twice.
    DuplicateCallback, "duplicate_callback", Anomalies;
    /// A callback came for a work that had settled.
    CallbackAfterSettlement, "callback_after_settlement", Anomalies;
    /// Two terminal answers about one work do not agree.
    Disagreement, "disagreement", Anomalies;
    /// A terminal state was taken back.
    TerminalReverted, "terminal_reverted", Anomalies;
    /// Two submits were answered with the same id.
    DuplicateId, "duplicate_id", Anomalies;
    /// A status word that the profile does not name.
    UnknownStatus, "unknown_status", Anomalies;
    /// News of a work that nobody submitted.
    UnknownWork, "unknown_work", Anomalies;
    /// A poll URL at an origin that may not have the key.
    ForeignPollUrl, "foreign_poll_url", Anomalies;
}

impl From<Anomaly> for Count {
    fn from(anomaly: Anomaly) -> Self {
        match anomaly {
            Anomaly::CallbackBeforeAccept => Self::CallbackBeforeAccept,
            Anomaly::DuplicateCallback => Self::DuplicateCallback,
            Anomaly::CallbackAfterSettlement => Self::CallbackAfterSettlement,
            Anomaly::Disagreement => Self::Disagreement,
            Anomaly::TerminalReverted => Self::TerminalReverted,
            Anomaly::DuplicateId => Self::DuplicateId,
            Anomaly::UnknownStatus => Self::UnknownStatus,
            Anomaly::UnknownWork => Self::UnknownWork,
            Anomaly::ForeignPollUrl => Self::ForeignPollUrl,
        }
    }
}

impl Count {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The count of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|count| count.name() == name)
    }
}

/// A number for each [`Count`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts([u64; Count::COUNT]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Count::COUNT])
    }
}

impl Counts {
    /// How often it happened.
    pub fn get(&self, what: Count) -> u64 {
        self.0[what as usize]
    }

    /// It happened `events` times more.
    pub fn add(&mut self, what: Count, events: u64) {
        self.0[what as usize] += events;
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// What has happened since `earlier`, which must be an earlier state of the same counts.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut delta = self.clone();
        for (mine, theirs) in delta.0.iter_mut().zip(earlier.0) {
            *mine -= theirs;
        }
        delta
    }
}

/// What is there at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Works accepted and still open.
    pub backlog: u64,
    /// Requests on the wire.
    pub in_flight: u64,
    /// Arrivals that wait for a local limit.
    pub queued: u64,
    /// Submits on the wire, or waiting to be retried.
    pub submitting: u64,
}

impl Gauges {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &Self) {
        self.backlog += other.backlog;
        self.in_flight += other.in_flight;
        self.queued += other.queued;
        self.submitting += other.submitting;
    }
}

/// Checks that each callback is of one kind, once none of them waits for its work any more.
pub fn balance_callbacks(counts: &Counts) -> Result<(), String> {
    let kinds = [
        Count::CallbacksFirst,
        Anomaly::DuplicateCallback.into(),
        Count::CallbacksOpen,
        Count::CallbacksUnreadable,
        Count::CallbacksRefused,
        Count::CallbacksUnaccepted,
        Anomaly::UnknownWork.into(),
    ];
    let (all, kinds) = (
        counts.get(Count::Callbacks),
        kinds.map(|kind| counts.get(kind)).iter().sum::<u64>(),
    );
    if all != kinds {
        return Err(format!(
            "callbacks = those of each kind: {all} is not {kinds}"
        ));
    }
    Ok(())
}

/// Checks the three sums; the error names the one that does not hold, with its figures.
pub fn balance(counts: &Counts, gauges: &Gauges) -> Result<(), String> {
    let sum = |terms: &[Count]| terms.iter().map(|term| counts.get(*term)).sum::<u64>();
    let lines = [
        (
            "scheduled = sent + dropped + queued + missed + unknown",
            counts.get(Count::Scheduled),
            sum(&[Count::Sent, Count::Dropped, Count::Missed, Count::Unknown]) + gauges.queued,
        ),
        (
            "sent = accepted + rejected + intake_failed + submitting",
            counts.get(Count::Sent),
            sum(&[Count::Accepted, Count::Rejected, Count::IntakeFailed]) + gauges.submitting,
        ),
        (
            "accepted = completed + failed + expired + lost + open",
            counts.get(Count::Accepted),
            sum(&[Count::Completed, Count::Failed, Count::Expired, Count::Lost]) + gauges.backlog,
        ),
        (
            "terminal = completed + failed",
            counts.get(Count::Terminal),
            sum(&[Count::Completed, Count::Failed]),
        ),
    ];
    for (line, left, right) in lines {
        if left != right {
            return Err(format!("{line}: {left} is not {right}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_found() {
        for (index, count) in Count::ALL.iter().enumerate() {
            assert_eq!(*count as usize, index);
            assert_eq!(Count::named(count.name()), Some(*count));
        }
        for anomaly in Anomaly::ALL {
            assert_eq!(Count::from(anomaly).name(), anomaly.word());
            assert_eq!(Count::from(anomaly).group(), Group::Anomalies);
        }
    }

    #[test]
    fn a_callback_of_no_kind_is_missed() {
        let mut counts = Counts::default();
        counts.add(Count::Callbacks, 3);
        counts.add(Count::CallbacksFirst, 1);
        counts.add(Anomaly::UnknownWork.into(), 1);
        let error = balance_callbacks(&counts).unwrap_err();
        assert!(error.ends_with("3 is not 2"), "{error}");
        counts.add(Anomaly::DuplicateCallback.into(), 1);
        assert_eq!(balance_callbacks(&counts), Ok(()));
    }

    #[test]
    fn a_missing_work_is_named_with_its_line() {
        let mut counts = Counts::default();
        for what in [Count::Scheduled, Count::Sent, Count::Accepted] {
            counts.add(what, 2);
        }
        counts.add(Count::Completed, 1);
        counts.add(Count::Terminal, 1);
        let mut gauges = Gauges {
            backlog: 1,
            ..Gauges::default()
        };
        assert_eq!(balance(&counts, &gauges), Ok(()));
        gauges.backlog = 0;
        let error = balance(&counts, &gauges).unwrap_err();
        assert!(error.starts_with("accepted ="), "{error}");
        assert!(error.ends_with("2 is not 1"), "{error}");
    }
}
