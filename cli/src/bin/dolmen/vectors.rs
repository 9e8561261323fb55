//! Vectors as text: all bits at once, or lane by lane.
//!
//! An argument is `0x` and up to 32 hexadecimal digits, or a shape and its lanes from lane 0 on: `i32x4:1,-2,3,4`,
//! `f64x2:0.5,nan`. A result has no shape that would say how to take it apart, so it is written as all of its bits.

use crate::floats;
use crate::values::parse_int;
use dolmen::V128;

/// How a lane is read into the lowest bits of a number; nothing if the text is no lane.
type ParseLane = fn(&str) -> Option<u64>;

/// The shapes: name, number of lanes, and what reads one.
const SHAPES: &[(&str, usize, ParseLane)] = &[
    ("i8x16", 16, |text| parse_int(text, 8)),
    ("i16x8", 8, |text| parse_int(text, 16)),
    ("i32x4", 4, |text| parse_int(text, 32)),
    ("i64x2", 2, |text| parse_int(text, 64)),
    ("f32x4", 4, |text| floats::parse_f32(text).map(u64::from)),
    ("f64x2", 2, floats::parse_f64),
];

/// The vector that a text stands for; nothing if it is none.
pub fn parse(text: &str) -> Option<V128> {
    let bits = match text.split_once(':') {
        Some((shape, lanes)) => parse_lanes(shape, lanes)?,
        None => {
            let digits = text.strip_prefix("0x").filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))?;
            u128::from_str_radix(digits, 16).ok()?
        }
    };
    Some(bits.into())
}

fn parse_lanes(shape: &str, lanes: &str) -> Option<u128> {
    let &(_, count, parse) = SHAPES.iter().find(|(name, ..)| *name == shape)?;
    let lanes: Vec<u64> = lanes.split(',').map(parse).collect::<Option<_>>()?;
    if lanes.len() != count {
        return None;
    }
    let lane_bits = u128::BITS / count as u32;
    Some(lanes.iter().rev().fold(0, |bits, &lane| bits << lane_bits | u128::from(lane)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lanes_start_at_the_lowest_bits() {
        for (text, bits) in [
            ("0x0", 0),
            ("0xffffffffffffffffffffffffffffffff", u128::MAX),
            ("i8x16:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,-1", 0xff0f_0e0d_0c0b_0a09_0807_0605_0403_0201),
            ("i16x8:1,0,0,0,0,0,0,0xffff", 0xffff_0000_0000_0000_0000_0000_0000_0001),
            ("i32x4:1,-2,3,4", 0x0000_0004_0000_0003_ffff_fffe_0000_0001),
            ("i64x2:-1,7", 0x0000_0000_0000_0007_ffff_ffff_ffff_ffff),
            ("f32x4:1,-0,nan,inf", 0x7f80_0000_7fc0_0000_8000_0000_3f80_0000),
            ("f64x2:0.5,nan:0x1", 0x7ff0_0000_0000_0001_3fe0_0000_0000_0000),
        ] {
            assert_eq!(parse(text), Some(bits.into()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_vectors() {
        for text in [
            "",
            "1",
            "0x",
            "-0x1",
            "0x+1",
            "0x100000000000000000000000000000000",
            "i32x4",
            "i32x4:1,2,3",
            "i32x4:1,2,3,4,5",
            "i32x4:1,2,3,",
            "i32x4:1,2,3,4294967296",
            "i8x8:1,2,3,4,5,6,7,8",
            "f64x2:1,x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
