; Frames of every shape that compiled code has, exceptions thrown through them, and landing pads. The thread context
; starts with the addresses of the driver's `throw` and with the exception that is being thrown.
target triple = "x86_64-unknown-linux-gnu"

declare i32 @dolmen_personality(...)

; In another partition: throws its argument if it is above 10.
declare hidden tailcc i64 @"wasm[0]::thrower"(ptr, ptr, i64)

define hidden i64 @"entry[0]"(ptr %thread, ptr %instance, ptr %code, ptr %slots) #0 {
  %arg = load i64, ptr %slots
  %result = call tailcc i64 %code(ptr %thread, ptr %instance, i64 %arg)
  store i64 %result, ptr %slots
  ret i64 0
}

define hidden tailcc i64 @"host_call[0]"(ptr %thread, ptr %func, i64 %arg) #0 {
  %doubled = shl i64 %arg, 1
  ret i64 %doubled
}

define hidden tailcc void @"init[0]"(ptr %thread, ptr %instance) #0 {
  ret void
}

; Catches what the other partition throws.
define hidden tailcc i64 @"wasm[1]::catch"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %r = invoke tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  %sum = add i64 %r, %a
  ret i64 %sum
pad:
  %l = landingpad { ptr, i32 } catch ptr null
  %slot = getelementptr i8, ptr %thread, i64 8
  %e = load i64, ptr %slot
  %caught = add i64 %e, 1000
  %both = add i64 %caught, %a
  ret i64 %both
}

; Keeps more values alive across the call than there are callee-saved registers, and recurses.
define hidden tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %n) #0 {
  %done = icmp eq i64 %n, 0
  br i1 %done, label %bottom, label %more
bottom:
  %t = call tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 77)
  ret i64 %t
more:
  %v1 = load volatile i64, ptr %thread
  %v2 = load volatile i64, ptr %thread
  %v3 = load volatile i64, ptr %thread
  %v4 = load volatile i64, ptr %thread
  %v5 = load volatile i64, ptr %thread
  %v6 = load volatile i64, ptr %thread
  %less = sub i64 %n, 1
  %r = call tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %less)
  %s1 = add i64 %v1, %v2
  %s2 = add i64 %v3, %v4
  %s3 = add i64 %v5, %v6
  %s4 = add i64 %s1, %s2
  %s5 = add i64 %s3, %s4
  %s6 = add i64 %s5, %r
  ret i64 %s6
}

; All that it holds in registers must survive the unwinding through deep frames.
define hidden tailcc i64 @"wasm[3]::survive"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %v1 = mul i64 %a, 3
  %v2 = mul i64 %a, 5
  %v3 = mul i64 %a, 7
  %v4 = mul i64 %a, 11
  %v5 = mul i64 %a, 13
  %v6 = mul i64 %a, 17
  call void asm sideeffect "", "r,r,r,r,r,r"(i64 %v1, i64 %v2, i64 %v3, i64 %v4, i64 %v5, i64 %v6)
  %r = invoke tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  ret i64 %r
pad:
  %l = landingpad { ptr, i32 } catch ptr null
  call void asm sideeffect "", "r,r,r,r,r,r"(i64 %v1, i64 %v2, i64 %v3, i64 %v4, i64 %v5, i64 %v6)
  %s1 = add i64 %v1, %v2
  %s2 = add i64 %v3, %v4
  %s3 = add i64 %v5, %v6
  %s4 = add i64 %s1, %s2
  %s5 = add i64 %s3, %s4
  ret i64 %s5
}

; A frame of several pages, which is probed.
define hidden tailcc i64 @"wasm[4]::large"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %area = alloca [5000 x i64]
  %last = getelementptr [5000 x i64], ptr %area, i64 0, i64 4999
  store volatile i64 %a, ptr %area
  store volatile i64 %a, ptr %last
  %r = invoke tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  ret i64 %r
pad:
  %l = landingpad { ptr, i32 } catch ptr null
  %x = load volatile i64, ptr %area
  %y = load volatile i64, ptr %last
  %sum = add i64 %x, %y
  ret i64 %sum
}

