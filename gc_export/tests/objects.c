/* Types, structs, arrays, references and how long they live. */
#include "check.h"
#include "gc_export.h"

/* Types of the module by index. */
enum { POINT, NODE, TEXT, LEAF, NUMBERS, REFS, BINARY, VECTORS };

static wasm_val_t none;

/* Calls an export with one reference at most; returns its result. */
static wasm_val_t call(wasm_exec_env_t env, const char *name, wasm_val_t arg)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_function_inst_t f = function(instance, name);
    wasm_val_t result = none;
    uint32_t results = wasm_func_get_result_count(f, instance);
    if (!wasm_runtime_call_wasm_a(env, f, results, &result, wasm_func_get_param_count(f, instance), &arg)) {
        fprintf(stderr, "%s: %s\n", name, wasm_runtime_get_exception(instance));
        CHECK(0);
    }
    return result;
}

static wasm_val_t reference(void *obj)
{
    wasm_val_t value = { .kind = WASM_ANYREF, .of.foreign = (uintptr_t)obj };
    return value;
}

static wasm_val_t number(int32_t i32)
{
    wasm_val_t value = { .kind = WASM_I32, .of.i32 = i32 };
    return value;
}

/* A leaf whose name has bytes 1 to n. */
static wasm_struct_obj_t make(wasm_exec_env_t env, int32_t n)
{
    wasm_value_t value = { .i32 = 0 };
    wasm_array_obj_t name = wasm_array_obj_new_with_typeidx(env, TEXT, (uint32_t)n, &value);
    CHECK(name && wasm_array_obj_length(name) == (uint32_t)n);
    for (int32_t i = 0; i < n; i++) {
        value.i32 = i + 1;
        wasm_array_obj_set_elem(name, (uint32_t)i, &value);
    }
    wasm_struct_obj_t leaf = wasm_struct_obj_new_with_typeidx(env, LEAF);
    value.i32 = 1000;
    wasm_struct_obj_set_field(leaf, 0, &value);
    value.gc_obj = (wasm_obj_t)name;
    wasm_struct_obj_set_field(leaf, 2, &value);
    return leaf;
}

/* The sum of a list's numbers, read from C. */
static int32_t sum(wasm_exec_env_t env, wasm_struct_obj_t node)
{
    wasm_local_obj_ref_t local;
    wasm_runtime_push_local_object_ref(env, &local);
    CHECK(!local.val);
    int32_t total = 0;
    for (local.val = (wasm_obj_t)node; local.val;) {
        wasm_value_t value;
        wasm_struct_obj_get_field((wasm_struct_obj_t)local.val, 0, false, &value);
        total += value.i32;
        wasm_struct_obj_get_field((wasm_struct_obj_t)local.val, 1, false, &value);
        local.val = value.gc_obj;
    }
    CHECK(wasm_runtime_pop_local_object_ref(env) == &local);
    return total;
}

static wasm_obj_t pinned;

/* Makes objects between the arrival of its argument and its return. */
static wasm_obj_t churn(wasm_exec_env_t env, wasm_obj_t obj)
{
    for (int i = 0; i < 10; i++) {
        CHECK(make(env, 10));
        call(env, "garbage", number(10));
    }
    pinned = (wasm_obj_t)make(env, 4);
    CHECK(wasm_runtime_pin_object(env, pinned));
    return obj;
}

static NativeSymbol natives[] = {
    EXPORT_WASM_API_WITH_SIG(make, "(i)r"),
    EXPORT_WASM_API_WITH_SIG(sum, "(r)i"),
    EXPORT_WASM_API(churn),
};

