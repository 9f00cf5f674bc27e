//! The folder that may touch the world: sockets, clocks, files and threads.
