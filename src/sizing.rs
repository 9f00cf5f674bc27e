//! `plimsoll size`: can callers poll at the peak, or do they need callbacks?
//!
//! A short run at a safe rate tells how long works take ([`sojourn`]). The closed formulas
//! ([`polling`], [`delivery`], [`hybrid`], [`burst`]) say what each choice needs at the peak
//! ([`need`]), virtual time plays the same ([`played`]), and [`advice`] decides. The `run` module
//! makes the runs; [`result`] is all of it, [`json`], [`rows`] and [`table`] write it.

pub mod advice;
pub mod burst;
pub mod candidates;
pub mod delivery;
pub mod hybrid;
pub mod json;
pub mod measured;
pub mod need;
pub mod played;
pub mod polling;
pub mod result;
pub mod rows;
pub mod sojourn;
pub mod table;
