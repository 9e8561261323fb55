//! Canonical types and subtyping.

use crate::types::TypeError;
use crate::types::registry::TypeRegistry;
use crate::{ArrayType, Config, Engine, FieldType, FuncType, HeapType, RefType, StorageType, StructType, ValType};
use dolmen_abi::type_desc::{Kind, MAX_SUBTYPING_DEPTH};
use dolmen_abi::types as raw;
use dolmen_gc_heap::TypeTable;
use raw::{CompositeType, RecGroup, SubType, TypeIdx};

fn field(storage: raw::StorageType) -> raw::FieldType {
    raw::FieldType { storage, mutable: false }
}

fn reference(index: u32) -> raw::StorageType {
    let heap = raw::HeapType::Concrete(TypeIdx(index));
    raw::StorageType::Val(raw::ValType::Ref(raw::RefType { nullable: true, heap }))
}

fn structure(supertype: Option<u32>, fields: &[raw::StorageType]) -> SubType {
    let composite = CompositeType::Struct(fields.iter().copied().map(field).collect());
    SubType { is_final: false, supertype: supertype.map(TypeIdx), descriptor: None, describes: None, composite }
}

fn group(types: impl IntoIterator<Item = SubType>) -> RecGroup {
    RecGroup { types: types.into_iter().collect() }
}

/// Canonical indices of the types of a module.
fn add(registry: &TypeRegistry, groups: &[RecGroup]) -> Vec<u32> {
    let mut types = Vec::new();
    groups.iter().for_each(|group| registry.add_group(group, &mut types).unwrap());
    types
}

#[test]
fn equal_groups_are_one_whatever_their_indices() {
    let registry = TypeRegistry::new().unwrap();
    let list = |own: u32| group([structure(None, &[raw::StorageType::I8, reference(own)])]);
    let other = group([structure(None, &[raw::StorageType::I16])]);
    let first = add(&registry, &[list(0), other.clone()]);
    let second = add(&registry, &[other, list(1), list(2)]);
    assert_eq!(first[0], second[1]);
    assert_eq!(first[0], second[2]);
    assert_eq!(first[1], second[0]);
    assert_ne!(first[0], first[1]);
}

#[test]
fn groups_of_another_shape_are_other_types() {
    let registry = TypeRegistry::new().unwrap();
    let (a, b) = (structure(None, &[raw::StorageType::I8]), structure(None, &[raw::StorageType::I16]));
    let alone = add(&registry, &[group([a.clone()]), group([b.clone()])]);
    let together = add(&registry, &[group([a.clone(), b.clone()])]);
    let swapped = add(&registry, &[group([b, a])]);
    let all = [alone, together, swapped].concat();
    let mut unique = all.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), all.len());
}

/// Unrolling a recursive type does not make it the same type: equality is iso-recursive.
#[test]
fn recursion_inside_and_outside_differ() {
    let registry = TypeRegistry::new().unwrap();
    let types = add(&registry, &[group([structure(None, &[reference(0)])]), group([structure(None, &[reference(0)])])]);
    assert_ne!(types[0], types[1]);
}

#[test]
fn finality_mutability_and_supertypes_count() {
    let registry = TypeRegistry::new().unwrap();
    let plain = structure(None, &[raw::StorageType::I8]);
    let sealed = SubType { is_final: true, ..plain.clone() };
    let mut changing = plain.clone();
    changing.composite = CompositeType::Struct(vec![raw::FieldType { mutable: true, ..field(raw::StorageType::I8) }]);
    let below = SubType { supertype: Some(TypeIdx(0)), ..plain.clone() };
    let groups = [plain, sealed, changing, below].map(|ty| group([ty]));
    let types = add(&registry, &groups);
    assert_eq!(types, [0, 1, 2, 3].map(|i| types[0] + i));
}

#[test]
fn subtypes_across_modules() {
    let registry = TypeRegistry::new().unwrap();
    let chain = |from: u32, len: u32| {
        (0..len).map(move |i| {
            let fields = vec![raw::StorageType::I8; i as usize];
            group([structure(i.checked_sub(1).map(|up| from + up), &fields)])
        })
    };
    let first = add(&registry, &chain(0, 20).collect::<Vec<_>>());
    let padding = group([structure(None, &[raw::StorageType::I16])]);
    let groups: Vec<_> = std::iter::once(padding).chain(chain(1, 20)).collect();
    assert_eq!(first, add(&registry, &groups)[1..]);
    for (i, &sub) in first.iter().enumerate() {
        for (j, &sup) in first.iter().enumerate() {
            assert_eq!(registry.is_subtype(sub, sup), i >= j);
        }
        let word = registry.entry(sub).type_word;
        assert!(registry.region().contains(word));
        assert_eq!(Kind::of_type_word(word), Some(Kind::Struct));
        assert_eq!(registry.canonical_of_word(word), Some(sub));
    }
}

