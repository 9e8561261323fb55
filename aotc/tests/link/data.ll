; Whatever makes code refer to something else: jump tables, constants, C library functions, functions as values.
target triple = "x86_64-unknown-linux-gnu"

@squares = private unnamed_addr constant [6 x i64] [i64 0, i64 1, i64 4, i64 9, i64 16, i64 25]
@greeting = private unnamed_addr constant [12 x i8] c"hello there\00"

declare double @llvm.floor.f64(double)
declare double @llvm.roundeven.f64(double)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @memcmp(ptr, ptr, i64)
declare hidden tailcc i64 @"wasm[0]::thrower"(ptr, ptr, i64)

; A jump table: its entries are distances from the table to the code.
define hidden tailcc i64 @"wasm[1]::jump"(ptr %thread, ptr %instance, i64 %a) uwtable {
  switch i64 %a, label %other [
    i64 0, label %l0
    i64 1, label %l1
    i64 2, label %l2
    i64 3, label %l3
    i64 4, label %l4
    i64 5, label %l5
  ]
l0:
  call void asm sideeffect "nop", ""()
  ret i64 100
l1:
  call void asm sideeffect "nop;nop", ""()
  ret i64 77
l2:
  call void asm sideeffect "nop;nop;nop", ""()
  ret i64 1234567
l3:
  %b = mul i64 %a, 31
  ret i64 %b
l4:
  %c = tail call tailcc i64 @"wasm[2]::constants"(ptr %thread, ptr %instance, i64 %a)
  ret i64 %c
l5:
  call void asm sideeffect "nop;nop;nop;nop", ""()
  ret i64 -5
other:
  ret i64 -1
}

; Constants of several sizes and alignments.
define hidden tailcc i64 @"wasm[2]::constants"(ptr %thread, ptr %instance, i64 %a) uwtable noinline {
  %slot = getelementptr [6 x i64], ptr @squares, i64 0, i64 %a
  %square = load i64, ptr %slot
  %f = sitofp i64 %square to double
  %g = fmul double %f, 1.2345
  %h = fadd double %g, 0.25
  %v0 = insertelement <2 x double> poison, double %h, i32 0
  %v1 = insertelement <2 x double> %v0, double %f, i32 1
  %v2 = fmul <2 x double> %v1, <double 100.0, double 1000.0>
  %x = extractelement <2 x double> %v2, i32 0
  %y = extractelement <2 x double> %v2, i32 1
  %z = fadd double %x, %y
  %i = fptosi double %z to i64
  ret i64 %i
}

; C library functions, called by LLVM's own choice or by name.
define hidden tailcc i64 @"wasm[3]::libcalls"(ptr %thread, ptr %instance, i64 %a) uwtable {
  %area = alloca [64 x i8]
  call void @llvm.memcpy.p0.p0.i64(ptr %area, ptr @greeting, i64 %a, i1 false)
  %equal = call i32 @memcmp(ptr %area, ptr @greeting, i64 %a)
  %f = sitofp i64 %a to double
  %half = fadd double %f, 0.5
  %down = call double @llvm.floor.f64(double %half)
  %even = call double @llvm.roundeven.f64(double %half)
  %downs = fmul double %down, 100.0
  %sum = fadd double %downs, %even
  %i = fptosi double %sum to i64
  %w = sext i32 %equal to i64
  %r = add i64 %i, %w
  ret i64 %r
}

; The address of a function of another partition, called through memory.
define hidden tailcc i64 @"wasm[4]::indirect"(ptr %thread, ptr %instance, i64 %a) uwtable {
  %slot = alloca ptr
  store volatile ptr @"wasm[0]::thrower", ptr %slot
  %code = load volatile ptr, ptr %slot
  %r = call tailcc i64 %code(ptr %thread, ptr %instance, i64 %a)
  %s = add i64 %r, 1
  ret i64 %s
}

define hidden i64 @"entry[0]"(ptr %thread, ptr %instance, ptr %code, ptr %slots) uwtable {
  %arg = load i64, ptr %slots
  %result = call tailcc i64 %code(ptr %thread, ptr %instance, i64 %arg)
  store i64 %result, ptr %slots
  ret i64 0
}

define hidden tailcc i64 @"host_call[0]"(ptr %thread, ptr %func, i64 %arg) uwtable {
  ret i64 %arg
}
