//! `ArrivalSchedule`: the laws of arrival as intended starts.
//!
//! Every intended start is computed from the origin, never from the one before, so nothing drifts.
//! The schedule can be entered at any arrival: constant and ramped stages by index, Poisson stages
//! by block of a second, each a function of (seed, stage, block). A [`Segment`] keeps every n-th
//! arrival of the whole, so the segments of a schedule sum exactly to it.

mod law;

use std::sync::Arc;

use crate::scenario::Stage;
use crate::time::{Span, Tick};
use law::Law;

/// One arrival of the open model: due at `intended`, whatever the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the whole schedule, from 0.
    pub seq: u64,
    /// The load stage, from 0.
    pub stage: u16,
    /// When it is due.
    pub intended: Tick,
}

/// A share of a schedule: the arrivals whose number leaves the remainder `index` when divided by
/// `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which share, below `of`.
    pub index: u64,
    /// How many shares there are.
    pub of: u64,
}

impl Segment {
    /// The whole schedule.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    const fn has(self, seq: u64) -> bool {
        seq % self.of == self.index
    }
}

/// A stage with its place in the whole.
#[derive(Debug)]
struct Placed {
    law: Law,
    start: Tick,
    end: Tick,
    first_seq: u64,
    count: u64,
}

/// The whole load, and a place in it.
#[derive(Clone, Debug)]
pub struct ArrivalSchedule {
    stages: Arc<[Placed]>,
    segment: Segment,
    stage: usize,
    index: u64,
    block: law::Block,
    next: Option<Arrival>,
}

impl ArrivalSchedule {
    /// The schedule of these stages, entered at its first arrival.
    pub fn new(stages: &[Stage], seed: u64, segment: Segment) -> Self {
        let mut placed = Vec::with_capacity(stages.len());
        let (mut start, mut first_seq) = (Tick::ZERO, 0);
        for (number, stage) in stages.iter().enumerate() {
            let law = Law::new(stage, seed, number as u64);
            let count = law.count();
            let end = start + stage.duration;
            placed.push(Placed {
                law,
                start,
                end,
                first_seq,
                count,
            });
            start = end;
            first_seq += count;
        }
        let mut schedule = Self {
            stages: placed.into(),
            segment,
            stage: 0,
            index: 0,
            block: law::Block::default(),
            next: None,
        };
        schedule.next = schedule.find();
        schedule
    }

    /// How many arrivals the whole schedule has, all segments together.
    pub fn total(&self) -> u64 {
        self.stages
            .last()
            .map_or(0, |stage| stage.first_seq + stage.count)
    }

    /// The end of the last stage.
    pub fn end(&self) -> Tick {
        self.stages.last().map_or(Tick::ZERO, |stage| stage.end)
    }

    /// The stage that runs at an instant; `None` after the load.
    pub fn stage_at(&self, now: Tick) -> Option<u16> {
        let stage = self.stages.iter().position(|stage| now < stage.end)?;
        u16::try_from(stage).ok()
    }

    /// The stage of an arrival.
    pub fn stage_of(&self, seq: u64) -> u16 {
        let stage = (self.stages).partition_point(|stage| stage.first_seq + stage.count <= seq);
        u16::try_from(stage).unwrap_or(u16::MAX)
    }

    /// The next arrival of the segment.
    pub fn peek(&self) -> Option<Arrival> {
        self.next
    }

    /// Enters the schedule at the first arrival of the segment whose number is `seq` or more.
    pub fn enter(&mut self, seq: u64) {
        self.stage = self
            .stages
            .iter()
            .position(|stage| seq < stage.first_seq + stage.count)
            .unwrap_or(self.stages.len());
        self.index = self
            .stages
            .get(self.stage)
            .map_or(0, |stage| seq - stage.first_seq);
        self.block = law::Block::default();
        self.next = self.find();
    }

    /// The arrival at the place, or the next one that the segment has.
    fn find(&mut self) -> Option<Arrival> {
        loop {
            let stage = self.stages.get(self.stage)?;
            if self.index >= stage.count {
                self.stage += 1;
                self.index = 0;
                self.block = law::Block::default();
                continue;
            }
            let seq = stage.first_seq + self.index;
            if self.segment.has(seq) {
                let offset = stage.law.offset(self.index, &mut self.block);
                return Some(Arrival {
                    seq,
                    stage: u16::try_from(self.stage).unwrap_or(u16::MAX),
                    intended: stage.start + offset,
                });
            }
            self.index += 1;
        }
    }
}

impl Iterator for ArrivalSchedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let arrival = self.next?;
        self.index += 1;
        self.next = self.find();
        Some(arrival)
    }
}

/// The time from the first to the last instant of all stages.
pub fn length(stages: &[Stage]) -> Span {
    stages.iter().fold(Span::ZERO, |sum, stage| {
        Span(sum.0.saturating_add(stage.duration.0))
    })
}

#[cfg(test)]
mod tests;