static void check_types(wasm_module_t module)
{
    CHECK(wasm_get_defined_type_count(module) >= 8 && !wasm_get_defined_type(module, 1000));
    wasm_defined_type_t node = wasm_get_defined_type(module, NODE), leaf = wasm_get_defined_type(module, LEAF);
    CHECK(wasm_defined_type_is_struct_type(leaf) && !wasm_defined_type_is_array_type(leaf));
    CHECK(wasm_defined_type_is_subtype_of(leaf, node, module) && !wasm_defined_type_is_subtype_of(node, leaf, module));
    CHECK(wasm_defined_type_equal(leaf, leaf, module) && !wasm_defined_type_equal(leaf, node, module));
    CHECK(wasm_struct_type_get_field_count((wasm_struct_type_t)leaf) == 3);
    bool is_mutable = true;
    wasm_ref_type_t type = wasm_struct_type_get_field_type((wasm_struct_type_t)leaf, 2, &is_mutable);
    CHECK(type.value_type == VALUE_TYPE_HT_NON_NULLABLE_REF && type.heap_type == TEXT && !is_mutable);
    type = wasm_struct_type_get_field_type((wasm_struct_type_t)leaf, 1, NULL);
    CHECK(type.value_type == VALUE_TYPE_HT_NULLABLE_REF && type.nullable && type.heap_type == NODE);
    CHECK(wasm_struct_type_get_field_type((wasm_struct_type_t)leaf, 3, NULL).value_type == 0);
    wasm_array_type_t refs = (wasm_array_type_t)wasm_get_defined_type(module, REFS);
    type = wasm_array_type_get_elem_type(refs, &is_mutable);
    CHECK(type.value_type == VALUE_TYPE_ANYREF && type.heap_type == HEAP_TYPE_ANY && is_mutable);
    wasm_array_type_t numbers = (wasm_array_type_t)wasm_get_defined_type(module, NUMBERS);
    CHECK(wasm_array_type_get_elem_type(numbers, NULL).value_type == VALUE_TYPE_I16);
    wasm_func_type_t binary = (wasm_func_type_t)wasm_get_defined_type(module, BINARY);
    CHECK(wasm_func_type_get_param_count(binary) == 2 && wasm_func_type_get_result_count(binary) == 1);
    CHECK(wasm_func_type_get_param_valkind(binary, 1) == WASM_I32);
    CHECK(wasm_func_type_get_result_type(binary, 0).value_type == VALUE_TYPE_I32);

    wasm_ref_type_t to_leaf, to_node, to_eq, none_null;
    wasm_ref_type_set_type_idx(&to_leaf, false, LEAF);
    wasm_ref_type_set_type_idx(&to_node, true, NODE);
    wasm_ref_type_set_heap_type(&to_eq, true, HEAP_TYPE_EQ);
    wasm_ref_type_set_heap_type(&none_null, true, HEAP_TYPE_NONE);
    CHECK(to_eq.value_type == VALUE_TYPE_EQREF);
    CHECK(wasm_ref_type_is_subtype_of(&to_leaf, &to_node, module));
    CHECK(!wasm_ref_type_is_subtype_of(&to_node, &to_leaf, module));
    CHECK(wasm_ref_type_is_subtype_of(&to_node, &to_eq, module));
    CHECK(wasm_ref_type_is_subtype_of(&none_null, &to_node, module));
    CHECK(!wasm_ref_type_is_subtype_of(&none_null, &to_leaf, module));
    CHECK(wasm_ref_type_equal(&to_eq, &to_eq, module) && !wasm_ref_type_equal(&to_eq, &to_node, module));
    wasm_ref_type_set_type_idx(&to_leaf, false, 1000);
    CHECK(!wasm_ref_type_is_subtype_of(&to_leaf, &to_node, module));
}

