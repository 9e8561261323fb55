;; Types are equal when their recursion groups are equal, place by place: across modules, in imports, in casts and
;; in indirect calls.

(module $a
  (rec (type $x (struct (field (ref null $y)))) (type $y (struct (field (ref null $x)))))
  (rec (type $x2 (struct (field (ref null $y2)))) (type $y2 (struct (field (ref null $x2)))))
  (type $self (sub (struct (field (ref null $self)))))
  (rec (type $f (func (param (ref null $s)))) (type $s (struct (field (ref null $f)))))
  (global (export "x") (ref $x) (struct.new $x (ref.null $y)))
  (global (export "y") (ref $y) (struct.new $y (ref.null $x)))
  (global (export "self") (ref $self) (struct.new $self (ref.null $self)))
  (global $x_any anyref (struct.new $x (ref.null $y)))
  (func (export "f") (type $f))
  (tag (export "t") (type $f))
  (table (export "table") 1 (ref null $f))
  ;; Two groups that look alike are one, and the places in them differ.
  (func (export "same") (result i32) (ref.test (ref $x2) (global.get $x_any)))
  (func (export "place") (result i32) (ref.test (ref $y2) (global.get $x_any)))
)
(register "a")
(assert_return (invoke "same") (i32.const 1))
(assert_return (invoke "place") (i32.const 0))

;; Everything can be imported with types spelled anew, after other types.
(module
  (type $pad (func (result i64)))
  (rec (type $p (struct (field (ref null $q)))) (type $q (struct (field (ref null $p)))))
  (type $me (sub (struct (field (ref null $me)))))
  (rec (type $g (func (param (ref null $h)))) (type $h (struct (field (ref null $g)))))
  (import "a" "x" (global $x (ref $p)))
  (import "a" "y" (global (ref $q)))
  (import "a" "self" (global (ref $me)))
  (import "a" "f" (func $f (type $g)))
  (import "a" "t" (tag (type $g)))
  (import "a" "table" (table $table 1 (ref null $g)))
  (elem declare func $f)
  (func (export "run") (result i32)
    (local $h (ref $h))
    (local.set $h (struct.new $h (ref.func $f)))
    (table.set $table (i32.const 0) (ref.func $f))
    (call_indirect $table (type $g) (local.get $h) (i32.const 0))
    (call_ref $g (local.get $h) (struct.get $h 0 (local.get $h)))
    (ref.is_null (struct.get $p 0 (global.get $x))))
)
(assert_return (invoke "run") (i32.const 1))

;; The wrong place of the group.
(assert_unlinkable
  (module
    (rec (type $p (struct (field (ref null $q)))) (type $q (struct (field (ref null $p)))))
    (import "a" "x" (global (ref $q))))
  "incompatible import type")
;; Not in a group.
(assert_unlinkable
  (module
    (type $f (func (param (ref null struct))))
    (import "a" "f" (func (type $f))))
  "incompatible import type")
;; A group of three.
(assert_unlinkable
  (module
    (rec (type $g (func (param (ref null $h)))) (type $h (struct (field (ref null $g)))) (type $i (func)))
    (import "a" "f" (func (type $g))))
  "incompatible import type")
;; The order in the group.
(assert_unlinkable
  (module
    (rec (type $h (struct (field (ref null $g)))) (type $g (func (param (ref null $h)))))
    (import "a" "f" (func (type $g))))
  "incompatible import type")
;; Final, where the export is not.
(assert_unlinkable
  (module
    (type $me (struct (field (ref null $me))))
    (import "a" "self" (global (ref $me))))
  "incompatible import type")
;; Tags and tables want equal types, not subtypes.
(assert_unlinkable
  (module
    (rec (type $g (func (param (ref null $h)))) (type $h (struct (field (ref null $g)))))
    (import "a" "table" (table 1 (ref $g))))
  "incompatible import type")
(assert_unlinkable
  (module (import "a" "table" (table 1 funcref)))
  "incompatible import type")
(assert_unlinkable
  (module (import "a" "t" (tag (param structref))))
  "incompatible import type")

;; A function of a subtype may stand for its supertype, not the other way round.
(module $sub
  (type $super (sub (func (result anyref))))
  (type $sub (sub $super (func (result i31ref))))
  (func (export "super") (type $super) (ref.null any))
  (func (export "sub") (type $sub) (ref.i31 (i32.const 5))))
(register "sub")
(module
  (type $super (sub (func (result anyref))))
  (type $sub (sub $super (func (result i31ref))))
  (import "sub" "sub" (func $f (type $super)))
  (import "sub" "sub" (func $g (type $sub)))
  (func (export "f") (result anyref) (call $f))
  (func (export "g") (result i32) (i31.get_u (call $g))))
(assert_return (invoke "f") (ref.i31))
(assert_return (invoke "g") (i32.const 5))
(assert_unlinkable
  (module
    (type $super (sub (func (result anyref))))
    (type $sub (sub $super (func (result i31ref))))
    (import "sub" "super" (func (type $sub))))
  "incompatible import type")
