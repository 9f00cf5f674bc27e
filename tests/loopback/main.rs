//! The binary against real services on 127.0.0.1, as a user would run it. None of the services here
//! shares code with the built-in simulator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;
mod trouble;

mod agreement;
mod bridge;
mod callbacks;
mod limits;
mod own_error;
mod profiles;
mod requests;
mod security;
mod selftest;
mod shards;
mod signals;
mod size;
mod sojourn;
mod virtual_time;
