; A partition with landing pads besides that of `frames.ll`, and with what LLVM writes for the sake of other tools.
target triple = "x86_64-unknown-linux-gnu"

declare i32 @dolmen_personality(...)
declare hidden tailcc i64 @"wasm[2]::deep"(ptr, ptr, i64)

define hidden tailcc i64 @"wasm[12]"(ptr %thread, ptr %instance, i64 %a) uwtable personality ptr @dolmen_personality {
  %r = invoke tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  ret i64 %r
pad:
  %l = landingpad { ptr, i32 } cleanup
  ret i64 31
}

!llvm.module.flags = !{!0}
!0 = !{i32 4, !"cf-protection-branch", i32 1}
