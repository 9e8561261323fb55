;; emit: ir
;;
;; References move in vectors as numbers do.
;;
;; FUNC: fill
;; CHECK: store <8 x ptr addrspace(271)>
;; CHECK: ret void

(module
  (type $n (struct (field (mut (ref null $n)))))
  (type $refs (array (mut (ref null $n))))
  (func $fill (param (ref $refs) (ref null $n))
    (array.fill $refs (local.get 0) (i32.const 0) (local.get 1) (i32.const 1000)))
  (elem declare func $fill))
