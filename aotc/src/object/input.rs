//! Reads one of LLVM's object files: sections by their role, symbols by what their numbers stand for, relocations.
//!
//! The object is our own compiler's output, but still only bytes here: whatever is malformed in it is an error.
//! Sections that are not loaded (debug information, notes) are left out. So is the one writable datum that LLVM
//! makes, the indirect reference to the personality routine: the unwinder has no use for it.

use super::{ObjectError, Partition, SymbolNumbers};
use ::object::elf::{self, RelocationType, SectionFlags, SectionType};
use ::object::read::elf::ElfFile64;
use ::object::read::{Object, ObjectKind, ObjectSection, ObjectSymbol, RelocationTarget};
use ::object::{Architecture, Endianness, RelocationFlags, SymbolSection};
use std::borrow::Cow;

/// A partition's object.
pub(super) struct Input<'data> {
    /// By section index; `None` where a section has no part in the image.
    pub sections: Vec<Option<InputSection<'data>>>,
    /// By symbol index.
    pub symbols: Vec<InputSymbol<'data>>,
}

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Text,
    Rodata,
    EhFrame,
    ExceptTable,
}

/// A section that has a part in the image.
pub(super) struct InputSection<'data> {
    pub name: &'data str,
    pub role: Role,
    pub align: u64,
    pub data: &'data [u8],
    pub relocations: Vec<InputRelocation>,
}

/// A relocation of a section.
pub(super) struct InputRelocation {
    /// From the start of the section.
    pub offset: u64,
    pub kind: RelocationType,
    /// Index of the symbol.
    pub symbol: usize,
    pub addend: i64,
}

/// A symbol.
pub(super) struct InputSymbol<'data> {
    /// The name in the artifact; for the symbol of a section, the section's name.
    pub name: Cow<'data, str>,
    pub place: SymbolPlace,
    pub is_func: bool,
    pub is_local: bool,
    pub size_bytes: u64,
}

/// Where a symbol is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SymbolPlace {
    Undefined,
    /// At this offset in the section with this index.
    Section(usize, u64),
    /// This number.
    Value(u32),
    /// The null symbol, names of source files, absolute and common symbols: nothing that code can refer to.
    Nowhere,
}

/// The datum through which `.eh_frame` names the personality routine, see the module's documentation.
const PERSONALITY_REFERENCE: &str = "DW.ref.";

impl<'data> Input<'data> {
    /// Reads the object of a partition.
    pub(super) fn parse(partition: usize, source: &'data Partition) -> Result<Self, ObjectError> {
        let malformed = |source| ObjectError::Malformed { partition, source };
        let file = ElfFile64::<Endianness>::parse(&*source.object).map_err(malformed)?;
        if file.architecture() != Architecture::X86_64
            || file.kind() != ObjectKind::Relocatable
            || file.endianness() != Endianness::Little
        {
            return Err(ObjectError::WrongTarget { partition });
        }
        let mut input = Self { sections: Vec::new(), symbols: Vec::new() };
        for section in file.sections() {
            let parsed = parse_section(partition, &section)?;
            put(&mut input.sections, section.index().0, parsed, || None);
        }
        for symbol in file.symbols() {
            let parsed = parse_symbol(&file, &symbol, &source.numbers).map_err(malformed)?;
            put(&mut input.symbols, symbol.index().0, parsed, InputSymbol::null);
        }
        Ok(input)
    }

    /// The symbol with this index; a null symbol if there is none.
    pub(super) fn symbol(&self, index: usize) -> &InputSymbol<'data> {
        const NULL: &InputSymbol<'static> = &InputSymbol::null();
        self.symbols.get(index).unwrap_or(NULL)
    }

    /// The section with this index, if it has a part in the image.
    pub(super) fn section(&self, index: usize) -> Option<&InputSection<'data>> {
        self.sections.get(index)?.as_ref()
    }

    /// The sections that have a part in the image, with their indices.
    pub(super) fn placed_sections(&self) -> impl Iterator<Item = (usize, &InputSection<'data>)> {
        self.sections.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_ref()?)))
    }
}

