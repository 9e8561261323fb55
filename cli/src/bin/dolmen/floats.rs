//! Floating-point numbers as text, in the notation of the WebAssembly text format.
//!
//! Arguments come in as `1.5`, `-0x1.8p3`, `inf`, `nan`, `nan:0x200000`; results go out in the shortest form
//! that reads back as the same number. Everything is done on bit patterns, so that the payloads of NaNs and the
//! sign of zero survive.

/// A binary interchange format of IEEE 754.
#[derive(Clone, Copy, Debug)]
struct Format {
    fraction_bits: u32,
    exponent_bits: u32,
}

const F32: Format = Format { fraction_bits: 23, exponent_bits: 8 };
const F64: Format = Format { fraction_bits: 52, exponent_bits: 11 };

/// Numbers from here on are written with an exponent, as the digits before the point would be mostly zeros.
const LARGE: f64 = 1e21;

/// Numbers below this are written with an exponent.
const SMALL: f64 = 1e-6;

/// The bits of an `f32`; nothing if the text is no number.
#[must_use]
pub fn parse_f32(text: &str) -> Option<u32> {
    let decimal = |digits: &str| digits.parse::<f32>().ok().map(|value| value.to_bits().into());
    u32::try_from(F32.parse(text, decimal)?).ok()
}

/// The bits of an `f64`; nothing if the text is no number.
#[must_use]
pub fn parse_f64(text: &str) -> Option<u64> {
    F64.parse(text, |digits| digits.parse::<f64>().ok().map(f64::to_bits))
}

/// The text of an `f32`.
#[must_use]
pub fn format_f32(bits: u32) -> String {
    let value = f32::from_bits(bits);
    if value.is_nan() {
        return F32.format_nan(bits.into());
    }
    if has_exponent(value.into()) { format!("{value:e}") } else { value.to_string() }
}

/// The text of an `f64`.
#[must_use]
pub fn format_f64(bits: u64) -> String {
    let value = f64::from_bits(bits);
    if value.is_nan() {
        return F64.format_nan(bits);
    }
    if has_exponent(value) { format!("{value:e}") } else { value.to_string() }
}

fn has_exponent(value: f64) -> bool {
    value.is_finite() && value != 0.0 && !(SMALL..LARGE).contains(&value.abs())
}

impl Format {
    /// The fraction's highest bit: the payload of the canonical NaN.
    const fn quiet(self) -> u64 {
        1 << (self.fraction_bits - 1)
    }

    const fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    /// The greatest exponent of a finite number; its negation plus one is the least one of a normal number.
    const fn max_exponent(self) -> i64 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn parse(self, text: &str, decimal: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        let (negative, magnitude) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let bits = if magnitude == "inf" {
            self.infinity()
        } else if magnitude == "nan" || magnitude == "nan:canonical" {
            self.infinity() | self.quiet()
        } else if let Some(payload) = magnitude.strip_prefix("nan:0x") {
            let payload = hex_integer(payload)?;
            if payload == 0 || payload >> self.fraction_bits != 0 {
                return None;
            }
            self.infinity() | payload
        } else if let Some(digits) = magnitude.strip_prefix("0x") {
            self.parse_hex(digits)?
        } else if magnitude.starts_with(|c: char| c.is_ascii_digit()) || magnitude.starts_with('.') {
            decimal(magnitude)?
        } else {
            return None;
        };
        Some(bits | u64::from(negative) << (self.fraction_bits + self.exponent_bits))
    }

    /// The bits of `digits[.digits][p[+-]exponent]`, hexadecimal but for the exponent of two.
    fn parse_hex(self, text: &str) -> Option<u64> {
        let (digits, exponent) = match text.split_once(['p', 'P']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut exponent = i64::from(exponent);
        let mut mantissa: u64 = 0;
        // Whether a digit that is not 0 was too far right to be kept.
        let mut rest = false;
        for (digit, after_point) in whole.chars().map(|c| (c, false)).chain(fraction.chars().map(|c| (c, true))) {
            let digit = digit.to_digit(16)?;
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= if after_point { 4 } else { 0 };
            } else {
                rest |= digit != 0;
                exponent += if after_point { 0 } else { 4 };
            }
        }
        Some(self.round(mantissa, exponent, rest))
    }

