//! Vectors of derived pointers, taken apart.
//!
//! The problem: LLVM's vectorisers make vectors of references as they do of numbers. As long as the lanes are
//! references, the other passes take them as they are. A vector of *derived* pointers has as many bases as lanes, and
//! where control flow or a shuffle merges such vectors, so do the bases. So those vectors are replaced by their
//! lanes, each a derived pointer like any other:
//!
//! - `getelementptr`, phi, select, freeze, insertion and shuffle become one instruction for each lane, or none;
//! - extraction of a lane becomes the lane;
//! - what else takes a vector of addresses (gather, scatter, comparison) gets it from insertions directly in front,
//!   so that no safepoint is between. [`super::address`] makes a vector of addresses of them.
//!
//! One kind stays as it is: an exact `getelementptr` ([`offsets`]) of references whose lanes nothing takes apart or merges. It
//! has one base, if only a vector of them.

use super::bases::find_derived;
use super::cfg::{self, Cfg};
use super::offsets;
use crate::llvm::{Builder, LlvmError, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use rustc_hash::{FxHashMap, FxHashSet};

/// Takes the vectors of derived pointers in a function apart; tells whether there were any.
///
/// # Errors
///
/// A lane is named by a number that is no constant: no vectoriser does that.
pub(super) fn take_apart(unit: &Unit<'_, '_>, cfg: &Cfg) -> Result<bool, LlvmError> {
    let derived = find_derived(cfg);
    let vectors: FxHashSet<Value> = derived.iter().copied().filter(|v| v.ty().vector_len().is_some()).collect();
    let apart = not_whole(cfg, &vectors);
    if apart.is_empty() {
        return Ok(false);
    }
    let mut splitter = Splitter { unit, b: Builder::new(unit.context), apart: &apart, lanes: FxHashMap::default() };
    let in_order: Vec<_> = cfg.instructions.iter().flatten().copied().collect();
    for &vector in in_order.iter().filter(|i| apart.contains(i)) {
        splitter.lanes_of(vector)?;
    }
    splitter.fill_phis(&in_order)?;
    for &user in in_order.iter().filter(|i| !apart.contains(i)) {
        splitter.rewrite_operands(user)?;
    }
    for &vector in in_order.iter().filter(|i| apart.contains(i)) {
        vector.replace_all_uses_with(vector.ty().poison());
    }
    in_order.into_iter().filter(|i| apart.contains(i)).for_each(Value::erase);
    Ok(true)
}

/// The derived vectors without those that may stay as they are.
fn not_whole(cfg: &Cfg, vectors: &FxHashSet<Value>) -> FxHashSet<Value> {
    let is_whole = |vector: &Value| vector.opcode() == Opcode::GetElementPtr && offsets::is_exact(*vector);
    let mut apart: FxHashSet<Value> = vectors.iter().copied().filter(|vector| !is_whole(vector)).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for &user in cfg.instructions.iter().flatten() {
            let takes_apart = user.opcode() == Opcode::ExtractElement || apart.contains(&user);
            for operand in user.operands().filter(|operand| vectors.contains(operand)) {
                let from_apart = vectors.contains(&user) && apart.contains(&operand);
                changed |= takes_apart && apart.insert(operand) || from_apart && apart.insert(user);
            }
        }
    }
    apart
}

struct Splitter<'s, 'c, 'm> {
    unit: &'s Unit<'c, 'm>,
    b: Builder<'c>,
    apart: &'s FxHashSet<Value>,
    /// The lanes of vectors that were taken apart.
    lanes: FxHashMap<Value, Vec<Value>>,
}

