//! Counting, and using counts: see [`crate::profile`].
//!
//! **Code that counts** adds one at the start of each function and on both ways out of each branch, and notes what each
//! call through a reference calls. Nothing is made direct there, so that every call is seen.
//!
//! **Code made from counts** tells LLVM how often functions are entered and branches go either way, in the form in which
//! LLVM's own profiles do: LLVM then inlines by hotness, lays out blocks, and keeps cold code short and apart. A call
//! through a reference is compared with the functions that it called, most frequent first, and calls them directly
//! ([`super::devirtualise`]); what the module's stores tell is then of no interest, but that comparing the head of a chain
//! of loads is cheaper than comparing functions.

use crate::llvm::{Block, Cast, IntPredicate, Metadata, Op, Value, attribute_index};
use crate::options::{MAX_GUARDS, MIN_GUARD_SHARE};
use crate::profile::{Guide, Profiling};
use crate::translate::devirtualise::{Guards, Targets};
use crate::translate::function::FunctionTranslator;
use crate::translate::unit::Unit;
use dolmen_abi::builtin::Builtin;
use dolmen_abi::object::{FUNC_INDEX_OFFSET, FUNC_INSTANCE_OFFSET};
use dolmen_abi::profile::{CallProfile, TargetCount};
use dolmen_abi::signature::MachineSignature;
use dolmen_abi::types::TypeIdx;

/// The shares of all counts of which LLVM's summaries tell how many places have them, in millionths.
const SUMMARY_SHARES: [u64; 16] = [
    10_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 950_000, 990_000, 999_000,
    999_900, 999_990, 999_999,
];

impl FunctionTranslator<'_, '_, '_> {
    /// At the start of a function of the module.
    pub(crate) fn profile_entry(&self) {
        let Some((position, _)) = self.place() else { return };
        match &self.unit.module.profiling {
            Profiling::Off => {}
            Profiling::Count(_) => {
                if let Some(layout) = &self.unit.module.meta.profile {
                    self.add_one(layout.func_offset(position as u32));
                }
            }
            Profiling::Use(guide) => self.unit.mark_entries(self.function, guide.entries(position)),
        }
    }

    /// Counts on both ways out of a branch that the current operator makes.
    pub(crate) fn count_branch(&self, ways: [Block; 2]) {
        let (Profiling::Count(sites), Some(layout)) = (&self.unit.module.profiling, &self.unit.module.meta.profile)
        else {
            return;
        };
        let Some(branch) = self.place().and_then(|(position, offset)| sites.branch(position, offset)) else { return };
        let here = self.b.block();
        for (way, block) in ways.into_iter().enumerate() {
            self.b.position_at_end(block);
            self.add_one(layout.branch_offset(branch) + 8 * way as u32);
        }
        self.b.position_at_end(here);
    }

    /// How often the current operator's condition held, and did not.
    pub(crate) fn observed_branch(&self) -> Option<[u64; 2]> {
        let (position, offset) = self.place()?;
        self.guide()?.branch(position, offset)
    }

    /// Whether calls through references are counted.
    pub(crate) fn counts_calls(&self) -> bool {
        matches!(self.unit.module.profiling, Profiling::Count(_))
    }

    /// Counts a call of a function reference that is not null.
    pub(crate) fn count_call(&mut self, callee: Value) {
        let (Profiling::Count(sites), Some(layout)) = (&self.unit.module.profiling, &self.unit.module.meta.profile)
        else {
            return;
        };
        let Some(call) = self.place().and_then(|(position, offset)| sites.call(position, offset)) else { return };
        let types = self.unit.types;
        let counts = self.counter_address(layout.call_offset(call));
        let instance = self.b.load(types.ptr, self.object_address(callee, FUNC_INSTANCE_OFFSET));
        let index = self.b.load(types.i32, self.object_address(callee, FUNC_INDEX_OFFSET));
        let is_own = self.b.icmp(IntPredicate::Eq, instance, self.instance);
        let own_key = self.b.binary(Op::Add, self.b.cast(Cast::ZExt, index, types.i64), self.i64(1));
        let key = self.b.select(is_own, own_key, self.i64(0));
        // The first place is that of the first function called: mostly the only one.
        let first = self.b.load(types.i64, counts);
        let is_first = self.b.binary(Op::And, is_own, self.b.icmp(IntPredicate::Eq, first, key));
        let (known, unknown, done) = (self.new_block(""), self.new_block(""), self.new_block(""));
        self.b.cond_br(is_first, known, unknown);
        self.b.position_at_end(known);
        self.add_one(layout.call_offset(call) + core::mem::offset_of!(TargetCount, count) as u32);
        self.b.br(done);
        self.b.position_at_end(unknown);
        self.call_builtin(Builtin::CountCall, &[counts, key]);
        self.b.br(done);
        self.b.position_at_end(done);
    }

    /// What a call through a reference goes to, given what the module tells of it.
    pub(crate) fn observed_targets(&self, told: Option<Targets>, callee: Value, ty: TypeIdx) -> Option<Targets> {
        let call = self.place().and_then(|(position, offset)| self.guide()?.call(position, offset));
        let Some(call) = call.filter(|call| call.total() != 0) else { return told };
        let frequent = self.frequent_targets(call, ty);
        let mut guards = match told {
            Some(Targets::Certain(func)) => return Some(Targets::Certain(func)),
            Some(Targets::Guarded(guards)) if covers(&guards, &frequent) => guards.list,
            _ => frequent.iter().map(|&(func, _)| self.func_guard(callee, func)).collect(),
        };
        let shift = shift(call.total());
        let weight =
            |func: u32| frequent.iter().find(|target| target.0 == func).map(|target| (target.1 >> shift).max(1));
        guards.retain_mut(|guard| weight(guard.func).map(|weight| guard.weight = weight).is_some());
        guards.sort_by_key(|guard| std::cmp::Reverse(guard.weight));
        let guarded: u64 = frequent.iter().map(|target| target.1).sum();
        let otherwise = (call.total() - guarded) >> shift;
        (!guards.is_empty()).then_some(Targets::Guarded(Guards { list: guards, otherwise }))
    }

    /// The functions that are worth a comparison, most frequent first.
    fn frequent_targets(&self, call: &CallProfile, ty: TypeIdx) -> Vec<(u32, u64)> {
        let module = self.unit.module;
        let signature = MachineSignature::from(module.func_type(ty));
        // Whoever wrote the file: the function must be one that can be called so.
        let is_possible = |func: u32| {
            module.meta.func_refs.binary_search(&func).is_ok()
                && MachineSignature::from(module.type_of_func(func)) == signature
        };
        let is_frequent = |count: u64| u128::from(count) * u128::from(MIN_GUARD_SHARE) >= u128::from(call.total());
        let frequent = call.targets.iter().copied().filter(|&(func, count)| is_frequent(count) && is_possible(func));
        frequent.take(MAX_GUARDS).collect()
    }

    fn guide(&self) -> Option<&Guide> {
        match &self.unit.module.profiling {
            Profiling::Use(guide) => Some(guide),
            Profiling::Off | Profiling::Count(_) => None,
        }
    }

    fn counter_address(&self, offset: u32) -> Value {
        self.unit.instance_address(&self.b, self.instance, self.unit.layout.counters + offset, 8)
    }

    fn add_one(&self, offset: u32) {
        let address = self.counter_address(offset);
        let load = self.b.load(self.unit.types.i64, address);
        let store = self.b.store(self.b.binary(Op::Add, load, self.i64(1)), address);
        for access in [load, store] {
            self.unit.alias.tag(access, self.unit.metadata.tbaa, self.unit.alias.context);
        }
    }
}

