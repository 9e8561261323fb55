/*
 * Running compiled modules from C: modules, instances, calls, native functions,
 * memory, threads.
 *
 * Names, types and meaning are those of the embedding interface of the
 * WebAssembly Micro Runtime as far as they are declared here, so that programs
 * written for it compile unchanged. Where something differs it says so.
 * Objects of the garbage-collected heap are in gc_export.h; what that runtime
 * has no name for (typed errors, stopping threads, heap options) in dolmen.h.
 *
 * Modules are *artifacts*: what `dolmenc`, or `dolmen compile`, has written.
 * This library contains no compiler.
 *
 * Owners. What a function with `load`, `instantiate`, `create` or `spawn` in
 * its name returns belongs to the caller, who ends it by the function that
 * its description names. Ended handles must not be used again; nothing
 * checks that. NULL where a handle is expected makes a function fail, or do
 * nothing, unless it says otherwise.
 *
 * Errors. Functions that can fail return false, NULL or 0. Before there is an
 * instance the reason is copied into a buffer of the caller's; afterwards it
 * is the exception of the instance: wasm_runtime_get_exception, and in detail
 * dolmen_take_error (dolmen.h).
 *
 * Threads. Modules may be used by any threads at once. An instance, and the
 * environments that were created for it, is used by one thread at a time: a
 * second thread waits until the first is done, if that is a call, for as long
 * as the call takes. For calls that run in parallel each thread needs an
 * environment of its own, by wasm_runtime_spawn_exec_env or
 * wasm_runtime_spawn_thread. While a native function runs no other native
 * function of the same instance does, unless it has given way
 * (dolmen_unlocked).
 */
#ifndef DOLMEN_WASM_EXPORT_H
#define DOLMEN_WASM_EXPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib_export.h"

#ifndef WASM_RUNTIME_API_EXTERN
#define WASM_RUNTIME_API_EXTERN extern
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- handles */

/* A loaded module. Ended by wasm_runtime_unload. */
#ifndef WASM_MODULE_T_DEFINED
#define WASM_MODULE_T_DEFINED
struct WASMModuleCommon;
typedef struct WASMModuleCommon *wasm_module_t;
#endif

/* An instance of a module, with a heap of its own. Ended by
 * wasm_runtime_deinstantiate. */
struct WASMModuleInstanceCommon;
typedef struct WASMModuleInstanceCommon *wasm_module_inst_t;

/* A function of an instance, which owns it. */
typedef void WASMFunctionInstanceCommon;
typedef WASMFunctionInstanceCommon *wasm_function_inst_t;

/* Who calls: an environment of an instance. Ended by
 * wasm_runtime_destroy_exec_env. */
struct WASMExecEnv;
typedef struct WASMExecEnv *wasm_exec_env_t;

/* ---------------------------------------------------------------- values */

/* What a wasm_val_t holds. WASM_ANYREF and WASM_EXNREF are additions: a
 * reference of the `any` hierarchy, and an exception. */
#ifndef WASM_VALKIND_T_DEFINED
#define WASM_VALKIND_T_DEFINED
typedef uint8_t wasm_valkind_t;
enum wasm_valkind_enum {
    WASM_I32 = 0,
    WASM_I64 = 1,
    WASM_F32 = 2,
    WASM_F64 = 3,
    WASM_V128 = 4,
    WASM_EXTERNREF = 128,
    WASM_FUNCREF = 129,
    WASM_ANYREF = 130,
    WASM_EXNREF = 131
};
#endif

/* A value. A reference of whichever kind is a wasm_obj_t (gc_export.h) in
 * `of.ref` or `of.foreign`, 0 for null. Vectors do not fit: they go through
 * wasm_runtime_call_wasm. */
#ifndef WASM_VAL_T_DEFINED
#define WASM_VAL_T_DEFINED
struct wasm_ref_t;
typedef struct wasm_val_t {
    wasm_valkind_t kind;
    uint8_t _paddings[7];
    union {
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
        uintptr_t foreign;
        struct wasm_ref_t *ref;
    } of;
} wasm_val_t;
#endif

