/*
 * Objects of the garbage-collected heap from C: types, structs, arrays, i31,
 * pointers of C's, functions, and how long references live.
 *
 * Names, types and meaning follow the interface of the WebAssembly Micro
 * Runtime as far as they are declared here. These things differ:
 *
 * - References are handles that keep their objects alive, for as long as their
 *   scope lasts: those that a native function gets, or makes, until it
 *   returns; all others until their environment ends, or a scope of
 *   dolmen_scope_open is closed (dolmen.h). Local references and pins are
 *   therefore seldom needed. A reference must not be used after its scope.
 * - Two references to one object may be different pointers: compare with
 *   dolmen_obj_equal. Objects have no addresses of elements, since they move.
 * - A struct with fields that are immutable or cannot be null, or an array of
 *   immutable elements, can be written to until the reference is first passed
 *   to code, stored or compared. If a field that cannot be null has not been
 *   set by then, that fails.
 *
 * Failure is NULL, false, 0, or nothing done, and then the exception of the
 * instance says why. Whoever uses a reference must be allowed to use its
 * environment (wasm_export.h).
 */
#ifndef DOLMEN_GC_EXPORT_H
#define DOLMEN_GC_EXPORT_H

#include "wasm_export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- values */

/* Value types, as in wasm_ref_type_t. VALUE_TYPE_EXNREF and
 * VALUE_TYPE_NULLEXNREF are additions. */
typedef uint8_t wasm_value_type_t;
typedef enum wasm_value_type_enum {
    VALUE_TYPE_I32 = 0x7F,
    VALUE_TYPE_I64 = 0x7E,
    VALUE_TYPE_F32 = 0x7D,
    VALUE_TYPE_F64 = 0x7C,
    VALUE_TYPE_V128 = 0x7B,
    VALUE_TYPE_I8 = 0x7A,
    VALUE_TYPE_I16 = 0x79,
    VALUE_TYPE_FUNCREF = 0x70,
    VALUE_TYPE_EXTERNREF = 0x6F,
    VALUE_TYPE_ANYREF = 0x6E,
    VALUE_TYPE_EQREF = 0x6D,
    VALUE_TYPE_HT_NULLABLE_REF = 0x6C,
    VALUE_TYPE_HT_NON_NULLABLE_REF = 0x6B,
    VALUE_TYPE_I31REF = 0x6A,
    VALUE_TYPE_NULLFUNCREF = 0x69,
    VALUE_TYPE_NULLEXTERNREF = 0x68,
    VALUE_TYPE_STRUCTREF = 0x67,
    VALUE_TYPE_ARRAYREF = 0x66,
    VALUE_TYPE_NULLREF = 0x65,
    VALUE_TYPE_EXNREF = 0x64,
    VALUE_TYPE_NULLEXNREF = 0x63
} wasm_value_type_enum;

/* Heap types: an index of a type of the module, or one of these. HEAP_TYPE_EXN
 * and HEAP_TYPE_NOEXN are additions. */
typedef int32_t wasm_heap_type_t;
typedef enum wasm_heap_type_enum {
    HEAP_TYPE_FUNC = -0x10,
    HEAP_TYPE_EXTERN = -0x11,
    HEAP_TYPE_ANY = -0x12,
    HEAP_TYPE_EQ = -0x13,
    HEAP_TYPE_I31 = -0x16,
    HEAP_TYPE_NOFUNC = -0x17,
    HEAP_TYPE_NOEXTERN = -0x18,
    HEAP_TYPE_STRUCT = -0x19,
    HEAP_TYPE_ARRAY = -0x1A,
    HEAP_TYPE_NONE = -0x1B,
    HEAP_TYPE_EXN = -0x1C,
    HEAP_TYPE_NOEXN = -0x1D
} wasm_heap_type_enum;

/* A reference; null is NULL. An i31 is a number with its lowest bit set. */
struct WASMObject;
typedef struct WASMObject *wasm_obj_t;

/* References of some kinds; they convert to wasm_obj_t and back by a cast. */
struct WASMExternrefObject;
struct WASMAnyrefObject;
struct WASMStructObject;
struct WASMArrayObject;
struct WASMFuncObject;
typedef struct WASMExternrefObject *wasm_externref_obj_t;
typedef struct WASMAnyrefObject *wasm_anyref_obj_t;
typedef struct WASMStructObject *wasm_struct_obj_t;
typedef struct WASMArrayObject *wasm_array_obj_t;
typedef struct WASMFuncObject *wasm_func_obj_t;
typedef uintptr_t wasm_i31_obj_t;

