//! decide
pub mod user_data;

#[cfg(test)]
mod golden;
