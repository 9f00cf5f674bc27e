//! What the polls of a run say about the time that works take.

pub mod ages;
pub mod curve;
pub mod npmle;
