;; Exceptions of before `try_table`: clauses in place, `rethrow` by label, `delegate`. They are the same exceptions as
;; those of `try_table`, so both forms meet here, in one function and across modules; references that clauses hold
;; must survive collections.

(module $lib
  (import "dolmen" "call" (func $host_call (param funcref)))
  (import "dolmen" "gc" (func $gc))
  (type $box (struct (field (mut i32))))
  (type $i32 (func (param i32) (result i32)))
  (tag $none (export "none"))
  (tag $int (export "int") (param i32))
  (tag $other (param i32))
  (tag $boxes (param (ref $box) i64 (ref null $box)))
  (global $trace (mut i32) (i32.const 0))
  (elem declare func $throw_void $catch_and_throw)

  (func $note (param i32)
    (global.set $trace (i32.add (i32.mul (global.get $trace) (i32.const 10)) (local.get 0))))
  (func $throw_int (export "throw_int") (type $i32) (throw $int (local.get 0)))
  (func $throw_other (type $i32) (throw $other (local.get 0)))
  (func $throw_none (throw $none))
  (func $throw_void (throw $int (i32.const 77)))
  (func $throw_some (param $which i32)
    (if (i32.eq (local.get $which) (i32.const 1)) (then (throw $int (i32.const 10))))
    (if (i32.eq (local.get $which) (i32.const 2)) (then (throw $other (i32.const 20))))
    (if (i32.eq (local.get $which) (i32.const 3)) (then (throw $none))))

  ;; Which clause is taken, for calls and for throws in place.
  (func (export "clauses") (param $which i32) (result i32)
    try (result i32)
      (call $throw_some (local.get $which)) (i32.const 1)
      catch $int (i32.const 100) (i32.add)
      catch $other (i32.const 200) (i32.add)
      catch_all (i32.const 300) end)
  (func (export "in_place") (param $which i32) (result i32)
    try (result i32)
        (if (i32.eqz (local.get $which)) (then (throw $none)))
        (if (i32.eq (local.get $which) (i32.const 1)) (then (throw $int (i32.const 5))))
        (throw $other (local.get $which))
      catch $other (i32.const 1000) (i32.add)
      catch $int
      catch_all (i32.const -1) end)
  ;; What no clause catches goes on; a `try` without clauses catches nothing.
  (func $pass (param $which i32) (result i32)
    try (result i32)
      try (call $throw_some (local.get $which)) end (i32.const 0)
      catch $int end)
  (func (export "passes") (param $which i32) (result i32)
    try (result i32) (call $pass (local.get $which)) catch $other catch_all (i32.const -3) end)

  ;; Parameters of the block, branches out of the body and out of clauses, and clauses that end unreachably.
  (func (export "block_type") (param $n i32) (result i32 i64)
    (local.get $n)
    try (param i32) (result i32 i64)
        (if (i32.gt_s (local.get $n) (i32.const 10)) (then (throw $int (local.get $n))))
        (i64.extend_i32_s (local.get $n))
      catch $int (i64.const -1) end)
  (func (export "branches") (param $which i32) (result i32)
    (block $out (result i32)
      (loop $again
        try $t
            (br_if $t (i32.eqz (local.get $which)))
            (br_if $out (i32.const 40) (i32.eq (local.get $which) (i32.const 4)))
            (drop)
            (call $throw_some (local.get $which))
            (br $out (i32.const 41))
          catch $int (br $out)
          catch $other (drop) (local.set $which (i32.const 1)) (br $again)
          catch_all (return (i32.const 43)) end)
      (i32.const 44)))
  (func (export "dead") (result i32)
    (return (i32.const 1))
    try (result i32) (throw $none) catch $int catch_all (rethrow 0) end
    try (unreachable) delegate 0)
  (func (export "dead_body") (result i32)
    try (result i32) (return (i32.const 2)) catch $int catch_all (i32.const 3) end)

  ;; `rethrow` names the clause by label: from nested clauses the outer or the inner exception.
  (func (export "rethrow_nested") (param $which i32) (result i32)
    try (result i32)
        try $outer (result i32)
          (call $throw_int (i32.const 1))
          catch $int
            (drop)
            try $inner (result i32)
              (call $throw_other (i32.const 2))
              catch $other
                (drop)
                (block $b (br_if $b (local.get $which)) (rethrow $outer))
                (rethrow $inner) end end
      catch $int (i32.const 100) (i32.add)
      catch $other (i32.const 200) (i32.add) end)
  ;; A clause's exception does not come back to its own `try`.
  (func (export "clause_throws") (result i32)
    (global.set $trace (i32.const 0))
    try
        try
          (call $throw_none)
          catch_all (call $note (i32.const 1)) (call $throw_void) end
      catch_all (call $note (i32.const 2)) end
    (global.get $trace))

  ;; `delegate`: to the `try` around, past one, to a block inside a `try`, to a clause, out of the function.
  (func (export "delegate") (param $where i32) (result i32)
    try $far (result i32)
        try $near (result i32)
            (if (i32.eq (local.get $where) (i32.const 0))
              (then try (call $throw_none) delegate $near))
            (if (i32.eq (local.get $where) (i32.const 1))
              (then try (call $throw_none) delegate $far))
            (if (i32.eq (local.get $where) (i32.const 2))
              (then (block $b try (throw $none) delegate $b)))
            (if (i32.eq (local.get $where) (i32.const 3))
              (then try try (throw $none) delegate 0 catch $none (return (i32.const 13)) end))
            try  delegate $far
            (i32.const 14)
          catch_all (i32.const 10) end
      catch_all (i32.const 11) end)
  (func (export "delegate_to_clause") (result i32)
    try (result i32)
        try $t (result i32)
          (call $throw_int (i32.const 1))
          catch_all try (result i32) (call $throw_int (i32.const 50)) delegate $t end
      catch $int end)
  (func $delegate_out (result i32)
    try $t (result i32)
      try (result i32) (call $throw_int (i32.const 60)) delegate 1
      catch_all (i32.const -1) end)
  (func (export "delegate_out") (result i32)
    try (result i32) (call $delegate_out) catch $int end)

  ;; Both forms in one function.
  (func (export "new_in_old") (param $which i32) (result i32)
    try (result i32)
        (block $h (result i32)
          (try_table (result i32) (catch $int $h) (call $throw_some (local.get $which)) (i32.const 7)))
      catch $other
      catch_all (i32.const 31) end)
  (func (export "old_in_new") (param $which i32) (result i32)
    (local $x exnref)
    (block $h (result i32)
      (block $all (result exnref)
        (try_table (result i32) (catch $other $h) (catch_all_ref $all)
          try (result i32)
            (call $throw_some (local.get $which)) (i32.const 7)
            catch $int (drop) (rethrow 0) end)
        (return))
      (local.set $x)
      try (result i32) (throw_ref (local.get $x)) catch $int catch_all (i32.const 32) end))
  (func (export "delegate_to_new") (result i32)
    (block $h (result i32)
      (try_table $t (result i32) (catch $int $h)
        try (result i32) try (result i32) (call $throw_int (i32.const 8)) delegate $t catch_all (i32.const 9) end)))

  ;; Through the host, in both directions, and out of tail calls.
  (func (export "host") (result i32)
    try (result i32)
      (call $host_call (ref.func $throw_void)) (i32.const 0)
      catch $int end)
  (func $catch_and_throw
    try (call $host_call (ref.func $throw_void)) catch $int (call $note) (rethrow 0) end)
  (func (export "host_twice") (result i32)
    (global.set $trace (i32.const 0))
    try (call $host_call (ref.func $catch_and_throw)) catch $int (call $note) end
    (global.get $trace))
  (func $tail (param i32) (result i32) (return_call $throw_int (local.get 0)))
  (func (export "tail") (result i32)
    try (result i32) (call $tail (i32.const 21)) catch $int end)

  ;; References in payloads, in locals that only clauses read, and held by `rethrow`, across collections.
  (func $make (param i32) (result (ref $box)) (struct.new $box (local.get 0)))
  (func $throw_boxes (param i32)
    (throw $boxes (call $make (local.get 0)) (i64.const 5) (call $make (i32.add (local.get 0) (i32.const 1)))))
  (func $churn (call $gc) (drop (call $make (i32.const -1))) (call $gc))
  (func (export "roots") (param i32) (result i32)
    (local $kept (ref null $box)) (local $a (ref null $box)) (local $b (ref null $box)) (local $n i64)
    (local.set $kept (call $make (i32.const 1000)))
    try
        try
          (call $throw_boxes (local.get 0))
          catch $boxes (drop) (drop) (drop) (call $churn) (rethrow 0) end
      catch $boxes
        (local.set $b) (local.set $n) (local.set $a)
        (call $churn) end
    (i32.add (i32.add (struct.get $box 0 (local.get $kept)) (i32.wrap_i64 (local.get $n)))
      (i32.add (struct.get $box 0 (local.get $a))
        (i32.mul (i32.const 100) (struct.get $box 0 (local.get $b))))))
  (func (export "many") (param $n i32) (result i32)
    (local $sum i32)
    (loop $l
      try
        (call $throw_boxes (local.get $n))
        catch $boxes
          (drop) (drop)
          (struct.get $box 0) (i32.add (local.get $sum)) (local.set $sum) end
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (local.get $sum))

  ;; Traps are no exceptions.
  (func (export "trap") (result i32)
    try (result i32) (unreachable) catch_all (i32.const 1) end))

(assert_return (invoke "clauses" (i32.const 0)) (i32.const 1))
(assert_return (invoke "clauses" (i32.const 1)) (i32.const 110))
(assert_return (invoke "clauses" (i32.const 2)) (i32.const 220))
(assert_return (invoke "clauses" (i32.const 3)) (i32.const 300))
(assert_return (invoke "in_place" (i32.const 0)) (i32.const -1))
(assert_return (invoke "in_place" (i32.const 1)) (i32.const 5))
(assert_return (invoke "in_place" (i32.const 2)) (i32.const 1002))
(assert_return (invoke "passes" (i32.const 0)) (i32.const 0))
(assert_return (invoke "passes" (i32.const 1)) (i32.const 10))
(assert_return (invoke "passes" (i32.const 2)) (i32.const 20))
(assert_return (invoke "passes" (i32.const 3)) (i32.const -3))
(assert_return (invoke "block_type" (i32.const 7)) (i32.const 7) (i64.const 7))
(assert_return (invoke "block_type" (i32.const 17)) (i32.const 17) (i64.const -1))
(assert_return (invoke "branches" (i32.const 0)) (i32.const 44))
(assert_return (invoke "branches" (i32.const 1)) (i32.const 10))
(assert_return (invoke "branches" (i32.const 2)) (i32.const 10))
(assert_return (invoke "branches" (i32.const 3)) (i32.const 43))
(assert_return (invoke "branches" (i32.const 4)) (i32.const 40))
(assert_return (invoke "branches" (i32.const 5)) (i32.const 41))
(assert_return (invoke "dead") (i32.const 1))
(assert_return (invoke "dead_body") (i32.const 2))
(assert_return (invoke "rethrow_nested" (i32.const 0)) (i32.const 101))
(assert_return (invoke "rethrow_nested" (i32.const 1)) (i32.const 202))
(assert_return (invoke "clause_throws") (i32.const 12))
(assert_return (invoke "delegate" (i32.const 0)) (i32.const 10))
(assert_return (invoke "delegate" (i32.const 1)) (i32.const 11))
(assert_return (invoke "delegate" (i32.const 2)) (i32.const 10))
(assert_return (invoke "delegate" (i32.const 3)) (i32.const 13))
(assert_return (invoke "delegate" (i32.const 4)) (i32.const 14))
(assert_return (invoke "delegate_to_clause") (i32.const 50))
(assert_return (invoke "delegate_out") (i32.const 60))
(assert_return (invoke "new_in_old" (i32.const 0)) (i32.const 7))
(assert_return (invoke "new_in_old" (i32.const 1)) (i32.const 10))
(assert_return (invoke "new_in_old" (i32.const 2)) (i32.const 20))
(assert_return (invoke "new_in_old" (i32.const 3)) (i32.const 31))
(assert_return (invoke "old_in_new" (i32.const 0)) (i32.const 7))
(assert_return (invoke "old_in_new" (i32.const 1)) (i32.const 10))
(assert_return (invoke "old_in_new" (i32.const 2)) (i32.const 20))
(assert_return (invoke "old_in_new" (i32.const 3)) (i32.const 32))
(assert_return (invoke "delegate_to_new") (i32.const 8))
(assert_return (invoke "host") (i32.const 77))
(assert_return (invoke "host_twice") (i32.const 847))
(assert_return (invoke "tail") (i32.const 21))
(assert_return (invoke "roots" (i32.const 3)) (i32.const 1408))
(assert_return (invoke "many" (i32.const 100)) (i32.const 5050))
(assert_trap (invoke "trap") "unreachable")
(assert_exception (invoke "throw_int" (i32.const 1)))

(register "lib")

;; A module of the new form throws into one of the old form, and the other way.
(module $new
  (import "lib" "int" (tag $int (param i32)))
  (import "lib" "throw_int" (func $throw_int (param i32) (result i32)))
  (func (export "again") (param i32) (result i32)
    (block $h (result exnref)
      (try_table (result i32) (catch_all_ref $h) (call $throw_int (local.get 0)))
      (return))
    (throw_ref)))
(register "new")
(module
  (import "lib" "int" (tag $int (param i32)))
  (import "new" "again" (func $again (param i32) (result i32)))
  (func (export "catch") (param i32) (result i32)
    try (result i32) (call $again (local.get 0)) catch $int end))
(assert_return (invoke "catch" (i32.const 12)) (i32.const 12))

(assert_invalid (module (func (block try catch_all (rethrow 1) end))) "invalid rethrow label")
(assert_invalid (module (func try  delegate 2)) "unknown label")
(assert_invalid (module (tag $t) (func try catch_all catch $t end)) "")

;; A throw that passes by a handler stands between two calls that do not.
(module
  (tag $caught)
  (tag $passing)
  (table $table 1 funcref)
  (elem (table $table) (i32.const 0) func $check)
  (func $check (param $i i32) (if (i32.eqz (local.get $i)) (then (throw $caught))))
  (func $past (export "past") (param $passes i32) (param $i i32) (result i32)
    try (result i32)
      (call_indirect $table (param i32) (local.get $i) (i32.const 0))
      (if (local.get $passes) (then try (throw $passing) delegate 2))
      (call_indirect $table (param i32) (local.get $i) (i32.const 0))
      (i32.const 1)
      catch_all (i32.const 2) end)
  (func (export "around") (param $passes i32) (param $i i32) (result i32)
    try (result i32)
      (call $past (local.get $passes) (local.get $i))
      catch $passing (i32.const 3)
      catch $caught (i32.const 4) end))
(assert_return (invoke "past" (i32.const 0) (i32.const 1)) (i32.const 1))
(assert_return (invoke "past" (i32.const 0) (i32.const 0)) (i32.const 2))
(assert_return (invoke "around" (i32.const 1) (i32.const 1)) (i32.const 3))
(assert_exception (invoke "past" (i32.const 1) (i32.const 1)))
