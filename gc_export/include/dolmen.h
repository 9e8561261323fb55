/*
 * What Dolmen offers to C beyond wasm_export.h and gc_export.h: options of the
 * heap, artifacts in files, typed errors, stopping and watching threads, calls
 * with a limit of time, scopes of references, weak references, statistics.
 *
 * Owners, errors and threads are as told in wasm_export.h. Times are in
 * nanoseconds, sizes in bytes.
 */
#ifndef DOLMEN_H
#define DOLMEN_H

#include "wasm_export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A wasm_obj_t leads there (gc_export.h). */
struct WASMObject;
struct WASMExternrefObject;

/* ---------------------------------------------------------------- options */

/* Collectors. */
enum dolmen_collector {
    DOLMEN_COLLECTOR_DEFAULT = 0,
    DOLMEN_COLLECTOR_GENERATIONAL = 1,
    DOLMEN_COLLECTOR_MARKSWEEP = 2,
    DOLMEN_COLLECTOR_NULL = 3
};

/* How instances behave. 0 stands for the default. */
typedef struct dolmen_options_t {
    /* An enum dolmen_collector. Artifacts are compiled for a collector. */
    int collector;
    /* Most bytes that the heap of an instance grows to, at most 16 GiB. */
    uint64_t heap_max_bytes;
    /* How much is allocated before the first collection. */
    uint64_t heap_initial_bytes;
    /* The size above which a heap is collected earlier rather than to grow. */
    uint64_t heap_soft_max_bytes;
    /* The time after which a collection of young objects stops early. */
    uint64_t heap_minor_pause_ns;
    /* Size of the native stack of a thread, from 512 KiB; its native functions
     * run on it, too. */
    uint64_t max_stack_bytes;
    /* For tests: collect at every so many allocations. */
    uint64_t gc_stress;
    /* For tests: verify the heap before and after each collection. */
    bool gc_verify;
    /* Print one line per collection on standard error. */
    bool gc_log;
} dolmen_options_t;

/* Sets all options to their defaults. */
WASM_RUNTIME_API_EXTERN void dolmen_options_default(dolmen_options_t *options);

/* Sets the options of the runtime that is started next. False if one is out
 * of range, or the runtime has started. */
WASM_RUNTIME_API_EXTERN bool dolmen_set_options(const dolmen_options_t *options);

/* ---------------------------------------------------------------- modules */

/* Loads an artifact from a file, as wasm_runtime_load does from memory. The
 * file is mapped: as long as the module exists it must not be changed, though
 * it may be replaced or removed. */
WASM_RUNTIME_API_EXTERN wasm_module_t
dolmen_load_file(const char *path, char *error_buf, uint32_t error_buf_size);

/* ---------------------------------------------------------------- errors */

/* Why something failed, in detail. Ended by dolmen_error_delete. */
typedef struct dolmen_error_t dolmen_error_t;

/* What calls are in progress, innermost first. */
typedef struct dolmen_backtrace_t dolmen_backtrace_t;

/* Kinds of errors. */
enum dolmen_error_kind {
    DOLMEN_ERROR_NONE = 0,
    /* Code has trapped: dolmen_error_trap, dolmen_error_backtrace. */
    DOLMEN_ERROR_TRAP = 1,
    /* An exception that nobody has caught: dolmen_error_exception. */
    DOLMEN_ERROR_EXCEPTION = 2,
    /* The program has ended itself: dolmen_error_exit_status. */
    DOLMEN_ERROR_EXIT = 3,
    /* A native function has set an exception. */
    DOLMEN_ERROR_NATIVE = 4,
    /* Imports are missing or of another type. */
    DOLMEN_ERROR_LINK = 5,
    /* An argument does not fit. */
    DOLMEN_ERROR_ARGUMENT = 6,
    /* Memory or another resource has run out. */
    DOLMEN_ERROR_RESOURCE = 7,
    /* An artifact cannot be loaded. */
    DOLMEN_ERROR_LOAD = 8,
    /* The instance has ended, or its store must not be used here and now. */
    DOLMEN_ERROR_UNAVAILABLE = 9,
    /* A bug of Dolmen's. */
    DOLMEN_ERROR_INTERNAL = 10
};

