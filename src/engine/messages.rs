//! What the engine and whoever carries out its wishes tell each other.

use super::peers::News;
use crate::time::Tick;
use crate::work::{CallbackNotice, IntakeReply, PollReply, Slot, Strays};

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand this submit to the client now.
    Submit {
        /// The work.
        slot: Slot,
        /// The number of the arrival: body and headers are functions of it.
        seq: u64,
        /// When it was due.
        intended: Tick,
    },
    /// Hand a poll of this work to the client now.
    Poll {
        /// The work; [`Engine::address`](super::Engine::address) says where to ask.
        slot: Slot,
    },
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The answer to a submit was read, or will never come.
    Intake {
        /// The work.
        slot: Slot,
        /// The send stamp of this submit.
        sent: Tick,
        /// When.
        at: Tick,
        /// What it says.
        reply: IntakeReply,
    },
    /// The answer to a poll was read, or will never come.
    Poll {
        /// The work.
        slot: Slot,
        /// The send stamp of this poll.
        sent: Tick,
        /// When.
        at: Tick,
        /// What it says.
        reply: PollReply,
    },
    /// A probe of the watchdog was read: it shows how late an answer would have been stamped.
    Probe {
        /// When it could have been read.
        from: Tick,
        /// When.
        at: Tick,
    },
    /// A callback was read.
    Callback {
        /// When.
        at: Tick,
        /// What it says.
        notice: Box<CallbackNotice>,
    },
    /// The receiver had requests that are no callbacks.
    Strays(Strays),
    /// Connections were opened.
    Connections {
        /// How many.
        opened: u64,
    },
    /// Another shard of the run tells something.
    News(News),
    /// The load ends at this instant, which may lie ahead; works are followed to their end.
    StopLoad {
        /// When.
        at: Tick,
    },
    /// The run ends at this instant, which may lie ahead.
    StopRun {
        /// When.
        at: Tick,
    },
}

/// The first answer that says that the operator made a mistake, before anything was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403 or 404.
    pub status: u16,
    /// The body, capped.
    pub body: Box<str>,
}
