/* Loading, natives, calls, exceptions, memory. */
#include "check.h"

static int32_t add(wasm_exec_env_t env, int32_t a, int32_t b)
{
    int *calls = wasm_runtime_get_function_attachment(env);
    *calls += 1;
    return a + b;
}

static double mixed(wasm_exec_env_t env, int64_t a, float b, double c, int32_t d)
{
    (void)env;
    return (double)a + b + c + d;
}

static int32_t print(wasm_exec_env_t env, const char *bytes, uint32_t count, const char *name)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    CHECK(wasm_runtime_validate_native_addr(instance, (void *)bytes, count));
    CHECK(wasm_runtime_addr_native_to_app(instance, (void *)bytes) == 16);
    CHECK(strcmp(name, "guest") == 0);
    char *seen = wasm_runtime_get_custom_data(instance);
    memcpy(seen, bytes, count);
    return (int32_t)count;
}

static void refuse(wasm_exec_env_t env)
{
    wasm_runtime_set_exception(wasm_runtime_get_module_inst(env), "refused by C");
}

/* Calls back into the module that calls it. */
static int32_t call_back(wasm_exec_env_t env, int32_t n)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    uint32_t cells[1] = { (uint32_t)n };
    if (!wasm_runtime_call_wasm(env, function(instance, "factorial"), 1, cells)) {
        return -1;
    }
    return (int32_t)cells[0];
}

static void raw_sum(wasm_exec_env_t env, uint64_t *args)
{
    (void)env;
    native_raw_return_type(int64_t, args);
    native_raw_get_arg(int32_t, a, args);
    native_raw_get_arg(int64_t, b, args);
    native_raw_get_arg(double, c, args);
    native_raw_set_return(a + b + (int64_t)c);
}

static int calls;

static NativeSymbol natives[] = {
    EXPORT_WASM_API_WITH_ATT(add, "(ii)i", &calls),
    EXPORT_WASM_API_WITH_SIG(mixed, "(IfFi)F"),
    EXPORT_WASM_API_WITH_SIG(print, "(*~$)i"),
    EXPORT_WASM_API(refuse),
    EXPORT_WASM_API_WITH_SIG(call_back, "(i)i"),
};

static NativeSymbol raw_natives[] = { EXPORT_WASM_API(raw_sum) };

static void check_calls(wasm_exec_env_t env, wasm_module_inst_t instance)
{
    uint32_t cells[8] = { 10 };
    CHECK(wasm_runtime_call_wasm(env, function(instance, "factorial"), 1, cells));
    CHECK(cells[0] == 3628800);
    CHECK(!wasm_runtime_get_exception(instance));

    wasm_function_inst_t swap = function(instance, "swap");
    CHECK(wasm_func_get_param_count(swap, instance) == 4 && wasm_func_get_result_count(swap, instance) == 4);
    wasm_valkind_t kinds[4];
    wasm_func_get_result_types(swap, instance, kinds);
    CHECK(kinds[0] == WASM_F64 && kinds[1] == WASM_F32 && kinds[2] == WASM_I64 && kinds[3] == WASM_I32);
    wasm_val_t args[4] = {
        { .kind = WASM_I32, .of.i32 = -1 },
        { .kind = WASM_I64, .of.i64 = 1ll << 40 },
        { .kind = WASM_F32, .of.f32 = 1.5f },
        { .kind = WASM_F64, .of.f64 = 2.25 },
    };
    wasm_val_t results[4];
    CHECK(wasm_runtime_call_wasm_a(env, swap, 4, results, 4, args));
    CHECK(results[0].of.f64 == 2.25 && results[1].of.f32 == 1.5f);
    CHECK(results[2].of.i64 == 1ll << 40 && results[3].of.i32 == -1 && results[3].kind == WASM_I32);

    args[1].kind = WASM_I32;
    CHECK(!wasm_runtime_call_wasm_a(env, swap, 4, results, 4, args));
    CHECK(has_failed_with(instance, "Exception: a value of kind 0 where i64 is expected"));
    CHECK(!wasm_runtime_call_wasm_a(env, swap, 4, results, 3, args));
    CHECK(!wasm_runtime_call_wasm_a(env, swap, 3, results, 4, args));
    CHECK(!wasm_runtime_call_wasm(env, swap, 5, cells));
    CHECK(has_failed_with(instance, "Exception: expected 6 argument cells, found 5"));
    CHECK(!wasm_runtime_call_wasm(env, NULL, 0, cells) && !wasm_runtime_call_wasm(NULL, swap, 6, cells));
    CHECK(!wasm_runtime_lookup_function(instance, "nothing"));

    uint32_t vector[8] = { 1, 2, 3, 4 };
    CHECK(wasm_runtime_call_wasm(env, function(instance, "vector"), 4, vector));
    CHECK(vector[0] == 2 && vector[1] == 4 && vector[2] == 6 && vector[3] == 8);
}

