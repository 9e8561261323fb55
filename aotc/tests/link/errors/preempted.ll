; ERROR: relocation of type 42 at `.text`+0x3 of partition 0 against `table` cannot be resolved
target triple = "x86_64-unknown-linux-gnu"
@table = constant [2 x i32] [i32 1, i32 2]
define hidden ptr @f() uwtable {
  ret ptr @table
}
