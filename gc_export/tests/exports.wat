(module
  (memory (export "shared") 2 4 shared)
  (table (export "table") 3 9 funcref)
  (global (export "global") (mut f64) (f64.const 1))
  (tag (export "tag") (param i32))
  (func (export "pair") (param i32 i64 f32 f64) (result i64 f64)
    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))
    (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