/// Whether there is a guard for each of these functions.
fn covers(guards: &Guards, funcs: &[(u32, u64)]) -> bool {
    funcs.iter().all(|&(func, _)| guards.list.iter().any(|guard| guard.func == func))
}

/// By how many bits counts up to this one must be shifted to be LLVM's branch weights.
pub(crate) fn shift(count: u64) -> u32 {
    (u64::BITS - count.leading_zeros()).saturating_sub(u32::BITS)
}

impl Unit<'_, '_> {
    /// Says how often a function is entered.
    fn mark_entries(&self, function: Value, count: u64) {
        let parts = [self.context.metadata_string("function_entry_count"), self.context.metadata_int(count, 64)];
        function.set_function_metadata(self.metadata.prof, self.context.metadata_node(&parts));
        if count == 0 {
            function.add_attribute(attribute_index::FUNCTION, self.context.enum_attribute("cold", 0));
        }
    }

    /// Describes the whole profile, in the form of LLVM's own: without, LLVM does not know which counts are high.
    pub(crate) fn add_profile_summary(&self) {
        let Profiling::Use(guide) = &self.module.profiling else { return };
        let context = self.context;
        let number = |value: u64| context.metadata_int(value, 64);
        let pair = |name: &str, value: Metadata| context.metadata_node(&[context.metadata_string(name), value]);
        let counts = guide.counts();
        let total = counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        let max = counts.first().copied().unwrap_or(0);
        let details = SUMMARY_SHARES.map(|share| {
            let (least, places) = guide.summary(share);
            context.metadata_node(&[
                context.metadata_int(share, 32),
                number(least),
                context.metadata_int(places as u64, 32),
            ])
        });
        let summary = context.metadata_node(&[
            pair("ProfileFormat", context.metadata_string("InstrProf")),
            pair("TotalCount", number(total)),
            pair("MaxCount", number(max)),
            pair("MaxInternalCount", number(max)),
            pair("MaxFunctionCount", number(guide.max_entries())),
            pair("NumCounts", number(counts.len() as u64)),
            pair("NumFunctions", number(self.module.bodies.len() as u64)),
            pair("DetailedSummary", context.metadata_node(&details)),
        ]);
        self.llvm.add_flag("ProfileSummary", summary);
    }
}
