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

pub mod time;
pub mod work;

pub mod scenario;

pub mod check;
