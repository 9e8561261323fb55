; ERROR: relocation of type 1 at `.data.rel.ro
target triple = "x86_64-unknown-linux-gnu"
@table = hidden constant [2 x ptr] [ptr @f, ptr @f]
define hidden ptr @f(i64 %i) uwtable {
  %slot = getelementptr [2 x ptr], ptr @table, i64 0, i64 %i
  %p = load ptr, ptr %slot
  ret ptr %p
}