/* The value of a field or an element: which member counts, its type says; of
 * i8 and i16 it is `i32`. */
#ifndef WASM_VALUE_DEFINED
#define WASM_VALUE_DEFINED
typedef union V128 {
    int8_t i8x16[16];
    int16_t i16x8[8];
    int32_t i32x4[4];
    int64_t i64x2[2];
    float f32x4[4];
    double f64x2[2];
} V128;

typedef union WASMValue {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    V128 v128;
    wasm_obj_t gc_obj;
} WASMValue;
#endif
typedef union WASMValue wasm_value_t;

/* ---------------------------------------------------------------- types */

/* A type of a module, whose it is, and the three kinds of them (with
 * wasm_func_type_t), which convert by a cast. */
struct WASMType;
struct WASMStructType;
struct WASMArrayType;
typedef struct WASMType *wasm_defined_type_t;
typedef struct WASMStructType *wasm_struct_type_t;
typedef struct WASMArrayType *wasm_array_type_t;

/* The type of a value, field or element. Of numbers only `value_type` counts.
 * Of references: a nullable one to an abstract heap type has a value type of
 * its own; all others have VALUE_TYPE_HT_NULLABLE_REF or _NON_NULLABLE_REF and
 * the heap type. `value_type` 0: none. */
typedef struct wasm_ref_type_t {
    wasm_value_type_t value_type;
    bool nullable;
    int32_t heap_type;
} wasm_ref_type_t;

/* The types of a module: how many, and each by its index; NULL beyond. */
WASM_RUNTIME_API_EXTERN uint32_t
wasm_get_defined_type_count(const wasm_module_t module);
WASM_RUNTIME_API_EXTERN wasm_defined_type_t
wasm_get_defined_type(const wasm_module_t module, uint32_t index);

/* The type of a struct, an array or a function in the module of its instance,
 * which must still be loaded; NULL of other references. */
WASM_RUNTIME_API_EXTERN wasm_defined_type_t
wasm_obj_get_defined_type(const wasm_obj_t obj);

/* Its index in a module: of equal types the first; -1 if the module does not
 * have it. */
WASM_RUNTIME_API_EXTERN int32_t
wasm_obj_get_defined_type_idx(const wasm_module_t module, const wasm_obj_t obj);

WASM_RUNTIME_API_EXTERN bool
wasm_defined_type_is_func_type(const wasm_defined_type_t def_type);
WASM_RUNTIME_API_EXTERN bool
wasm_defined_type_is_struct_type(const wasm_defined_type_t def_type);
WASM_RUNTIME_API_EXTERN bool
wasm_defined_type_is_array_type(const wasm_defined_type_t def_type);

/* The type of a parameter or a result of a function type, from 0. */
WASM_RUNTIME_API_EXTERN wasm_ref_type_t
wasm_func_type_get_param_type(const wasm_func_type_t func_type,
                              uint32_t param_idx);
WASM_RUNTIME_API_EXTERN wasm_ref_type_t
wasm_func_type_get_result_type(const wasm_func_type_t func_type,
                               uint32_t result_idx);

/* Fields of a struct type, and elements of an array type: how many, their
 * types, and whether they can be changed, if `p_is_mutable` is not NULL. */
WASM_RUNTIME_API_EXTERN uint32_t
wasm_struct_type_get_field_count(const wasm_struct_type_t struct_type);
WASM_RUNTIME_API_EXTERN wasm_ref_type_t
wasm_struct_type_get_field_type(const wasm_struct_type_t struct_type,
                                uint32_t field_idx, bool *p_is_mutable);
WASM_RUNTIME_API_EXTERN wasm_ref_type_t
wasm_array_type_get_elem_type(const wasm_array_type_t array_type,
                              bool *p_is_mutable);

/* Whether two types are the same one, by the rules of WebAssembly; whether the
 * first is the second or a subtype of it. */
WASM_RUNTIME_API_EXTERN bool
wasm_defined_type_equal(const wasm_defined_type_t def_type1,
                        const wasm_defined_type_t def_type2,
                        const wasm_module_t module);
