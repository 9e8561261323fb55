//! The ways to divide 128 bits into lanes.

/// Type and number of a vector's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    I8x16,
    I16x8,
    I32x4,
    I64x2,
    F32x4,
    F64x2,
}

impl Shape {
    /// Number of lanes.
    pub(super) const fn lanes(self) -> u32 {
        match self {
            Self::I8x16 => 16,
            Self::I16x8 => 8,
            Self::I32x4 | Self::F32x4 => 4,
            Self::I64x2 | Self::F64x2 => 2,
        }
    }

    /// Width of a lane in bytes.
    pub(super) const fn lane_bytes(self) -> usize {
        super::V128_BYTES / self.lanes() as usize
    }

    /// Width of a lane in bits.
    pub(super) const fn lane_bits(self) -> u32 {
        self.lane_bytes() as u32 * u8::BITS
    }

    /// The shape of integers with lanes of the same width.
    pub(super) const fn as_integers(self) -> Self {
        match self {
            Self::F32x4 => Self::I32x4,
            Self::F64x2 => Self::I64x2,
            integers => integers,
        }
    }
}
