//! Shapes of IR that LLVM's vectorisers may make of references, lowered.

use crate::testing::with_unit;
use crate::translate::numbers::{Naming, Numbers};

/// What functions of all texts call: the first collects.
const DECLARATIONS: &str = r#"
declare tailcc void @collect(ptr, ptr, ptr)
declare <2 x i32> @llvm.masked.gather.v2i32.v2p271(<2 x ptr addrspace(271)>, <2 x i1>, <2 x i32>)
declare void @llvm.masked.scatter.v2i32.v2p271(<2 x i32>, <2 x ptr addrspace(271)>, <2 x i1>)
"#;

/// Lowers the function `@f` of a text in which `ref` is the type of references.
fn lowered(text: &str) -> Result<String, String> {
    let text =
        format!("{text}{DECLARATIONS}").replace("ref ", "ptr addrspace(271) ").replace("ref>", "ptr addrspace(271)>");
    let code = with_unit(&text, Numbers::new(Naming::Final, true), |unit| {
        super::lower(unit).map_err(|e| e.0)?;
        unit.llvm.verify().map_err(|e| e.0)?;
        Ok::<_, String>(unit.llvm.print())
    })?;
    let function = code.split("\n}").find(|part| part.contains("@f(") && part.contains("define"));
    let function = function.expect("the function is there");
    function.find("define").map(|start| function[start..].to_owned()).ok_or_else(|| "no function".into())
}

/// The lines between two labels, calls or other marks.
fn between<'c>(code: &'c str, start: &str, end: &str) -> &'c str {
    let from = code.find(start).unwrap_or_else(|| panic!("no `{start}` in\n{code}"));
    let len = code[from..].find(end).unwrap_or_else(|| panic!("no `{end}` behind `{start}` in\n{code}"));
    &code[from..from + len]
}

fn count(code: &str, fragment: &str) -> usize {
    code.matches(fragment).count()
}

/// Pairs of addresses, merged by a phi in another order on each way, are needed after a call: their bases are roots.
#[test]
fn merged_pairs_of_addresses_keep_their_bases() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, ref %a, ref %b, i1 %which) {
  %pair.a = insertelement <2 x ref> poison, ref %a, i64 0
  %pair = insertelement <2 x ref> %pair.a, ref %b, i64 1
  br i1 %which, label %left, label %right
left:
  %low = getelementptr inbounds i8, <2 x ref> %pair, <2 x i32> <i32 4, i32 8>
  br label %merge
right:
  %turned = shufflevector <2 x ref> %pair, <2 x ref> poison, <2 x i32> <i32 1, i32 0>
  %high = getelementptr inbounds i8, <2 x ref> %turned, i32 12
  br label %merge
merge:
  %both = phi <2 x ref> [ %low, %left ], [ %high, %right ]
  call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)
  %swapped = shufflevector <2 x ref> %both, <2 x ref> poison, <2 x i32> <i32 1, i32 0>
  %first = extractelement <2 x ref> %swapped, i64 0
  %x = load i32, ref %first, align 4
  %gathered = call <2 x i32> @llvm.masked.gather.v2i32.v2p271(<2 x ref> %swapped, <2 x i1> splat (i1 true), <2 x i32> poison)
  %y = extractelement <2 x i32> %gathered, i64 1
  %sum = add i32 %x, %y
  ret i32 %sum
}"#,
    )
    .expect("lowers");
    let merge = between(&code, "merge:", "ret i32");
    assert_eq!(count(merge, "phi ptr addrspace(271)"), 2, "a base for each lane in\n{code}");
    assert_eq!(count(merge, "phi ptr ["), 2, "an address for each lane in\n{code}");
    assert_eq!(count(between(&code, "define", "@collect("), "store ptr addrspace(271) %"), 2, "two roots in\n{code}");
    assert_eq!(count(merge, "@llvm.masked.gather.v2i32.v2p0("), 1, "{code}");
}

