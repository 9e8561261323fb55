//! What the compiler knows of the collector.
//!
//! Translation marks the collector's work by calls ([`markers`]); LLVM optimises over them; [`lower`] replaces
//! them by the protocol that [`dolmen_abi::collector`] states, keeps roots on the shadow stack, and turns
//! references into addresses. Nothing else of the compiler knows how references are encoded.

pub(crate) mod lower;
pub(crate) mod markers;