/* ---------------------------------------------------------------- runtime */

/* How the runtime gets its memory. Dolmen uses that of the system, whatever
 * is asked for. */
#ifndef MEM_ALLOC_OPTION_DEFINED
#define MEM_ALLOC_OPTION_DEFINED
typedef enum {
    Alloc_With_Pool = 0,
    Alloc_With_Allocator,
    Alloc_With_System_Allocator
} mem_alloc_type_t;

typedef union MemAllocOption {
    struct {
        void *heap_buf;
        uint32_t heap_size;
    } pool;
    struct {
        void *malloc_func;
        void *realloc_func;
        void *free_func;
        void *user_data;
    } allocator;
} MemAllocOption;
#endif

/* How code runs. Dolmen runs compiled code only. */
typedef enum RunningMode {
    Mode_Interp = 1,
    Mode_Fast_JIT,
    Mode_LLVM_JIT,
    Mode_Multi_Tier_JIT
} RunningMode;

/* What wasm_runtime_full_init takes. Of its fields these are looked at; zero
 * all others. */
typedef struct RuntimeInitArgs {
    mem_alloc_type_t mem_alloc_type;
    MemAllocOption mem_alloc_option;
    /* Looked at: functions that are registered at once, as by
     * wasm_runtime_register_natives. */
    const char *native_module_name;
    NativeSymbol *native_symbols;
    uint32_t n_native_symbols;
    uint32_t max_thread_num;
    char ip_addr[128];
    int unused;
    int instance_port;
    uint32_t fast_jit_code_cache_size;
    /* Looked at: most bytes that the heap of an instance grows to; 0: the
     * default, 4 GiB. dolmen_set_options says more about heaps. */
    uint32_t gc_heap_size;
    RunningMode running_mode;
    uint32_t llvm_jit_opt_level;
    uint32_t llvm_jit_size_level;
    uint32_t segue_flags;
    bool enable_linux_perf;
} RuntimeInitArgs;

/* Starts the runtime of this process, or counts one more user of it. False if
 * the system refuses address space. */
WASM_RUNTIME_API_EXTERN bool wasm_runtime_init(void);

/* The same with arguments. Options of the heap count only for who starts the
 * runtime. */
WASM_RUNTIME_API_EXTERN bool wasm_runtime_full_init(RuntimeInitArgs *init_args);

/* Takes back one initialisation. After the last one nothing is registered any
 * more, and options can be set anew; modules and instances stay usable. */
WASM_RUNTIME_API_EXTERN void wasm_runtime_destroy(void);

/* ---------------------------------------------------------------- modules */

/* Loads an artifact from `size` bytes, which are copied: the buffer may be
 * freed. NULL if they are no artifact, or not for this machine, version or
 * collector; then the reason is in `error_buf`, cut to `error_buf_size` bytes.
 *
 * An artifact is native code. Damage is found, malice is not: load only what a
 * compiler that you trust has written. */
WASM_RUNTIME_API_EXTERN wasm_module_t
wasm_runtime_load(uint8_t *buf, uint32_t size, char *error_buf,
                  uint32_t error_buf_size);

/* Ends a module. Its instances stay usable, but for wasm_runtime_get_module. */
WASM_RUNTIME_API_EXTERN void wasm_runtime_unload(wasm_module_t module);

/* The content of the first custom section with this name, and its length in
 * bytes; NULL if there is none. It is the module's. */
WASM_RUNTIME_API_EXTERN const uint8_t *
wasm_runtime_get_custom_section(const wasm_module_t module_comm,
                                const char *name, uint32_t *len);

/* What instances that are made from now on see of the world by WASI. All is
 * copied. `env` are strings "KEY=VALUE"; `argv` starts with the program's
 * name. The descriptors are duplicated when an instance is made; -1 means the
 * process's own. Directories are not supported: if there are any,
 * instantiating the module fails. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_wasi_args_ex(wasm_module_t module, const char *dir_list[],
                              uint32_t dir_count, const char *map_dir_list[],
                              uint32_t map_dir_count, const char *env[],
                              uint32_t env_count, char *argv[], int argc,
                              int64_t stdinfd, int64_t stdoutfd,
                              int64_t stderrfd);

/* The same with the process's standard streams. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_wasi_args(wasm_module_t module, const char *dir_list[],
                           uint32_t dir_count, const char *map_dir_list[],
                           uint32_t map_dir_count, const char *env[],
                           uint32_t env_count, char *argv[], int argc);

/* ---------------------------------------------------------------- imports, exports */