impl Splitter<'_, '_, '_> {
    /// The lanes of a vector that is taken apart.
    fn lanes_of(&mut self, vector: Value) -> Result<Vec<Value>, LlvmError> {
        if let Some(lanes) = self.lanes.get(&vector) {
            return Ok(lanes.clone());
        }
        let count = vector.ty().vector_len().unwrap_or(1);
        let lanes = match vector.opcode() {
            Opcode::Phi => {
                self.b.position_before(vector);
                (0..count).map(|_| self.b.phi(self.unit.types.reference)).collect()
            }
            Opcode::InsertElement => {
                let lane = constant_lane_number(vector, vector.operand(2))?;
                let mut lanes = self.lanes_at(vector.operand(0), vector)?;
                lanes[lane as usize] = self.lane_for(vector.operand(1))?;
                lanes
            }
            Opcode::ShuffleVector => {
                let mut sources = self.lanes_at(vector.operand(0), vector)?;
                sources.extend(self.lanes_at(vector.operand(1), vector)?);
                let null = self.unit.types.reference.zero();
                let pick = |lane: Option<u32>| lane.map_or(null, |lane| sources[lane as usize]);
                vector.shuffle_mask().into_iter().map(pick).collect()
            }
            Opcode::GetElementPtr | Opcode::Select | Opcode::Freeze => {
                let operands: Vec<_> = vector.operands().collect();
                let operands: Result<Vec<_>, _> = operands.into_iter().map(|o| self.lanes_at(o, vector)).collect();
                let operands = operands?;
                self.b.position_before(vector);
                (0..count as usize).map(|lane| self.lane_of_operation(vector, &operands, lane)).collect()
            }
            other => return Err(LlvmError(format!("vector of derived pointers by {other:?}: {}", vector.print()))),
        };
        self.lanes.insert(vector, lanes);
        Ok(self.lanes[&vector].clone())
    }

    /// One lane of an operation that treats all alike; an operand that is no vector has one lane for all.
    fn lane_of_operation(&self, vector: Value, operands: &[Vec<Value>], lane: usize) -> Value {
        let operand = |index: usize| *operands[index].get(lane).unwrap_or(&operands[index][0]);
        match vector.opcode() {
            Opcode::Select => self.b.select(operand(0), operand(1), operand(2)),
            Opcode::Freeze => self.b.freeze(operand(0)),
            _ => {
                let indices: Vec<_> = (1..operands.len()).map(operand).collect();
                self.b.gep_like(vector, operand(0), &indices)
            }
        }
    }

    /// What stands for a scalar that is put into a vector: a lane, if it is taken out of a vector that is taken apart,
    /// since that extraction goes.
    fn lane_for(&mut self, scalar: Value) -> Result<Value, LlvmError> {
        let is_extracted = scalar.is_instruction()
            && scalar.opcode() == Opcode::ExtractElement
            && self.apart.contains(&scalar.operand(0));
        if !is_extracted {
            return Ok(scalar);
        }
        let lane = constant_lane_number(scalar, scalar.operand(1))?;
        Ok(self.lanes_of(scalar.operand(0))?[lane as usize])
    }

    /// The lanes of an operand, taken out of it in front of an instruction where it is a vector of something else.
    fn lanes_at(&mut self, operand: Value, place: Value) -> Result<Vec<Value>, LlvmError> {
        if self.apart.contains(&operand) {
            return self.lanes_of(operand);
        }
        let Some(count) = operand.ty().vector_len() else { return Ok(vec![operand]) };
        self.b.position_before(place);
        let lane = |lane: u32| self.b.extract_element(operand, self.unit.types.i32.int(lane.into()));
        Ok((0..count).map(lane).collect())
    }

    fn fill_phis(&mut self, in_order: &[Value]) -> Result<(), LlvmError> {
        for &vector in in_order.iter().filter(|i| self.apart.contains(i) && i.opcode() == Opcode::Phi) {
            let phis = self.lanes[&vector].clone();
            for (lanes, block) in cfg::arriving(vector, |incoming, end| self.lanes_at(incoming, end))? {
                for (phi, lane) in phis.iter().zip(lanes) {
                    phi.add_incoming(lane, block);
                }
            }
        }
        Ok(())
    }

    /// Lets an instruction that stays take lanes, or a vector made of them on the spot.
    fn rewrite_operands(&mut self, user: Value) -> Result<(), LlvmError> {
        for index in 0..user.operand_count() {
            let operand = user.operand(index);
            if !self.apart.contains(&operand) {
                continue;
            }
            let lanes = self.lanes_of(operand)?;
            if user.opcode() == Opcode::ExtractElement {
                let lane = constant_lane_number(user, user.operand(1))?;
                user.replace_all_uses_with(lanes[lane as usize]);
                user.erase();
                return Ok(());
            }
            self.b.position_before(user);
            let number = |lane: u32| self.unit.types.i32.int(lane.into());
            let empty = operand.ty().poison();
            let whole =
                (0..).zip(lanes).fold(empty, |vector, (i, lane)| self.b.insert_element(vector, lane, number(i)));
            user.set_operand(index, whole);
        }
        Ok(())
    }
}

/// The number of a lane, which must be constant and in range.
fn constant_lane_number(user: Value, lane: Value) -> Result<u32, LlvmError> {
    let vector = user.operand(0).ty();
    let len = match vector.kind() {
        TypeKind::RefVector(len) => len,
        _ => 0,
    };
    let number = lane.const_int().and_then(|lane| u32::try_from(lane).ok()).filter(|&lane| lane < len);
    number.ok_or_else(|| LlvmError(format!("lane of derived pointers by a variable: {}", user.print())))
}
