; ERROR: function `f` has no unwind information (it needs the attribute uwtable)
target triple = "x86_64-unknown-linux-gnu"
define hidden i32 @f(i32 %a) nounwind {
  ret i32 %a
}
