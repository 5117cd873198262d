//! spotctl turns one AWS Spot GPU worker on and off.
pub mod config;
pub mod decide;
pub mod sandbox;
pub mod spec;