/* Kinds of what modules import and export. WASM_IMPORT_EXPORT_KIND_TAG is an
 * addition. */
typedef enum {
    WASM_IMPORT_EXPORT_KIND_FUNC,
    WASM_IMPORT_EXPORT_KIND_TABLE,
    WASM_IMPORT_EXPORT_KIND_MEMORY,
    WASM_IMPORT_EXPORT_KIND_GLOBAL,
    WASM_IMPORT_EXPORT_KIND_TAG
} wasm_import_export_kind_t;

/* Their types, which are the module's. Tags have none here. */
struct WASMFuncType;
struct WASMTableType;
struct WASMGlobalType;
struct WASMMemory;
typedef struct WASMFuncType *wasm_func_type_t;
typedef struct WASMTableType *wasm_table_type_t;
typedef struct WASMGlobalType *wasm_global_type_t;
typedef struct WASMMemory *wasm_memory_type_t;

/* An import. The strings are the module's. */
typedef struct wasm_import_t {
    const char *module_name;
    const char *name;
    wasm_import_export_kind_t kind;
    /* Of a function: whether it would be found if the module were instantiated
     * now. */
    bool linked;
    union {
        wasm_func_type_t func_type;
        wasm_table_type_t table_type;
        wasm_global_type_t global_type;
        wasm_memory_type_t memory_type;
    } u;
} wasm_import_t;

/* An export. The string is the module's. */
typedef struct wasm_export_t {
    const char *name;
    wasm_import_export_kind_t kind;
    union {
        wasm_func_type_t func_type;
        wasm_table_type_t table_type;
        wasm_global_type_t global_type;
        wasm_memory_type_t memory_type;
    } u;
} wasm_export_t;

/* Number of imports or exports, -1 if the module is NULL; and each, from 0:
 * beyond the last its name is NULL. */
WASM_RUNTIME_API_EXTERN int32_t
wasm_runtime_get_import_count(const wasm_module_t module);
WASM_RUNTIME_API_EXTERN void
wasm_runtime_get_import_type(const wasm_module_t module, int32_t import_index,
                             wasm_import_t *import_type);
WASM_RUNTIME_API_EXTERN int32_t
wasm_runtime_get_export_count(const wasm_module_t module);
WASM_RUNTIME_API_EXTERN void
wasm_runtime_get_export_type(const wasm_module_t module, int32_t export_index,
                             wasm_export_t *export_type);

/* Whether a function that is imported by these names would be found now. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_is_import_func_linked(const char *module_name,
                                   const char *func_name);

/* Parameters and results of a function type: how many, and the kind of each,
 * from 0; 255 beyond the last. */
WASM_RUNTIME_API_EXTERN uint32_t
wasm_func_type_get_param_count(const wasm_func_type_t func_type);
WASM_RUNTIME_API_EXTERN wasm_valkind_t
wasm_func_type_get_param_valkind(const wasm_func_type_t func_type,
                                 uint32_t param_index);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_func_type_get_result_count(const wasm_func_type_t func_type);
WASM_RUNTIME_API_EXTERN wasm_valkind_t
wasm_func_type_get_result_valkind(const wasm_func_type_t func_type,
                                  uint32_t result_index);

/* Of the other types. Sizes are in elements and pages; a maximum that does not
 * exist, or does not fit, is UINT32_MAX. */
