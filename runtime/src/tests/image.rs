//! Artifacts made by hand, right or wrong in every detail.

use dolmen_abi::artifact::{
    CUSTOM_SECTION, DATA_SECTION, FORMAT_VERSION, HEADER_SECTION, Header, META_SECTION, NAMES_SECTION, NO_FRAME,
    NO_LANDING_PAD, PAGE_BYTES, TEXT_SECTION, UNWIND_SECTION,
};
use dolmen_abi::collector::{Barrier, Motion, Protocol};
use dolmen_abi::meta::{Export, ExternIdx, Import, ModuleMeta, Names, Trampolines};
use dolmen_abi::prototype::{Prototype, PrototypeWord};
use dolmen_abi::signature::{MachineSignature, MachineType};
use dolmen_abi::types::{CompositeType, ExternType, FuncType, RecGroup, SubType, TypeIdx, ValType};

/// `entry` of `(i32) -> (i32)`: `code(thread, instance, slots[0])`, result to `slots[0]`.
const ENTRY_I32: &[u8] =
    &[0x53, 0x48, 0x89, 0xcb, 0x48, 0x89, 0xd0, 0x48, 0x8b, 0x11, 0xff, 0xd0, 0x48, 0x89, 0x03, 0x5b, 0xc3];

/// `entry` of `() -> ()`: `code(thread, instance)`.
const ENTRY_NOTHING: &[u8] = &[0x48, 0x83, 0xec, 0x08, 0xff, 0xd2, 0x48, 0x83, 0xc4, 0x08, 0xc3];

/// The parameter plus one: `lea eax, [rdx + 1]; ret`.
const ADD_ONE: &[u8] = &[0x8d, 0x42, 0x01, 0xc3];

/// Tail call of the first imported function, whose code and instance follow the context's header.
const CALL_IMPORT: &[u8] = &[0x48, 0x8b, 0x46, 0x10, 0x48, 0x8b, 0x76, 0x18, 0xff, 0xe0];

/// An artifact in the making.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) elf_type: u16,
    pub(super) machine: u16,
    pub(super) flags: u32,
    pub(super) header: Header,
    pub(super) meta: ModuleMeta,
    pub(super) names: Names,
    pub(super) data: Vec<u8>,
    pub(super) text: Vec<u8>,
    pub(super) unwind: Vec<u8>,
    /// Sections that are left out.
    pub(super) without: Vec<&'static str>,
    /// Where the code is.
    pub(super) text_offset: u64,
    /// Lets the other sections begin on the code's last page.
    pub(super) shared_page: bool,
}

impl Image {
    /// A module with a function `inc`, `(i32) -> (i32)`.
    pub(super) fn inc() -> Self {
        let mut image = Self::new();
        let code = image.add_code(ADD_ONE);
        image.meta.funcs = vec![TypeIdx(0)];
        image.meta.code_offsets = vec![code];
        image.meta.func_refs = vec![0];
        image.meta.exports = vec![Export { name: "inc".into(), index: ExternIdx::Func(0) }];
        image.names = Names { module: Some("m".into()), funcs: vec![(0, "increment".into())], ..Names::default() };
        image
    }

    /// Adds a prototype of objects of a type, with one word.
    pub(super) fn add_prototype(&mut self, ty: TypeIdx, word: PrototypeWord) {
        self.meta.prototypes.push(Prototype { ty, words: [PrototypeWord::Zero, word, PrototypeWord::Zero] });
    }

    /// A module that imports `"env" "f"`, `(i32) -> (i32)`, and exports `call`, which calls it.
    pub(super) fn importer() -> Self {
        let mut image = Self::new();
        let code = image.add_code(CALL_IMPORT);
        image.import("f", ExternType::Func(TypeIdx(0)));
        image.meta.funcs = vec![TypeIdx(0); 2];
        image.meta.code_offsets = vec![code];
        image.meta.func_refs = vec![0, 1];
        image.meta.exports = vec![
            Export { name: "call".into(), index: ExternIdx::Func(1) },
            Export { name: "again".into(), index: ExternIdx::Func(0) },
        ];
        image
    }