impl InputSymbol<'_> {
    const fn null() -> Self {
        Self { name: Cow::Borrowed(""), place: SymbolPlace::Nowhere, is_func: false, is_local: true, size_bytes: 0 }
    }
}

/// Puts an item at its index, with fillers before it; iteration is by ascending index.
fn put<T>(items: &mut Vec<T>, index: usize, item: T, filler: impl FnMut() -> T) {
    items.resize_with(index, filler);
    items.push(item);
}

fn parse_section<'data>(
    partition: usize,
    section: &::object::read::elf::ElfSection64<'data, '_, Endianness>,
) -> Result<Option<InputSection<'data>>, ObjectError> {
    let malformed = |source| ObjectError::Malformed { partition, source };
    let name = section.name().map_err(malformed)?;
    let unsupported = || ObjectError::UnsupportedSection { partition, section: name.to_owned() };
    let ::object::SectionFlags::Elf { sh_type, sh_flags } = section.flags() else { return Err(unsupported()) };
    let loaded = section.size() != 0 && has(sh_flags, elf::SHF_ALLOC) && sh_type != elf::SHT_NOTE;
    if !loaded || name.contains(PERSONALITY_REFERENCE) {
        return Ok(None);
    }
    let role = role_of(name, sh_type, sh_flags).ok_or_else(unsupported)?;
    let relocations = section
        .relocations()
        .map(|(offset, r)| {
            let RelocationFlags::Elf { r_type } = r.flags() else { return Err(unsupported()) };
            let symbol = match r.target() {
                RelocationTarget::Symbol(s) => s.0,
                _ => 0,
            };
            Ok(InputRelocation { offset, kind: r_type, symbol, addend: r.addend() })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let data = section.data().map_err(malformed)?;
    Ok(Some(InputSection { name, role, align: section.align().max(1), data, relocations }))
}

/// The role of a loaded section, or `None` if an image without writable or thread-local data has no place for it.
fn role_of(name: &str, sh_type: SectionType, sh_flags: SectionFlags) -> Option<Role> {
    let writable = has(sh_flags, elf::SHF_WRITE) && !name.starts_with(".data.rel.ro");
    if writable || has(sh_flags, elf::SHF_TLS) {
        return None;
    }
    if name == ".eh_frame" {
        return Some(Role::EhFrame);
    }
    if sh_type != elf::SHT_PROGBITS {
        return None;
    }
    if has(sh_flags, elf::SHF_EXECINSTR) {
        return Some(Role::Text);
    }
    let except_table = name == ".gcc_except_table" || name.starts_with(".gcc_except_table.");
    Some(if except_table { Role::ExceptTable } else { Role::Rodata })
}

fn has(flags: SectionFlags, flag: SectionFlags) -> bool {
    flags.0 & flag.0 != 0
}

fn parse_symbol<'data>(
    file: &ElfFile64<'data, Endianness>,
    symbol: &::object::read::elf::ElfSymbol64<'data, '_, Endianness>,
    numbers: &SymbolNumbers,
) -> Result<InputSymbol<'data>, ::object::Error> {
    let is_section = symbol.kind() == ::object::SymbolKind::Section;
    let name = match symbol.section_index() {
        Some(index) if is_section => file.section_by_index(index)?.name()?,
        _ => symbol.name()?,
    };
    let place = match symbol.section() {
        SymbolSection::Undefined => numbers.value(name).map_or(SymbolPlace::Undefined, SymbolPlace::Value),
        SymbolSection::Section(index) => SymbolPlace::Section(index.0, symbol.address()),
        _ => SymbolPlace::Nowhere,
    };
    Ok(InputSymbol {
        name: numbers.name(name),
        place,
        is_func: symbol.kind() == ::object::SymbolKind::Text,
        is_local: symbol.is_local(),
        size_bytes: symbol.size(),
    })
}