WASM_RUNTIME_API_EXTERN wasm_valkind_t
wasm_global_type_get_valkind(const wasm_global_type_t global_type);
WASM_RUNTIME_API_EXTERN bool
wasm_global_type_get_mutable(const wasm_global_type_t global_type);
WASM_RUNTIME_API_EXTERN bool
wasm_memory_type_get_shared(const wasm_memory_type_t memory_type);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_memory_type_get_init_page_count(const wasm_memory_type_t memory_type);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_memory_type_get_max_page_count(const wasm_memory_type_t memory_type);
WASM_RUNTIME_API_EXTERN wasm_valkind_t
wasm_table_type_get_elem_kind(const wasm_table_type_t table_type);
WASM_RUNTIME_API_EXTERN bool
wasm_table_type_get_shared(const wasm_table_type_t table_type);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_table_type_get_init_size(const wasm_table_type_t table_type);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_table_type_get_max_size(const wasm_table_type_t table_type);

/* ---------------------------------------------------------------- natives */

/* Makes C functions known that modules import from `module_name`. Of several
 * with one name the last counts. Instances that exist already keep theirs. An
 * imported function that nobody has registered traps when it is called.
 *
 * A function takes a wasm_exec_env_t, then a parameter for each letter between
 * the parentheses of its signature; behind them is a letter for its result, if
 * it has one:
 *
 *   i  int32_t       f  float        r  wasm_obj_t, or another type of
 *   I  int64_t       F  double          references of gc_export.h
 *   *  a pointer into the memory of the instance that calls: the module passes
 *      an address, which is checked for one byte;
 *   *~ a pointer and, as the next parameter, the number of its bytes, for all
 *      of which it is checked;
 *   $  a pointer to a string, which is checked to end inside the memory
 *
 * An address that fails the check traps in the module. The signature must fit
 * the type of the import, or instantiating the module fails. A function ends
 * its module's call by wasm_runtime_set_exception. It must not leave by
 * longjmp or by a C++ exception.
 *
 * False if a name or a function is NULL, or a signature malformed; nothing is
 * registered then. The table is copied, but unregister knows it by its
 * address. Any thread. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_register_natives(const char *module_name,
                              NativeSymbol *native_symbols,
                              uint32_t n_native_symbols);

/* The same for functions of the one type
 *
 *     void function(wasm_exec_env_t exec_env, uint64_t *args);
 *
 * with a word for each argument, two for a vector, where the function leaves
 * its result: see the macros below. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_register_natives_raw(const char *module_name,
                                  NativeSymbol *native_symbols,
                                  uint32_t n_native_symbols);

/* Takes a registration back. False if there was none. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_unregister_natives(const char *module_name,
                                NativeSymbol *native_symbols);

/* For raw functions: where the result goes, the next argument, the result. */
#define native_raw_return_type(type, args) type *raw_ret = (type *)(args)
#define native_raw_get_arg(type, name, args) type name = *((type *)(args++))
#define native_raw_set_return(val) *raw_ret = (val)

/* The attachment of the native function that runs. */
WASM_RUNTIME_API_EXTERN void *
wasm_runtime_get_function_attachment(wasm_exec_env_t exec_env);

/* ---------------------------------------------------------------- instances */

/* Makes an instance of a module, with its imports from what is registered, and
 * runs its start function. NULL if an import is missing or of another type, if
 * memory runs out, or if the start function does not get to its end; then the
 * reason is in `error_buf`. Both sizes are ignored: the native stack has the
 * size of dolmen_set_options, and memory of the module for C comes from its own
 * malloc. */
WASM_RUNTIME_API_EXTERN wasm_module_inst_t
wasm_runtime_instantiate(const wasm_module_t module,
                         uint32_t default_stack_size,
                         uint32_t host_managed_heap_size, char *error_buf,
                         uint32_t error_buf_size);

/* Ends an instance. Its heap goes when the last of its environments is ended,
 * too; threads that the module has started itself are then interrupted and
 * waited for. Does nothing in a native function that the instance has
 * called. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_deinstantiate(wasm_module_inst_t module_inst);

/* The module of an instance; it must not have been unloaded. */
WASM_RUNTIME_API_EXTERN wasm_module_t
wasm_runtime_get_module(wasm_module_inst_t module_inst);

/* A pointer of yours with an instance. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_custom_data(wasm_module_inst_t module_inst, void *custom_data);
WASM_RUNTIME_API_EXTERN void *
wasm_runtime_get_custom_data(wasm_module_inst_t module_inst);

/* ---------------------------------------------------------------- environments */

