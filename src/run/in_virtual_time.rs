//! A run in virtual time: the scenario's simulated service answers, as fast as it can be computed.
//! Nothing is sent, whatever the target is.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::channel;

use super::like::EarlierRun;
use super::pace::Pace;
use super::prepare;
use super::venue::{Left, ShardWays, Shards, Venue, Ways};
use super::{Mistake, Options};
use crate::report::Facts;
use crate::scenario::{Base, Plan, SimPlan};
use crate::shell::RunClock;
use crate::shell::orders::Orders;
use crate::shell::virtual_time::{MESSAGES, VirtualShards};
use crate::time::Span;

/// A scenario, and the simulated service in the place of its target.
pub(super) struct InVirtualTime {
    facts: Facts,
    /// The scenario against the simulated service.
    plan: Arc<Plan>,
    shards: u64,
    truth: Option<PathBuf>,
}

impl InVirtualTime {
    /// Looks for what can be known to be wrong.
    pub(super) fn prepare(plan: &Arc<Plan>, options: &Options) -> Result<Self, Mistake> {
        let (asked, served) = (&plan.target.intake_id, &plan.simulator.intake_id);
        if plan.target.base == Base::Simulator && asked != served {
            return Err(Mistake(format!(
                "the simulator would answer every submit 404: found target.intake_id \
                 \"{asked}\", expected \"{served}\", as simulator.intake_id is\n\
                 hint: --set target.intake_id={served}"
            )));
        }
        let shards = prepare::virtual_shards(plan, options.shards)?;
        if let Some(path) = &options.truth {
            prepare::create_truth(path)?;
        }
        let earlier = options.like.as_deref().map(EarlierRun::read).transpose()?;
        let mut facts = Facts::of(plan);
        facts = facts.in_virtual_time(&what_answers(&plan.simulator, earlier.as_ref()));
        facts.shards = shards;
        let mut plan = stand_in(plan);
        if let Some(EarlierRun { like, .. }) = &earlier {
            plan.simulator = like.in_place_of(&plan.simulator);
        }
        Ok(Self {
            facts,
            plan: Arc::new(plan),
            shards,
            truth: options.truth.clone(),
        })
    }
}

/// The plan against the simulated service, which then serves the intake of the target.
fn stand_in(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.target.base = Base::Simulator;
    plan.simulator.intake_id.clone_from(&plan.target.intake_id);
    plan
}

/// What answered, for people who read the numbers.
fn what_answers(simulator: &SimPlan, earlier: Option<&EarlierRun>) -> String {
    format!(
        "simulated: nothing was sent; the [simulator] of the scenario answered in virtual time, \
         {}; network delay {} each way",
        earlier.map_or_else(|| queue(simulator), EarlierRun::how_works_end),
        simulator.network_delay
    )
}

/// Who carries works out, and how long that takes.
fn queue(simulator: &SimPlan) -> String {
    let queue = match simulator.workers {
        0 => "without a queue".to_owned(),
        1 => "with 1 worker".to_owned(),
        workers => format!("with {workers} workers"),
    };
    let failed = simulator.failed_service_time.as_ref();
    let failed = failed.map_or_else(String::new, |law| format!(" ({law} of works that fail)"));
    format!("{queue}, service time {}{failed}", simulator.service_time)
}

impl Venue for InVirtualTime {
    type Shards = Played;

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn warnings(&self) -> Vec<String> {
        prepare::warnings(&self.plan)
    }

    fn ways(&self) -> Ways {
        let clock = RunClock::starting_in(Span::ZERO);
        Ways::new(
            clock,
            Pace::of_virtual_time(clock),
            Orders::in_virtual_time(self.shards),
            channel(MESSAGES),
        )
    }

    fn start(self, ways: ShardWays) -> Result<Played, Mistake> {
        let wants_truth = self.truth.is_some();
        Ok(Played {
            shards: VirtualShards::start(&self.plan, wants_truth, ways.inbounds, &ways.to)?,
            truth: self.truth,
        })
    }
}

/// The thread that plays the shards.
pub(super) struct Played {
    shards: VirtualShards,
    truth: Option<PathBuf>,
}

impl Shards for Played {
    fn join(self) -> Left {
        let (shards, truth) = self.shards.join();
        let written = match (&self.truth, truth) {
            (Some(path), Some(truth)) => prepare::write_truth(path, &truth),
            _ => Ok(()),
        };
        Left {
            shards,
            watch: None,
            receiver: None,
            truth: written,
        }
    }
}