static void check_structs(wasm_exec_env_t env, wasm_module_t module)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_val_t args[3] = { number(-7), { .kind = WASM_F64, .of.f64 = 2.5 }, number(200) }, result;
    CHECK(wasm_runtime_call_wasm_a(env, function(instance, "point"), 1, &result, 3, args));
    CHECK(result.kind == WASM_ANYREF);
    wasm_struct_obj_t point = (wasm_struct_obj_t)result.of.ref;
    wasm_value_t value;
    wasm_struct_obj_get_field(point, 0, false, &value);
    CHECK(value.i32 == -7);
    wasm_struct_obj_get_field(point, 1, false, &value);
    CHECK(value.f64 == 2.5);
    wasm_struct_obj_get_field(point, 2, false, &value);
    CHECK(value.i32 == 200);
    wasm_struct_obj_get_field(point, 2, true, &value);
    CHECK(value.i32 == 200 - 256);
    value.i32 = 99;
    wasm_struct_obj_set_field(point, 0, &value);
    CHECK(call(env, "x_of", reference(point)).of.i32 == 99);
    CHECK(wasm_obj_get_defined_type((wasm_obj_t)point) == wasm_get_defined_type(module, POINT));
    CHECK(wasm_obj_get_defined_type_idx(module, (wasm_obj_t)point) == POINT);
    CHECK(wasm_obj_is_struct_obj((wasm_obj_t)point) && !wasm_obj_is_array_obj((wasm_obj_t)point));
    CHECK(wasm_obj_is_eq_obj((wasm_obj_t)point) && wasm_obj_is_internal_obj((wasm_obj_t)point));

    /* Errors are told, and nothing happens. */
    wasm_struct_obj_get_field(point, 3, false, &value);
    CHECK(has_failed_with(instance, "Exception: index 3 is out of bounds of 3 elements"));
    wasm_struct_obj_set_field(point, 3, &value);
    CHECK(has_failed_with(instance, "Exception: there is no field 3"));
    wasm_array_obj_get_elem((wasm_array_obj_t)point, 0, false, &value);
    CHECK(has_failed_with(instance, "Exception: the reference is another object, not an array"));
    wasm_struct_obj_set_field((wasm_struct_obj_t)call(env, "list", number(1)).of.ref, 0, &value);
    CHECK(has_failed_with(instance, "Exception: field 0 is immutable"));
    wasm_struct_obj_set_field(NULL, 0, &value);
    wasm_struct_obj_get_field(NULL, 0, false, &value);
    CHECK(!wasm_struct_obj_new_with_typeidx(env, TEXT) && !wasm_struct_obj_new_with_typeidx(env, 1000));
    CHECK(has_failed_with(instance, "Exception: the module has no type 1000"));
    CHECK(!wasm_struct_obj_new_with_typeidx(NULL, POINT));
    uint32_t cells[2] = { 0 };
    CHECK(!wasm_runtime_call_wasm(env, function(instance, "x_of"), 2, cells));
    CHECK(has_failed_with(instance, "Exception: null structure reference"));

    /* Wide fields. */
    wasm_struct_obj_t vectors =
        wasm_struct_obj_new_with_type(env, (wasm_struct_type_t)wasm_get_defined_type(module, VECTORS));
    for (int i = 0; i < 4; i++) {
        value.v128.i32x4[i] = i + 1;
    }
    wasm_struct_obj_set_field(vectors, 0, &value);
    memset(&value, 0, sizeof value);
    wasm_struct_obj_get_field(vectors, 0, false, &value);
    CHECK(value.v128.i32x4[0] == 1 && value.v128.i32x4[3] == 4);
    value.i64 = INT64_MIN;
    wasm_struct_obj_set_field(vectors, 2, &value);
    wasm_struct_obj_get_field(vectors, 2, false, &value);
    CHECK(value.i64 == INT64_MIN);
}

static void check_making(wasm_exec_env_t env)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    CHECK(call(env, "made", number(10)).of.i32 == 1000 + 55);
    CHECK(call(env, "name_sum", reference(make(env, 3))).of.i32 == 1006);
    CHECK(call(env, "list_sum", number(100)).of.i32 == 5050);
    /* A field that cannot be null must be set, and an immutable one cannot be changed afterwards. */
    wasm_struct_obj_t leaf = wasm_struct_obj_new_with_typeidx(env, LEAF);
    CHECK(wasm_obj_is_struct_obj((wasm_obj_t)leaf));
    wasm_val_t arg = reference(leaf), result;
    CHECK(!wasm_runtime_call_wasm_a(env, function(instance, "name_sum"), 1, &result, 1, &arg));
    CHECK(has_failed_with(instance, "Exception: field 2 of the struct is not set"));
    leaf = make(env, 1);
    call(env, "keep", reference(leaf));
    wasm_value_t value = { .i32 = 5 };
    wasm_struct_obj_set_field(leaf, 0, &value);
    CHECK(has_failed_with(instance, "Exception: field 0 is immutable"));
    CHECK(dolmen_obj_equal((wasm_obj_t)leaf, (wasm_obj_t)call(env, "kept", none).of.ref));
    CHECK(!dolmen_obj_equal((wasm_obj_t)leaf, (wasm_obj_t)make(env, 1)));
    /* A value of the wrong type is found when the object is made. */
    leaf = make(env, 1);
    value.gc_obj = (wasm_obj_t)leaf;
    wasm_struct_obj_t wrong = wasm_struct_obj_new_with_typeidx(env, LEAF);
    wasm_struct_obj_set_field(wrong, 2, &value);
    arg = reference(wrong);
    CHECK(!wasm_runtime_call_wasm_a(env, function(instance, "keep"), 0, NULL, 1, &arg));
    CHECK(strstr(wasm_runtime_get_exception(instance), "type mismatch at field 2"));
    /* A reference of another type. */
    arg = reference(make(env, 1));
    CHECK(!wasm_runtime_call_wasm_a(env, function(instance, "x_of"), 1, &result, 1, &arg));
    CHECK(strstr(wasm_runtime_get_exception(instance), "type mismatch at argument 0"));
}

