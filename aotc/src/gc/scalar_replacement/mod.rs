//! Escape analysis and scalar replacement: objects that need not be made.
//!
//! The problem: boxes, small vectors, closures and iterators mostly do not outlive the function that makes them, once
//! their users are inlined. LLVM forwards what is stored to them to loads that it can see through, and removes an
//! allocation that is only stored to. It gives up where control flow merges two objects (an accumulator in a loop), and
//! where one path out of many needs the object in memory.
//!
//! Here the fields of such objects become variables, one set for each *base*: an allocation, or a merge (phi, select,
//! freeze) of bases and nulls. A merge copies the fields of what it merges. For one function, repeatedly:
//!
//! 1. [`objects`]: bases that merges connect are one *group*; all uses of their pointers are classified. What is not
//!    understood is an *escape*.
//! 2. [`plan`]: a group whose objects never escape is replaced, unless two of its bases can stand for the same object
//!    while it is changed, or the fields have no clear types. If objects escape, the object is *materialised* in front
//!    of the escape: the allocation sinks to where it is needed. That pays if some path through the allocation does
//!    without, and needs that nothing behind the escape asks the variables, and that a collection may happen there
//!    ([`windows`]).
//! 3. [`rewrite`]: bases get variables (allocas), accesses become accesses of variables. LLVM's SROA makes values of
//!    the variables; what was stored into a replaced object may then be replaced itself, in the next round.
//!
//! First only groups without escapes are replaced, until there is none: what escapes into an object that is not made
//! does not escape.
//!
//! Invariant: a variable has one type and is only loaded and stored whole, so it always becomes a value, and no
//! reference is in memory that the collector does not know. [`crate::gc::lower`] checks it.
//!
//! This is the partial escape analysis of Stadler, Würthinger and Mössenböck, "Partial Escape Analysis and Scalar
//! Replacement for Java" (2014), with SSA form's own merges instead of an abstract interpretation of the whole function.

mod objects;
mod plan;
mod rewrite;
mod windows;

use super::cfg::Cfg;
use crate::gc::markers::{Markers, UNOPTIMISED};
use crate::llvm::{Builder, LlvmError, Opcode, TargetMachine, Value};
use crate::pipeline;
use crate::translate::unit::Unit;
use plan::{CriticalEdge, Planner, Refusal};
use rustc_hash::FxHashSet;

/// Rounds for one function: objects in objects in objects are rare.
const MAX_ROUNDS: usize = 8;

/// Critical edges that are split to find out whether an object can be materialised on them, for one function.
const MAX_SPLITS: usize = 32;

/// Which groups are replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Those that never escape.
    Whole,
    /// Also those that can be materialised where they escape.
    Partial,
}

/// What the pass knows of the partition.
struct Pass<'p, 'c, 'm> {
    unit: &'p Unit<'c, 'm>,
    /// Declared anew: LLVM has removed those that nothing called.
    markers: Markers,
}

/// Replaces objects in all functions of the unit's LLVM module.
///
/// # Errors
///
/// LLVM does not know a pass: a bug of this compiler.
pub(crate) fn run(unit: &Unit<'_, '_>, target: &TargetMachine) -> Result<(), LlvmError> {
    let pass = Pass { unit, markers: Markers::declare(unit.context, unit.llvm, &unit.types) };
    let is_optimised = |f: &Value| f.is_definition() && !f.has_attribute(UNOPTIMISED);
    for function in unit.llvm.functions().into_iter().filter(is_optimised) {
        if !objects::sites(&pass, function).is_empty() {
            run_on(&pass, target, function)?;
        }
    }
    Ok(())
}

fn run_on(pass: &Pass<'_, '_, '_>, target: &TargetMachine, function: Value) -> Result<(), LlvmError> {
    let mut changed = false;
    for _ in 0..MAX_ROUNDS {
        if !replace(pass, function, Extent::Whole) && !replace(pass, function, Extent::Partial) {
            break;
        }
        changed = true;
        function.run_passes(pipeline::between_rounds(), target)?;
    }
    if changed {
        function.run_passes(pipeline::after_replacement(), target)?;
    }
    Ok(())
}

/// Replaces all groups that can be; tells whether there was any.
fn replace(pass: &Pass<'_, '_, '_>, function: Value, extent: Extent) -> bool {
    let mut changed = false;
    // With merges, then without: a merge that escapes is then an escape of what it merges.
    for with_merges in [true, false] {
        let mut search = Search { extent, with_merges, refused: FxHashSet::default(), splits: 0 };
        while let Some(replaced) = search.step(pass, function) {
            changed |= replaced;
        }
    }
    changed
}

/// The search for groups in a function that can be replaced.
struct Search {
    extent: Extent,
    with_merges: bool,
    /// First allocations of groups that cannot.
    refused: FxHashSet<Value>,
    splits: usize,
}

impl Search {
    /// Changes the function once; tells whether a group was replaced. `None` if there is nothing to do.
    fn step(&mut self, pass: &Pass<'_, '_, '_>, function: Value) -> Option<bool> {
        let groups = objects::groups(pass, function, self.with_merges);
        let mut candidates = groups.into_iter().filter(|group| !self.refused.contains(&group.first_site())).peekable();
        candidates.peek()?;
        let cfg = Cfg::new(function);
        let planner = Planner::new(pass, &cfg);
        let mut refused = Vec::new();
        let mut done = None;
        for group in candidates {
            let first = group.first_site();
            match planner.plan(group, self.extent) {
                Ok(plan) => {
                    rewrite::apply(pass.unit, function, &plan);
                    done = Some(true);
                    break;
                }
                Err(Refusal::Split(edge)) if self.splits < MAX_SPLITS => {
                    split(pass, &cfg, edge);
                    self.splits += 1;
                    done = Some(false);
                    break;
                }
                Err(_) => refused.push(first),
            }
        }
        self.refused.extend(refused);
        done
    }
}

/// Puts a block on an edge.
fn split(pass: &Pass<'_, '_, '_>, cfg: &Cfg, edge: CriticalEdge) {
    let (from, to) = (cfg.blocks[edge.from], cfg.blocks[edge.to]);
    let between = pass.unit.context.append_block(from.parent(), "");
    let b = Builder::new(pass.unit.context);
    b.position_at_end(between);
    b.br(to);
    if let Some(terminator) = from.terminator() {
        terminator.redirect(to, between);
    }
    for phi in to.instructions().into_iter().take_while(|i| i.opcode() == Opcode::Phi) {
        b.position_before(phi);
        let new = b.phi(phi.ty());
        let mut on_edge = None;
        for (value, block) in phi.incoming() {
            if block == from {
                on_edge = Some(value);
            } else {
                new.add_incoming(value, block);
            }
        }
        if let Some(value) = on_edge {
            new.add_incoming(value, between);
        }
        phi.replace_all_uses_with(new);
        phi.erase();
    }
}
