;; emit: ir
;; A throw that meets its handler in the same function is a branch: there is no unwinding, and no exception is made.
(module
  (import "m" "f" (func $other (param i32) (result i32)))
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
    (local.get $i))

  (func $check (param $i i32) (result i32)
    (if (i32.and (local.get $i) (i32.const 1)) (then (throw $odd (i32.add (local.get $i) (i32.const 7)))))
    (local.get $i))

  ;; A throw that inlining has brought to the handler is a branch as well.
  ;; FUNC: catches
  ;; NOT: invoke
  ;; NOT: landingpad
  ;; NOT: store
  ;; NOT: call
  ;; CHECK: ret i32
  (func $catches (export "catches") (param $i i32) (result i32)
    (block $handler (result i32)
      (return (try_table (result i32) (catch $odd $handler) (call $check (local.get $i))))))

  ;; What calls throw arrives there, too.
  ;; FUNC: catches_both
  ;; NOT: store i32
  ;; CHECK: landingpad
  ;; NOT: store i32
  ;; CHECK: invoke
  ;; NOT: store i32
  ;; NOT: invoke
  (func $catches_both (export "catches_both") (param $i i32) (result i32)
    (block $handler (result i32)
      (return
        (try_table (result i32) (catch $odd $handler)
          (i32.add (call $check (local.get $i)) (call $other (local.get $i))))))))
