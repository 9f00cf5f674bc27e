//! `plimsoll size`: can callers poll at the peak, or do they need callbacks?
//!
//! A short run at a safe rate tells how long works take ([`sojourn`]); the closed formulas
//! ([`polling`], [`delivery`], [`burst`]) say what each choice needs at the peak, and what it gives.

pub mod advice;
pub mod burst;
pub mod delivery;
pub mod hybrid;
pub mod measured;
pub mod need;
pub mod played;
pub mod polling;
pub mod sojourn;
