//! The two files in which heap and runtime meet.
//!
//! [`to_heap`] is what a runtime may ask of a heap, [`to_runtime`] what a heap asks of a runtime. Neither side
//! sees more of the other than these; what compiled code inlines is in [`dolmen_abi::collector`].

pub mod to_heap;
pub mod to_runtime;