/// Selects and freezes of vectors, conditions for each lane, and a scatter.
#[test]
fn chosen_vectors_of_addresses_become_lanes() {
    let code = lowered(
        r#"
define tailcc void @f(ptr %thread, ptr %instance, ptr %heap, ref %a, ref %b, <2 x i1> %which, <2 x i32> %index) {
  %of.a = getelementptr inbounds nuw i32, ref %a, <2 x i32> %index
  %of.b = getelementptr inbounds nuw i32, ref %b, <2 x i32> <i32 3, i32 4>
  %chosen = select <2 x i1> %which, <2 x ref> %of.a, <2 x ref> %of.b
  call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)
  %frozen = freeze <2 x ref> %chosen
  %behind = getelementptr inbounds i8, <2 x ref> %frozen, i32 4
  call void @llvm.masked.scatter.v2i32.v2p271(<2 x i32> %index, <2 x ref> %behind, <2 x i1> splat (i1 true))
  ret void
}"#,
    )
    .expect("lowers");
    assert_eq!(count(&code, "select i1 %"), 4, "a base and an address for each lane in\n{code}");
    assert_eq!(count(&code, "@llvm.masked.scatter.v2i32.v2p0("), 1, "{code}");
    assert_eq!(count(between(&code, "define", "@collect("), "store ptr addrspace(271) %"), 2, "two roots in\n{code}");
    assert!(code.contains("zext i32"), "indices are unsigned in\n{code}");
}

/// A gather whose addresses nothing takes apart stays what it is.
#[test]
fn whole_vectors_of_addresses_stay() {
    let code = lowered(
        r#"
define tailcc <2 x i32> @f(ptr %thread, ptr %instance, ptr %heap, <2 x ref> %objects) {
  %fields = getelementptr inbounds nuw i8, <2 x ref> %objects, i32 8
  %gathered = call <2 x i32> @llvm.masked.gather.v2i32.v2p271(<2 x ref> %fields, <2 x i1> splat (i1 true), <2 x i32> poison)
  ret <2 x i32> %gathered
}"#,
    )
    .expect("lowers");
    assert_eq!((count(&code, "extractelement"), count(&code, "@llvm.masked.gather.v2i32.v2p0(")), (0, 1), "{code}");
}

/// What LLVM leaves undefined must not be a root: neither lanes that nothing fills, nor arms of phis.
#[test]
fn undefined_references_become_null() {
    let code = lowered(
        r#"
define tailcc ref @f(ptr %thread, ptr %instance, ptr %heap, ref %a, i1 %which, ref %b) {
  %half = insertelement <4 x ref> poison, ref %a, i64 3
  br i1 %which, label %left, label %merge
left:
  br label %merge
merge:
  %one = phi ref [ %b, %left ], [ poison, %0 ]
  %many = phi <4 x ref> [ %half, %left ], [ <ref undef, ref null, ref poison, ref null>, %0 ]
  %some = shufflevector <4 x ref> %many, <4 x ref> poison, <4 x i32> <i32 3, i32 poison, i32 poison, i32 poison>
  call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)
  %last = extractelement <4 x ref> %some, i64 0
  %test = extractelement <4 x ref> %many, i64 2
  %same = icmp eq ref %test, %one
  %result = select i1 %same, ref %last, ref %one
  ret ref %result
}"#,
    )
    .expect("lowers");
    let shuffles = code.lines().filter(|line| !line.contains("shufflevector")).collect::<Vec<_>>().join("\n");
    assert_eq!((count(&shuffles, "poison"), count(&shuffles, "undef")), (0, 0), "{code}");
    assert!(code.contains("insertelement <4 x ptr addrspace(271)> zeroinitializer"), "{code}");
    assert!(!between(&code, "shufflevector", "\n").contains("i32 poison"), "{code}");
    assert!(code.contains("phi <4 x ptr addrspace(271)> [ %half, %left ], [ zeroinitializer, %0 ]"), "{code}");
}

/// A lane by a variable is refused, not compiled to something else.
#[test]
fn variable_lanes_of_addresses_are_errors() {
    let error = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, <2 x ref> %objects, i64 %lane) {
  %fields = getelementptr inbounds i8, <2 x ref> %objects, i32 8
  %field = extractelement <2 x ref> %fields, i64 %lane
  %x = load i32, ref %field, align 4
  ret i32 %x
}"#,
    );
    assert!(error.as_ref().is_err_and(|e| e.contains("by a variable")), "{error:?}");
}

