;; emit: asm aarch64
(module
  (type $leaf (struct (field $value i32)))
  (global $leaf (mut (ref null $leaf)) (ref.null $leaf))
  (table $table 1 100 (ref $leaf) (struct.new $leaf (i32.const 0)))

  ;; Code without polls never runs in several threads.
  ;; FUNC: publish
  ;; NOT: dmb
  ;; NOT: ldar
  ;; CHECK: ret
  (func $publish (export "publish") (param $value i32) (result (ref $leaf))
    (global.set $leaf (struct.new $leaf (local.get $value)))
    (table.get $table (local.get $value)))
)
