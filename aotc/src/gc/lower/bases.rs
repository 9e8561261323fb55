//! Derived pointers and the references they are based on.
//!
//! A `getelementptr` on a reference, and everything that control flow makes of such values, is a *derived*
//! pointer: it points into an object, but it is no reference and must never be one of the collector's roots.
//! What must be a root as long as the derived pointer is needed is its *base*.
//!
//! A phi or select of derived pointers gets a phi or select of their bases beside it (as in LLVM's own
//! statepoint pass, and in Julia's late lowering); one that turns out to merge a single base is that base.

use super::cfg::Cfg;
use crate::llvm::{Builder, LlvmError, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use rustc_hash::{FxHashMap, FxHashSet};

/// Which values are derived, and from what.
pub(super) struct Bases {
    derived: FxHashSet<Value>,
    base: FxHashMap<Value, Value>,
    /// Base phis and selects that were inserted and kept, by the block's index: they are tracked too.
    pub(super) inserted: Vec<Value>,
}

impl Bases {
    pub(super) fn compute(unit: &Unit<'_, '_>, cfg: &Cfg) -> Result<Self, LlvmError> {
        let derived = find_derived(cfg);
        let mut bases = Self { derived, base: FxHashMap::default(), inserted: Vec::new() };
        let b = Builder::new(unit.context);
        for instruction in cfg.instructions.iter().flatten() {
            if bases.is_derived(*instruction) {
                bases.compute_base(unit, &b, *instruction)?;
            }
        }
        bases.merge_single_bases();
        Ok(bases)
    }

    pub(super) fn is_derived(&self, value: Value) -> bool {
        self.derived.contains(&value)
    }

    /// The reference that a value is based on: itself unless it is derived.
    pub(super) fn base_of(&self, value: Value) -> Value {
        self.base.get(&value).copied().unwrap_or(value)
    }

    fn compute_base(&mut self, unit: &Unit<'_, '_>, b: &Builder<'_>, value: Value) -> Result<Value, LlvmError> {
        if !self.is_derived(value) {
            return Ok(value);
        }
        if let Some(&base) = self.base.get(&value) {
            return Ok(base);
        }
        let base = match value.opcode() {
            Opcode::GetElementPtr | Opcode::Freeze => self.compute_base(unit, b, value.operand(0))?,
            // A vector made for the access behind it, with no safepoint between: see [`super::vectors`]. Its lanes
            // have their bases.
            Opcode::InsertElement => return Ok(value),
            Opcode::Select => {
                let then = self.compute_base(unit, b, value.operand(1))?;
                let otherwise = self.compute_base(unit, b, value.operand(2))?;
                b.position_before(value);
                let select = b.select(value.operand(0), then, otherwise);
                self.inserted.push(select);
                select
            }
            Opcode::Phi => return self.compute_phi(unit, b, value),
            other => return Err(LlvmError(format!("derived pointer through {other:?}: {}", value.print()))),
        };
        self.base.insert(value, base);
        Ok(base)
    }

    fn compute_phi(&mut self, unit: &Unit<'_, '_>, b: &Builder<'_>, value: Value) -> Result<Value, LlvmError> {
        b.position_before(value);
        let phi = b.phi(unit.types.reference);
        // Known before its operands, which may lead back to it.
        self.base.insert(value, phi);
        self.inserted.push(phi);
        for (incoming, block) in value.incoming() {
            let base = self.compute_base(unit, b, incoming)?;
            phi.add_incoming(base, block);
        }
        Ok(phi)
    }

    /// Replaces base phis that merge only one value, besides themselves, by that value.
    fn merge_single_bases(&mut self) {
        loop {
            let single = self.inserted.iter().enumerate().find_map(|(position, &merge)| {
                if merge.opcode() != Opcode::Phi {
                    return None;
                }
                let mut sources = merge.incoming().into_iter().map(|(v, _)| v).filter(|&v| v != merge);
                let first = sources.next()?;
                sources.all(|v| v == first).then_some((position, merge, first))
            });
            let Some((position, merge, only)) = single else { return };
            merge.replace_all_uses_with(only);
            for base in self.base.values_mut() {
                if *base == merge {
                    *base = only;
                }
            }
            self.inserted.swap_remove(position);
            merge.erase();
        }
    }
}

/// The derived pointers of a function, and vectors of them.
pub(super) fn find_derived(cfg: &Cfg) -> FxHashSet<Value> {
    let mut derived = FxHashSet::default();
    let mut changed = true;
    while changed {
        changed = false;
        for &instruction in cfg.instructions.iter().flatten() {
            if !matches!(instruction.ty().kind(), TypeKind::Ref | TypeKind::RefVector(_)) {
                continue;
            }
            let is_derived = match instruction.opcode() {
                Opcode::GetElementPtr => true,
                Opcode::Phi
                | Opcode::Select
                | Opcode::Freeze
                | Opcode::ExtractElement
                | Opcode::InsertElement
                | Opcode::ShuffleVector => instruction.operands().any(|o| derived.contains(&o)),
                _ => false,
            };
            if is_derived && derived.insert(instruction) {
                changed = true;
            }
        }
    }
    derived
}
