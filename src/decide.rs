//! decide
pub mod policy;
pub mod user_data;

#[cfg(test)]
mod golden;
