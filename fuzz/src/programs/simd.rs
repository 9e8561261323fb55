//! Vectors of 128 bits: only integers, since the bits of what is no number may differ.

use super::body::{Body, Ty};

/// Shapes of vectors, with the number of lanes and what takes a lane out.
const SHAPES: [(&str, u64, &str); 5] = [
    ("i8x16", 16, "extract_lane_s"),
    ("i8x16", 16, "extract_lane_u"),
    ("i16x8", 8, "extract_lane_s"),
    ("i16x8", 8, "extract_lane_u"),
    ("i32x4", 4, "extract_lane"),
];

const BINARY: [&str; 32] = [
    "v128.and",
    "v128.or",
    "v128.xor",
    "v128.andnot",
    "i8x16.add",
    "i8x16.sub_sat_s",
    "i8x16.add_sat_u",
    "i8x16.min_u",
    "i8x16.avgr_u",
    "i8x16.swizzle",
    "i8x16.lt_s",
    "i8x16.narrow_i16x8_s",
    "i8x16.narrow_i16x8_u",
    "i16x8.sub",
    "i16x8.mul",
    "i16x8.max_s",
    "i16x8.q15mulr_sat_s",
    "i16x8.gt_u",
    "i16x8.extmul_low_i8x16_s",
    "i16x8.narrow_i32x4_s",
    "i32x4.add",
    "i32x4.mul",
    "i32x4.min_s",
    "i32x4.eq",
    "i32x4.ge_u",
    "i32x4.dot_i16x8_s",
    "i32x4.extmul_high_i16x8_u",
    "i64x2.add",
    "i64x2.mul",
    "i64x2.eq",
    "i64x2.lt_s",
    "i64x2.extmul_low_i32x4_u",
];

const UNARY: [&str; 14] = [
    "v128.not",
    "i8x16.abs",
    "i8x16.popcnt",
    "i16x8.neg",
    "i16x8.extend_high_i8x16_s",
    "i16x8.extadd_pairwise_i8x16_u",
    "i32x4.abs",
    "i32x4.extend_low_i16x8_u",
    "i32x4.trunc_sat_f32x4_s",
    "i32x4.trunc_sat_f64x2_u_zero",
    "i64x2.neg",
    "i64x2.abs",
    "i64x2.extend_high_i32x4_s",
    "i16x8.abs",
];

const SHIFTS: [&str; 6] = ["i8x16.shl", "i8x16.shr_s", "i16x8.shr_u", "i32x4.shl", "i32x4.shr_s", "i64x2.shr_u"];

const TESTS: [&str; 6] =
    ["v128.any_true", "i8x16.all_true", "i32x4.all_true", "i8x16.bitmask", "i16x8.bitmask", "i64x2.bitmask"];

const LOADS: [&str; 5] = ["v128.load", "v128.load8_splat", "v128.load16x4_u", "v128.load32_zero", "v128.load64_splat"];

impl Body<'_> {
    pub(super) fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            let lanes: String = (0..4).map(|_| format!(" {}", self.program.small())).collect();
            return format!("(v128.const i32x4{lanes})");
        }
        match self.below(12) {
            0..=3 => format!("({}{})", self.one_of(&BINARY), self.values(&[Ty::V128; 2], depth)),
            4 => format!("({}{})", self.one_of(&UNARY), self.values(&[Ty::V128], depth)),
            5 => format!("({}{})", self.one_of(&SHIFTS), self.values(&[Ty::V128, Ty::I32], depth)),
            6 => {
                let lanes: String = (0..16).map(|_| format!(" {}", self.below(32))).collect();
                format!("(i8x16.shuffle{lanes}{})", self.values(&[Ty::V128; 2], depth))
            }
            7 => {
                let (shape, lanes, _) = self.one_of(&SHAPES);
                format!("({shape}.replace_lane {}{})", self.below(lanes), self.values(&[Ty::V128, Ty::I32], depth))
            }
            8 => format!("({}.splat{})", self.one_of(&SHAPES).0, self.values(&[Ty::I32], depth)),
            9 => format!("({} {})", self.one_of(&LOADS), self.address(depth)),
            10 => format!("(v128.bitselect{})", self.values(&[Ty::V128; 3], depth)),
            _ => format!("(i64x2.splat{})", self.values(&[Ty::I64], depth)),
        }
    }

    /// A number that a vector has or is.
    pub(super) fn of_vector(&mut self, depth: u32) -> String {
        let vector = self.expression(Ty::V128, depth);
        match self.one_in(3) {
            true => format!("({} {vector})", self.one_of(&TESTS)),
            false => {
                let (shape, lanes, extract) = self.one_of(&SHAPES);
                format!("({shape}.{extract} {} {vector})", self.below(lanes))
            }
        }
    }
}
