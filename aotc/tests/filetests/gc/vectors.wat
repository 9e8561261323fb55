;; emit: ir
;;
;; References move in vectors as numbers do.
;;
;; FUNC: fill
;; CHECK: store <8 x ptr addrspace(271)>
;; CHECK: ret void
;;
;; FUNC: carry
;; CHECK: phi <8 x ptr addrspace(271)>
;; CHECK: shufflevector <8 x ptr addrspace(271)>
;; CHECK: store <8 x ptr addrspace(271)>
;;
;; FUNC: across_call
;; CHECK: load <4 x ptr addrspace(271)>
;; CHECK: call
;; CHECK: store <4 x ptr addrspace(271)>
;; CHECK: ret void

(module
  (type $n (struct
    (field (mut (ref null $n))) (field (mut (ref null $n))) (field (mut (ref null $n))) (field (mut (ref null $n)))))
  (type $refs (array (mut (ref null $n))))
  (import "host" "call" (func $call))

  (func $fill (param (ref $refs) (ref null $n))
    (array.fill $refs (local.get 0) (i32.const 0) (local.get 1) (i32.const 1000)))

  (func $carry (param $a (ref $refs)) (param $b (ref $refs)) (param $previous (ref null $n))
    (local $i i32) (local $this (ref null $n))
    (if (i32.lt_u (array.len (local.get $a)) (i32.const 1000)) (then (return)))
    (if (i32.lt_u (array.len (local.get $b)) (i32.const 1000)) (then (return)))
    (loop $l
      (local.set $this (array.get $refs (local.get $a) (local.get $i)))
      (array.set $refs (local.get $b) (local.get $i) (local.get $previous))
      (local.set $previous (local.get $this))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))))

  (func $across_call (param $x (ref $n)) (param $y (ref $n))
    (local $a (ref null $n)) (local $b (ref null $n)) (local $c (ref null $n)) (local $d (ref null $n))
    (local.set $a (struct.get $n 0 (local.get $x))) (local.set $b (struct.get $n 1 (local.get $x)))
    (local.set $c (struct.get $n 2 (local.get $x))) (local.set $d (struct.get $n 3 (local.get $x)))
    (call $call)
    (struct.set $n 0 (local.get $y) (local.get $a)) (struct.set $n 1 (local.get $y) (local.get $b))
    (struct.set $n 2 (local.get $y) (local.get $c)) (struct.set $n 3 (local.get $y) (local.get $d)))

  (elem declare func $fill $carry $across_call))
