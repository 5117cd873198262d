//! What decides, and calls nobody: pure functions over plain data, tested by tables.
//!
//! Nothing here makes a client, reads a clock, prints or sleeps. What it needs to know is read by `market` and `resource`
//! and handed in.

pub mod catalog;
pub mod classify;
pub mod cost;
pub mod increase;
pub mod names;
pub mod need;
pub mod offers;
pub mod permissions;
pub mod phase;
pub mod policy;
pub mod quota;
pub mod references;
pub mod refusal;
pub mod stability;
pub mod user_data;
pub mod why;
pub mod workers;

#[cfg(test)]
mod golden;
