;; emit: asm polls aarch64 shared
(module
  (type $cell (shared (struct (field $number (mut i32)) (field $wide (mut i64)) (field $ref (mut (ref null (shared eq)))))))

  ;; FUNC: load
  ;; CHECK: ldar w
  ;; CHECK: ret
  (func $load (export "load") (param $cell (ref $cell)) (result i32)
    (struct.atomic.get seqcst $cell $number (local.get $cell)))

  ;; FUNC: acquire
  ;; CHECK: ldar x
  ;; CHECK: ret
  (func $acquire (export "acquire") (param $cell (ref $cell)) (result i64)
    (struct.atomic.get acqrel $cell $wide (local.get $cell)))

  ;; FUNC: store
  ;; CHECK: stlr w
  ;; CHECK: ret
  (func $store (export "store") (param $cell (ref $cell)) (param $value i32)
    (struct.atomic.set seqcst $cell $number (local.get $cell) (local.get $value)))

  ;; FUNC: release
  ;; CHECK: stlr w
  ;; CHECK: ret
  (func $release (export "release") (param $cell (ref $cell)) (param $value (ref null (shared eq)))
    (struct.atomic.set acqrel $cell $ref (local.get $cell) (local.get $value)))

  ;; FUNC: add
  ;; CHECK: ldaxr w
  ;; CHECK: stlxr w
  ;; CHECK: ret
  (func $add (export "add") (param $cell (ref $cell)) (param $value i32) (result i32)
    (struct.atomic.rmw.add seqcst $cell $number (local.get $cell) (local.get $value)))

  ;; FUNC: exchange
  ;; CHECK: ldaxr w
  ;; CHECK: stlxr w
  ;; CHECK: ret
  (func $exchange (export "exchange") (param $cell (ref $cell)) (param $old (ref null (shared eq)))
    (param $new (ref null (shared eq))) (result (ref null (shared eq)))
    (struct.atomic.rmw.cmpxchg acqrel $cell $ref (local.get $cell) (local.get $old) (local.get $new)))
)
