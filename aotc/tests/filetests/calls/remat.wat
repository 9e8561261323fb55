;; emit: asm
;;
;; What cannot change is loaded where it is needed: not before calls that come first, which would have to keep it.
;; FUNC: tree
;; NOT: (%rsi)
;; NOT: (%rsp)
;; CHECK: callq
;; NOT: (%rsp)
;; CHECK: callq
;; NOT: (%rsp)
;; CHECK: movl 32(%r
;; CHECK: ret
;;
;; A loop does not load the function in each round: it is kept across the calls.
;; FUNC: rounds
;; CHECK: movq 16(%rsi), %r
;; CHECK: callq *%r
;; NOT: 16(%r
;; CHECK: ret
(module
  (type $methods (struct (field i32)))
  (type $node (struct (field (ref $methods)) (field (ref null $node)) (field (ref null $node))))
  (import "env" "next" (func $next (result i32)))
  (global $methods (ref $methods) (struct.new $methods (i32.const 7)))

  (func $tree (export "tree") (param $depth i32) (result (ref null $node))
    (if (result (ref null $node)) (i32.eqz (local.get $depth))
      (then (ref.null $node))
      (else
        (struct.new $node (global.get $methods)
          (call $tree (i32.sub (local.get $depth) (i32.const 1)))
          (call $tree (i32.sub (local.get $depth) (i32.const 1)))))))

  (func $rounds (export "rounds") (param $of (ref null $methods)) (result i32)
    (local $count i32)
    (loop $again
      (local.set $count (i32.add (local.get $count) (ref.eq (local.get $of) (global.get $methods))))
      (br_if $again (call $next)))
    (local.get $count)))
