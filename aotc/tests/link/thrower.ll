; The partition that throws.
target triple = "x86_64-unknown-linux-gnu"

define hidden tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 %a) uwtable noinline {
  %high = icmp sgt i64 %a, 10
  br i1 %high, label %bad, label %good
good:
  ret i64 %a
bad:
  %throw = load ptr, ptr %thread
  call void %throw(ptr %thread, i64 %a) noreturn
  unreachable
}
