//! Atomic accesses to objects, globals and tables.
//!
//! The shared-everything-threads proposal gives each plain access an atomic twin, with an ordering: `seq_cst`, or
//! `acq_rel`, by which a read acquires and a write releases. Fields, elements, globals and slots of tables are aligned
//! to their size, so each is one of LLVM's atomic accesses; what can trap does so before, as in the plain access. What
//! never changes is read plainly.
//!
//! A reference is exchanged and compared as a reference, not as its bits: only so the collector finds it at the
//! safepoints behind. Whoever stores one into an object runs the write barrier, whether a comparison succeeds or not.
//!
//! The types that the proposal calls shared are compiled as those that are not: all threads of a store share all of
//! it anyway, and validation keeps the two hierarchies apart.
//!
//! Reference: WebAssembly shared-everything-threads proposal, overview, "Instructions".

use crate::llvm::{AtomicOp, Ordering, Value};
use crate::translate::function::FunctionTranslator;
use crate::translate::structs::Extension;
use dolmen_abi::trap::TrapCode;
use dolmen_abi::types::{FieldType, StorageType, TypeIdx, ValType};
use wasmparser::Operator;

/// What is accessed.
#[derive(Clone, Copy)]
enum Place {
    Field(u32, u32),
    Element(u32),
    Global(u32),
    Slot(u32),
}

/// What is done there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Get(Extension),
    Set,
    Rmw(AtomicOp),
    CompareExchange,
}

/// A place whose operands were popped and checked.
struct Location {
    address: Value,
    ty: FieldType,
    /// The object that the address is in, and the index of the element if it is an array.
    object: Option<(Value, Option<Value>)>,
}

type Row = (Place, Access, wasmparser::Ordering);

/// The row of an access to a struct.
fn struct_row(operator: &Operator<'_>) -> Option<Row> {
    use Access::{CompareExchange, Get, Rmw, Set};
    use Operator as O;
    use Place::Field;
    Some(match *operator {
        O::StructAtomicGet { ordering, struct_type_index: ty, field_index: field }
        | O::StructAtomicGetU { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Get(Extension::Zero), ordering)
        }
        O::StructAtomicGetS { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Get(Extension::Sign), ordering)
        }
        O::StructAtomicSet { ordering, struct_type_index: ty, field_index: field } => (Field(ty, field), Set, ordering),
        O::StructAtomicRmwAdd { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::Add), ordering)
        }
        O::StructAtomicRmwSub { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::Sub), ordering)
        }
        O::StructAtomicRmwAnd { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::And), ordering)
        }
        O::StructAtomicRmwOr { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::Or), ordering)
        }
        O::StructAtomicRmwXor { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::Xor), ordering)
        }
        O::StructAtomicRmwXchg { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), Rmw(AtomicOp::Exchange), ordering)
        }
        O::StructAtomicRmwCmpxchg { ordering, struct_type_index: ty, field_index: field } => {
            (Field(ty, field), CompareExchange, ordering)
        }
        _ => return None,
    })
}

/// The row of an access to an array.
fn array_row(operator: &Operator<'_>) -> Option<Row> {
    use Access::{CompareExchange, Get, Rmw, Set};
    use Operator as O;
    use Place::Element;
    Some(match *operator {
        O::ArrayAtomicGet { ordering, array_type_index: ty }
        | O::ArrayAtomicGetU { ordering, array_type_index: ty } => (Element(ty), Get(Extension::Zero), ordering),
        O::ArrayAtomicGetS { ordering, array_type_index: ty } => (Element(ty), Get(Extension::Sign), ordering),
        O::ArrayAtomicSet { ordering, array_type_index: ty } => (Element(ty), Set, ordering),
        O::ArrayAtomicRmwAdd { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::Add), ordering),
        O::ArrayAtomicRmwSub { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::Sub), ordering),
        O::ArrayAtomicRmwAnd { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::And), ordering),
        O::ArrayAtomicRmwOr { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::Or), ordering),
        O::ArrayAtomicRmwXor { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::Xor), ordering),
        O::ArrayAtomicRmwXchg { ordering, array_type_index: ty } => (Element(ty), Rmw(AtomicOp::Exchange), ordering),
        O::ArrayAtomicRmwCmpxchg { ordering, array_type_index: ty } => (Element(ty), CompareExchange, ordering),
        _ => return None,
    })
}