WASM_RUNTIME_API_EXTERN bool
wasm_defined_type_is_subtype_of(const wasm_defined_type_t def_type1,
                                const wasm_defined_type_t def_type2,
                                const wasm_module_t module);

/* Makes a reference type: to a type of a module by its index, or to an
 * abstract heap type. */
WASM_RUNTIME_API_EXTERN void
wasm_ref_type_set_type_idx(wasm_ref_type_t *ref_type, bool nullable,
                           int32_t type_idx);
WASM_RUNTIME_API_EXTERN void
wasm_ref_type_set_heap_type(wasm_ref_type_t *ref_type, bool nullable,
                            int32_t heap_type);

/* The same relations between reference types of a module. */
WASM_RUNTIME_API_EXTERN bool
wasm_ref_type_equal(const wasm_ref_type_t *ref_type1,
                    const wasm_ref_type_t *ref_type2,
                    const wasm_module_t module);
WASM_RUNTIME_API_EXTERN bool
wasm_ref_type_is_subtype_of(const wasm_ref_type_t *ref_type1,
                            const wasm_ref_type_t *ref_type2,
                            const wasm_module_t module);

/* ---------------------------------------------------------------- kinds */

/* What a reference is; NULL is nothing of it. An anyref object is a pointer of
 * C's in the `any` hierarchy; internal objects are all but pointers of C's in
 * the `extern` hierarchy, and exceptions. */
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_struct_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_array_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_func_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_i31_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_externref_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_anyref_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_internal_obj(const wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool wasm_obj_is_eq_obj(const wasm_obj_t obj);

/* Whether it is of a type of a module (ref.test); of a reference type of its
 * instance's module, for which NULL may be of it, too. */
WASM_RUNTIME_API_EXTERN bool
wasm_obj_is_instance_of_defined_type(const wasm_obj_t obj,
                                     const wasm_defined_type_t defined_type,
                                     const wasm_module_t module);
WASM_RUNTIME_API_EXTERN bool
wasm_obj_is_instance_of_type_idx(const wasm_obj_t obj, uint32_t type_idx,
                                 const wasm_module_t module);
WASM_RUNTIME_API_EXTERN bool
wasm_obj_is_instance_of_ref_type(const wasm_obj_t obj,
                                 const wasm_ref_type_t *ref_type);

/* ---------------------------------------------------------------- structs */

/* Makes a struct of a type of the instance's module, with zeros and nulls. */
WASM_RUNTIME_API_EXTERN wasm_struct_obj_t
wasm_struct_obj_new_with_typeidx(wasm_exec_env_t exec_env, uint32_t type_idx);
WASM_RUNTIME_API_EXTERN wasm_struct_obj_t
wasm_struct_obj_new_with_type(wasm_exec_env_t exec_env,
                              const wasm_struct_type_t type);

/* Sets a field, and reads one: i8 and i16 are extended with their sign if
 * `sign_extend`, with zeros otherwise. A reference that is read belongs to the
 * environment that calls, in a native function; to that of
 * wasm_runtime_get_exec_env_singleton elsewhere. */
WASM_RUNTIME_API_EXTERN void
wasm_struct_obj_set_field(wasm_struct_obj_t obj, uint32_t field_idx,
                          const wasm_value_t *value);
WASM_RUNTIME_API_EXTERN void
wasm_struct_obj_get_field(const wasm_struct_obj_t obj, uint32_t field_idx,
                          bool sign_extend, wasm_value_t *value);

/* ---------------------------------------------------------------- arrays */

/* Makes an array of `length` elements, each of them `init_value`, or zero or
 * null if that is NULL. */
WASM_RUNTIME_API_EXTERN wasm_array_obj_t
wasm_array_obj_new_with_typeidx(wasm_exec_env_t exec_env, uint32_t type_idx,
                                uint32_t length, wasm_value_t *init_value);
WASM_RUNTIME_API_EXTERN wasm_array_obj_t
wasm_array_obj_new_with_type(wasm_exec_env_t exec_env,
                             const wasm_array_type_t type, uint32_t length,
                             wasm_value_t *init_value);

/* Elements, as fields of structs. */
WASM_RUNTIME_API_EXTERN void
wasm_array_obj_set_elem(wasm_array_obj_t array_obj, uint32_t elem_idx,
                        const wasm_value_t *value);
WASM_RUNTIME_API_EXTERN void
wasm_array_obj_get_elem(const wasm_array_obj_t array_obj, uint32_t elem_idx,
                        bool sign_extend, wasm_value_t *value);

/* Copies elements; the ranges may overlap. None if one of them is out of
 * bounds. */
WASM_RUNTIME_API_EXTERN void
wasm_array_obj_copy(wasm_array_obj_t dst_obj, uint32_t dst_idx,
                    const wasm_array_obj_t src_obj, uint32_t src_idx,
                    uint32_t len);

WASM_RUNTIME_API_EXTERN uint32_t
wasm_array_obj_length(const wasm_array_obj_t array_obj);

/* ---------------------------------------------------------------- functions */

/* The type of a function in the module of its instance. */
WASM_RUNTIME_API_EXTERN wasm_func_type_t
wasm_func_obj_get_func_type(const wasm_func_obj_t func_obj);

/* Calls it, as wasm_runtime_call_wasm and wasm_runtime_call_wasm_a do. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_call_func_ref(wasm_exec_env_t exec_env,
                           const wasm_func_obj_t func_obj, uint32_t argc,
                           uint32_t argv[]);
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_call_func_ref_a(wasm_exec_env_t exec_env,
                             const wasm_func_obj_t func_obj,
                             uint32_t num_results, wasm_val_t results[],
                             uint32_t num_args, wasm_val_t *args);

/* ---------------------------------------------------------------- i31 */

/* The i31 with the low 31 bits of a number, and back. */
WASM_RUNTIME_API_EXTERN wasm_i31_obj_t wasm_i31_obj_new(uint32_t i31_value);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_i31_obj_get_value(wasm_i31_obj_t i31_obj, bool sign_extend);

/* ---------------------------------------------------------------- pointers of C's */

/* A pointer of yours as a reference, in the `extern` or the `any` hierarchy,
 * and back; NULL of other references. The pointer is never followed. With a
 * finalizer: dolmen_externref_new. */
WASM_RUNTIME_API_EXTERN wasm_externref_obj_t
wasm_externref_obj_new(wasm_exec_env_t exec_env, const void *host_obj);
WASM_RUNTIME_API_EXTERN const void *
wasm_externref_obj_get_value(const wasm_externref_obj_t externref_obj);
WASM_RUNTIME_API_EXTERN wasm_anyref_obj_t
wasm_anyref_obj_new(wasm_exec_env_t exec_env, const void *host_obj);
WASM_RUNTIME_API_EXTERN const void *
wasm_anyref_obj_get_value(const wasm_anyref_obj_t anyref_obj);

/* any.convert_extern and extern.convert_any. */
WASM_RUNTIME_API_EXTERN wasm_obj_t
wasm_externref_obj_to_internal_obj(const wasm_externref_obj_t externref_obj);
WASM_RUNTIME_API_EXTERN wasm_externref_obj_t
wasm_internal_obj_to_externref_obj(wasm_exec_env_t exec_env,
                                   const wasm_obj_t internal_obj);

/* ---------------------------------------------------------------- lifetimes */

/* A variable in a chain of an environment's. Here it keeps nothing alive that
 * is not alive already: see the top. */
typedef struct WASMLocalObjectRef {
    struct WASMLocalObjectRef *prev;
    wasm_obj_t val;
} WASMLocalObjectRef, wasm_local_obj_ref_t;

/* Adds a variable, whose value becomes NULL; takes the last one off, or the
 * last `n`. A variable must stay where it is as long as it is in the chain. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_push_local_object_ref(wasm_exec_env_t exec_env,
                                   wasm_local_obj_ref_t *local_obj_ref);
WASM_RUNTIME_API_EXTERN wasm_local_obj_ref_t *
wasm_runtime_pop_local_object_ref(wasm_exec_env_t exec_env);
WASM_RUNTIME_API_EXTERN void
wasm_runtime_pop_local_object_refs(wasm_exec_env_t exec_env, uint32_t n);

/* Keeps a reference beyond its scope, until as many wasm_runtime_unpin_object
 * and then the scope around have ended; at the latest its environment. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_pin_object(wasm_exec_env_t exec_env, wasm_obj_t obj);
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_unpin_object(wasm_exec_env_t exec_env, wasm_obj_t obj);

#ifdef __cplusplus
}
#endif

#endif
