//! Reads an artifact back by nothing but the documentation of its format.

use dolmen_abi::artifact::{DATA_SECTION, HEADER_SECTION};
use dolmen_abi::artifact::{
    FORMAT_VERSION, FrameDesc, HASH_BYTES, Header, META_SECTION, NAMES_SECTION, NO_FRAME, PAGE_BYTES, RODATA_SECTION,
    SAVED_REGISTERS, TEXT_SECTION, UNWIND_SECTION, UnwindHeader, UnwindRange,
};
use dolmen_abi::meta::{ModuleMeta, Names};
use object::read::elf::ElfFile64;
use object::{Endianness, FileFlags, Object, ObjectKind, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;

/// Everything in an artifact.
#[derive(Debug)]
pub struct Artifact {
    pub text: Vec<u8>,
    pub header: Header,
    pub meta: ModuleMeta,
    pub names: Names,
    pub data: Vec<u8>,
    pub unwind: Unwind,
    /// File offset of the unwind section.
    pub unwind_offset: u64,
    /// Offset in the code of each symbol.
    pub symbols: BTreeMap<String, u64>,
}

/// The unwind section.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unwind {
    pub funcs: Vec<(u32, u32)>,
    pub ranges: Vec<(u32, UnwindRange)>,
    pub frames: Vec<FrameDesc>,
    pub text_bytes: u32,
}

/// Reads an artifact, checking what any artifact must be.
pub fn read(file: &[u8]) -> Artifact {
    let (content, hash) = file.split_at(file.len() - HASH_BYTES);
    assert_eq!(blake3::hash(content).as_bytes(), hash);
    let elf = ElfFile64::<Endianness>::parse(file).expect("ELF");
    assert_eq!(elf.kind(), ObjectKind::Relocatable);
    let FileFlags::Elf { e_flags, .. } = elf.flags() else { panic!("no ELF flags") };
    assert_eq!(e_flags.0, FORMAT_VERSION);
    let section = |name| {
        let section = elf.section_by_name(name).unwrap_or_else(|| panic!("no section {name}"));
        let (offset, _) = section.file_range().expect("has bytes in the file");
        let align = if [TEXT_SECTION, RODATA_SECTION].contains(&name) { PAGE_BYTES } else { 8 };
        assert_eq!(offset % align, 0, "{name}");
        assert_eq!(section.relocations().count(), 0, "{name}");
        (offset, section.data().expect("lies in the file").to_vec())
    };
    let (text_offset, text) = section(TEXT_SECTION);
    assert_eq!(text_offset, PAGE_BYTES);
    let (rodata_offset, rodata) = section(RODATA_SECTION);
    assert_eq!(rodata_offset, (PAGE_BYTES + text.len() as u64).next_multiple_of(PAGE_BYTES));
    let (header_offset, header) = section(HEADER_SECTION);
    assert!(header_offset >= (rodata_offset + rodata.len() as u64).next_multiple_of(PAGE_BYTES));
    let (unwind_offset, unwind) = section(UNWIND_SECTION);
    let unwind = read_unwind(&unwind);
    assert_eq!(unwind.text_bytes as usize, text.len());
    let symbols = elf.symbols().filter(|s| s.section_index().is_some());
    Artifact {
        text,
        header: postcard::from_bytes(&header).expect("header"),
        meta: postcard::from_bytes(&section(META_SECTION).1).expect("meta"),
        names: postcard::from_bytes(&section(NAMES_SECTION).1).expect("names"),
        data: section(DATA_SECTION).1,
        unwind,
        unwind_offset,
        symbols: symbols.map(|s| (s.name().expect("UTF-8").to_owned(), s.address())).collect(),
    }
}

/// Reads an unwind section, checking that it is in order.
pub fn read_unwind(section: &[u8]) -> Unwind {
    let mut words = section.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("4 bytes")));
    let mut take = |count: u32| -> Vec<u32> { (0..count).map(|_| words.next().expect("complete")).collect() };
    let header = take(4);
    let [func_count, range_count, frame_count, text_bytes] = header[..] else { unreachable!("4 words") };
    let UnwindHeader { func_count, range_count, frame_count, text_bytes } =
        UnwindHeader { func_count, range_count, frame_count, text_bytes };
    let (func_starts, func_indices) = (take(func_count), take(func_count));
    let range_starts = take(range_count);
    let ranges = (0..range_count).map(|_| take(2)).map(|w| UnwindRange { frame: w[0], landing_pad: w[1] });
    let ranges: Vec<_> = range_starts.into_iter().zip(ranges.collect::<Vec<_>>()).collect();
    let frames = (0..frame_count).map(|_| take(3 + SAVED_REGISTERS.len() as u32)).map(|w| FrameDesc {
        cfa_offset: w[0].cast_signed(),
        cfa_base: w[1],
        landing_pad_pop: w[2],
        saved_below_cfa: w[3..].try_into().expect("one word per register"),
    });
    let frames: Vec<_> = frames.collect();
    assert_eq!(words.next(), None);
    assert!(func_starts.is_sorted_by(|a, b| a < b));
    assert!(ranges.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
    assert!(ranges.iter().all(|(_, r)| r.frame == NO_FRAME || r.frame < frame_count));
    let funcs = func_starts.into_iter().zip(func_indices).collect();
    Unwind { funcs, ranges, frames, text_bytes }
}
