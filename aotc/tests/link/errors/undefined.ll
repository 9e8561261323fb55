; ERROR: symbol `getpid`, used in partition 0, is neither defined nor a libcall
target triple = "x86_64-unknown-linux-gnu"
declare i32 @getpid()
define hidden i32 @f() uwtable {
  %r = call i32 @getpid()
  %s = add i32 %r, 1
  ret i32 %s
}
