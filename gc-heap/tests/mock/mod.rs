//! A mutator without compiled code: the runtime, type registry and program of the heap's tests.
//!
//! It allocates as compiled code does (bump inline, else call the heap), keeps its roots in a vector, and reads and
//! writes object memory through raw words. Each test file uses a part of it.

#![allow(dead_code, reason = "each test file uses a part of the mock")]
#![allow(unsafe_code, reason = "plays compiled code, which works on raw memory")]

pub mod two;

use dolmen_abi::collector::{AllocBuffer, CARD_DIRTY, LOG_CARD_REF_UNITS, MAX_INLINE_ALLOC_BYTES};
use dolmen_abi::layout::{array_size_bytes, exception_layout, struct_layout};
use dolmen_abi::object::{ARRAY_ELEMENTS_OFFSET, EXTERN_BYTES, FUNC_BYTES};
use dolmen_abi::type_desc::{DESC_SLOT_BYTES, Kind, LOG_KIND_RANGE, MIN_DISPLAY, TYPE_REGION_BYTES, TypeDesc};
use dolmen_abi::types::{FieldType, HeapType, RefType, StorageType, ValType};
use dolmen_gc_heap::{
    AllocError, Collection, Heap, HeapOptions, ObjRef, RootKind, RootVisitor, Runtime, Stock, TypeTable,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A field of reference type.
pub const REF: StorageType = StorageType::Val(ValType::Ref(RefType { nullable: true, heap: HeapType::Any }));
pub const I32: StorageType = StorageType::Val(ValType::I32);
pub const I64: StorageType = StorageType::Val(ValType::I64);
pub const I8: StorageType = StorageType::I8;

/// A type of the mock.
#[derive(Clone, Debug)]
pub struct MockType {
    pub word: u32,
    pub kind: Kind,
    /// Size of a struct; offset of an array's elements.
    pub fixed_bytes: u32,
    pub log_elem_bytes: u32,
    pub elem_is_ref: bool,
    pub ref_offsets: Vec<u32>,
}

/// The type registry.
pub struct MockTypes {
    region: *mut u8,
    types: Vec<MockType>,
    by_word: HashMap<u32, usize>,
    ref_list: Vec<u32>,
}

// SAFETY: the region is plain memory that is written only while the registry is built.
unsafe impl Send for MockTypes {}
// SAFETY: as above.
unsafe impl Sync for MockTypes {}

// SAFETY: `add` writes a valid descriptor at each word in `by_word`, and nothing changes one later.
unsafe impl TypeTable for MockTypes {
    fn type_base(&self) -> *const u8 {
        self.region
    }

    fn contains(&self, type_word: u32) -> bool {
        self.by_word.contains_key(&type_word)
    }

    fn with_ref_list(&self, start: u32, len: u32, visit: &mut dyn FnMut(&[u32])) {
        visit(&self.ref_list[start as usize..(start + len) as usize]);
    }
}

impl MockTypes {
    pub fn new() -> Self {
        // SAFETY: a new anonymous mapping touches no existing memory.
        let region = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                TYPE_REGION_BYTES as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(region, libc::MAP_FAILED);
        Self { region: region.cast(), types: Vec::new(), by_word: HashMap::new(), ref_list: Vec::new() }
    }

    pub fn add_struct(&mut self, fields: &[StorageType]) -> u32 {
        let fields: Vec<FieldType> = fields.iter().map(|&storage| FieldType { storage, mutable: true }).collect();
        let layout = struct_layout(&fields, None);
        self.add(Kind::Struct, layout.size_bytes, 0, false, layout.ref_offsets)
    }

    pub fn add_exn(&mut self, params: &[ValType]) -> u32 {
        let layout = exception_layout(params);
        self.add(Kind::Exn, layout.size_bytes, 0, false, layout.ref_offsets)
    }

    pub fn add_array(&mut self, element: StorageType) -> u32 {
        self.add(Kind::Array, ARRAY_ELEMENTS_OFFSET, element.log_bytes(), element.is_ref(), Vec::new())
    }

    pub fn add_func(&mut self) -> u32 {
        self.add(Kind::Func, FUNC_BYTES, 0, false, Vec::new())
    }

    pub fn add_extern(&mut self) -> u32 {
        self.add(Kind::Extern, EXTERN_BYTES, 0, false, Vec::new())
    }

    pub fn types(&self) -> &[MockType] {
        &self.types
    }

    pub fn get(&self, word: u32) -> &MockType {
        &self.types[self.by_word[&word]]
    }

    fn add(
        &mut self,
        kind: Kind,
        fixed_bytes: u32,
        log_elem_bytes: u32,
        elem_is_ref: bool,
        ref_offsets: Vec<u32>,
    ) -> u32 {
        let same_kind = self.types.iter().filter(|t| t.kind == kind).count() as u32;
        let word = kind.first_type_word() + same_kind * DESC_SLOT_BYTES;
        let (near, far): (Vec<u32>, Vec<u32>) = ref_offsets.iter().partition(|&&offset| offset / 4 < 64);
        let desc = TypeDesc {
            ref_map: near.iter().fold(0, |map, offset| map | 1 << (offset / 4)),
            fixed_bytes,
            ref_list_len: far.len() as u32,
            ref_list_start: self.ref_list.len() as u32,
            canonical: self.types.len() as u32,
            depth: 0,
            kind: kind as u8,
            log_elem_bytes: log_elem_bytes as u8,
            elem_is_ref: u8::from(elem_is_ref),
            reserved: [0; 3],
            display: [0; MIN_DISPLAY],
        };
        self.ref_list.extend(far);
        // SAFETY: type words lie inside the region, which is aligned to pages; slots have a descriptor's alignment.
        unsafe { self.region.add(word as usize).cast::<TypeDesc>().write(desc) };
        self.by_word.insert(word, self.types.len());
        self.types.push(MockType { word, kind, fixed_bytes, log_elem_bytes, elem_is_ref, ref_offsets });
        word
    }
}

impl Drop for MockTypes {
    fn drop(&mut self) {
        // SAFETY: the region was mapped by `new` and nobody else has it.
        unsafe { libc::munmap(self.region.cast(), TYPE_REGION_BYTES as usize) };
    }
}

/// The store: roots, one allocation buffer, and what the heap told it.
#[derive(Default)]
pub struct MockRuntime {
    pub buffer: AllocBuffer,
    /// Pinned.
    pub roots: Vec<u32>,
    /// May be changed by collections.
    pub slots: Vec<u32>,
    pub weak: Vec<u32>,
    pub shadow_stack: Vec<u32>,
    pub dropped: Vec<u64>,
    pub log: Vec<Collection>,
    pub stopped: bool,
    pub stops: u64,
}

impl Runtime for MockRuntime {
    fn stop_mutators(&mut self) {
        assert!(!self.stopped);
        self.stopped = true;
        self.stops += 1;
    }

    fn resume_mutators(&mut self) {
        assert!(self.stopped);
        self.stopped = false;
    }

    fn current_buffer(&mut self) -> &mut AllocBuffer {
        &mut self.buffer
    }

    fn visit_buffers(&mut self, visit: &mut dyn FnMut(&mut AllocBuffer)) {
        assert!(self.stopped);
        visit(&mut self.buffer);
    }

    fn scan_roots(&mut self, visitor: &mut dyn RootVisitor) {
        assert!(self.stopped);
        visitor.visit_slice(RootKind::Global, &self.roots);
        visitor.visit_slots(RootKind::Handle, &mut self.slots);
        visitor.visit_slice(RootKind::ShadowStack, &self.shadow_stack);
    }

    fn clear_weak(&mut self, survives: &dyn Fn(u32) -> bool) {
        self.weak.iter_mut().filter(|word| !survives(**word)).for_each(|word| *word = 0);
    }

    fn forward_weak(&mut self, forward: &dyn Fn(u32) -> u32) {
        self.weak.iter_mut().for_each(|word| *word = forward(*word));
    }

    fn drop_host_object(&mut self, data: u64) {
        assert!(!self.stopped);
        self.dropped.push(data);
    }

    fn log_collection(&mut self, collection: &Collection) {
        self.log.push(*collection);
    }
}

/// Allocates a struct, or an array of some length, as the mutator of this stock and buffer, without the heap.
pub fn alloc_from_stock(
    _heap: &Heap,
    stock: &mut Stock,
    buffer: &mut AllocBuffer,
    type_word: u32,
    length: Option<u32>,
) -> Option<ObjRef> {
    // SAFETY: the heap lives, since it is borrowed, and so it does not collect meanwhile.
    unsafe {
        match length {
            None => stock.alloc_struct(buffer, type_word),
            Some(length) => stock.alloc_array(buffer, type_word, length),
        }
    }
}

/// `words` words of memory from the start of a fresh object, which end inside its buffer.
pub fn memory(heap: &mut Heap, object: ObjRef, words: usize) -> &mut [u32] {
    // SAFETY: a reference word is a word of memory, and nobody else uses these, which the heap has handed out.
    unsafe { std::slice::from_raw_parts_mut(heap.address(object).cast::<u32>(), words) }
}

/// A heap with its mock runtime.
pub struct World {
    pub heap: Heap,
    pub runtime: MockRuntime,
    pub types: Arc<MockTypes>,
}

impl World {
    pub fn new(options: HeapOptions, types: MockTypes) -> Self {
        let types = Arc::new(types);
        let heap = Heap::new(options, Arc::clone(&types) as Arc<dyn TypeTable>).unwrap();
        Self { heap, runtime: MockRuntime::default(), types }
    }

    /// As compiled code: inline if it fits, else the slow path.
    pub fn alloc_struct(&mut self, word: u32) -> Result<u32, AllocError> {
        let bytes = self.types.get(word).fixed_bytes;
        if let Some(object) = self.bump(bytes) {
            self.write(object, 0, word);
            return Ok(object);
        }
        self.heap.alloc_struct(&mut self.runtime, word).map(ObjRef::word)
    }

    /// As [`World::alloc_struct`] by code that knows the size.
    #[inline]
    pub fn alloc_known_struct(&mut self, word: u32, bytes: u32) -> u32 {
        match self.bump(bytes) {
            Some(object) => {
                self.write(object, 0, word);
                object
            }
            None => self.heap.alloc_struct(&mut self.runtime, word).unwrap().word(),
        }
    }

    pub fn alloc_array(&mut self, word: u32, length: u32) -> Result<u32, AllocError> {
        let bytes = array_size_bytes(self.types.get(word).log_elem_bytes, length);
        if let Some(object) = bytes.and_then(|bytes| self.bump(bytes)) {
            self.write(object, 0, word);
            self.write(object, 4, length);
            return Ok(object);
        }
        self.heap.alloc_array(&mut self.runtime, word, length).map(ObjRef::word)
    }

    pub fn alloc_extern(&mut self, word: u32, data: u64) -> Result<u32, AllocError> {
        self.heap.alloc_extern(&mut self.runtime, word, data).map(ObjRef::word)
    }

    pub fn collect(&mut self) {
        self.heap.collect(&mut self.runtime, dolmen_gc_heap::Cause::Requested).unwrap();
    }

    /// Stores a reference with the barrier of compiled code.
    #[inline]
    pub fn store(&mut self, object: u32, offset: u32, value: u32) {
        self.write(object, offset, value);
        if self.heap.card_base() != 0 {
            let is_array = self.read(object, 0) >> LOG_KIND_RANGE == Kind::Array as u32;
            self.dirty_card(if is_array { object + offset / 4 } else { object });
        }
    }

    /// Dirties the card of a reference unit.
    #[inline]
    pub fn dirty_card(&mut self, unit: u32) {
        let card = (self.heap.card_base() as *mut u8).wrapping_add((unit >> LOG_CARD_REF_UNITS) as usize);
        // SAFETY: the card table covers every reference word of the region.
        unsafe { card.write(CARD_DIRTY) };
    }

    /// Size in bytes of the object there.
    pub fn bytes_of(&self, object: u32) -> u32 {
        let ty = self.types.get(self.read(object, 0));
        match ty.kind {
            Kind::Array => array_size_bytes(ty.log_elem_bytes, self.read(object, 4)).unwrap(),
            _ => ty.fixed_bytes,
        }
    }

    /// Offsets of the references of the object there.
    pub fn ref_offsets(&self, object: u32) -> Vec<u32> {
        let ty = self.types.get(self.read(object, 0));
        if !ty.elem_is_ref {
            return ty.ref_offsets.clone();
        }
        (0..self.read(object, 4)).map(|i| ARRAY_ELEMENTS_OFFSET + i * 4).collect()
    }

    #[inline]
    pub fn read(&self, object: u32, offset: u32) -> u32 {
        // SAFETY: tests pass words inside committed heap memory.
        unsafe { self.at(object, offset).read() }
    }

    #[inline]
    pub fn write(&mut self, object: u32, offset: u32, value: u32) {
        // SAFETY: as in `read`; the heap makes no Rust references to object memory.
        unsafe { self.at(object, offset).write(value) };
    }

    #[inline]
    fn at(&self, object: u32, offset: u32) -> *mut u32 {
        (self.heap.base() as *mut u8).wrapping_add(((object as usize) << 2) + offset as usize).cast()
    }

    #[inline]
    fn bump(&mut self, bytes: u32) -> Option<u32> {
        let buffer = &mut self.runtime.buffer;
        let end = buffer.cursor.checked_add(bytes / 4)?;
        if bytes > MAX_INLINE_ALLOC_BYTES || end > buffer.limit {
            return None;
        }
        let object = buffer.cursor;
        buffer.cursor = end;
        Some(object)
    }
}

/// Xorshift; the seed is printed by whoever fails.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }
}
