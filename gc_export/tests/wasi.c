/* Programs of WASI: arguments, environment, streams, exit statuses; imports and exports of modules. */
#include <unistd.h>
#include "check.h"

static void check_run(wasm_module_t module)
{
    char *argv[] = { "program", "one", "two" };
    const char *env[] = { "KEY=value", "EMPTY=" };
    int ends[2];
    CHECK(pipe(ends) == 0);
    wasm_runtime_set_wasi_args_ex(module, NULL, 0, NULL, 0, env, 2, argv, 3, -1, ends[1], -1);
    wasm_module_inst_t instance = instantiate(module);
    close(ends[1]);
    CHECK(wasm_runtime_is_wasi_mode(instance));
    CHECK(wasm_runtime_lookup_wasi_start_function(instance) == function(instance, "_start"));
    CHECK(wasm_application_execute_main(instance, 0, NULL));
    CHECK(!wasm_runtime_get_exception(instance) && wasm_runtime_get_wasi_exit_code(instance) == 3);
    static const char expected[] = "program\0one\0two\0KEY=value\0EMPTY=";
    char printed[64] = "";
    CHECK(read(ends[0], printed, sizeof printed) > 0);
    ssize_t rest = 0;
    size_t total = strlen("program") + 1 + 4 + 4;
    if (memcmp(printed, expected, sizeof expected) != 0) {
        /* The two writes came one by one. */
        rest = read(ends[0], printed + total, sizeof printed - total);
        CHECK(rest > 0 && memcmp(printed, expected, sizeof expected) == 0);
    }

    /* Called as any other function it fails, and says why. */
    wasm_exec_env_t exec_env = wasm_runtime_create_exec_env(instance, 0);
    CHECK(!wasm_runtime_call_wasm(exec_env, function(instance, "_start"), 0, NULL));
    CHECK(has_failed_with(instance, "Exception: wasi proc exit"));
    dolmen_error_t *error = dolmen_take_error(instance);
    CHECK(dolmen_error_kind(error) == DOLMEN_ERROR_EXIT && dolmen_error_exit_status(error) == 3);
    dolmen_error_delete(error);
    wasm_runtime_destroy_exec_env(exec_env);
    wasm_runtime_deinstantiate(instance);
    close(ends[0]);
}

static void check_refusals(wasm_module_t module)
{
    char message[128] = "";
    const char *directories[] = { "/tmp" };
    wasm_runtime_set_wasi_args(module, directories, 1, NULL, 0, NULL, 0, NULL, 0);
    CHECK(!wasm_runtime_instantiate(module, 0, 0, message, sizeof message));
    CHECK(strcmp(message, "WASI directories are not supported") == 0);
    wasm_runtime_set_wasi_args_ex(module, NULL, 0, NULL, 0, NULL, 0, NULL, 0, -1, 99999, -1);
    CHECK(!wasm_runtime_instantiate(module, 0, 0, message, sizeof message));
    CHECK(strstr(message, "cannot use file descriptor 99999"));
    wasm_runtime_set_wasi_args(NULL, NULL, 0, NULL, 0, NULL, 0, NULL, 0);
}

static void check_lists(wasm_module_t module)
{
    CHECK(wasm_runtime_get_import_count(module) == 6 && wasm_runtime_get_export_count(module) == 2);
    wasm_import_t import;
    wasm_runtime_get_import_type(module, 4, &import);
    CHECK(strcmp(import.module_name, "wasi_snapshot_preview1") == 0 && strcmp(import.name, "fd_write") == 0);
    CHECK(import.kind == WASM_IMPORT_EXPORT_KIND_FUNC && import.linked);
    CHECK(wasm_func_type_get_param_count(import.u.func_type) == 4);
    CHECK(wasm_func_type_get_result_valkind(import.u.func_type, 0) == WASM_I32);
    wasm_export_t export;
    wasm_runtime_get_export_type(module, 0, &export);
    CHECK(strcmp(export.name, "memory") == 0 && export.kind == WASM_IMPORT_EXPORT_KIND_MEMORY);
    CHECK(wasm_memory_type_get_init_page_count(export.u.memory_type) == 1);
    CHECK(!wasm_memory_type_get_shared(export.u.memory_type));
    wasm_runtime_get_export_type(module, 1, &export);
    CHECK(strcmp(export.name, "_start") == 0 && wasm_func_type_get_param_count(export.u.func_type) == 0);
    /* Beyond the last nothing is written but a null name. */
    wasm_runtime_get_export_type(module, 2, &export);
    CHECK(!export.name);
    wasm_runtime_get_import_type(module, -1, &import);
    CHECK(!import.name && wasm_runtime_get_import_count(NULL) == -1);
    CHECK(wasm_runtime_is_import_func_linked("wasi_snapshot_preview1", "fd_write"));
    CHECK(!wasm_runtime_is_import_func_linked("env", "nothing"));
}

static void check_exports(void)
{
    /* A module with one of everything. */
    wasm_module_t module = load("exports");
    wasm_export_t export;
    for (int32_t i = 0; i < wasm_runtime_get_export_count(module); i++) {
        wasm_runtime_get_export_type(module, i, &export);
        if (strcmp(export.name, "global") == 0) {
            CHECK(export.kind == WASM_IMPORT_EXPORT_KIND_GLOBAL);
            CHECK(wasm_global_type_get_valkind(export.u.global_type) == WASM_F64);
            CHECK(wasm_global_type_get_mutable(export.u.global_type));
        } else if (strcmp(export.name, "table") == 0) {
            CHECK(export.kind == WASM_IMPORT_EXPORT_KIND_TABLE);
            CHECK(wasm_table_type_get_elem_kind(export.u.table_type) == WASM_FUNCREF);
            CHECK(wasm_table_type_get_init_size(export.u.table_type) == 3);
            CHECK(wasm_table_type_get_max_size(export.u.table_type) == 9);
        } else if (strcmp(export.name, "shared") == 0) {
            CHECK(wasm_memory_type_get_shared(export.u.memory_type));
            CHECK(wasm_memory_type_get_max_page_count(export.u.memory_type) == 4);
        }
    }
    wasm_module_inst_t instance = instantiate(module);
    wasm_exec_env_t env = wasm_runtime_get_exec_env_singleton(instance);
    wasm_val_t results[2];
    CHECK(wasm_runtime_call_wasm_v(env, function(instance, "pair"), 2, results, 4, 1, (int64_t)-2, 3.0, 4.5));
    CHECK(results[0].kind == WASM_I64 && results[0].of.i64 == -1 && results[1].of.f64 == 7.5);
    CHECK(!wasm_runtime_call_wasm_v(env, function(instance, "pair"), 2, results, 3, 1, (int64_t)-2, 3.0));
    CHECK(has_failed_with(instance, "Exception: wrong number of arguments"));
    CHECK(!wasm_runtime_is_wasi_mode(instance) && !wasm_runtime_lookup_wasi_start_function(instance));
    CHECK(!wasm_application_execute_main(instance, 0, NULL));
    CHECK(has_failed_with(instance, "Exception: there is no main function"));
    wasm_runtime_deinstantiate(instance);
    wasm_runtime_unload(module);
}

int main(void)
{
    start_runtime();
    wasm_module_t module = load("wasi");
    check_lists(module);
    check_run(module);
    check_refusals(module);
    check_exports();
    wasm_runtime_unload(module);
    wasm_runtime_destroy();
    puts("passed");
    return 0;
}
