//! Values between C and the runtime: `wasm_val_t`, and the cells of `wasm_runtime_call_wasm`.

use crate::exec_env::ExecEnv;
use crate::failure::Failure;
use crate::objects::handle::{self, Object};
use runtime::{HeapType, V128, Val, ValType};

/// `wasm_valkind_t` of C.
pub(crate) type Kind = u8;

/// The kinds, as in `wasm_export.h`.
pub(crate) mod kind {
    use super::Kind;

    pub(crate) const I32: Kind = 0;
    pub(crate) const I64: Kind = 1;
    pub(crate) const F32: Kind = 2;
    pub(crate) const F64: Kind = 3;
    pub(crate) const V128: Kind = 4;
    pub(crate) const EXTERNREF: Kind = 128;
    pub(crate) const FUNCREF: Kind = 129;
    pub(crate) const ANYREF: Kind = 130;
    pub(crate) const EXNREF: Kind = 131;
}

/// `wasm_val_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CValue {
    kind: Kind,
    _paddings: [u8; 7],
    of: CValueOf,
}

#[repr(C)]
#[derive(Clone, Copy)]
union CValueOf {
    i32: i32,
    i64: i64,
    f32: u32,
    f64: u64,
    reference: *const Object,
}

/// The kind of values of a type.
pub(crate) fn kind_of(ty: &ValType) -> Kind {
    match ty {
        ValType::I32 => kind::I32,
        ValType::I64 => kind::I64,
        ValType::F32 => kind::F32,
        ValType::F64 => kind::F64,
        ValType::V128 => kind::V128,
        ValType::Ref(ty) => match ty.heap_type().top() {
            HeapType::Func => kind::FUNCREF,
            HeapType::Extern => kind::EXTERNREF,
            HeapType::Exn => kind::EXNREF,
            _ => kind::ANYREF,
        },
    }
}

impl CValue {
    /// The value as one of type `ty`.
    ///
    /// # Errors
    ///
    /// If it is of another kind. A reference may be of any kind of references, as C names few of them.
    ///
    /// # Safety
    ///
    /// A reference must be null, an `i31`, or in a scope that has not ended.
    pub(crate) unsafe fn to_val(self, ty: &ValType) -> Result<Val, Failure> {
        // SAFETY: the kind says which field is set; each has a value for all bits, but for a reference, which is the
        // caller's promise.
        Ok(unsafe {
            match (self.kind, ty) {
                (kind::I32, ValType::I32) => Val::I32(self.of.i32),
                (kind::I64, ValType::I64) => Val::I64(self.of.i64),
                (kind::F32, ValType::F32) => Val::F32(self.of.f32),
                (kind::F64, ValType::F64) => Val::F64(self.of.f64),
                (kind::EXTERNREF | kind::FUNCREF | kind::ANYREF | kind::EXNREF, ValType::Ref(_)) => {
                    handle::from_c(self.of.reference, ty)?
                }
                (found, ty) => {
                    return Err(Failure::argument(format!("a value of kind {found} where {ty} is expected")));
                }
            }
        })
    }

    /// A value for C; references are in the innermost scope of `env`.
    pub(crate) fn from_val(env: &ExecEnv, value: Val, ty: &ValType) -> Result<Self, Failure> {
        Self::with_kind(env, value, kind_of(ty))
    }

    /// A value of this kind for C, as by [`CValue::from_val`].
    pub(crate) fn with_kind(env: &ExecEnv, value: Val, kind: Kind) -> Result<Self, Failure> {
        let of = match value {
            Val::I32(value) => CValueOf { i64: i64::from(value.cast_unsigned()) },
            Val::I64(value) => CValueOf { i64: value },
            Val::F32(bits) => CValueOf { f64: u64::from(bits) },
            Val::F64(bits) => CValueOf { f64: bits },
            Val::V128(_) => return Err(Failure::argument("a v128 does not fit a wasm_val_t")),
            reference => CValueOf { reference: handle::to_c(&env.handles, env.record(), reference) },
        };
        Ok(Self { kind, _paddings: [0; 7], of })
    }
}

/// Number of cells of 32 bits that a value takes.
pub(crate) fn cells_of(ty: &ValType) -> usize {
    match ty {
        ValType::I32 | ValType::F32 => 1,
        ValType::I64 | ValType::F64 => 2,
        ValType::V128 => 4,
        ValType::Ref(_) => size_of::<*const Object>() / size_of::<u32>(),
    }
}

/// The value in cells, of which there are as many as the type takes.
///
/// # Safety
///
/// As for [`CValue::to_val`].
pub(crate) unsafe fn from_cells(cells: &[u32], ty: &ValType) -> Result<Val, Failure> {
    let bits = cells.iter().rev().fold(0u128, |bits, &cell| bits << u32::BITS | u128::from(cell));
    // SAFETY: as the caller promises.
    unsafe { from_bits(bits, ty) }
}

/// The value of a type by its bits, as [`to_bits`] makes them.
///
/// # Safety
///
/// A reference must be null, an `i31`, or in a scope that has not ended.
pub(crate) unsafe fn from_bits(bits: u128, ty: &ValType) -> Result<Val, Failure> {
    Ok(match ty {
        ValType::I32 => Val::I32(bits as i32),
        ValType::I64 => Val::I64(bits as i64),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits as u64),
        ValType::V128 => Val::V128(bits.into()),
        // SAFETY: as the caller promises.
        ValType::Ref(_) => unsafe { handle::from_c(std::ptr::with_exposed_provenance(bits as usize), ty)? },
    })
}

/// The bits of a value for C; references are in the innermost scope of `env`.
pub(crate) fn to_bits(env: &ExecEnv, value: Val) -> u128 {
    match value {
        Val::I32(value) => value.cast_unsigned().into(),
        Val::I64(value) => value.cast_unsigned().into(),
        Val::F32(bits) => bits.into(),
        Val::F64(bits) => bits.into(),
        Val::V128(vector) => V128::as_u128(vector),
        reference => handle::to_c(&env.handles, env.record(), reference).expose_provenance() as u128,
    }
}

/// Writes the bits of a value into the cells that its type takes.
pub(crate) fn to_cells(bits: u128, cells: &mut [u32]) {
    for (index, cell) in cells.iter_mut().enumerate() {
        *cell = (bits >> (index as u32 * u32::BITS)) as u32;
    }
}
