;; emit: ir polls
;; References that calls pass and return in memory are no roots there: no poll comes between a store of an argument and the
;; call, or between a call and the load of its result.
(module
  (type $p (struct (field $x (mut i32))))
  (type $take (func (param (ref null $p)) (param (ref null $p)) (param (ref null $p)) (param (ref null $p)) (param (ref null $p))))
  (type $make (func (param i32) (result i32 i32 (ref null $p))))
  (import "host" "make" (func $made (type $make)))
  (global $o (mut (ref null $p)) (ref.null $p))

  ;; The call ends the loop.
  ;; FUNC: arguments
  ;; CHECK: load volatile i32
  ;; CHECK: call preserve_allcc
  ;; CHECK: store ptr addrspace(271)
  ;; NOT: load volatile
  ;; CHECK: invoke tailcc
  ;; NOT: load volatile
  (func $arguments (export "arguments") (param $q (ref null $take))
    (block $out
      (loop $l
        (try_table (catch_all $out)
          (call_ref $take (ref.null $p) (ref.null $p) (ref.null $p) (ref.null $p) (global.get $o) (local.get $q)))
        (br $l))))

  ;; What the last call returns is used behind the loop.
  ;; FUNC: results
  ;; CHECK: call tailcc
  ;; NOT: preserve_allcc
  ;; CHECK: load volatile ptr addrspace(271)
  ;; CHECK: load volatile i32
  ;; CHECK: call preserve_allcc
  (func $results (export "results") (param $n i32) (result i32) (local $p (ref null $p)) (local $a i32)
    (loop $l
      (call $made (local.get $n))
      (local.set $p) (drop) (local.set $a)
      (br_if $l (local.get $a)))
    (struct.get $p $x (local.get $p))))
