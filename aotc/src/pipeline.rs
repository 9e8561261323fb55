//! Which of LLVM's passes run, and when.
//!
//! The problem: passes of this compiler need LLVM's work before them (inlining, values instead of locals), and LLVM's
//! work after them (what they find must reach the vectorisers). So LLVM's own pipeline of a level is run in two parts:
//!
//! 0. [`merge`]: functions with one call may become part of their caller.
//! 1. [`simplify`]: the module's functions are inlined into each other and simplified, bottom-up along the call graph.
//!    LLVM has a name for this half: what it does to a translation unit whose link it expects. `-O3` has its text instead,
//!    without the passes that change nothing here.
//! 2. Passes of this compiler: [`crate::partial`], [`crate::throws`] and [`crate::gc::scalar_replacement`], with
//!    [`after_partial_inlining`], [`after_throws`], [`between_rounds`] and [`after_replacement`] in the functions that they
//!    changed.
//! 3. [`optimise`]: loops are vectorised and unrolled. The text is the rest of LLVM's `default<O…>`, as
//!    `opt -print-pipeline-passes` shows it, without what no module of this compiler has.
//!    The last two passes bring loops into the form that [`crate::gc::loops`] peels, with [`forward_loads`] in functions
//!    of which it knows more than LLVM does.
//!    [`crate::frameless`] comes behind it.
//! 4. References are lowered, [`crate::gc::lower`], and [`clean_up`] is run.

use crate::options::OptLevel;

/// Inlining of what has to be inlined.
pub(crate) fn merge() -> &'static str {
    "always-inline,globaldce"
}

/// Inlining and simplification.
pub(crate) fn simplify(level: OptLevel) -> &'static str {
    match level {
        // Lowering needs locals as values, and no blocks that cannot be reached.
        OptLevel::O0 => "function(mem2reg,simplifycfg)",
        OptLevel::O1 => "default<O1>",
        OptLevel::O2 => "thinlto-pre-link<O2>",
        OptLevel::O3 => SIMPLIFY_O3,
    }
}

/// What `opt -print-pipeline-passes` shows for `thinlto-pre-link<O3>`, without the passes for what no module of this
/// compiler has: coroutines, OpenMP, library calls, annotations, internal function pointers, divergent branches. Nor is there
/// `adce`, to which the passes around it leave nothing. The numbers that come with the level, but are no part of the text,
/// are options of the process (`COMMAND_LINE` in `llvm/target.rs`).
const SIMPLIFY_O3: &str = "function<eager-inv>(\
    lower-expect,simplifycfg<keep-loops>,sroa<modify-cfg>,early-cse,callsite-splitting),\
    ipsccp,globalopt,\
    function<eager-inv>(mem2reg,instcombine<no-verify-fixpoint>,simplifycfg<switch-range-to-icmp>),\
    always-inline,require<globals-aa>,function(invalidate<aa>),require<profile-summary>,\
    cgscc(devirt<4>(inline,function-attrs<skip-non-recursive-function-attrs>,argpromotion,\
    function<eager-inv;no-rerun>(\
    sroa<modify-cfg>,early-cse<memssa>,jump-threading,correlated-propagation,\
    simplifycfg<switch-range-to-icmp>,instcombine<no-verify-fixpoint>,aggressive-instcombine,tailcallelim,\
    simplifycfg<switch-range-to-icmp>,reassociate,constraint-elimination,\
    loop-mssa(loop-instsimplify,loop-simplifycfg,licm<no-allowspeculation>,\
    loop-rotate<header-duplication;prepare-for-lto>,licm,simple-loop-unswitch<nontrivial;trivial>),\
    simplifycfg<switch-range-to-icmp>,instcombine<no-verify-fixpoint>,\
    loop(loop-idiom,indvars,extra-simple-loop-unswitch-passes,loop-deletion,loop-unroll-full),\
    sroa<modify-cfg>,vector-combine,mldst-motion,gvn,sccp,bdce,instcombine<no-verify-fixpoint>,\
    jump-threading,correlated-propagation,memcpyopt,dse,loop-mssa(licm),\
    simplifycfg<switch-range-to-icmp;switch-to-arithmetic;hoist-common-insts;sink-common-insts>,\
    instcombine<no-verify-fixpoint>),\
    function-attrs,function(require<should-not-run-function-passes>))),\
    deadargelim,globalopt,globaldce";

