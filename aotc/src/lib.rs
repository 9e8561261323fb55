//! dolmen-aotc

pub mod artifact;
pub mod object;
pub mod unwind;