/// A callee that mentioned no thread context before it was lowered gets one, and the heap's base, and may read roots.
#[test]
fn callees_get_a_thread_and_a_heap_and_their_effects_are_forgotten() {
    let code = lowered(
        r#"
define tailcc i32 @g(ptr noalias readnone captures(none) %thread, ptr %instance, ptr %heap, ref %object) memory(none) {
  %field = getelementptr inbounds i8, ref %object, i64 8
  %x = load i32, ref %field, align 4
  ret i32 %x
}
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, ref %object) {
  %x = call tailcc i32 @g(ptr readonly poison, ptr poison, ptr poison, ref %object) nosync
  ret i32 %x
}"#,
    )
    .expect("lowers");
    let call = "call tailcc i32 @g(ptr %thread, ptr poison, ptr %heap, ptr addrspace(271) %object)\n";
    assert!(code.contains(call), "{code}");
    let contexts = "ptr readonly captures(none) %thread, ptr %instance, ptr %heap";
    let code = lowered(&format!("define tailcc void @f({contexts}) memory(none) {{ ret void }}"));
    assert!(code.expect("lowers").contains("@f(ptr %thread, ptr %instance, ptr %heap) {"));
}

#[test]
fn extracted_lanes_are_inserted_elsewhere() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, <2 x ref> %objects, ref %b, i32 %i) {
  %fields = getelementptr inbounds i8, <2 x ref> %objects, i32 8
  %field = extractelement <2 x ref> %fields, i64 1
  %x = load i32, ref %field, align 4
  %beside = getelementptr inbounds i8, ref %b, i32 12
  %half = insertelement <2 x ref> poison, ref %field, i64 0
  %pair = insertelement <2 x ref> %half, ref %beside, i64 1
  %gathered = call <2 x i32> @llvm.masked.gather.v2i32.v2p271(<2 x ref> %pair, <2 x i1> splat (i1 true), <2 x i32> poison)
  %first = extractelement <2 x i32> %gathered, i64 0
  %second = extractelement <2 x i32> %gathered, i64 1
  %y = add i32 %first, %second
  %sum = add i32 %x, %y
  ret i32 %sum
}"#,
    )
    .expect("the lanes are known");
    assert_eq!(count(&code, "@llvm.masked.gather.v2i32.v2p0("), 1, "{code}");
}

#[test]
fn lanes_go_from_vector_to_vector() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, <2 x ref> %objects, ref %b, i1 %c) {
  %fields = getelementptr inbounds i8, <2 x ref> %objects, i32 8
  br i1 %c, label %left, label %merge
left:
  %others = getelementptr inbounds i8, <2 x ref> %objects, i32 12
  br label %merge
merge:
  %some = phi <2 x ref> [ %fields, %0 ], [ %others, %left ]
  %one = extractelement <2 x ref> %some, i64 1
  %half = insertelement <2 x ref> %some, ref %one, i64 0
  %two = extractelement <2 x ref> %half, i64 0
  %whole = insertelement <2 x ref> %half, ref %two, i64 1
  %three = extractelement <2 x ref> %whole, i64 1
  %x = load i32, ref %three, align 4
  %gathered = call <2 x i32> @llvm.masked.gather.v2i32.v2p271(<2 x ref> %whole, <2 x i1> splat (i1 true), <2 x i32> poison)
  %first = extractelement <2 x i32> %gathered, i64 0
  %sum = add i32 %x, %first
  ret i32 %sum
}"#,
    )
    .expect("the lanes are known");
    assert_eq!(count(&code, "@llvm.masked.gather.v2i32.v2p0("), 1, "{code}");
}

