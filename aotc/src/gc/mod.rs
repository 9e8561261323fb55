//! What the compiler knows of the collector.
//!
//! Translation marks the collector's work by calls ([`markers`]); LLVM optimises over them; [`lower`] replaces
//! them by the protocol that [`dolmen_abi::collector`] states, keeps roots on the shadow stack, and turns
//! references into addresses. Nothing else of the compiler knows how references are encoded.

pub(crate) mod lower;
pub(crate) mod markers;

use dolmen_abi::collector::Motion;

/// The motion that all code bears, whatever collector it is compiled for: [`lower`] keeps on the shadow stack what it
/// needs after a safepoint.
pub(crate) const MOTION: Motion = Motion::Unrooted;
