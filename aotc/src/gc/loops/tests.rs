//! Loops whose comparisons with a length are, or are not, always true.

use super::{Cfg, checks};
use crate::testing::with_unit;
use crate::translate::numbers::{Naming, Numbers};

/// Improves the function `@f` of a text in which `ref` is the type of references; the text that it becomes.
fn improved(text: &str) -> String {
    let text = text.replace("ref ", "ptr addrspace(271) ");
    with_unit(&text, Numbers::new(Naming::Final, true), |unit| {
        checks::improve(unit, &Cfg::new(unit.llvm.function("f").expect("the function is there")));
        unit.llvm.verify().expect("still valid");
        unit.llvm.print()
    })
}

/// Whether a loop's comparison of its counter `%i` with the length `%n` goes. The length is `%m` without the bits that
/// are not in a mask; the counter starts with a value that was compared; `rest` sets `%next` and `%more`.
fn goes(mask: u32, start: &str, rest: &str) -> bool {
    let code = improved(&format!(
        r#"
define void @f(ref %a, i32 %m, i32 %x, i32 %y) {{
  %n = and i32 %m, {mask}
  %starts = icmp ult i32 {start}, %n
  br i1 %starts, label %loop, label %exit
loop:
  %i = phi i32 [ {start}, %0 ], [ %next, %body ]
  %inside = icmp ult i32 %i, %n
  br i1 %inside, label %body, label %exit
body:
  {rest}
  br i1 %more, label %loop, label %exit
exit:
  ret void
}}
"#
    ));
    assert!(code.contains("%starts = icmp"), "only comparisons in loops are looked at\n{code}");
    !code.contains("%inside = icmp")
}

const SHORT: u32 = 0xffff;
const LONG: u32 = 0x7fff_ffff;

#[test]
fn counters_that_go_up_stay_below() {
    assert!(goes(LONG, "0", "%next = add i32 %i, 1  %more = icmp slt i32 %next, %n"));
    assert!(goes(LONG, "0", "%next = add i32 %i, 1  %more = icmp ult i32 %next, %n"));
    assert!(goes(LONG, "%x", "%next = add i32 %i, 1  %more = icmp ne i32 %next, %n"));
    assert!(goes(SHORT, "0", "%next = add i32 %i, 2  %more = icmp slt i32 %next, %n"));
    assert!(!goes(LONG, "0", "%next = add i32 %i, 2  %more = icmp slt i32 %next, %n"), "the sum may overflow");
    assert!(goes(LONG, "0", "%next = add nsw i32 %i, 2  %more = icmp slt i32 %next, %n"));
    assert!(!goes(SHORT, "0", "%next = add i32 %i, 2  %more = icmp ne i32 %next, %n"), "it may jump over the end");
    assert!(!goes(SHORT, "0", "%next = add i32 %i, 1  %more = icmp sle i32 %next, %n"), "the last one is outside");
    assert!(!goes(SHORT, "0", "%next = add i32 %i, 1  %more = icmp slt i32 %next, %x"), "another end");
}

#[test]
fn counters_that_go_down_stay_above() {
    assert!(goes(LONG, "%x", "%next = add i32 %i, -1  %more = icmp sge i32 %next, 0"));
    assert!(goes(LONG, "%x", "%next = add i32 %i, -3  %more = icmp sgt i32 %next, 5"));
    assert!(goes(LONG, "%x", "%next = add i32 %i, -1  %more = icmp ne i32 %i, 0"));
    assert!(!goes(LONG, "%x", "%next = add i32 %i, -2  %more = icmp ne i32 %i, 0"), "it may jump over the start");
    assert!(!goes(LONG, "%x", "%next = add i32 %i, -1  %more = icmp sge i32 %next, -1"), "below the start");
    assert!(!goes(LONG, "%x", "%next = add i32 %i, -1  %more = icmp slt i32 %next, %x"), "the wrong direction");
}

#[test]
fn conditions_have_parts() {
    let next = "%next = add i32 %i, 1  %a1 = icmp slt i32 %next, %n  %a2 = icmp eq i32 %x, %y";
    assert!(goes(LONG, "0", &format!("{next}  %more = and i1 %a1, %a2")));
    assert!(goes(LONG, "0", &format!("{next}  %more = select i1 %a2, i1 %a1, i1 false")));
    assert!(!goes(LONG, "0", &format!("{next}  %more = or i1 %a1, %a2")), "the other part may hold");
    assert!(!goes(LONG, "0", &format!("{next}  %more = select i1 %a2, i1 true, i1 %a1")));
    assert!(!goes(LONG, "0", &format!("{next}  %more = xor i1 %a1, true")));
}

#[test]
fn what_comes_from_elsewhere_may_be_outside() {
    assert!(!goes(LONG, "%x", "%next = add i32 %y, 0  %more = icmp eq i32 %x, %y"), "any number");
    assert!(!goes(LONG, "undef", "%next = add i32 %i, 0  %more = icmp eq i32 %x, %y"), "undefined");
    assert!(goes(LONG, "%x", "%next = add i32 %i, 0  %more = icmp eq i32 %x, %y"), "it stays the same");
    assert!(!goes(u32::MAX, "0", "%next = add i32 %i, 1  %more = icmp slt i32 %next, %n"), "a length below zero");
}

/// A reversal: what is assumed of the store to the upper element.
fn reversal(first_lower: i32) -> String {
    improved(&format!(
        r#"
define void @f(ref %a, i32 %m, i32 %k) {{
  %n = and i32 %m, 65535
  %starts = icmp ult i32 %k, %n
  %base = getelementptr inbounds nuw i8, ref %a, i32 8
  %some = icmp slt i32 {first_lower}, %k
  %go = and i1 %starts, %some
  br i1 %go, label %enter, label %exit
enter:
  br label %outer
outer:
  %first = load i32, ref %base, align 4
  %again = icmp eq i32 %first, 7
  br i1 %again, label %loop, label %exit
loop:
  %i = phi i32 [ {first_lower}, %outer ], [ %i.next, %loop ]
  %j = phi i32 [ %k, %outer ], [ %j.next, %loop ]
  %upper = getelementptr inbounds nuw i32, ref %base, i32 %j
  store i32 %i, ref %upper, align 4
  %i.next = add i32 %i, 1
  %j.next = add i32 %j, -1
  %more = icmp slt i32 %i.next, %j.next
  br i1 %more, label %loop, label %outer
exit:
  ret void
}}
"#
    ))
}

#[test]
fn stores_are_told_apart_from_the_first_element() {
    let apart = |code: &str| code.contains("icmp ugt i32 %j, 0") && code.contains("call void @llvm.assume");
    assert!(apart(&reversal(0)), "0 <= i < j");
    assert!(apart(&reversal(3)));
    assert!(!reversal(-1).contains("llvm.assume"), "j may be the first");
}
