//! What the compiler knows of the collector.
//!
//! Translation marks the collector's work by calls ([`markers`]); LLVM optimises over them; [`scalar_replacement`] does
//! without objects that need not be made, [`initial`] without stores of what is zero; [`loops`] works on what LLVM leaves
//! of loops; [`lower`] replaces the calls by the protocol that [`dolmen_abi::collector`] states, keeps roots on the shadow
//! stack, and turns references into addresses. Nothing else of the compiler knows how references are encoded.

pub(crate) mod cfg;
pub(crate) mod initial;
pub(crate) mod loops;
pub(crate) mod lower;
pub(crate) mod markers;
pub(crate) mod scalar_replacement;
pub(crate) mod through;

use dolmen_abi::collector::Motion;

/// The motion that all code bears, whatever collector it is compiled for: [`lower`] keeps on the shadow stack what it
/// needs after a safepoint.
pub(crate) const MOTION: Motion = Motion::Unrooted;