#[test]
fn broken_groups_are_refused_and_leave_nothing() {
    let registry = TypeRegistry::new().unwrap();
    let refuse = |types: &[SubType]| {
        let mut known = Vec::new();
        let error = registry.add_group(&group(types.to_vec()), &mut known).unwrap_err();
        assert!(known.is_empty());
        error
    };
    let plain = structure(None, &[]);
    assert_eq!(refuse(&[structure(None, &[reference(1)])]), TypeError::UnknownType { index: 1 });
    assert_eq!(refuse(&[structure(Some(7), &[])]), TypeError::UnknownType { index: 7 });
    assert!(matches!(refuse(&[structure(Some(0), &[])]), TypeError::Supertype { .. }), "its own supertype");
    assert!(matches!(refuse(&[structure(Some(1), &[]), plain.clone()]), TypeError::Supertype { .. }), "a later one");
    let sealed = SubType { is_final: true, ..plain.clone() };
    assert!(matches!(refuse(&[sealed, structure(Some(0), &[])]), TypeError::Supertype { .. }));
    let array = SubType { composite: CompositeType::Array(field(raw::StorageType::I8)), ..plain.clone() };
    assert!(matches!(refuse(&[array, structure(Some(0), &[])]), TypeError::Supertype { .. }));
    let many = structure(None, &[raw::StorageType::I8; 10_001]);
    assert_eq!(refuse(&[plain, many]), TypeError::TooManyFields { index: 1, count: 10_001 });
    let deep: Vec<_> = (0..65_u32).map(|i| structure(i.checked_sub(1), &[])).collect();
    assert!(matches!(refuse(&deep), TypeError::TooDeep { depth: 64, .. }));
    let allowed = group(deep[..=MAX_SUBTYPING_DEPTH].to_vec());
    assert_eq!(add(&registry, &[allowed])[0], 0, "the first types that were registered");
}

#[test]
fn thousands_of_types_are_registered_by_several_threads() {
    let registry = TypeRegistry::new().unwrap();
    let groups: Vec<_> = (0..3000_u32)
        .map(|i| {
            let bits = (0..12).map(|bit| if i >> bit & 1 == 0 { raw::StorageType::I8 } else { raw::StorageType::I16 });
            let fields: Vec<_> = bits.chain((i > 0).then(|| reference(i - 1))).collect();
            group([structure(None, &fields)])
        })
        .collect();
    let results: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| add(&registry, &groups))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results.iter().all(|types| *types == results[0]));
    let mut unique = results[0].clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), groups.len());
}

#[test]
fn references_in_objects_are_described() {
    let registry = TypeRegistry::new().unwrap();
    let mut fields = vec![raw::StorageType::I8, reference(0)];
    fields.extend([raw::StorageType::Val(raw::ValType::I64); 40]);
    fields.push(reference(0));
    let types = add(&registry, &[group([structure(None, &fields)])]);
    let desc = registry.region().descriptor(registry.entry(types[0]).type_word).unwrap();
    assert_eq!(desc.ref_map, 1 << 2, "after the type word and the packed field");
    let mut listed = Vec::new();
    registry.region().with_ref_list(desc.ref_list_start, desc.ref_list_len, &mut |refs| listed.extend_from_slice(refs));
    assert_eq!(listed, [16 + 40 * 8]);
    assert_eq!(desc.fixed_bytes, 16 + 40 * 8 + 8);
}

#[test]
fn exception_types_belong_to_signatures() {
    let registry = TypeRegistry::new().unwrap();
    let func =
        |params: &[raw::ValType]| CompositeType::Func(raw::FuncType { params: params.to_vec(), results: Vec::new() });
    let any = raw::ValType::Ref(raw::RefType { nullable: true, heap: raw::HeapType::Any });
    let (first, second) = (func(&[raw::ValType::I32, any]), func(&[any]));
    let (first, second) = (registry.add_simple(first).unwrap(), registry.add_simple(second).unwrap());
    let word = registry.exn_type_word(first).unwrap();
    assert_eq!(word, registry.exn_type_word(first).unwrap());
    assert_ne!(word, registry.exn_type_word(second).unwrap());
    assert_eq!(Kind::of_type_word(word), Some(Kind::Exn));
    assert_eq!(registry.region().descriptor(word).unwrap().ref_map, 1 << 3);
    let record = registry.add_simple(CompositeType::Struct(Vec::new())).unwrap();
    assert!(registry.exn_type_word(record).is_err());
}