#[test]
fn switches_bring_the_same_vectors() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, <2 x ref> %objects, i32 %c) {
  switch i32 %c, label %left [ i32 3, label %merge
   i32 7, label %merge ]
left:
  %others = getelementptr inbounds i8, <2 x ref> %objects, i32 12
  br label %merge
merge:
  %some = phi <2 x ref> [ %objects, %0 ], [ %objects, %0 ], [ %others, %left ]
  %one = extractelement <2 x ref> %some, i64 1
  %x = load i32, ref %one, align 4
  ret i32 %x
}"#,
    );
    assert!(code.is_ok(), "{code:?}");
}

/// Slots of a frame that no safepoint sees as they were claimed are not cleared; one that a call on the way sees is.
#[test]
fn only_slots_that_a_safepoint_can_see_unset_are_cleared() {
    let text = |between: &str| {
        format!(
            r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, ref %a, i1 %which) {{
  br i1 %which, label %first, label %second
first:
  {between}
  %place = getelementptr inbounds i8, ref %a, i32 4
  %b = load ref , ref %place, align 4
  call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)
  %of.b = getelementptr inbounds i8, ref %b, i32 8
  %x = load i32, ref %of.b, align 4
  %of.a = getelementptr inbounds i8, ref %a, i32 8
  %y = load i32, ref %of.a, align 4
  %sum = add i32 %x, %y
  ret i32 %sum
second:
  ret i32 0
}}
"#
        )
    };
    let cleared = |between: &str| {
        let code = lowered(&text(between)).expect("it can be lowered");
        count(&code, "store ptr addrspace(271) null")
    };
    assert_eq!(cleared(""), 0);
    assert_eq!(cleared("call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)"), 1);
}

/// Of a sum of indices either may wrap around: the offset is added up in 32 bits and then extended.
#[test]
fn offsets_that_wrap_are_computed_in_32_bits() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, ref %a, i32 %x, i32 %y) {
  %elements = getelementptr inbounds nuw i8, ref %a, i32 8
  %part = getelementptr i32, ref %elements, i32 %x
  %element = getelementptr i32, ref %part, i32 %y
  %sum = load i32, ref %element, align 4
  %inside = getelementptr nuw i32, ref %elements, i32 %x
  %known = load i32, ref %inside, align 4
  %both = add i32 %sum, %known
  ret i32 %both
}
"#,
    )
    .expect("lowers");
    let wraps = between(&code, "define", "%sum = load");
    assert_eq!(count(wraps, "mul i32"), 2, "{code}");
    assert_eq!(count(wraps, "zext i32"), 2, "the reference and the offset: {code}");
    let exact = between(&code, "%sum = load", "%known = load");
    assert_eq!((count(exact, "mul"), count(exact, "zext i32 %x")), (0, 1), "{code}");
}

/// Where control flow merges addresses with parts that wrap, it merges references and offsets: both start at one, and
/// what is added behind the merge counts from there.
#[test]
fn merges_of_addresses_that_wrap_are_taken_apart() {
    let code = lowered(
        r#"
define tailcc i32 @f(ptr %thread, ptr %instance, ptr %heap, ref %a, ref %b, i32 %x, i32 %y, i1 %which) {
  br i1 %which, label %left, label %right
left:
  %of.a = getelementptr i32, ref %a, i32 %x
  br label %merge
right:
  %of.b = getelementptr i8, ref %b, i32 8
  br label %merge
merge:
  %p = phi ref [ %of.a, %left ], [ %of.b, %right ]
  %chosen = freeze ref %p
  br label %merge.end
merge.end:
  call tailcc void @collect(ptr %thread, ptr %instance, ptr %heap)
  %element = getelementptr i32, ref %chosen, i32 %y
  %x.element = load i32, ref %element, align 4
  ret i32 %x.element
}
"#,
    )
    .expect("lowers");
    let merge = between(&code, "merge:", "merge.end:");
    assert_eq!(count(merge, "phi ptr addrspace(271)"), 1, "{code}");
    assert_eq!(count(merge, "phi i32"), 1, "{code}");
    assert_eq!(count(&code, "phi ptr ["), 0, "no address crosses: {code}");
    let access = between(&code, "@collect", "%x.element = load");
    assert_eq!(count(access, "zext i32"), 2, "{code}");
}