/* Reasons of traps. */
enum dolmen_trap {
    DOLMEN_TRAP_NONE = 0,
    DOLMEN_TRAP_UNREACHABLE = 1,
    DOLMEN_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
    DOLMEN_TRAP_TABLE_OUT_OF_BOUNDS = 3,
    DOLMEN_TRAP_ARRAY_OUT_OF_BOUNDS = 4,
    DOLMEN_TRAP_INTEGER_DIVIDE_BY_ZERO = 5,
    DOLMEN_TRAP_INTEGER_OVERFLOW = 6,
    DOLMEN_TRAP_INVALID_CONVERSION = 7,
    DOLMEN_TRAP_UNDEFINED_ELEMENT = 8,
    DOLMEN_TRAP_UNINITIALIZED_ELEMENT = 9,
    DOLMEN_TRAP_INDIRECT_CALL_TYPE_MISMATCH = 10,
    DOLMEN_TRAP_NULL_REFERENCE = 11,
    DOLMEN_TRAP_NULL_FUNCTION_REFERENCE = 12,
    DOLMEN_TRAP_NULL_STRUCT_REFERENCE = 13,
    DOLMEN_TRAP_NULL_ARRAY_REFERENCE = 14,
    DOLMEN_TRAP_NULL_I31_REFERENCE = 15,
    DOLMEN_TRAP_NULL_EXCEPTION_REFERENCE = 16,
    DOLMEN_TRAP_CAST_FAILURE = 17,
    DOLMEN_TRAP_STACK_OVERFLOW = 18,
    DOLMEN_TRAP_OUT_OF_MEMORY = 19,
    DOLMEN_TRAP_ALLOCATION_TOO_LARGE = 20,
    DOLMEN_TRAP_INTERRUPT = 21,
    DOLMEN_TRAP_EXPECTED_SHARED_MEMORY = 22,
    DOLMEN_TRAP_UNALIGNED_ATOMIC = 23,
    DOLMEN_TRAP_MISSING_IMPORT = 24,
    DOLMEN_TRAP_NULL_DESCRIPTOR_REFERENCE = 25,
    DOLMEN_TRAP_DESCRIPTOR_CAST_FAILURE = 26
};

/* Why the last call of an instance failed, if it did; NULL otherwise, and when
 * it has been taken already. The exception of wasm_runtime_get_exception
 * stays. */
