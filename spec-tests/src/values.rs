//! Values of scripts: arguments to pass and results to expect.
//!
//! An expectation may leave room: any NaN of a class, any reference of a type, one of several values. Host
//! references (`ref.extern N`, `ref.host N`) are host objects that hold the number.

use dolmen::{AnyRef, Error, ExternRef, Store, Val};
use std::fmt;
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};

/// What a host reference of a script holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HostNumber(u32);

/// The value to pass for an argument.
///
/// # Errors
///
/// If the heap has no room for a host reference.
pub fn argument(store: &mut Store<()>, arg: &WastArgCore<'_>) -> Result<Val, Error> {
    Ok(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
        WastArgCore::RefNull(heap) => null(heap),
        WastArgCore::RefExtern(number) => Val::ExternRef(Some(ExternRef::new(&mut *store, HostNumber(*number))?)),
        WastArgCore::RefHost(number) => {
            let host = ExternRef::new(&mut *store, HostNumber(*number))?;
            Val::AnyRef(Some(host.into()))
        }
    })
}

/// The null of a heap type. Concrete types of the text format are of the `any` hierarchy where the script does
/// not say; the suite passes no others.
fn null(heap: &HeapType<'_>) -> Val {
    use AbstractHeapType::{Exn, Extern, Func, NoExn, NoExtern, NoFunc};
    match heap {
        HeapType::Abstract { ty: Func | NoFunc, .. } => Val::FuncRef(None),
        HeapType::Abstract { ty: Extern | NoExtern, .. } => Val::ExternRef(None),
        HeapType::Abstract { ty: Exn | NoExn, .. } => Val::ExnRef(None),
        _ => Val::AnyRef(None),
    }
}

/// Compares results with what is expected of them.
///
/// # Errors
///
/// What differs, in words.
pub fn check_results(store: &mut Store<()>, found: &[Val], expected: &[&WastRetCore<'_>]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("expected {} results, found {}", expected.len(), found.len()));
    }
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        if !matches(store, found, expected) {
            return Err(format!("result {index}: expected {}, found {}", Expected(expected), Found(found)));
        }
    }
    Ok(())
}

fn matches(store: &mut Store<()>, found: &Val, expected: &WastRetCore<'_>) -> bool {
    use WastRetCore as Ret;
    match (found, expected) {
        (_, Ret::Either(cases)) => cases.iter().any(|case| matches(store, found, case)),
        (Val::I32(found), Ret::I32(expected)) => found == expected,
        (Val::I64(found), Ret::I64(expected)) => found == expected,
        (Val::F32(found), Ret::F32(expected)) => f32_matches(*found, &map_nan(expected, |value| value.bits)),
        (Val::F64(found), Ret::F64(expected)) => f64_matches(*found, &map_nan(expected, |value| value.bits)),
        (Val::V128(found), Ret::V128(expected)) => v128_matches(found.as_u128(), expected),
        (found, Ret::RefNull(None)) => is_null(found),
        (found, Ret::RefNull(Some(heap))) => is_null(found) && same_hierarchy(found, heap),
        (Val::ExternRef(Some(_)), Ret::RefExtern(None)) | (Val::FuncRef(Some(_)), Ret::RefFunc(_)) => true,
        (Val::ExternRef(Some(found)), Ret::RefExtern(Some(number))) => holds(store, found, *number),
        (Val::AnyRef(Some(found)), expected) => any_matches(store, found, expected),
        _ => false,
    }
}

fn any_matches(store: &mut Store<()>, found: &AnyRef, expected: &WastRetCore<'_>) -> bool {
    use WastRetCore as Ret;
    match expected {
        Ret::RefAny => true,
        Ret::RefEq => found.is_eq(),
        Ret::RefI31 => found.is_i31(),
        Ret::RefStruct => found.is_struct(),
        Ret::RefArray => found.is_array(),
        Ret::RefHost(number) => holds(store, &found.clone().into(), *number),
        _ => false,
    }
}

fn holds(store: &mut Store<()>, found: &ExternRef, number: u32) -> bool {
    matches!(found.data(&*store), Ok(Some(data)) if data.downcast_ref() == Some(&HostNumber(number)))
}

fn is_null(value: &Val) -> bool {
    matches!(value, Val::FuncRef(None) | Val::AnyRef(None) | Val::ExternRef(None) | Val::ExnRef(None))
}

/// Whether a null may be one of this heap type. A concrete type may be a function's or a data type.
fn same_hierarchy(value: &Val, heap: &HeapType<'_>) -> bool {
    let concrete = !matches!(heap, HeapType::Abstract { .. });
    std::mem::discriminant(value) == std::mem::discriminant(&null(heap)) || concrete && matches!(value, Val::FuncRef(_))
}

fn map_nan<T, B>(pattern: &NanPattern<T>, bits: impl Fn(&T) -> B) -> NanPattern<B> {
    match pattern {
        NanPattern::CanonicalNan => NanPattern::CanonicalNan,
        NanPattern::ArithmeticNan => NanPattern::ArithmeticNan,
        NanPattern::Value(value) => NanPattern::Value(bits(value)),
    }
}

/// Bits of the canonical NaN but for its sign; an arithmetic NaN has at least these.
const F32_CANONICAL_NAN: u32 = 0x7fc0_0000;

/// As [`F32_CANONICAL_NAN`].
const F64_CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