#[test]
fn abstract_types_form_four_hierarchies() {
    use HeapType::{Any, Array, Eq, Exn, Extern, Func, I31, NoExn, NoExtern, NoFunc, None, Struct};
    let engine = Engine::new(&Config::new()).unwrap();
    let record = HeapType::ConcreteStruct(StructType::new(&engine, []).unwrap());
    let element = FieldType { storage: StorageType::I8, mutable: true };
    let list = HeapType::ConcreteArray(ArrayType::new(&engine, element).unwrap());
    let func = HeapType::ConcreteFunc(FuncType::new(&engine, [], []));
    let all = [Any, Eq, I31, Struct, record.clone(), Array, list.clone(), None].into_iter().chain([
        Func,
        func.clone(),
        NoFunc,
        Extern,
        NoExtern,
        Exn,
        NoExn,
    ]);
    let all: Vec<HeapType> = all.collect();
    // Each type with all types above it but itself.
    let above: Vec<Vec<HeapType>> = vec![
        vec![],
        vec![Any],
        vec![Any, Eq],
        vec![Any, Eq],
        vec![Any, Eq, Struct],
        vec![Any, Eq],
        vec![Any, Eq, Array],
        vec![Any, Eq, I31, Struct, record, Array, list],
        vec![],
        vec![Func],
        vec![Func, func],
        vec![],
        vec![Extern],
        vec![],
        vec![Exn],
    ];
    for (sub, above) in all.iter().zip(&above) {
        for sup in &all {
            assert_eq!(sub.matches(sup), sub == sup || above.contains(sup), "{sub} <: {sup}");
            let raw = (sub.to_raw(&engine).unwrap(), sup.to_raw(&engine).unwrap());
            assert_eq!(engine.types().heap_matches(raw.0, raw.1), sub.matches(sup), "{sub} <: {sup}");
        }
    }
}

#[test]
fn nullability_is_subtyping() {
    let (null, not_null) = (RefType::new(true, HeapType::Any), RefType::new(false, HeapType::Any));
    assert!(not_null.matches(&null) && !null.matches(&not_null) && null.matches(&null));
}

#[test]
fn types_are_written_as_in_the_text_format() {
    let engine = Engine::new(&Config::new()).unwrap();
    let mutable = |storage| FieldType { storage, mutable: true };
    let record = StructType::new(&engine, [mutable(StorageType::I8), mutable(StorageType::Val(ValType::I64))]).unwrap();
    assert_eq!(record.to_string(), "(struct (field (mut i8) (mut i64)))");
    let own = ValType::Ref(record.to_ref(false));
    let func = FuncType::new(&engine, [ValType::ANYREF, own], [ValType::F32, ValType::EXTERNREF]);
    assert_eq!(func.to_string(), "(func (param anyref (ref $0)) (result f32 externref))");
    assert_eq!(ValType::Ref(record.to_ref(true)).to_string(), "(ref null $0)");
    assert_eq!(ValType::Ref(RefType::new(false, HeapType::I31)).to_string(), "(ref i31)");
    assert_eq!(ValType::Ref(RefType::new(true, HeapType::None)).to_string(), "nullref");
}

#[test]
fn engines_do_not_mix() {
    let (one, two) = (Engine::new(&Config::new()).unwrap(), Engine::new(&Config::new()).unwrap());
    let ty = FuncType::new(&one, [], []);
    let foreign = ValType::Ref(ty.to_ref(true));
    assert_eq!(FuncType::try_new(&two, [foreign], []).unwrap_err(), TypeError::WrongEngine);
    assert_ne!(ty, FuncType::new(&two, [], []));
    assert!(!ty.matches(&FuncType::new(&two, [], [])));
}

#[test]
fn options_out_of_range_are_refused() {
    let message = |config: &Config| Engine::new(config).unwrap_err().to_string();
    let mut config = Config::new();
    config.max_stack_bytes(1000);
    assert!(message(&config).starts_with("the option max_stack_bytes is out of range"));
    let mut config = Config::new();
    config.heap_max_bytes(1 << 40);
    assert!(message(&config).starts_with("the option heap_max_bytes"));
    let mut config = Config::new();
    config.heap_max_bytes(1 << 20).heap_initial_bytes(2 << 20);
    assert!(message(&config).starts_with("the option heap_initial_bytes"));
}
