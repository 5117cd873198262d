//! spotctl turns one AWS Spot GPU worker on and off.
pub mod sandbox;
pub mod spec;
