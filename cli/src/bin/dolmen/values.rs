//! WebAssembly values as text: arguments of `--invoke` and the results it prints.

use crate::{floats, vectors};
use anyhow::{Context, Result, bail};
use dolmen::{AnyRef, AsContext, AsContextMut, ExternRef, FuncType, HeapType, RefType, Val, ValType};
use std::ffi::OsString;

/// The word for a null reference.
const NULL: &str = "null";

/// Values of `i31` are read as signed or unsigned numbers of this many bits.
const I31_BITS: u32 = 31;

/// A message repeats so many characters of an argument at most.
const MAX_SHOWN_CHARS: usize = 80;

/// A host value that stands behind an `externref` argument: the number that was given.
struct HostNumber(u64);

/// Parses the arguments of a function.
///
/// # Errors
///
/// When there are too few or too many, or one is no value of its parameter's type.
pub fn parse_args(mut store: impl AsContextMut, name: &str, ty: &FuncType, args: &[OsString]) -> Result<Vec<Val>> {
    let params: Vec<ValType> = ty.params().collect();
    if params.len() != args.len() {
        let types: Vec<String> = params.iter().map(ToString::to_string).collect();
        let (takes, given) = (count(params.len(), "argument"), args.len());
        bail!("{name:?} takes {takes} ({}), but {given} given", types.join(" "));
    }
    let parse = |(i, (ty, arg)): (usize, (&ValType, &OsString))| {
        let text = arg.to_str().with_context(|| format!("argument {} is not UTF-8", i + 1))?;
        parse_value(&mut store, ty, text)?
            .with_context(|| format!("argument {}: {:?} is no value of type {ty}", i + 1, abbreviated(text)))
    };
    params.iter().zip(args).enumerate().map(parse).collect()
}

/// What a message shows of an argument.
fn abbreviated(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes a value.
///
/// # Errors
///
/// When a reference belongs to another store, which is a mistake of the caller.
pub fn format_value(store: impl AsContext, value: &Val) -> Result<String> {
    Ok(match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => floats::format_f32(*bits),
        Val::F64(bits) => floats::format_f64(*bits),
        Val::V128(value) => value.to_string(),
        Val::FuncRef(None) => "(ref.null func)".into(),
        Val::FuncRef(Some(_)) => "(ref.func)".into(),
        Val::AnyRef(None) => "(ref.null any)".into(),
        Val::AnyRef(Some(any)) => format_any(any),
        Val::ExternRef(None) => "(ref.null extern)".into(),
        Val::ExternRef(Some(value)) => match value.data(store.as_context())? {
            Some(data) => match data.downcast_ref::<HostNumber>() {
                Some(HostNumber(number)) => format!("(ref.extern {number})"),
                None => "(ref.extern)".into(),
            },
            None => "(ref.extern)".into(),
        },
        Val::ExnRef(None) => "(ref.null exn)".into(),
        Val::ExnRef(Some(_)) => "(ref.exn)".into(),
    })
}

fn format_any(any: &AnyRef) -> String {
    match any.as_i31() {
        Some(value) => format!("(ref.i31 {value})"),
        None if any.is_struct() => "(ref.struct)".into(),
        None if any.is_array() => "(ref.array)".into(),
        None => "(ref.host)".into(),
    }
}

/// The value that a text stands for; nothing if it is none of the type.
fn parse_value(store: impl AsContextMut, ty: &ValType, text: &str) -> Result<Option<Val>> {
    Ok(match ty {
        ValType::I32 => parse_int(text, 32).map(|bits| Val::I32((bits as u32).cast_signed())),
        ValType::I64 => parse_int(text, 64).map(|bits| Val::I64(bits.cast_signed())),
        ValType::F32 => floats::parse_f32(text).map(Val::F32),
        ValType::F64 => floats::parse_f64(text).map(Val::F64),
        ValType::V128 => vectors::parse(text).map(Val::V128),
        ValType::Ref(ty) => parse_reference(store, ty, text)?,
    })
}

/// `null`, an `i31` as a number, or a host value as a number.
fn parse_reference(store: impl AsContextMut, ty: &RefType, text: &str) -> Result<Option<Val>> {
    if text == NULL {
        return Ok(ty.is_nullable().then(|| Val::null_ref(ty.heap_type())));
    }
    match ty.heap_type() {
        HeapType::Any | HeapType::Eq | HeapType::I31 => {
            let i31 = |bits: u64| Val::AnyRef(Some(AnyRef::from_i31((bits as u32).cast_signed())));
            Ok(parse_int(text, I31_BITS).map(i31))
        }
        HeapType::Extern => match parse_int(text, 64) {
            Some(number) => Ok(Some(Val::ExternRef(Some(ExternRef::new(store, HostNumber(number))?)))),
            None => Ok(None),
        },
        _ => bail!("arguments of type {ty} cannot be given on the command line but as null"),
    }
}

/// Parses a decimal or hexadecimal number in the range of signed or unsigned numbers of `bits` bits, into the
/// lowest bits of the result.
pub(crate) fn parse_int(text: &str, bits: u32) -> Option<u64> {
    let (negative, magnitude) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (radix, digits) = match magnitude.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, magnitude),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u128::from_str_radix(digits, radix).ok()?;
    let limit = if negative { 1 << (bits - 1) } else { (1 << bits) - 1 };
    if magnitude > limit {
        return None;
    }
    let value = magnitude as u64;
    let mask = u64::MAX >> (u64::BITS - bits);
    Some(if negative { value.wrapping_neg() & mask } else { value })
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_int;

    #[test]
    fn integers_are_signed_or_unsigned() {
        for (text, bits, value) in [
            ("0", 32, 0),
            ("4294967295", 32, 0xffff_ffff),
            ("-1", 32, 0xffff_ffff),
            ("-2147483648", 32, 0x8000_0000),
            ("0xff", 32, 255),
            ("-0x1", 64, u64::MAX),
            ("+7", 32, 7),
            ("18446744073709551615", 64, u64::MAX),
            ("-1", 31, 0x7fff_ffff),
        ] {
            assert_eq!(parse_int(text, bits), Some(value), "{text}");
        }
        for (text, bits) in [
            ("", 32),
            ("-", 32),
            ("x", 32),
            ("0x", 32),
            ("4294967296", 32),
            ("-2147483649", 32),
            ("1.0", 32),
            ("--1", 64),
            ("+-1", 32),
        ] {
            assert_eq!(parse_int(text, bits), None, "{text}");
        }
        assert_eq!(parse_int("18446744073709551616", 64), None);
        assert_eq!(parse_int("2147483648", 31), None);
    }
}