fn f32_matches(found: u32, expected: &NanPattern<u32>) -> bool {
    match expected {
        NanPattern::CanonicalNan => found & (u32::MAX >> 1) == F32_CANONICAL_NAN,
        NanPattern::ArithmeticNan => found & F32_CANONICAL_NAN == F32_CANONICAL_NAN,
        NanPattern::Value(bits) => found == *bits,
    }
}

fn f64_matches(found: u64, expected: &NanPattern<u64>) -> bool {
    match expected {
        NanPattern::CanonicalNan => found & (u64::MAX >> 1) == F64_CANONICAL_NAN,
        NanPattern::ArithmeticNan => found & F64_CANONICAL_NAN == F64_CANONICAL_NAN,
        NanPattern::Value(bits) => found == *bits,
    }
}

fn v128_matches(found: u128, expected: &V128Pattern) -> bool {
    let bytes = found.to_le_bytes();
    let lane32 = |i: usize| u32::from_le_bytes(std::array::from_fn(|j| bytes[4 * i + j]));
    let lane64 = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j]));
    match expected {
        V128Pattern::I8x16(lanes) => lanes.iter().zip(bytes).all(|(lane, byte)| lane.to_le_bytes() == [byte]),
        V128Pattern::I16x8(lanes) => lanes.iter().zip(bytes.chunks(2)).all(|(lane, found)| lane.to_le_bytes() == found),
        V128Pattern::I32x4(lanes) => lanes.iter().zip(bytes.chunks(4)).all(|(lane, found)| lane.to_le_bytes() == found),
        V128Pattern::I64x2(lanes) => lanes.iter().zip(bytes.chunks(8)).all(|(lane, found)| lane.to_le_bytes() == found),
        V128Pattern::F32x4(lanes) => {
            (0..).zip(lanes).all(|(i, lane)| f32_matches(lane32(i), &map_nan(lane, |value| value.bits)))
        }
        V128Pattern::F64x2(lanes) => {
            (0..).zip(lanes).all(|(i, lane)| f64_matches(lane64(i), &map_nan(lane, |value| value.bits)))
        }
    }
}

/// Shows a value as scripts write it, floats with their bits.
struct Found<'a>(&'a Val);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Val::I32(value) => write!(f, "(i32.const {value})"),
            Val::I64(value) => write!(f, "(i64.const {value})"),
            Val::F32(bits) => write!(f, "(f32.const {:?}) with bits {bits:#010x}", f32::from_bits(*bits)),
            Val::F64(bits) => write!(f, "(f64.const {:?}) with bits {bits:#018x}", f64::from_bits(*bits)),
            Val::V128(value) => write!(f, "(v128.const) with bits {value}"),
            value if is_null(value) => f.write_str("(ref.null)"),
            Val::FuncRef(_) => f.write_str("(ref.func)"),
            Val::AnyRef(Some(any)) if any.is_i31() => f.write_str("(ref.i31)"),
            Val::AnyRef(_) => f.write_str("(ref.any)"),
            Val::ExternRef(_) => f.write_str("(ref.extern)"),
            Val::ExnRef(_) => f.write_str("(ref.exn)"),
        }
    }
}

/// Shows an expectation as scripts write it, floats with their bits.
struct Expected<'a>(&'a WastRetCore<'a>);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use WastRetCore as Ret;
        match self.0 {
            Ret::I32(value) => write!(f, "{}", Found(&Val::I32(*value))),
            Ret::I64(value) => write!(f, "{}", Found(&Val::I64(*value))),
            Ret::F32(NanPattern::Value(value)) => write!(f, "{}", Found(&Val::F32(value.bits))),
            Ret::F64(NanPattern::Value(value)) => write!(f, "{}", Found(&Val::F64(value.bits))),
            Ret::F32(NanPattern::CanonicalNan) | Ret::F64(NanPattern::CanonicalNan) => f.write_str("nan:canonical"),
            Ret::F32(NanPattern::ArithmeticNan) | Ret::F64(NanPattern::ArithmeticNan) => f.write_str("nan:arithmetic"),
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_classes() {
        let canonical = NanPattern::CanonicalNan;
        let arithmetic = NanPattern::ArithmeticNan;
        assert!(f32_matches(0xffc0_0000, &canonical) && f32_matches(0x7fc0_0000, &arithmetic));
        assert!(!f32_matches(0x7fc0_0001, &canonical) && f32_matches(0x7fc0_0001, &arithmetic));
        assert!(!f32_matches(0x7f80_0001, &NanPattern::ArithmeticNan));
        assert!(f64_matches(0xfff8_0000_0000_0000, &NanPattern::CanonicalNan));
        assert!(!f64_matches(0x7ff4_0000_0000_0000, &NanPattern::ArithmeticNan));
        assert!(!f64_matches(0x8000_0000_0000_0000, &NanPattern::Value(0)), "negative zero is not zero");
    }

    #[test]
    fn lanes_are_compared_in_order() {
        let found = u128::from_le_bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0x80]);
        assert!(v128_matches(found, &V128Pattern::I32x4([1, 2, 3, i32::MIN + 4])));
        assert!(!v128_matches(found, &V128Pattern::I32x4([2, 1, 3, i32::MIN + 4])));
        assert!(v128_matches(found, &V128Pattern::I64x2([0x2_0000_0001, i64::MIN + 0x4_0000_0003])));
    }
}
