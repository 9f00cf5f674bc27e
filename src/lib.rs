//! Plimsoll: load and soak testing for job APIs that answer `202 Accepted` and finish later.
//!
//! ```text
//!  scenario ─► Plan ─► ArrivalSchedule ─► Engine ──Effect──► shell (HTTP)
//!                       intended starts     ▲  │                 │
//!                                           │  └─► Recorder      │
//!                                           └──────Input─────────┘
//!  Recorder ─► intervals, rows ─► run directory ─► Report ─► text · JSON + verdict
//! ```
//!
//! The modules below stand in the order in which data flows; a file imports its own row and rows
//! above it. `ARCHITECTURE.md` has the map and the invariants.

// 0 nouns
pub mod random;
pub mod time;
pub mod work;

// 1 description
pub mod scenario;
pub mod wire;

// 2 load law
pub mod arrival;

// 3 measurement
pub mod estimate;
pub mod record;

// 4 decision
pub mod engine;

// 5 values out, test world
pub mod check;
pub mod report;
pub mod selftest;
pub mod sim;
pub mod sizing;

// 6 world
pub mod shell;

// 7 whole
pub mod run;

// 8 door
pub mod cli;
pub mod commands;
