/* Threads: spawned and joined, suspended and resumed, stopped, interrupted, watched. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "check.h"
#include "gc_export.h"

enum { THREADS = 4, ROUNDS = 60, SUM = 5050 };

static atomic_int parked, released;

static void wait_for_release(void *arg)
{
    (void)arg;
    atomic_fetch_add(&parked, 1);
    while (!atomic_load(&released)) {
        usleep(100);
    }
}

/* Waits in C, with or without giving way. */
static int32_t park(wasm_exec_env_t env, int32_t n)
{
    CHECK(dolmen_unlocked(env, wait_for_release, NULL));
    return n + 1;
}

struct found {
    size_t threads, frames, roots;
    char names[256];
};

static void look(const dolmen_stopped_t *stopped, void *arg)
{
    struct found *found = arg;
    found->threads = dolmen_stopped_count(stopped);
    found->roots = dolmen_stopped_roots(stopped);
    for (size_t i = 0; i < found->threads; i++) {
        const dolmen_backtrace_t *backtrace = dolmen_stopped_backtrace(stopped, i);
        dolmen_frame_t frame;
        for (size_t j = 0; dolmen_backtrace_frame(backtrace, j, &frame); j++) {
            found->frames++;
            strncat(found->names, frame.func_name ? frame.func_name : "?", 20);
            strcat(found->names, " ");
        }
    }
    CHECK(dolmen_stopped_thread(stopped, found->threads) == UINT64_MAX);
    CHECK(!dolmen_stopped_backtrace(stopped, found->threads));
}

/* Stops the world from inside. */
static int32_t where(wasm_exec_env_t env, int32_t n)
{
    struct found *found = wasm_runtime_get_user_data(env);
    CHECK(dolmen_with_world_stopped(env, look, found));
    return n;
}

/* Called by threads that the module starts: they have environments, too. */
static int32_t from_module(wasm_exec_env_t env, wasm_obj_t obj)
{
    CHECK(dolmen_thread_id(env) == UINT64_MAX && wasm_obj_is_i31_obj(obj));
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    uint32_t cells[1] = { 1 };
    CHECK(wasm_runtime_call_wasm(env, wasm_runtime_lookup_function(instance, "work"), 1, cells));
    CHECK(cells[0] == SUM && !wasm_runtime_get_exception(instance));
    return (int32_t)wasm_i31_obj_get_value((wasm_i31_obj_t)obj, true);
}

/* Ends everything in the instance, when its own time is over already. */
static int32_t end_late(wasm_exec_env_t env, int32_t n)
{
    usleep(20000);
    wasm_runtime_terminate(wasm_runtime_get_module_inst(env));
    return n;
}

static NativeSymbol natives[] = { EXPORT_WASM_API(park), EXPORT_WASM_API(end_late), EXPORT_WASM_API(where),
                                  EXPORT_WASM_API(from_module) };

static void sleep_ms(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

/* Calls an export with one number; returns its result. */
static uint32_t call(wasm_exec_env_t env, const char *name, uint32_t arg)
{
    uint32_t cells[1] = { arg };
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_function_inst_t f = function(instance, name);
    if (!wasm_runtime_call_wasm(env, f, wasm_func_get_param_count(f, instance), cells)) {
        fprintf(stderr, "%s: %s\n", name, wasm_runtime_get_exception(instance));
        CHECK(0);
    }
    return cells[0];
}

static void *work(wasm_exec_env_t env, void *arg)
{
    CHECK(arg == natives);
    return (void *)(uintptr_t)call(env, "work", ROUNDS);
}

/* Runs without end until it is interrupted; returns how that was told. */
static void *run_endless(wasm_exec_env_t env, void *arg)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_function_inst_t f = function(instance, "endless");
    if (arg) {
        *(dolmen_thread_id_t *)arg = dolmen_thread_id(env);
    }
    atomic_fetch_add(&parked, 1);
    CHECK(!wasm_runtime_call_wasm(env, f, 0, NULL));
    dolmen_error_t *error = dolmen_take_error(instance);
    CHECK(error && !dolmen_take_error(instance));
    int trap = dolmen_error_trap(error);
    dolmen_error_delete(error);
    return (void *)(intptr_t)trap;
}

static void *park_in_code(wasm_exec_env_t env, void *arg)
{
    return (void *)(uintptr_t)call(env, "park", (uint32_t)(uintptr_t)arg);
}

static void join(wasm_thread_t thread, uintptr_t expected)
{
    void *result = NULL;
    CHECK(wasm_runtime_join_thread(thread, &result) == 0);
    CHECK((uintptr_t)result == expected);
}