static void check_arrays(wasm_exec_env_t env)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_value_t value = { .i32 = -2 };
    wasm_array_obj_t numbers = wasm_array_obj_new_with_typeidx(env, NUMBERS, 10, &value);
    CHECK(wasm_obj_is_array_obj((wasm_obj_t)numbers) && wasm_array_obj_length(numbers) == 10);
    wasm_array_obj_get_elem(numbers, 9, true, &value);
    CHECK(value.i32 == -2);
    wasm_array_obj_get_elem(numbers, 9, false, &value);
    CHECK(value.i32 == 0xfffe);
    for (int i = 0; i < 10; i++) {
        value.i32 = i;
        wasm_array_obj_set_elem(numbers, (uint32_t)i, &value);
    }
    wasm_array_obj_copy(numbers, 1, numbers, 0, 9);
    wasm_array_obj_get_elem(numbers, 9, false, &value);
    CHECK(value.i32 == 8);
    wasm_array_obj_copy(numbers, 2, numbers, 0, 9);
    CHECK(has_failed_with(instance, "Exception: the elements to copy are out of bounds"));
    wasm_array_obj_set_elem(numbers, 10, &value);
    CHECK(has_failed_with(instance, "Exception: index 10 is out of bounds of 10 elements"));
    CHECK(!wasm_array_obj_new_with_typeidx(env, NUMBERS, UINT32_MAX, NULL));
    CHECK(strstr(wasm_runtime_get_exception(instance), "allocation size too large"));
    CHECK(wasm_array_obj_length(NULL) == 0);
    /* An immutable one is found to be too large when it is made. */
    wasm_array_obj_t text = wasm_array_obj_new_with_typeidx(env, TEXT, UINT32_MAX, NULL);
    wasm_array_obj_set_elem(text, UINT32_MAX - 1, &value);
    CHECK(wasm_array_obj_length(text) == UINT32_MAX);
    wasm_val_t arg = reference(text);
    CHECK(!wasm_runtime_call_wasm_a(env, function(instance, "keep"), 0, NULL, 1, &arg));
    CHECK(strstr(wasm_runtime_get_exception(instance), "allocation size too large"));

    /* References of all kinds in one array, while garbage is made. */
    wasm_array_obj_t refs = wasm_array_obj_new_with_typeidx(env, REFS, 100, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        size_t scope = dolmen_scope_open(env);
        value.gc_obj = i % 2 ? (wasm_obj_t)make(env, (int32_t)i) : (wasm_obj_t)wasm_i31_obj_new(i);
        wasm_array_obj_set_elem(refs, i, &value);
        dolmen_scope_close(env, scope, NULL);
    }
    call(env, "keep", reference(refs));
    CHECK(dolmen_gc(instance));
    for (int32_t i = 0; i < 100; i++) {
        wasm_array_obj_get_elem(refs, (uint32_t)i, false, &value);
        if (i % 2) {
            CHECK(call(env, "name_sum", reference(value.gc_obj)).of.i32 == 1000 + (i * (i + 1) / 2));
        } else {
            CHECK(wasm_obj_is_i31_obj(value.gc_obj));
            CHECK(wasm_i31_obj_get_value((wasm_i31_obj_t)value.gc_obj, true) == (uint32_t)i);
        }
    }
}

static int finalized;

static void finalize(void *pointer)
{
    *(int *)pointer += 1;
}

