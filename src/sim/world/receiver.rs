//! The receiver of callbacks in virtual time: what the one over HTTP does, without the sockets.

use super::{Event, Watch, World};
use crate::engine::Input;
use crate::engine::peers::callback_home;
use crate::scenario::{Find, ReceiverFaultKind};
use crate::sim::{Attempt, Received, Sending};
use crate::time::Tick;
use crate::work::{About, CallbackNotice, CallbackSaid, Ending, Terminal, WorkId};

impl World {
    /// The service calls those whom it has something to tell by now.
    pub(super) fn send_calls(&mut self) {
        let sent = self.now;
        while let Some(sending) = self.service.take_call(sent) {
            let at = sent + self.delay();
            let limit = sent + self.plan.simulator.callback.timeout;
            if at > limit {
                // It arrives all the same, but the service has given it up by then.
                let ended = Box::new((sending, Received::TimedOut));
                self.put(limit, Event::CallEnds(ended));
            }
            let sending = Box::new(sending);
            self.put(at, Event::CallArrives { sending, sent });
        }
    }

    /// A call has reached the receiver: a shard is told, and the service hears what the receiver
    /// has to say, unless that comes too late.
    pub(super) fn receive(
        &mut self,
        sending: Sending,
        sent: Tick,
        at: Tick,
        watch: &mut impl Watch,
    ) {
        let callback = &self.plan.observe.callback;
        let fault = callback.fault(self.plan.seed, self.received, at);
        self.received += 1;
        let notice = self.notice(&sending.attempt, fault.is_none_or(ReceiverFaultKind::takes));
        let shards = self.shards.len() as u64;
        let home = usize::try_from(callback_home(&notice.about, shards)).expect("shards are few");
        let notice = Box::new(notice);
        self.hear(home, at, Input::Callback { at, notice }, watch);
        let limit = sent + self.plan.simulator.callback.timeout;
        if at > limit {
            return;
        }
        let heard = at + self.delay();
        let (known, received) = match fault {
            None => (heard, Received::Answered(200, None)),
            Some(ReceiverFaultKind::Status(status)) => (heard, Received::Answered(status, None)),
            Some(ReceiverFaultKind::Slow(by)) => (heard + by, Received::Answered(200, None)),
            Some(ReceiverFaultKind::Reset) => (heard, Received::Broken),
            Some(ReceiverFaultKind::Silent) => (Tick::NEVER, Received::TimedOut),
        };
        let (known, received) = if known > limit {
            (limit, Received::TimedOut)
        } else {
            (known, received)
        };
        self.put(known, Event::CallEnds(Box::new((sending, received))));
    }

    fn notice(&self, attempt: &Attempt, taken: bool) -> CallbackNotice {
        let callback = &self.plan.observe.callback;
        let (id, finished) = self.service.told_by(attempt);
        let (status, body) = match attempt.ending {
            Ending::Completed => ("completed", ""),
            Ending::Failed => ("failed", r#"{"error":"the simulated work failed"}"#),
        };
        CallbackNotice {
            about: match callback.find {
                Find::OwnUrl => About::Own {
                    seq: attempt.caller,
                },
                Find::Body(_) | Find::Path | Find::Query(_) => About::Id(WorkId(id.into())),
            },
            said: CallbackSaid::Terminal(Terminal {
                ending: attempt.ending,
                status: status.into(),
                finished: finished.filter(|_| callback.finished_at.is_some()),
                body: body.into(),
            }),
            // Each delivery has an id, which its second copy carries too.
            delivery: Some(attempt.work),
            verified: None,
            taken,
        }
    }
}
