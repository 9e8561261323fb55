;; emit: ir polls
;; A loop that counts polls between strips of rounds: the rounds themselves compare and go on.
;; FUNC: counts
;; CHECK: loop:
;; NOT: poll
;; CHECK: icmp ult i32
;; CHECK: label %loop, label %strip.check
;; CHECK: strip:
;; CHECK: br label %loop
;; CHECK: strip.check:
;; CHECK: label %strip.poll
;; CHECK: load volatile i32
;; A step that is not known is no hindrance.
;; FUNC: by_step
;; CHECK: icmp ult i32
;; CHECK: label %loop, label %strip.check
;; Few rounds need no poll.
;; FUNC: few
;; NOT: strip
;; NOT: volatile
;; CHECK: ret
;; Nor if the counter ends exactly at the bound, whatever the step.
;; FUNC: exact
;; NOT: strip
;; NOT: volatile
;; CHECK: ret
;; A counter that may jump over the bound and wrap has many rounds.
;; FUNC: wraps
;; CHECK: load volatile i32
;; What ends by chance polls in each round.
;; FUNC: chance
;; NOT: strip
;; CHECK: loop:
;; CHECK: load volatile i32
(module
  (memory 1)
  (func $counts (export "counts") (param i32) (local $i i32)
    (loop $l
      (i32.store8 (local.get $i) (i32.load8_u offset=1 (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 3))) (local.get 0)))))
  (func $by_step (export "by_step") (param i32 i32) (local $i i32)
    (loop $l
      (i32.store8 (local.get $i) (i32.const 1))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (local.get 1))) (local.get 0)))))
  (func $few (export "few") (param i32) (result i32) (local $i i32)
    (loop $l
      (local.set 0 (i32.mul (i32.rotl (local.get 0) (i32.const 7)) (i32.const 77)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (local.get 0))
  (func $exact (export "exact") (param i32) (result i32) (local $i i32)
    (loop $l
      (local.set 0 (i32.mul (i32.rotl (local.get 0) (i32.const 7)) (i32.const 77)))
      (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 3))) (i32.const 3000))))
    (local.get 0))
  (func $wraps (export "wraps") (param i32) (result i32) (local $i i32)
    (local.set $i (i32.const 0x7ff00000))
    (loop $l
      (local.set 0 (i32.mul (i32.rotl (local.get 0) (i32.const 7)) (i32.const 77)))
      (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 0x20000))) (i32.const 0x7fffffff))))
    (local.get 0))
  (func $chance (export "chance") (param i32) (result i32)
    (loop $l
      (br_if $l (local.tee 0 (i32.and (i32.mul (local.get 0) (i32.const 77)) (i32.const 0xffff)))))
    (local.get 0))
)