/// For a function in which allocations were replaced: makes their fields values, and shows what else can be replaced.
pub(crate) fn between_rounds() -> &'static str {
    "sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg"
}

/// For a function that parts of others were inlined into.
pub(crate) fn after_partial_inlining() -> &'static str {
    "early-cse<memssa>,simplifycfg"
}

/// For a function in which throws became branches: finds the tag that each of them throws, takes the throw to the clause
/// for it, and finds what that clause loads from the exception.
pub(crate) fn after_throws() -> &'static str {
    "gvn,jump-threading,gvn,simplifycfg,instcombine<no-verify-fixpoint>"
}

/// For a function in which allocations were replaced, at the end: what [`simplify`] would have done with it, had the
/// fields been values from the start.
pub(crate) fn after_replacement() -> &'static str {
    "jump-threading,correlated-propagation,simplifycfg<no-keep-loops;switch-range-to-icmp>,\
     instcombine<no-verify-fixpoint>,reassociate,constraint-elimination,\
     loop-mssa(loop-instsimplify,loop-simplifycfg,licm<no-allowspeculation>,loop-rotate,licm,\
     simple-loop-unswitch<nontrivial;trivial>),\
     simplifycfg<switch-range-to-icmp>,instcombine<no-verify-fixpoint>,\
     loop(loop-idiom,indvars,loop-deletion,loop-unroll-full),gvn,sccp,bdce,instcombine<no-verify-fixpoint>,\
     jump-threading,correlated-propagation,adce,dse,loop-mssa(licm),\
     simplifycfg<switch-range-to-icmp;switch-to-arithmetic;hoist-common-insts;sink-common-insts>,\
     instcombine<no-verify-fixpoint>"
}

/// Vectorisation and the rest of LLVM's pipeline; `None` where [`simplify`] was all.
pub(crate) fn optimise(level: OptLevel) -> Option<String> {
    let (hot_regions, unroll) = match level {
        OptLevel::O0 | OptLevel::O1 => return None,
        OptLevel::O2 => ("", "loop-unroll<O2>"),
        OptLevel::O3 => ("chr,", "loop-unroll<O3>"),
    };
    Some(format!(
        "globaldce,elim-avail-extern,rpo-function-attrs,\
         function<eager-inv>(float2int,{hot_regions}loop(loop-rotate,loop-deletion),loop-vectorize,infer-alignment,loop-load-elim,\
         instcombine<no-verify-fixpoint>,\
         simplifycfg<forward-switch-cond;switch-range-to-icmp;switch-to-arithmetic;switch-to-lookup;no-keep-loops;\
         hoist-common-insts;sink-common-insts>,\
         slp-vectorizer,vector-combine,{unroll},sroa<preserve-cfg>,infer-alignment,\
         instcombine<no-verify-fixpoint>,loop-mssa(licm),instsimplify,\
         div-rem-pairs,tailcallelim,\
         simplifycfg<switch-range-to-icmp;switch-to-arithmetic;hoist-loads-stores-with-cond-faulting;\
         speculate-unpredictables>,loop-simplify,lcssa),\
         globaldce,constmerge"
    ))
}

/// For a function whose stores are told apart from what it loads in loops.
pub(crate) fn forward_loads() -> &'static str {
    "gvn,simplifycfg"
}

/// After references are lowered: inline the collector's sequences, merge address computations.
pub(crate) fn clean_up(level: OptLevel) -> &'static str {
    match level {
        // The collector's sequences stay functions: inlined, they are half of the code.
        OptLevel::O0 => "globaldce",
        _ => {
            "always-inline,function(early-cse<memssa>,instcombine<no-verify-fixpoint>,loop-mssa(licm),simplifycfg),\
             globaldce"
        }
    }
}
