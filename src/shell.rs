//! The folder that may touch the world: sockets, clocks, files and threads.

pub mod sim_command;
pub mod sim_server;
