/*
 * Native functions for modules to import, as tables of symbols.
 *
 * Part of wasm_export.h, which includes it. The names follow the embedding
 * interface of the WebAssembly Micro Runtime, so that tables written for it
 * compile unchanged.
 */
#ifndef DOLMEN_LIB_EXPORT_H
#define DOLMEN_LIB_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A C function that modules can import. */
typedef struct NativeSymbol {
    /* The name that modules import it by. */
    const char *symbol;
    /* The function. Its first parameter is a wasm_exec_env_t. */
    void *func_ptr;
    /* What it takes and returns: see wasm_runtime_register_natives. NULL: just
     * what the import's type says. */
    const char *signature;
    /* Yours; the function gets it by wasm_runtime_get_function_attachment. */
    void *attachment;
} NativeSymbol;

/* Entries of a table. The variants with a 2 at the end name a function
 * `symbol_wrapper`, which modules know as `symbol`. */
#define EXPORT_WASM_API(symbol) { #symbol, (void *)symbol, NULL, NULL }
#define EXPORT_WASM_API2(symbol) { #symbol, (void *)symbol##_wrapper, NULL, NULL }
#define EXPORT_WASM_API_WITH_SIG(symbol, signature) \
    { #symbol, (void *)symbol, signature, NULL }
#define EXPORT_WASM_API_WITH_SIG2(symbol, signature) \
    { #symbol, (void *)symbol##_wrapper, signature, NULL }
#define EXPORT_WASM_API_WITH_ATT(symbol, signature, attachment) \
    { #symbol, (void *)symbol, signature, attachment }
#define EXPORT_WASM_API_WITH_ATT2(symbol, signature, attachment) \
    { #symbol, (void *)symbol##_wrapper, signature, attachment }

#ifdef __cplusplus
}
#endif

#endif