static void wait_until_parked(int count)
{
    while (atomic_load(&parked) < count) {
        usleep(100);
    }
}

static void check_spawn(wasm_exec_env_t env)
{
    wasm_thread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK(wasm_runtime_spawn_thread(env, &threads[i], work, natives) == 0);
    }
    CHECK(call(env, "work", ROUNDS) == ROUNDS * SUM);
    for (int i = 0; i < THREADS; i++) {
        join(threads[i], ROUNDS * SUM);
    }
    CHECK(wasm_runtime_spawn_thread(env, NULL, work, NULL) == -1);
    CHECK(wasm_runtime_spawn_thread(NULL, &threads[0], work, NULL) == -1);
    CHECK(wasm_runtime_join_thread(0, NULL) == -1);
}

/* A thread of the program's own, with an environment that was spawned for it. */
static void *own_thread(void *arg)
{
    return (void *)(uintptr_t)call(arg, "work", ROUNDS);
}

static void check_own_thread(wasm_exec_env_t env)
{
    wasm_exec_env_t spawned = wasm_runtime_spawn_exec_env(env);
    CHECK(spawned && wasm_runtime_get_module_inst(spawned) != wasm_runtime_get_module_inst(env));
    CHECK(dolmen_thread_id(spawned) > dolmen_thread_id(env));
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, own_thread, spawned) == 0);
    CHECK(call(env, "work", ROUNDS) == ROUNDS * SUM);
    CHECK(pthread_join(thread, &result) == 0 && (uintptr_t)result == ROUNDS * SUM);
    wasm_runtime_destroy_spawned_exec_env(spawned);
}

static void check_suspension(wasm_exec_env_t env, dolmen_threads_t *threads)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    dolmen_thread_id_t id;
    wasm_thread_t thread;
    atomic_store(&parked, 0);
    CHECK(wasm_runtime_spawn_thread(env, &thread, run_endless, &id) == 0);
    wait_until_parked(1);
    sleep_ms(5);
    CHECK(dolmen_suspend(threads, id));
    uint32_t before = call(env, "rounds", 0);
    CHECK(before > 0);
    sleep_ms(10);
    CHECK(call(env, "rounds", 0) == before);
    dolmen_thread_info_t infos[2];
    CHECK(dolmen_threads_list(threads, infos, 2) == 2);
    CHECK(infos[0].id == 0 && infos[1].id == id && infos[1].state == DOLMEN_THREAD_SUSPENDED);
    CHECK(dolmen_resume(threads, id) && !dolmen_resume(threads, id));
    while (call(env, "rounds", 0) == before) {
        usleep(100);
    }

    dolmen_backtrace_t *backtrace = dolmen_thread_backtrace(threads, id, 5000000000ull);
    dolmen_frame_t frame;
    CHECK(dolmen_backtrace_length(backtrace) == 1 && dolmen_backtrace_frame(backtrace, 0, &frame));
    CHECK(strcmp(frame.func_name, "endless") == 0 && !dolmen_backtrace_frame(backtrace, 1, &frame));
    dolmen_backtrace_delete(backtrace);
    CHECK(!dolmen_thread_backtrace(threads, 0, 1000000));

    dolmen_stopped_t *stopped = dolmen_suspend_all(threads);
    CHECK(stopped);
    struct found found = { 0 };
    look(stopped, &found);
    CHECK(found.threads == 2 && strcmp(found.names, "endless ") == 0);
    dolmen_resume_all(stopped);

    CHECK(dolmen_interrupt_thread(threads, id) && !dolmen_interrupt_thread(threads, 999));
    join(thread, DOLMEN_TRAP_INTERRUPT);
    CHECK(!dolmen_suspend(threads, id));
    /* The others were not meant. */
    CHECK(call(env, "work", 1) == SUM && !wasm_runtime_get_exception(instance));
}

static void check_stop(wasm_exec_env_t env)
{
    wasm_thread_t thread;
    atomic_store(&parked, 0);
    atomic_store(&released, 0);
    CHECK(wasm_runtime_spawn_thread(env, &thread, park_in_code, (void *)7) == 0);
    wait_until_parked(1);
    struct found found = { 0 };
    wasm_runtime_set_user_data(env, &found);
    CHECK(call(env, "where", 3) == 3);
    CHECK(found.threads == 2 && found.frames == 2 && found.roots > 0);
    CHECK(strcmp(found.names, "asks outer ") == 0);
    atomic_store(&released, 1);
    join(thread, 8);
}