static void check_natives(wasm_exec_env_t env, wasm_module_inst_t instance)
{
    char seen[16] = "";
    wasm_runtime_set_custom_data(instance, seen);
    uint32_t cells[2] = { 20, 22 };
    CHECK(wasm_runtime_call_wasm(env, function(instance, "add"), 2, cells));
    CHECK(cells[0] == 42 && calls == 1);
    CHECK(wasm_runtime_call_wasm(env, function(instance, "print"), 0, cells));
    CHECK(cells[0] == 5 && strcmp(seen, "hello") == 0);

    double result;
    CHECK(wasm_runtime_call_wasm(env, function(instance, "mixed"), 0, cells));
    memcpy(&result, cells, sizeof result);
    CHECK(result == 1 + 2.5 + 4.25 + 8);
    int64_t sum;
    CHECK(wasm_runtime_call_wasm(env, function(instance, "raw_sum"), 0, cells));
    memcpy(&sum, cells, sizeof sum);
    CHECK(sum == 7);

    CHECK(!wasm_runtime_call_wasm(env, function(instance, "refuse"), 0, cells));
    CHECK(has_failed_with(instance, "Exception: refused by C"));
    wasm_runtime_clear_exception(instance);
    CHECK(!wasm_runtime_get_exception(instance));

    cells[0] = 5;
    CHECK(wasm_runtime_call_wasm(env, function(instance, "call_back"), 1, cells));
    CHECK(cells[0] == 120);
    /* The call inside overflows the stack; the module that called C fails, too. */
    cells[0] = 1u << 30;
    CHECK(!wasm_runtime_call_wasm(env, function(instance, "call_back"), 1, cells));
    CHECK(has_failed_with(instance, "Exception: call stack exhausted"));

    CHECK(!wasm_runtime_call_wasm(env, function(instance, "print_outside"), 0, cells));
    CHECK(has_failed_with(instance, "Exception: out of bounds memory access"));
    CHECK(!wasm_runtime_call_wasm(env, function(instance, "print_endless"), 0, cells));
    CHECK(has_failed_with(instance, "Exception: out of bounds memory access"));
    CHECK(!wasm_runtime_call_wasm(env, function(instance, "missing"), 0, cells));
    CHECK(has_failed_with(instance, "Exception: call of a missing import: \"env\" \"missing\""));
    CHECK(!wasm_runtime_call_wasm(env, function(instance, "divide"), 0, cells));
    CHECK(has_failed_with(instance, "Exception: integer divide by zero"));
}