    /// A module with the types `(i32) -> (i32)` and `() -> ()` and nothing else.
    pub(super) fn new() -> Self {
        let ty = |params: &[ValType], results: &[ValType]| {
            let func = FuncType { params: params.to_vec(), results: results.to_vec() };
            let sub = SubType {
                is_final: true,
                supertype: None,
                descriptor: None,
                describes: None,
                composite: CompositeType::Func(func),
            };
            RecGroup { types: vec![sub] }
        };
        let mut image = Self {
            elf_type: 1,
            machine: 62,
            flags: FORMAT_VERSION,
            header: Header {
                compiler_version: "0.1.0".into(),
                target_triple: "x86_64-unknown-linux-gnu".into(),
                cpu_features: vec!["sse2".into()],
                protocol: Protocol { barrier: Barrier::Card, motion: Motion::Unrooted },
                opt_level: 2,
                polls: true,
                source_hash: [7; 32],
            },
            meta: ModuleMeta::default(),
            names: Names::default(),
            data: b"some data".to_vec(),
            text: vec![0xcc; 16],
            unwind: Vec::new(),
            without: Vec::new(),
            text_offset: PAGE_BYTES,
            shared_page: false,
        };
        image.meta.rec_groups = vec![ty(&[ValType::I32], &[ValType::I32]), ty(&[], &[])];
        let (entry, nothing) = (image.add_code(ENTRY_I32), image.add_code(ENTRY_NOTHING));
        let trap = image.add_code(&[0x0f, 0x0b]);
        let i32_to_i32 = MachineSignature { params: vec![MachineType::I32], results: vec![MachineType::I32] };
        let none = MachineSignature { params: vec![], results: vec![] };
        image.meta.trampolines = vec![
            Trampolines { signature: none, entry: nothing, host_call: trap },
            Trampolines { signature: i32_to_i32, entry, host_call: trap },
        ];
        image
    }

    /// Adds an import; the caller adds it to its index space.
    pub(super) fn import(&mut self, name: &str, ty: ExternType) {
        self.meta.imports.push(Import { module: "env".into(), name: name.into(), ty, exact: false });
    }

    /// The file.
    pub(super) fn build(&self) -> Vec<u8> {
        let mut file = self.content();
        let hash = blake3::hash(&file);
        file.extend_from_slice(hash.as_bytes());
        file
    }

    fn add_code(&mut self, code: &[u8]) -> u32 {
        let offset = self.text.len() as u32;
        self.text.extend_from_slice(code);
        self.text.resize(self.text.len().next_multiple_of(16), 0xcc);
        offset
    }

    fn content(&self) -> Vec<u8> {
        let encode = |result: Result<Vec<u8>, postcard::Error>| result.unwrap();
        let unwind = if self.unwind.is_empty() { self.empty_unwind() } else { self.unwind.clone() };
        let sections = [
            (TEXT_SECTION, self.text.clone()),
            (HEADER_SECTION, encode(postcard::to_allocvec(&self.header))),
            (META_SECTION, encode(postcard::to_allocvec(&self.meta))),
            (NAMES_SECTION, encode(postcard::to_allocvec(&self.names))),
            (CUSTOM_SECTION, encode(postcard::to_allocvec(&vec![("greeting", b"hello".as_slice())]))),
            (DATA_SECTION, self.data.clone()),
            (UNWIND_SECTION, unwind),
        ];
        let mut file = vec![0; self.text_offset as usize];
        let mut names = vec![0];
        let mut headers = vec![[0; 64]];
        for (name, bytes) in sections {
            if self.without.contains(&name) {
                continue;
            }
            file.resize(file.len().next_multiple_of(8), 0);
            headers.push(section_header(names.len() as u32, 1, file.len() as u64, bytes.len() as u64));
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            file.extend_from_slice(&bytes);
            if name == TEXT_SECTION && !self.shared_page {
                file.resize(file.len().next_multiple_of(PAGE_BYTES as usize), 0);
            }
        }
        let name = names.len() as u32;
        names.extend_from_slice(b".shstrtab\0");
        headers.push(section_header(name, 3, file.len() as u64, names.len() as u64));
        file.extend_from_slice(&names);
        file.resize(file.len().next_multiple_of(8), 0);
        let table = file.len() as u64;
        headers.iter().for_each(|header| file.extend_from_slice(header));
        let header = self.elf_header(table, headers.len() as u16);
        file[..header.len()].copy_from_slice(&header);
        file
    }

    fn elf_header(&self, section_table: u64, count: u16) -> [u8; 64] {
        let mut header = [0; 64];
        let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &self.elf_type.to_le_bytes());
        put(18, &self.machine.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(40, &section_table.to_le_bytes());
        put(48, &self.flags.to_le_bytes());
        put(52, &64_u16.to_le_bytes());
        put(58, &64_u16.to_le_bytes());
        put(60, &count.to_le_bytes());
        put(62, &(count - 1).to_le_bytes());
        header
    }

    /// Tables that say nothing about any of the code.
    fn empty_unwind(&self) -> Vec<u8> {
        let words = [0, 1, 0, self.text.len() as u32, 0, NO_FRAME, NO_LANDING_PAD];
        words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
    }
}

fn section_header(name: u32, kind: u32, offset: u64, len: u64) -> [u8; 64] {
    let mut header = [0; 64];
    header[..4].copy_from_slice(&name.to_le_bytes());
    header[4..8].copy_from_slice(&kind.to_le_bytes());
    header[24..32].copy_from_slice(&offset.to_le_bytes());
    header[32..40].copy_from_slice(&len.to_le_bytes());
    header
}