/* Makes an environment for calls of an instance. The size is ignored. */
WASM_RUNTIME_API_EXTERN wasm_exec_env_t
wasm_runtime_create_exec_env(wasm_module_inst_t module_inst,
                             uint32_t stack_size);

/* Ends an environment that was created, and with it the references that it
 * holds. Not while it calls. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_destroy_exec_env(wasm_exec_env_t exec_env);

/* The environment of an instance by which functions call that are given none.
 * It is the instance's. */
WASM_RUNTIME_API_EXTERN wasm_exec_env_t
wasm_runtime_get_exec_env_singleton(wasm_module_inst_t module_inst);

/* The instance of an environment; of a spawned one, the instance that was
 * made with it. */
WASM_RUNTIME_API_EXTERN wasm_module_inst_t
wasm_runtime_get_module_inst(wasm_exec_env_t exec_env);

/* A pointer of yours with an environment. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_user_data(wasm_exec_env_t exec_env, void *user_data);
WASM_RUNTIME_API_EXTERN void *
wasm_runtime_get_user_data(wasm_exec_env_t exec_env);

/* ---------------------------------------------------------------- calls */

/* The exported function with this name; NULL if there is none. */
WASM_RUNTIME_API_EXTERN wasm_function_inst_t
wasm_runtime_lookup_function(const wasm_module_inst_t module_inst,
                             const char *name);

/* What a function takes and returns: how many values, and their kinds, for
 * which there must be room. */
