;; emit: ir
;; A throw that meets its handler in the same function is a branch: there is no unwinding, and no exception is made.
(module
  (tag $odd (param i32))

  ;; FUNC: caught
  ;; NOT: invoke
  ;; NOT: landingpad
  ;; NOT: store
  ;; NOT: call
  ;; CHECK: ret i32
  (func $caught (export "caught") (param $i i32) (result i32)
    (block $handler (result i32)
      (return
        (try_table (result i32) (catch $odd $handler)
          (if (i32.and (local.get $i) (i32.const 1))
            (then (throw $odd (i32.add (local.get $i) (i32.const 7)))))
          (local.get $i)))))

  ;; One without a handler is made and thrown.
  ;; FUNC: uncaught
  ;; CHECK: store
  ;; CHECK: call
  ;; CHECK: unreachable
  (func $uncaught (export "uncaught") (param $i i32) (result i32)
    (if (i32.and (local.get $i) (i32.const 1)) (then (throw $odd (local.get $i))))
    (local.get $i)))