static void check_memory(wasm_module_inst_t instance)
{
    void *native = NULL;
    uint64_t address = wasm_runtime_module_malloc(instance, 100, &native);
    CHECK(address == 4096 && native == wasm_runtime_addr_app_to_native(instance, address));
    CHECK(wasm_runtime_addr_native_to_app(instance, (char *)native + 7) == address + 7);
    wasm_runtime_module_free(instance, address);
    CHECK(!wasm_runtime_get_exception(instance));
    address = wasm_runtime_module_dup_data(instance, "copy", 5);
    CHECK(address == 4196 && strcmp(wasm_runtime_addr_app_to_native(instance, address), "copy") == 0);
    CHECK(wasm_runtime_module_malloc(instance, 1 << 20, &native) == 0 && !native);

    uint64_t start = 1, end = 1;
    CHECK(wasm_runtime_get_app_addr_range(instance, 0, &start, &end));
    CHECK(start == 0 && end == 65536);
    CHECK(wasm_runtime_validate_app_addr(instance, 0, 65536));
    CHECK(!wasm_runtime_validate_app_addr(instance, 1, 65536));
    CHECK(!wasm_runtime_validate_app_addr(instance, ~0ull, 2));
    CHECK(!wasm_runtime_addr_app_to_native(instance, 65536));
    CHECK(wasm_runtime_enlarge_memory(instance, 1));
    CHECK(wasm_runtime_addr_app_to_native(instance, 65536));
    CHECK(!wasm_runtime_enlarge_memory(instance, 1));
    wasm_runtime_clear_exception(instance);
}

static void check_bad_input(void)
{
    char error[64] = "";
    uint8_t bytes[] = "no artifact";
    CHECK(!wasm_runtime_load(bytes, sizeof bytes, error, sizeof error));
    CHECK(strstr(error, "not an artifact"));
    CHECK(!wasm_runtime_load(NULL, 0, error, 1) && error[0] == 0);
    CHECK(!wasm_runtime_load(NULL, 0, NULL, 0));
    CHECK(!dolmen_load_file("/nowhere/at/all", error, sizeof error));
    CHECK(strstr(error, "/nowhere/at/all"));
    CHECK(!wasm_runtime_instantiate(NULL, 0, 0, error, sizeof error));
    wasm_runtime_unload(NULL);
    wasm_runtime_deinstantiate(NULL);
    wasm_runtime_destroy_exec_env(NULL);
    CHECK(!wasm_runtime_create_exec_env(NULL, 0));
    NativeSymbol malformed[] = { { "add", (void *)add, "(x)", NULL } };
    CHECK(!wasm_runtime_register_natives("env", malformed, 1));

    /* A signature that does not fit the import. */
    NativeSymbol other[] = { { "add", (void *)add, "(iI)i", NULL } };
    CHECK(wasm_runtime_register_natives("env", other, 1));
    wasm_module_t module = load("calls");
    CHECK(!wasm_runtime_instantiate(module, 0, 0, error, sizeof error));
    CHECK(strstr(error, "\"add\" does not fit"));
    CHECK(wasm_runtime_unregister_natives("env", other) && !wasm_runtime_unregister_natives("env", other));
    wasm_runtime_unload(module);
}

int main(void)
{
    start_runtime();
    CHECK(wasm_runtime_register_natives("env", natives, sizeof natives / sizeof *natives));
    CHECK(wasm_runtime_register_natives_raw("env", raw_natives, 1));
    check_bad_input();

    wasm_module_t module = load("calls");
    wasm_module_inst_t instance = instantiate(module);
    CHECK(wasm_runtime_get_module(instance) == module);
    wasm_exec_env_t env = wasm_runtime_create_exec_env(instance, 64 * 1024);
    CHECK(env && wasm_runtime_get_module_inst(env) == instance);
    wasm_runtime_set_user_data(env, &calls);
    CHECK(wasm_runtime_get_user_data(env) == &calls);

    check_calls(env, instance);
    check_natives(env, instance);
    check_memory(instance);

    uint32_t length;
    const uint8_t *section = wasm_runtime_get_custom_section(module, "greeting", &length);
    CHECK(section && length == 2 && memcmp(section, "hi", 2) == 0);

    wasm_runtime_destroy_exec_env(env);
    wasm_runtime_deinstantiate(instance);
    wasm_runtime_unload(module);
    wasm_runtime_destroy();
    puts("passed");
    return 0;
}