; A frame that is aligned beyond the stack: relative to the frame pointer.
define hidden tailcc i64 @"wasm[5]::aligned"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %area = alloca i64, align 64
  store volatile i64 %a, ptr %area
  %r = invoke tailcc i64 @"wasm[4]::large"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %never
ok:
  %t = invoke tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 %a) to label %fine unwind label %pad
fine:
  %sum = add i64 %r, %t
  ret i64 %sum
never:
  %l = landingpad { ptr, i32 } catch ptr null
  ret i64 -1
pad:
  %m = landingpad { ptr, i32 } catch ptr null
  %address = ptrtoint ptr %area to i64
  %misaligned = and i64 %address, 63
  %x = load volatile i64, ptr %area
  %y = add i64 %x, %r
  %z = add i64 %y, %misaligned
  ret i64 %z
}

; With a frame pointer although it needs none.
define hidden tailcc i64 @"wasm[6]::pointed"(ptr %thread, ptr %instance, i64 %a) #1 {
  %r = call tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 %a)
  %sum = add i64 %r, %a
  ret i64 %sum
}

; Has no frame of its own when the exception is thrown.
define hidden tailcc i64 @"wasm[7]::tail"(ptr %thread, ptr %instance, i64 %a) #0 {
  %r = call tailcc i64 @"wasm[0]::thrower"(ptr %thread, ptr %instance, i64 1)
  %more = add i64 %a, %r
  %t = musttail call tailcc i64 @"wasm[6]::pointed"(ptr %thread, ptr %instance, i64 %more)
  ret i64 %t
}

define hidden tailcc i64 @"wasm[8]::catch_tail"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %r = invoke tailcc i64 @"wasm[7]::tail"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  ret i64 %r
pad:
  %l = landingpad { ptr, i32 } catch ptr null
  %slot = getelementptr i8, ptr %thread, i64 8
  %e = load i64, ptr %slot
  ret i64 %e
}

; Runtime functions throw whose arguments were pushed (LLVM does so when it makes the code smaller): they are still
; there when the landing pad is entered.
define hidden tailcc i64 @"wasm[9]::pushed"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %throw = load ptr, ptr %thread
  %slot = getelementptr i8, ptr %thread, i64 8
  invoke void %throw(ptr %thread, i64 %a, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7, i64 8) to label %no unwind label %first
no:
  ret i64 -1
first:
  %l = landingpad { ptr, i32 } catch ptr null
  %e = load i64, ptr %slot
  %f = add i64 %e, 1
  invoke void %throw(ptr %thread, i64 %f, i64 8, i64 7, i64 6, i64 5, i64 4, i64 3, i64 2, i64 1) to label %no unwind label %second
second:
  %m = landingpad { ptr, i32 } catch ptr null
  %g = load i64, ptr %slot
  %product = mul i64 %e, %g
  ret i64 %product
}

; Catches and throws on.
define hidden tailcc i64 @"wasm[10]::rethrow"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %r = invoke tailcc i64 @"wasm[1]::catch"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %never
ok:
  %s = invoke tailcc i64 @"wasm[2]::deep"(ptr %thread, ptr %instance, i64 %a) to label %never2 unwind label %pad
never:
  %l = landingpad { ptr, i32 } catch ptr null
  ret i64 -1
never2:
  ret i64 -2
pad:
  %m = landingpad { ptr, i32 } catch ptr null
  %throw = load ptr, ptr %thread
  call void %throw(ptr %thread, i64 %r)
  unreachable
}

define hidden tailcc i64 @"wasm[11]::catch_rethrown"(ptr %thread, ptr %instance, i64 %a) #0 personality ptr @dolmen_personality {
  %r = invoke tailcc i64 @"wasm[10]::rethrow"(ptr %thread, ptr %instance, i64 %a) to label %ok unwind label %pad
ok:
  ret i64 %r
pad:
  %l = landingpad { ptr, i32 } catch ptr null
  %slot = getelementptr i8, ptr %thread, i64 8
  %e = load i64, ptr %slot
  ret i64 %e
}

attributes #0 = { uwtable noinline "probe-stack"="inline-asm" }
attributes #1 = { uwtable noinline "frame-pointer"="all" }