WASM_RUNTIME_API_EXTERN dolmen_error_t *
dolmen_take_error(wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN void dolmen_error_delete(dolmen_error_t *error);

/* An enum dolmen_error_kind. */
WASM_RUNTIME_API_EXTERN int dolmen_error_kind(const dolmen_error_t *error);

/* One line in English; the error's. */
WASM_RUNTIME_API_EXTERN const char *
dolmen_error_message(const dolmen_error_t *error);

/* An enum dolmen_trap, if that is what it was. */
WASM_RUNTIME_API_EXTERN int dolmen_error_trap(const dolmen_error_t *error);

/* The status that the program has ended with, if it has. */
WASM_RUNTIME_API_EXTERN uint32_t
dolmen_error_exit_status(const dolmen_error_t *error);

/* Where it has trapped. The error's; without frames if it has not. */
WASM_RUNTIME_API_EXTERN const dolmen_backtrace_t *
dolmen_error_backtrace(const dolmen_error_t *error);

/* The exception that was thrown, as a reference of the environment's, which
 * must be one of the same instance; NULL if that was not the reason. */
WASM_RUNTIME_API_EXTERN struct WASMObject *
dolmen_error_exception(const dolmen_error_t *error, wasm_exec_env_t exec_env);

/* ---------------------------------------------------------------- backtraces */

/* A function that is being called. The names are the backtrace's, and NULL
 * where the module has none. */
typedef struct dolmen_frame_t {
    /* Index of the function in its module. */
    uint32_t func_index;
    /* Offset in the module's code of the return address, or of the instruction
     * that has trapped. */
    uint32_t code_offset;
    const char *func_name;
    const char *module_name;
} dolmen_frame_t;

/* Number of frames, and each of them, from 0, innermost first. */
WASM_RUNTIME_API_EXTERN size_t
dolmen_backtrace_length(const dolmen_backtrace_t *backtrace);
WASM_RUNTIME_API_EXTERN bool
dolmen_backtrace_frame(const dolmen_backtrace_t *backtrace, size_t index,
                       dolmen_frame_t *frame);

/* Ends a backtrace that belongs to the caller: not an error's. */
WASM_RUNTIME_API_EXTERN void
dolmen_backtrace_delete(dolmen_backtrace_t *backtrace);

/* ---------------------------------------------------------------- waiting */

/* Calls `work` while other threads may use the instance. To be used by native
 * functions that wait for something: as long as one has not given way, no
 * other thread gets further than to its next native function, or its next
 * allocation that takes more than a moment. `work` must not use the instance,
 * nor what belongs to its environments. False if the instance cannot be given
 * up here. */
WASM_RUNTIME_API_EXTERN bool
dolmen_unlocked(wasm_exec_env_t exec_env, void (*work)(void *arg), void *arg);

/* ---------------------------------------------------------------- ending calls */

/* Limits the time of the calls that an environment begins from now on; 0: no
 * limit. A call that takes longer traps (DOLMEN_TRAP_INTERRUPT) at its next
 * poll: in code within microseconds, in a native function when that returns.
 * Other threads are not affected. False if the code was compiled without
 * polls. */
WASM_RUNTIME_API_EXTERN bool
dolmen_set_timeout(wasm_exec_env_t exec_env, uint64_t timeout_ns);

/* What ends the code of an instance from outside, like
 * wasm_runtime_terminate, but may outlive the instance. Any thread. NULL if
 * the code was compiled without polls. */
typedef struct dolmen_interrupt_handle_t dolmen_interrupt_handle_t;
WASM_RUNTIME_API_EXTERN dolmen_interrupt_handle_t *
dolmen_interrupt_handle_new(wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN void
dolmen_interrupt(const dolmen_interrupt_handle_t *handle);
WASM_RUNTIME_API_EXTERN void
dolmen_interrupt_handle_delete(dolmen_interrupt_handle_t *handle);

/* ---------------------------------------------------------------- threads */

/* The threads of an instance and of what was spawned from it, to be listed,
 * stopped and resumed by any thread. May outlive the instance, whose threads
 * are none then.
 *
 * From the first dolmen_threads_new, or spawned environment, on the threads of
 * an instance follow a protocol, which makes each call of code, and of a native
 * function, about 50 ns slower. The code must have polls; NULL if it does
 * not. */
typedef struct dolmen_threads_t dolmen_threads_t;
WASM_RUNTIME_API_EXTERN dolmen_threads_t *
dolmen_threads_new(wasm_module_inst_t module_inst);
WASM_RUNTIME_API_EXTERN void dolmen_threads_delete(dolmen_threads_t *threads);

/* A thread by its number: 0 for that of the instance itself, then one for each
 * spawned environment and for each thread that the module has started.
 * Numbers are not used again. */
typedef uint64_t dolmen_thread_id_t;

/* The thread of an environment; UINT64_MAX if the module has started it. */
WASM_RUNTIME_API_EXTERN dolmen_thread_id_t
dolmen_thread_id(wasm_exec_env_t exec_env);

/* What a thread is doing. */
enum dolmen_thread_state {
    /* Running code. */
    DOLMEN_THREAD_RUNS = 0,
    /* Asleep in memory.atomic.wait. */
    DOLMEN_THREAD_WAITS = 1,
    /* Elsewhere: outside of the instance, or waiting to use it. */
    DOLMEN_THREAD_IN_HOST = 2,
    /* In a native function or in this library, using the instance. */
    DOLMEN_THREAD_USES_STORE = 3,
    /* Standing still until it is resumed. */
    DOLMEN_THREAD_SUSPENDED = 4
};

typedef struct dolmen_thread_info_t {
    dolmen_thread_id_t id;
    /* An enum dolmen_thread_state, of a moment ago. */
    int state;
} dolmen_thread_info_t;

/* The threads, oldest first: as many as there is room for are written to
 * `infos`; returns how many there are. */
WASM_RUNTIME_API_EXTERN size_t
dolmen_threads_list(const dolmen_threads_t *threads,
                    dolmen_thread_info_t *infos, size_t room);

/* Stops a thread: when this returns true, it runs no code, and will not before
 * as many dolmen_resume have followed. If it is in a native function, it does
 * not get back from there. False if it has ended. An instance must not be
 * ended while its own thread, 0, is suspended. */
WASM_RUNTIME_API_EXTERN bool
dolmen_suspend(const dolmen_threads_t *threads, dolmen_thread_id_t thread);

/* Takes one dolmen_suspend back; false if there was none. */
WASM_RUNTIME_API_EXTERN bool
dolmen_resume(const dolmen_threads_t *threads, dolmen_thread_id_t thread);

/* Makes a thread trap (DOLMEN_TRAP_INTERRUPT), now or when it next runs code.
 * False if it has ended. */
WASM_RUNTIME_API_EXTERN bool
dolmen_interrupt_thread(const dolmen_threads_t *threads,
                        dolmen_thread_id_t thread);

/* What a thread is calling, as it tells at its next poll. NULL if it does not
 * poll within `patience_ns`: it is not running code, or is suspended. Ended by
 * dolmen_backtrace_delete. */
WASM_RUNTIME_API_EXTERN dolmen_backtrace_t *
dolmen_thread_backtrace(const dolmen_threads_t *threads,
                        dolmen_thread_id_t thread, uint64_t patience_ns);

/* All threads, standing still. */
typedef struct dolmen_stopped_t dolmen_stopped_t;

/* Stops all threads; when this returns, none runs code or uses the instance in
 * a native function, until dolmen_resume_all. Waits for native functions that
 * have not given way. Meanwhile the caller must not use the instance. NULL if
 * the instance has ended, or in a native function of it, where
 * dolmen_with_world_stopped is to be used. */
WASM_RUNTIME_API_EXTERN dolmen_stopped_t *
dolmen_suspend_all(const dolmen_threads_t *threads);

/* Lets all threads go on, and ends `stopped`. */
WASM_RUNTIME_API_EXTERN void dolmen_resume_all(dolmen_stopped_t *stopped);

/* Calls `work` while all other threads of the environment's instance stand
 * still, in native functions or outside. `work` must not use the instance, and
 * must not resume. False if that cannot be done here. */
WASM_RUNTIME_API_EXTERN bool
dolmen_with_world_stopped(wasm_exec_env_t exec_env,
                          void (*work)(const dolmen_stopped_t *stopped,
                                       void *arg),
                          void *arg);

/* Number of threads that stand still, and for each, from 0, oldest first:
 * which it is (UINT64_MAX beyond the last), and what it is calling, without
 * frames if it runs no code. Backtraces are those of `stopped`. */
WASM_RUNTIME_API_EXTERN size_t
dolmen_stopped_count(const dolmen_stopped_t *stopped);
WASM_RUNTIME_API_EXTERN dolmen_thread_id_t
dolmen_stopped_thread(const dolmen_stopped_t *stopped, size_t index);
WASM_RUNTIME_API_EXTERN const dolmen_backtrace_t *
dolmen_stopped_backtrace(const dolmen_stopped_t *stopped, size_t index);

/* Number of references to objects from outside of the heap: from stacks,
 * globals, tables, and those that C holds. */
WASM_RUNTIME_API_EXTERN size_t
dolmen_stopped_roots(const dolmen_stopped_t *stopped);

/* ---------------------------------------------------------------- objects */

/* Opens a scope of an environment: references that it gets from now on go when
 * the scope is closed. For loops outside of native functions, which have a
 * scope of their own. Returns what dolmen_scope_close wants. */
WASM_RUNTIME_API_EXTERN size_t dolmen_scope_open(wasm_exec_env_t exec_env);

/* Closes a scope, and those that were opened inside, and ends their references
 * but for pinned ones and `keep`, which goes to the scope around; NULL to keep
 * none. Returns `keep`. */
WASM_RUNTIME_API_EXTERN struct WASMObject *
dolmen_scope_close(wasm_exec_env_t exec_env, size_t scope,
                   struct WASMObject *keep);

/* Whether both refer to the same object, or are the same i31 (ref.eq). Pointers
 * to one object may differ. */
WASM_RUNTIME_API_EXTERN bool
dolmen_obj_equal(const struct WASMObject *a, const struct WASMObject *b);

/* An externref that holds a pointer of yours, as wasm_externref_obj_new makes
 * it, with a function that is called with the pointer when the collector finds
 * that nothing refers to it any more, or when the instance ends; once, by
 * whichever thread finds out. The function must not use the instance. */
WASM_RUNTIME_API_EXTERN struct WASMExternrefObject *
dolmen_externref_new(wasm_exec_env_t exec_env, void *host_obj,
                     void (*finalize)(void *host_obj));

/* A reference that does not keep its object alive. Ended by
 * dolmen_weak_delete. NULL for functions, exceptions, i31 and null. */
typedef struct dolmen_weak_t dolmen_weak_t;
WASM_RUNTIME_API_EXTERN dolmen_weak_t *
dolmen_weak_new(struct WASMObject *obj);

/* The object, as a new reference of the environment's; NULL if it was
 * freed. */
WASM_RUNTIME_API_EXTERN struct WASMObject *
dolmen_weak_get(wasm_exec_env_t exec_env, const dolmen_weak_t *weak);
WASM_RUNTIME_API_EXTERN void dolmen_weak_delete(dolmen_weak_t *weak);

/* ---------------------------------------------------------------- exceptions */

/* The values that an exception carries: as many as there is room for are
 * written to `values`; returns how many there are, -1 if it is no exception, or
 * has a vector. */
WASM_RUNTIME_API_EXTERN int32_t
dolmen_exception_payload(wasm_exec_env_t exec_env,
                         const struct WASMObject *exception,
                         wasm_val_t values[], uint32_t room);

/* Whether an exception has the tag that the instance exports by this name. */
WASM_RUNTIME_API_EXTERN bool
dolmen_exception_has_tag(wasm_exec_env_t exec_env,
                         const struct WASMObject *exception, const char *name);

/* ---------------------------------------------------------------- collector */

/* What the collector of an instance has done so far. */
typedef struct dolmen_gc_stats_t {
    /* All collections; of young objects only; of the whole heap. */
    uint64_t collections, minor, major;
    /* The sum of all pauses, and the longest. */
    uint64_t total_pause_ns, max_pause_ns;
    /* Bytes of all objects that were allocated. */
    uint64_t allocated_bytes;
    /* Bytes of the objects that survived the last collection. */
    uint64_t live_bytes;
    /* Bytes of the heap that hold objects or are kept for them. */
    uint64_t heap_bytes;
} dolmen_gc_stats_t;
WASM_RUNTIME_API_EXTERN bool
dolmen_gc_stats(wasm_module_inst_t module_inst, dolmen_gc_stats_t *stats);

/* Collects the whole heap. */
WASM_RUNTIME_API_EXTERN bool dolmen_gc(wasm_module_inst_t module_inst);

#ifdef __cplusplus
}
#endif

#endif