    /// The bits of `mantissa * 2^exponent`, plus a little if `rest`; rounded to nearest, ties to even.
    fn round(self, mantissa: u64, exponent: i64, rest: bool) -> u64 {
        if mantissa == 0 {
            return 0;
        }
        let length = i64::from(u64::BITS - mantissa.leading_zeros());
        let min_exponent = 1 - self.max_exponent();
        // Exponent of the highest bit, or of what would be it in a subnormal number.
        let top = (exponent + length - 1).max(min_exponent);
        // Bits of the mantissa below the last bit that the format has room for.
        let surplus = top - i64::from(self.fraction_bits) - exponent;
        let kept = if surplus <= 0 {
            // At most 53 bits, and the highest comes to stand at the format's highest.
            mantissa << -surplus
        } else if surplus > 64 {
            0
        } else {
            let wide = u128::from(mantissa);
            let (kept, lost) = ((wide >> surplus) as u64, wide & ((1 << surplus) - 1));
            let half = 1_u128 << (surplus - 1);
            let up = lost > half || lost == half && (rest || kept & 1 == 1);
            kept + u64::from(up)
        };
        // A normal number's highest bit counts as one in the exponent; rounding up may carry into it.
        let biased = (top + self.max_exponent() - 1) as u64;
        let bits = (biased << self.fraction_bits).saturating_add(kept);
        if top > self.max_exponent() || bits > self.infinity() { self.infinity() } else { bits }
    }

    fn format_nan(self, bits: u64) -> String {
        let sign = if bits >> (self.fraction_bits + self.exponent_bits) == 0 { "" } else { "-" };
        match bits & ((1 << self.fraction_bits) - 1) {
            payload if payload == self.quiet() => format!("{sign}nan"),
            payload => format!("{sign}nan:{payload:#x}"),
        }
    }
}

fn hex_integer(digits: &str) -> Option<u64> {
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_hex { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_the_text_format_says() {
        for (text, value) in [
            ("0", 0.0),
            ("-0.5", -0.5),
            ("1e3", 1000.0),
            ("+2", 2.0),
            ("0x1p4", 16.0),
            ("-0x1.8p1", -3.0),
            ("0xff", 255.0),
            ("0x.8", 0.5),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x0.8p-1074", 0.0),
            ("0x0.80000000000000000001p-1074", f64::from_bits(1)),
            ("0x1.8p-1074", f64::from_bits(2)),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000081p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1p2000", f64::INFINITY),
            ("0x123456789abcdef01234p0", 0x1234_5678_9abc_def0_1234_u128 as f64),
            ("inf", f64::INFINITY),
        ] {
            assert_eq!(parse_f64(text).map(f64::from_bits), Some(value), "{text}");
        }
        assert_eq!(parse_f32("0x1.fffffep127"), Some(f32::MAX.to_bits()));
        assert_eq!(parse_f32("0x1.ffffffp127"), Some(f32::INFINITY.to_bits()));
        assert_eq!(parse_f32("0x1p-149"), Some(1));
        assert_eq!(parse_f32("0x1.fffffep-127"), Some(0x0080_0000));
        assert_eq!(parse_f32("16777217"), Some(16_777_216_f32.to_bits()));
    }

    #[test]
    fn nans_keep_sign_and_payload() {
        for (text, bits) in [("nan", 0x7fc0_0000), ("-nan", 0xffc0_0000), ("nan:0x200000", 0x7fa0_0000)] {
            assert_eq!(parse_f32(text), Some(bits));
            assert_eq!(format_f32(bits), text);
        }
        assert_eq!(format_f64(parse_f64("-nan:0x1").unwrap()), "-nan:0x1");
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "-", "x", "1.2.3", "0x", "0xg", "0x1p", "nan:0x0", "nan:0x800000", "nan:0x", "infinity", "NaN", "1 "]
        {
            assert_eq!(parse_f32(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_in_the_shortest_form() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-0.0, "-0"),
            (1e21, "1e21"),
            (123_456_789.0, "123456789"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_f64(f64::to_bits(value)), text);
        }
        assert_eq!(format_f32(0.1_f32.to_bits()), "0.1");
    }

    #[test]
    fn hexadecimal_agrees_with_decimal() {
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        for _ in 0..2000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits & !(1 << 63));
            if !value.is_finite() {
                continue;
            }
            let (fraction, exponent) = (value.to_bits() & ((1 << 52) - 1), value.to_bits() >> 52);
            let text = match exponent {
                0 => format!("0x0.{fraction:013x}p-1022"),
                _ => format!("0x1.{fraction:013x}p{}", exponent as i64 - 1023),
            };
            assert_eq!(parse_f64(&text), Some(value.to_bits()), "{text}");
            // Rounding to f32 must be the hardware's.
            assert_eq!(parse_f32(&text), Some((value as f32).to_bits()), "{text}");
        }
    }
}
