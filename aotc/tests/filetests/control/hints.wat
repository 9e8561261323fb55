;; emit: ir
(module
  (import "m" "f" (func $f))
  (import "m" "g" (func $g))

  ;; FUNC: plain
  ;; NOT: !prof
  (func $plain (export "plain") (param i32)
    (if (local.get 0) (then (call $f)) (else (call $g))))

  ;; FUNC: hinted_if
  ;; CHECK: !prof
  (func $hinted_if (export "hinted_if") (param i32)
    local.get 0
    (@metadata.code.branch_hint "\00") if call $f else call $g end)

  ;; FUNC: hinted_br_if
  ;; CHECK: !prof
  (func $hinted_br_if (export "hinted_br_if") (param i32)
    block
      local.get 0
      (@metadata.code.branch_hint "\01") br_if 0
      call $f
    end
    call $g)
)