static void check_hosts(wasm_exec_env_t env, wasm_module_t module)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    CHECK(wasm_i31_obj_get_value(wasm_i31_obj_new((uint32_t)-5), true) == (uint32_t)-5);
    CHECK(wasm_i31_obj_get_value(wasm_i31_obj_new((uint32_t)-5), false) == 0x7ffffffbu);
    wasm_obj_t i31 = (wasm_obj_t)wasm_i31_obj_new(6);
    wasm_ref_type_t type;
    wasm_ref_type_set_heap_type(&type, false, HEAP_TYPE_I31);
    CHECK(wasm_obj_is_instance_of_ref_type(i31, &type) && !wasm_obj_is_instance_of_ref_type(NULL, &type));
    wasm_ref_type_set_heap_type(&type, true, HEAP_TYPE_EQ);
    CHECK(wasm_obj_is_instance_of_ref_type(i31, &type) && wasm_obj_is_instance_of_ref_type(NULL, &type));
    wasm_ref_type_set_type_idx(&type, true, NODE);
    wasm_obj_t leaf = (wasm_obj_t)make(env, 1);
    CHECK(wasm_obj_is_instance_of_ref_type(leaf, &type) && wasm_obj_is_instance_of_type_idx(leaf, NODE, module));
    CHECK(!wasm_obj_is_instance_of_type_idx(leaf, POINT, module));
    CHECK(wasm_obj_is_instance_of_defined_type(leaf, wasm_get_defined_type(module, LEAF), module));

    wasm_externref_obj_t host = wasm_externref_obj_new(env, &finalized);
    CHECK(wasm_externref_obj_get_value(host) == &finalized && wasm_obj_is_externref_obj((wasm_obj_t)host));
    CHECK(!wasm_obj_is_internal_obj((wasm_obj_t)host) && !wasm_obj_is_eq_obj((wasm_obj_t)host));
    wasm_val_t arg = { .kind = WASM_EXTERNREF, .of.ref = (struct wasm_ref_t *)host };
    call(env, "keep_host", arg);
    wasm_externref_obj_t back = (wasm_externref_obj_t)call(env, "host", none).of.ref;
    CHECK(wasm_externref_obj_get_value(back) == &finalized);
    wasm_obj_t any = wasm_externref_obj_to_internal_obj(host);
    CHECK(wasm_obj_is_anyref_obj(any) && wasm_anyref_obj_get_value((wasm_anyref_obj_t)any) == &finalized);
    CHECK(dolmen_obj_equal(any, (wasm_obj_t)host));
    wasm_anyref_obj_t direct = wasm_anyref_obj_new(env, natives);
    CHECK(wasm_anyref_obj_get_value(direct) == natives && wasm_obj_is_anyref_obj((wasm_obj_t)direct));
    wasm_externref_obj_t outside = wasm_internal_obj_to_externref_obj(env, leaf);
    CHECK(outside && !wasm_externref_obj_get_value(outside));
    CHECK(wasm_obj_is_struct_obj(wasm_externref_obj_to_internal_obj(outside)));
    CHECK(!wasm_internal_obj_to_externref_obj(env, (wasm_obj_t)host));
    wasm_runtime_clear_exception(instance);

    wasm_obj_t function = (wasm_obj_t)call(env, "adder", none).of.ref;
    CHECK(wasm_obj_is_func_obj(function) && !wasm_obj_is_eq_obj(function));
    CHECK((wasm_defined_type_t)wasm_func_obj_get_func_type((wasm_func_obj_t)function)
          == wasm_get_defined_type(module, BINARY));
    uint32_t cells[2] = { 30, 12 };
    CHECK(wasm_runtime_call_func_ref(env, (wasm_func_obj_t)function, 2, cells) && cells[0] == 42);
    wasm_val_t args[2] = { number(1), number(2) }, result;
    CHECK(wasm_runtime_call_func_ref_a(env, (wasm_func_obj_t)function, 1, &result, 2, args) && result.of.i32 == 3);
    CHECK(!wasm_runtime_call_func_ref(env, (wasm_func_obj_t)leaf, 2, cells));
    CHECK(!wasm_runtime_call_func_ref(env, NULL, 2, cells));
}

