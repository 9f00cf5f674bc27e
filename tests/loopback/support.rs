//! What the tests share: services to load, the binary as a user runs it, and what it leaves behind.

pub(crate) mod binary;
pub(crate) mod caller;
pub(crate) mod host;
pub(crate) mod intake;
pub(crate) mod run;
