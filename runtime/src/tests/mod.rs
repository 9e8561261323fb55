//! Tests of loading, linking and calling, with artifacts made by hand: no compiler is at hand here.

mod artifact;
mod image;
mod instance;
mod types;
mod value;