static void check_lifetimes(wasm_exec_env_t env)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    /* What a scope, or nothing, holds goes; finalizers run. */
    size_t scope = dolmen_scope_open(env);
    for (int i = 0; i < 10; i++) {
        CHECK(dolmen_externref_new(env, &finalized, finalize));
    }
    dolmen_weak_t *to_dead = dolmen_weak_new((wasm_obj_t)make(env, 2));
    wasm_obj_t kept = (wasm_obj_t)make(env, 2);
    dolmen_weak_t *to_kept = dolmen_weak_new(kept);
    CHECK(to_dead && to_kept && !dolmen_weak_new(NULL) && !dolmen_weak_new((wasm_obj_t)wasm_i31_obj_new(1)));
    CHECK(dolmen_gc(instance) && finalized == 0);
    CHECK(dolmen_obj_equal(dolmen_weak_get(env, to_kept), kept));
    kept = dolmen_scope_close(env, scope, kept);
    CHECK(dolmen_gc(instance));
    CHECK(finalized == 10);
    CHECK(!dolmen_weak_get(env, to_dead) && dolmen_obj_equal(dolmen_weak_get(env, to_kept), kept));
    dolmen_weak_delete(to_dead);
    dolmen_weak_delete(to_kept);
    CHECK(call(env, "name_sum", reference(kept)).of.i32 == 1003);

    /* A native function's references go with its call, but not what it returns or pins. */
    wasm_obj_t returned = (wasm_obj_t)call(env, "churn", reference(kept)).of.ref;
    CHECK(dolmen_obj_equal(returned, kept));
    call(env, "garbage", number(100));
    CHECK(call(env, "name_sum", reference(pinned)).of.i32 == 1010);
    CHECK(wasm_runtime_unpin_object(env, pinned) && !wasm_runtime_unpin_object(env, pinned));

    dolmen_gc_stats_t stats;
    CHECK(dolmen_gc_stats(instance, &stats) && stats.major >= 2 && stats.collections == stats.minor + stats.major);
    CHECK(stats.allocated_bytes > stats.live_bytes && stats.heap_bytes > 0 && stats.total_pause_ns >= stats.max_pause_ns);

    /* The heap does not grow in a loop with a scope. */
    for (int i = 0; i < 20; i++) {
        scope = dolmen_scope_open(env);
        wasm_value_t value = { .i32 = 0 };
        CHECK(wasm_array_obj_new_with_typeidx(env, NUMBERS, 1 << 18, &value));
        dolmen_scope_close(env, scope, NULL);
    }
    CHECK(dolmen_gc(instance) && dolmen_gc_stats(instance, &stats) && stats.live_bytes < 5 << 20);
}

static void check_exceptions(wasm_exec_env_t env)
{
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    wasm_val_t arg = number(17), values[2];
    CHECK(!wasm_runtime_call_wasm_a(env, function(instance, "throw"), 0, NULL, 1, &arg));
    CHECK(has_failed_with(instance, "Exception: uncaught exception"));
    dolmen_error_t *error = dolmen_take_error(instance);
    CHECK(dolmen_error_kind(error) == DOLMEN_ERROR_EXCEPTION && dolmen_error_trap(error) == 0);
    wasm_obj_t exception = dolmen_error_exception(error, env);
    dolmen_error_delete(error);
    call(env, "garbage", number(100));
    CHECK(dolmen_exception_has_tag(env, exception, "error") && !dolmen_exception_has_tag(env, exception, "other"));
    CHECK(!dolmen_exception_has_tag(env, exception, "nothing") && !dolmen_exception_has_tag(env, NULL, "error"));
    CHECK(dolmen_exception_payload(env, exception, NULL, 0) == 2);
    CHECK(dolmen_exception_payload(env, exception, values, 2) == 2);
    CHECK(values[0].kind == WASM_I32 && values[0].of.i32 == 17);
    wasm_value_t field;
    wasm_struct_obj_get_field((wasm_struct_obj_t)values[1].of.ref, 0, false, &field);
    CHECK(field.i32 == 17 && dolmen_exception_payload(env, NULL, NULL, 0) == -1);
    CHECK(!wasm_obj_is_internal_obj(exception));
}

int main(void)
{
    start_runtime();
    CHECK(wasm_runtime_register_natives("env", natives, sizeof natives / sizeof *natives));
    wasm_module_t module = load("objects");
    wasm_module_inst_t instance = instantiate(module);
    wasm_exec_env_t env = wasm_runtime_create_exec_env(instance, 0);

    check_types(module);
    check_structs(env, module);
    check_making(env);
    check_arrays(env);
    check_hosts(env, module);
    check_lifetimes(env);
    check_exceptions(env);

    /* What is left is finalized with the instance. */
    finalized = 0;
    CHECK(dolmen_externref_new(env, &finalized, finalize));
    wasm_runtime_destroy_exec_env(env);
    wasm_runtime_deinstantiate(instance);
    CHECK(finalized == 1);
    wasm_runtime_unload(module);
    wasm_runtime_destroy();
    puts("passed");
    return 0;
}
