; ERROR: section `.tdata` of partition 0 is neither code nor constants
target triple = "x86_64-unknown-linux-gnu"
@count = hidden thread_local global i32 5
define hidden i32 @f() uwtable {
  %r = load i32, ptr @count
  ret i32 %r
}