static void check_threads_of_the_module(wasm_exec_env_t env, dolmen_threads_t *threads)
{
    for (int i = 1; i <= 3; i++) {
        CHECK(call(env, "start", (uint32_t)i) == (uint32_t)i);
    }
    while (call(env, "answers", 0) != 6) {
        usleep(100);
    }
    while (dolmen_threads_list(threads, NULL, 0) > 1) {
        usleep(100);
    }
}

static void check_ends(wasm_exec_env_t env)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_function_inst_t endless = function(instance, "endless");
    CHECK(dolmen_set_timeout(env, 20000000));
    CHECK(!wasm_runtime_call_wasm(env, endless, 0, NULL));
    CHECK(has_failed_with(instance, "Exception: interrupt"));
    dolmen_error_t *error = dolmen_take_error(instance);
    CHECK(dolmen_error_kind(error) == DOLMEN_ERROR_TRAP && dolmen_error_trap(error) == DOLMEN_TRAP_INTERRUPT);
    CHECK(strcmp(dolmen_error_message(error), "interrupt") == 0);
    CHECK(dolmen_backtrace_length(dolmen_error_backtrace(error)) == 1);
    dolmen_error_delete(error);
    /* Deadlines that pass between calls hit none. */
    CHECK(dolmen_set_timeout(env, 1));
    uint32_t cells[1];
    for (int i = 0; i < 200; i++) {
        wasm_runtime_call_wasm(env, function(instance, "rounds"), 0, cells);
    }
    /* An end that comes when the time is over stays one, though there is no poll any more that it could meet. */
    CHECK(dolmen_set_timeout(env, 1000000));
    CHECK(wasm_runtime_call_wasm(env, function(instance, "end_late"), 0, cells) && cells[0] == 7);
    CHECK(dolmen_set_timeout(env, 0));
    CHECK(!wasm_runtime_call_wasm(env, endless, 0, NULL));
    CHECK(has_failed_with(instance, "Exception: interrupt"));
    CHECK(call(env, "work", 1) == SUM);

    /* All at once, by a handle that outlives the instance. */
    dolmen_interrupt_handle_t *handle = dolmen_interrupt_handle_new(instance);
    wasm_thread_t threads[2];
    atomic_store(&parked, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(wasm_runtime_spawn_thread(env, &threads[i], run_endless, NULL) == 0);
    }
    wait_until_parked(2);
    sleep_ms(5);
    dolmen_interrupt(handle);
    for (int i = 0; i < 2; i++) {
        join(threads[i], DOLMEN_TRAP_INTERRUPT);
    }
    /* It has hit this thread, too, which ran no code. */
    CHECK(!wasm_runtime_call_wasm(env, endless, 0, NULL));
    CHECK(has_failed_with(instance, "Exception: interrupt"));
    wasm_runtime_terminate(instance);
    CHECK(!wasm_runtime_call_wasm(env, endless, 0, NULL));
    CHECK(has_failed_with(instance, "Exception: interrupt"));

    wasm_exec_env_t orphan = wasm_runtime_spawn_exec_env(env);
    wasm_runtime_destroy_exec_env(env);
    wasm_runtime_deinstantiate(instance);
    dolmen_interrupt(handle);
    dolmen_interrupt_handle_delete(handle);
    CHECK(!wasm_runtime_call_wasm(orphan, endless, 0, NULL));
    CHECK(has_failed_with(wasm_runtime_get_module_inst(orphan), "Exception: the store is gone"));
    wasm_runtime_destroy_spawned_exec_env(orphan);
}

int main(void)
{
    start_runtime();
    CHECK(wasm_runtime_register_natives("env", natives, sizeof natives / sizeof *natives));
    wasm_module_t module = load("threads");
    wasm_module_inst_t instance = instantiate(module);
    wasm_exec_env_t env = wasm_runtime_create_exec_env(instance, 0);
    dolmen_threads_t *threads = dolmen_threads_new(instance);
    CHECK(threads && dolmen_threads_list(threads, NULL, 0) == 1);

    check_spawn(env);
    check_own_thread(env);
    check_suspension(env, threads);
    check_stop(env);
    check_threads_of_the_module(env, threads);
    check_ends(env);

    CHECK(dolmen_threads_list(threads, NULL, 0) == 0 && !dolmen_suspend_all(threads));
    dolmen_threads_delete(threads);
    wasm_runtime_unload(module);
    wasm_runtime_destroy();
    puts("passed");
    return 0;
}
