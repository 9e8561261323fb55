/* What the test programs share: checks, options from the environment, set-up. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dolmen.h"

/* Ends the program unless something holds. */
#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

static inline void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    exit(1);
}

/* Starts the runtime, with stress and verification if the test asks for it. */
static inline void start_runtime(void)
{
    dolmen_options_t options;
    dolmen_options_default(&options);
    const char *stress = getenv("DOLMEN_TEST_GC_STRESS");
    if (stress) {
        options.gc_stress = strtoull(stress, NULL, 10);
        options.gc_verify = true;
    }
    CHECK(dolmen_set_options(&options));
    CHECK(wasm_runtime_init());
}

/* Loads the artifact with this name of the test's. */
static inline wasm_module_t load(const char *name)
{
    char path[4096], error[256] = "";
    snprintf(path, sizeof path, "%s/%s.dolmen", getenv("DOLMEN_TEST_ARTIFACTS"), name);
    wasm_module_t module = dolmen_load_file(path, error, sizeof error);
    if (!module) {
        fprintf(stderr, "%s\n", error);
    }
    CHECK(module);
    return module;
}

/* Makes an instance. */
static inline wasm_module_inst_t instantiate(wasm_module_t module)
{
    char error[256] = "";
    wasm_module_inst_t instance = wasm_runtime_instantiate(module, 0, 0, error, sizeof error);
    if (!instance) {
        fprintf(stderr, "%s\n", error);
    }
    CHECK(instance);
    return instance;
}

/* The exported function with this name. */
static inline wasm_function_inst_t function(wasm_module_inst_t instance, const char *name)
{
    wasm_function_inst_t found = wasm_runtime_lookup_function(instance, name);
    CHECK(found);
    return found;
}

/* Whether the exception of an instance is this. */
static inline bool has_failed_with(wasm_module_inst_t instance, const char *text)
{
    const char *exception = wasm_runtime_get_exception(instance);
    if (!exception || strcmp(exception, text) != 0) {
        fprintf(stderr, "the exception is: %s\n", exception ? exception : "none");
        return false;
    }
    return true;
}

#endif