WASM_RUNTIME_API_EXTERN uint32_t
wasm_func_get_param_count(const wasm_function_inst_t func_inst,
                          const wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN uint32_t
wasm_func_get_result_count(const wasm_function_inst_t func_inst,
                           const wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN void
wasm_func_get_param_types(const wasm_function_inst_t func_inst,
                          const wasm_module_inst_t module_inst,
                          wasm_valkind_t *param_types);
WASM_RUNTIME_API_EXTERN void
wasm_func_get_result_types(const wasm_function_inst_t func_inst,
                           const wasm_module_inst_t module_inst,
                           wasm_valkind_t *result_types);

/* Calls a function with arguments in cells of 32 bits, low cells first: one for
 * an i32 or f32, two for an i64, f64 or reference (the bits of a wasm_obj_t),
 * four for a v128. `argc` counts the arguments' cells. The results replace
 * them; there must be room for these, too. False if the function did not
 * return, or something does not fit: see wasm_runtime_get_exception. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_call_wasm(wasm_exec_env_t exec_env, wasm_function_inst_t function,
                       uint32_t argc, uint32_t argv[]);

/* The same with values, whose kinds are checked. Results that are references
 * belong to the environment (gc_export.h). */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_call_wasm_a(wasm_exec_env_t exec_env,
                         wasm_function_inst_t function, uint32_t num_results,
                         wasm_val_t results[], uint32_t num_args,
                         wasm_val_t *args);

/* Declared below, with exceptions. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_exception(wasm_module_inst_t module_inst,
                           const char *exception);

/* Most arguments of wasm_runtime_call_wasm_v. */
#define DOLMEN_MAX_VARIABLE_ARGS 64

/* The same with variable arguments: an int32_t, an int64_t or a double for
 * numbers, a wasm_obj_t for references, by what the function takes. At most
 * DOLMEN_MAX_VARIABLE_ARGS. */
static inline bool
wasm_runtime_call_wasm_v(wasm_exec_env_t exec_env,
                         wasm_function_inst_t function, uint32_t num_results,
                         wasm_val_t results[], uint32_t num_args, ...)
{
    wasm_module_inst_t module_inst = wasm_runtime_get_module_inst(exec_env);
    wasm_valkind_t kinds[DOLMEN_MAX_VARIABLE_ARGS];
    wasm_val_t args[DOLMEN_MAX_VARIABLE_ARGS];
    uint32_t i;
    va_list list;
    if (num_args > DOLMEN_MAX_VARIABLE_ARGS
        || wasm_func_get_param_count(function, module_inst) != num_args) {
        wasm_runtime_set_exception(module_inst, "wrong number of arguments");
        return false;
    }
    wasm_func_get_param_types(function, module_inst, kinds);
    va_start(list, num_args);
    for (i = 0; i < num_args; i++) {
        args[i].kind = kinds[i];
        switch (kinds[i]) {
            case WASM_I32:
                args[i].of.i32 = va_arg(list, int32_t);
                break;
            case WASM_I64:
                args[i].of.i64 = va_arg(list, int64_t);
                break;
            case WASM_F32:
                args[i].of.f32 = (float)va_arg(list, double);
                break;
            case WASM_F64:
                args[i].of.f64 = va_arg(list, double);
                break;
            default:
                args[i].of.ref = va_arg(list, struct wasm_ref_t *);
                break;
        }
    }
    va_end(list);
    return wasm_runtime_call_wasm_a(exec_env, function, num_results, results,
                                    num_args, args);
}

/* Whether the module of an instance imports WASI, and its `_start` then; NULL
 * if it has none. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_is_wasi_mode(wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN wasm_function_inst_t
wasm_runtime_lookup_wasi_start_function(wasm_module_inst_t module_inst);

/* Runs a program: its `_start`, or else `main`, which may not have parameters
 * then. True if it has returned, or has ended itself (see
 * wasm_runtime_get_wasi_exit_code). If `argc` is not 0, what main returns is
 * written over argv[0] as an int. A program's arguments are those of
 * wasm_runtime_set_wasi_args. */
WASM_RUNTIME_API_EXTERN bool
wasm_application_execute_main(wasm_module_inst_t module_inst, int32_t argc,
                              char *argv[]);

/* The status that the program has ended itself with last; 0 before. A call
 * that is ended so fails with the exception "Exception: wasi proc exit". */
WASM_RUNTIME_API_EXTERN uint32_t
wasm_runtime_get_wasi_exit_code(wasm_module_inst_t module_inst);

/* ---------------------------------------------------------------- exceptions */

/* Why the last call of the instance failed: "Exception: " and the reason; NULL
 * if it has not. The text is the instance's and changes with its next call or
 * failure. */
WASM_RUNTIME_API_EXTERN const char *
wasm_runtime_get_exception(wasm_module_inst_t module_inst);

/* Sets an exception (copied, "Exception: " is put in front), or takes it back
 * if it is NULL. In a native function: when that returns, the call that the
 * module was in fails with it. Modules cannot catch it. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_set_exception(wasm_module_inst_t module_inst,
                           const char *exception);

/* Takes the exception back. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_clear_exception(wasm_module_inst_t module_inst);

/* Makes all code of the instance trap ("Exception: interrupt"), also in other
 * threads and instances that were spawned from it; a thread that runs no code
 * at the moment traps when it next does. Any thread, any time before the
 * instance has ended. Code that was compiled without polls goes on. */
WASM_RUNTIME_API_EXTERN void
wasm_runtime_terminate(wasm_module_inst_t module_inst);

/* ---------------------------------------------------------------- memory */

/* These mean the instance's memory with index 0. It never moves: pointers into
 * it are good as long as the instance is. What other threads do to the bytes
 * meanwhile is for you to know. Sizes are in bytes. */

/* Whether so many bytes are in the memory, a string ends there, a pointer leads
 * there. If not, that is also an exception of the instance. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_validate_app_addr(wasm_module_inst_t module_inst,
                               uint64_t app_offset, uint64_t size);
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_validate_app_str_addr(wasm_module_inst_t module_inst,
                                   uint64_t app_str_offset);
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_validate_native_addr(wasm_module_inst_t module_inst,
                                  void *native_ptr, uint64_t size);

/* From an address to a pointer, NULL outside of the memory; and back, 0
 * outside. */
WASM_RUNTIME_API_EXTERN void *
wasm_runtime_addr_app_to_native(wasm_module_inst_t module_inst,
                                uint64_t app_offset);
WASM_RUNTIME_API_EXTERN uint64_t
wasm_runtime_addr_native_to_app(wasm_module_inst_t module_inst,
                                void *native_ptr);

/* The addresses of the memory that an address is in: from 0 to its size. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_get_app_addr_range(wasm_module_inst_t module_inst,
                                uint64_t app_offset,
                                uint64_t *p_app_start_offset,
                                uint64_t *p_app_end_offset);

/* Memory of the module for C, from the function `malloc` that it exports:
 * address, and pointer if `p_native_addr` is not NULL. 0 if there is none, or
 * no `malloc`. Given back by wasm_runtime_module_free, to the module's
 * `free`. */
WASM_RUNTIME_API_EXTERN uint64_t
wasm_runtime_module_malloc(wasm_module_inst_t module_inst, uint64_t size,
                           void **p_native_addr);
WASM_RUNTIME_API_EXTERN void
wasm_runtime_module_free(wasm_module_inst_t module_inst, uint64_t ptr);

/* The same with a copy of `size` bytes in it. */
WASM_RUNTIME_API_EXTERN uint64_t
wasm_runtime_module_dup_data(wasm_module_inst_t module_inst, const char *src,
                             uint64_t size);

/* Adds pages to the memory; false if it cannot grow that far. */
WASM_RUNTIME_API_EXTERN bool
wasm_runtime_enlarge_memory(wasm_module_inst_t module_inst,
                            uint64_t inc_page_count);

/* ---------------------------------------------------------------- threads */

/* What a thread does, with an environment of its own. */
typedef void *(*wasm_thread_callback_t)(wasm_exec_env_t, void *);

/* A thread that was spawned. Ended by wasm_runtime_join_thread. */
typedef uintptr_t wasm_thread_t;

/* Makes an environment for another thread: with an instance handle of its own,
 * whose exception and custom data are apart, of the same instance. Globals,
 * tables, memories and heap are the same ones; calls by both run in parallel.
 * NULL if the system has no room, or the code was compiled without polls.
 *
 * May be called in native functions. Functions that were looked up by one of
 * the instance handles can be called by all environments, as long as that
 * handle lasts. Ended by wasm_runtime_destroy_spawned_exec_env, while nobody
 * uses it. When the instance that it comes from has ended, its calls fail. */
WASM_RUNTIME_API_EXTERN wasm_exec_env_t
wasm_runtime_spawn_exec_env(wasm_exec_env_t exec_env);
WASM_RUNTIME_API_EXTERN void
wasm_runtime_destroy_spawned_exec_env(wasm_exec_env_t exec_env);

/* Starts an OS thread that calls `callback` with a spawned environment and
 * `arg`. 0, or -1 if that fails. */
WASM_RUNTIME_API_EXTERN int32_t
wasm_runtime_spawn_thread(wasm_exec_env_t exec_env, wasm_thread_t *tid,
                          wasm_thread_callback_t callback, void *arg);

/* Waits for a thread to end, gives what its callback has returned, and ends
 * its environment. Once for each thread, also when nobody wants to wait any
 * more: deinstantiate after that. In a native function, others may use the
 * instance meanwhile. 0, or -1 if that fails. */
WASM_RUNTIME_API_EXTERN int32_t
wasm_runtime_join_thread(wasm_thread_t tid, void **retval);

/* Short names for native functions with variables `exec_env` and
 * `module_inst`. */
#define get_module_inst(exec_env) wasm_runtime_get_module_inst(exec_env)
#define validate_app_addr(offset, size) \
    wasm_runtime_validate_app_addr(module_inst, offset, size)
#define validate_app_str_addr(offset) \
    wasm_runtime_validate_app_str_addr(module_inst, offset)
#define addr_app_to_native(offset) \
    wasm_runtime_addr_app_to_native(module_inst, offset)
#define addr_native_to_app(ptr) wasm_runtime_addr_native_to_app(module_inst, ptr)
#define module_malloc(size, p_native_addr) \
    wasm_runtime_module_malloc(module_inst, size, p_native_addr)
#define module_free(offset) wasm_runtime_module_free(module_inst, offset)

#ifdef __cplusplus
}
#endif

#endif