/// The row of an access to a global or table.
fn instance_row(operator: &Operator<'_>) -> Option<Row> {
    use Access::{CompareExchange, Get, Rmw, Set};
    use Operator as O;
    use Place::{Global, Slot};
    Some(match *operator {
        O::GlobalAtomicGet { ordering, global_index } => (Global(global_index), Get(Extension::Zero), ordering),
        O::GlobalAtomicSet { ordering, global_index } => (Global(global_index), Set, ordering),
        O::GlobalAtomicRmwAdd { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::Add), ordering),
        O::GlobalAtomicRmwSub { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::Sub), ordering),
        O::GlobalAtomicRmwAnd { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::And), ordering),
        O::GlobalAtomicRmwOr { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::Or), ordering),
        O::GlobalAtomicRmwXor { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::Xor), ordering),
        O::GlobalAtomicRmwXchg { ordering, global_index } => (Global(global_index), Rmw(AtomicOp::Exchange), ordering),
        O::GlobalAtomicRmwCmpxchg { ordering, global_index } => (Global(global_index), CompareExchange, ordering),
        O::TableAtomicGet { ordering, table_index } => (Slot(table_index), Get(Extension::Zero), ordering),
        O::TableAtomicSet { ordering, table_index } => (Slot(table_index), Set, ordering),
        O::TableAtomicRmwXchg { ordering, table_index } => (Slot(table_index), Rmw(AtomicOp::Exchange), ordering),
        O::TableAtomicRmwCmpxchg { ordering, table_index } => (Slot(table_index), CompareExchange, ordering),
        _ => return None,
    })
}

impl FunctionTranslator<'_, '_, '_> {
    /// Translates the operator if it is of this family.
    pub(crate) fn translate_shared(&mut self, operator: &Operator<'_>) -> bool {
        let row = struct_row(operator).or_else(|| array_row(operator)).or_else(|| instance_row(operator));
        let Some((place, access, ordering)) = row else { return false };
        let new = (!matches!(access, Access::Get(_))).then(|| self.pop());
        let expected = (access == Access::CompareExchange).then(|| self.pop());
        let location = self.pop_location(place);
        let result = match (access, new, expected) {
            (Access::Get(extension), ..) => Some(self.atomic_get(&location, extension, ordering)),
            (Access::Set, Some(new), _) => {
                self.atomic_set(&location, new, ordering);
                None
            }
            (Access::Rmw(op), Some(new), _) => Some(self.b.atomic_rmw(op, location.address, new, of_both(ordering))),
            (_, Some(new), Some(expected)) => Some(self.b.cmpxchg(location.address, expected, new, of_both(ordering))),
            _ => unreachable!("operands were popped by access"),
        };
        if let (Some((object, index)), Some(new)) = (location.object, new.filter(|_| location.ty.storage.is_ref())) {
            match index {
                Some(index) => self.post_write_barrier_array(object, index, new),
                None => self.post_write_barrier(object, new),
            }
        }
        if let Some(result) = result {
            self.push(result, location.ty.storage.unpacked());
        }
        true
    }

    fn pop_location(&mut self, place: Place) -> Location {
        match place {
            Place::Field(ty, index) => {
                let object = self.stack.pop();
                self.trap_if_null(object, TrapCode::NullStructReference);
                let (field, offset) = self.field_place(TypeIdx(ty), index as usize);
                let address = self.object_address(object.value, offset);
                Location { address, ty: field, object: Some((object.value, None)) }
            }
            Place::Element(ty) => {
                let index = self.pop();
                let array = self.stack.pop();
                self.check_index(array, index);
                let (element, _) = self.element(TypeIdx(ty));
                let address = self.element_address(array.value, element, index);
                Location { address, ty: element, object: Some((array.value, Some(index))) }
            }
            Place::Global(index) => {
                let ty = self.unit.module.meta.globals[index as usize];
                let address = self.global_address(index);
                let ty = FieldType { storage: StorageType::Val(ty.value), mutable: ty.mutable || self.in_init };
                Location { address, ty, object: None }
            }
            Place::Slot(table) => {
                let index = self.pop();
                let address = self.table_slot(table, index, TrapCode::TableOutOfBounds);
                let element = ValType::Ref(self.table_type(table).element);
                Location { address, ty: FieldType { storage: StorageType::Val(element), mutable: true }, object: None }
            }
        }
    }

    fn atomic_get(&mut self, location: &Location, extension: Extension, ordering: wasmparser::Ordering) -> Value {
        let load = self.b.load(self.storage_type(location.ty.storage), location.address);
        load.set_alignment(1 << location.ty.storage.log_bytes());
        if location.ty.mutable {
            load.set_ordering(match ordering {
                wasmparser::Ordering::AcqRel => Ordering::Acquire,
                wasmparser::Ordering::SeqCst => Ordering::SequentiallyConsistent,
            });
        }
        self.unpack(load, location.ty.storage, extension)
    }

    fn atomic_set(&mut self, location: &Location, value: Value, ordering: wasmparser::Ordering) {
        let store = self.b.store(self.pack(location.ty.storage, value), location.address);
        store.set_alignment(1 << location.ty.storage.log_bytes());
        store.set_ordering(match ordering {
            wasmparser::Ordering::AcqRel => Ordering::Release,
            wasmparser::Ordering::SeqCst => Ordering::SequentiallyConsistent,
        });
    }
}

/// The ordering of an access that reads and writes.
fn of_both(ordering: wasmparser::Ordering) -> Ordering {
    match ordering {
        wasmparser::Ordering::AcqRel => Ordering::AcquireRelease,
        wasmparser::Ordering::SeqCst => Ordering::SequentiallyConsistent,
    }
}
