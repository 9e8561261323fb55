//! Rotations of products, which LLVM takes apart.
//!
//! The problem: hash functions multiply by a constant and rotate the product. Producers whose language has no rotation write
//! two shifts. LLVM would know them for a rotation, but makes the left shift of a product a product first, of the shifted
//! constant: two multiplications, two long constants in registers, a shift and an `or`, where one multiplication and one
//! rotation do. Each round of such a hash waits for the round before.
//!
//! ```text
//!   %high = mul %x, C << 13                 %product = mul %x, C
//!   %product = mul %x, C             ──►    %h = fshl %product, %product, 13
//!   %low = lshr %product, 64 - 13
//!   %h = or %high, %low
//! ```

use crate::llvm::{Block, Builder, C_CC, Value};
use crate::translate::unit::Unit;

/// Makes rotations in a function.
pub(crate) fn join(unit: &Unit<'_, '_>, function: Value) {
    let instructions = function.blocks().into_iter().flat_map(Block::instructions);
    let parts: Vec<_> = instructions.filter(|i| i.is_or()).filter_map(|or| Parts::of(unit, or)).collect();
    let b = Builder::new(unit.context);
    for Parts { or, high, low, product, distance } in parts {
        let ty = or.ty();
        let rotate = unit.intrinsic("llvm.fshl", &[ty]);
        b.position_before(or);
        or.replace_all_uses_with(b.call(rotate.function_type(), rotate, &[product, product, ty.int(distance)], C_CC));
        for dead in [or, high, low] {
            if !dead.has_uses() {
                dead.erase();
            }
        }
    }
}

/// What a rotation to the left by `distance` was made into.
struct Parts {
    or: Value,
    high: Value,
    low: Value,
    product: Value,
    distance: u64,
}

impl Parts {
    fn of(unit: &Unit<'_, '_>, or: Value) -> Option<Self> {
        let types = [(unit.types.i32, u32::BITS), (unit.types.i64, u64::BITS)];
        let &(_, bits) = types.iter().find(|&&(ty, _)| ty == or.ty())?;
        let (one, other) = (or.operand(0), or.operand(1));
        Self::of_operands(or, bits, one, other).or_else(|| Self::of_operands(or, bits, other, one))
    }

    fn of_operands(or: Value, bits: u32, high: Value, low: Value) -> Option<Self> {
        let is = |value: Value, wanted: fn(Value) -> bool| value.is_instruction() && wanted(value);
        if !is(high, Value::is_mul) || !is(low, Value::is_logical_right_shift) {
            return None;
        }
        let product = low.operand(0);
        let constant = |of: Value| of.operand(1).const_int();
        let distance = u64::from(bits).checked_sub(u64::try_from(constant(low)?).ok()?)?;
        let fits = is(product, Value::is_mul)
            && product.operand(0) == high.operand(0)
            && (1..u64::from(bits)).contains(&distance)
            && (constant(product)? << distance ^ constant(high)?) << (u64::BITS - bits) == 0;
        fits.then_some(Self { or, high, low, product, distance })
    }
}
