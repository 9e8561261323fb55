//! Gives each section and each stub its place in the image.
//!
//! Sections of a role are laid end to end, partition by partition, in the order of their objects, each at the
//! alignment it asks for; code at [`FUNC_ALIGN_BYTES`] at least. Stubs follow the code. The image's regions lie one
//! after another on pages of their own. Gaps in code are filled with breakpoint instructions.

use super::input::{Input, Role, SymbolPlace};
use super::symbols::{Symbols, Target};
use super::{CodeSymbol, FrameSections, LinkedCode, ObjectError, SymbolKind, rodata_address};
use dolmen_abi::artifact::PAGE_BYTES;
use dolmen_abi::builtin::LIBCALLS;

/// Least alignment of a piece of code, in bytes.
const FUNC_ALIGN_BYTES: u64 = 16;

/// Address of the libcall table: the page before the file.
const LIBCALL_TABLE_ADDRESS: i64 = -(PAGE_BYTES as i64);

/// Size of an entry of the libcall table, in bytes.
const LIBCALL_SLOT_BYTES: i64 = 8;

/// `jmp [rip + distance]`, without the distance.
const JUMP_INDIRECT: [u8; 2] = [0xff, 0x25];

/// Size of a stub: the jump and its 32-bit distance.
const STUB_BYTES: usize = JUMP_INDIRECT.len() + 4;

/// `int3`.
const CODE_FILLER: u8 = 0xcc;

/// The image while it is being made.
pub(super) struct Layout {
    regions: [Region; Role::COUNT],
    /// By partition, then by section index.
    places: Vec<Vec<Option<Place>>>,
    /// Libcall and offset in the code of each stub, ascending by libcall.
    stubs: Vec<(usize, usize)>,
    frame_pieces: Vec<std::ops::Range<usize>>,
    except_table_relocated: Vec<usize>,
}

/// All sections of one role.
#[derive(Clone, Debug, Default)]
struct Region {
    address: u64,
    bytes: Vec<u8>,
}

/// Where a section lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub role: Role,
    /// From the start of the role's region.
    pub offset: usize,
}

impl Role {
    const COUNT: usize = 4;
}

impl Layout {
    /// Places the sections of all partitions and stubs for these libcalls. Relocations are still to be applied.
    pub(super) fn new(inputs: &[Input<'_>], libcalls: &[usize]) -> Result<Self, ObjectError> {
        let mut layout = Self {
            regions: Default::default(),
            places: Vec::with_capacity(inputs.len()),
            stubs: Vec::with_capacity(libcalls.len()),
            frame_pieces: Vec::new(),
            except_table_relocated: Vec::new(),
        };
        for (partition, input) in inputs.iter().enumerate() {
            layout.place_partition(partition, input)?;
        }
        layout.append_stubs(libcalls);
        layout.assign_addresses()?;
        layout.fill_stubs();
        Ok(layout)
    }

    /// Where a section lies, if it has a part in the image.
    pub(super) fn place(&self, partition: usize, section: usize) -> Option<Place> {
        *self.places.get(partition)?.get(section)?
    }

    /// Address of an offset in a place.
    pub(super) fn address(&self, place: Place, offset: u64) -> i64 {
        (self.regions[place.role as usize].address + place.offset as u64).wrapping_add(offset).cast_signed()
    }

    /// The bytes of the section of that length in this place.
    pub(super) fn bytes_mut(&mut self, place: Place, len: usize) -> &mut [u8] {
        &mut self.regions[place.role as usize].bytes[place.offset..][..len]
    }

    /// Address of the stub of a libcall.
    pub(super) fn stub_address(&self, libcall: usize) -> Option<i64> {
        let stub = self.stubs.binary_search_by_key(&libcall, |s| s.0).ok()?;
        let text = &self.regions[Role::Text as usize];
        Some((text.address + self.stubs[stub].1 as u64).cast_signed())
    }

    /// Address of the entry of a libcall in the libcall table.
    pub(super) fn libcall_slot_address(libcall: usize) -> i64 {
        LIBCALL_TABLE_ADDRESS + LIBCALL_SLOT_BYTES * libcall as i64
    }

    /// Notes that a relocation applies here in the language-specific data.
    pub(super) fn note_except_table_relocation(&mut self, place: Place, offset: u64) {
        self.except_table_relocated.push(place.offset.saturating_add(offset as usize));
    }

    /// The finished image.
    pub(super) fn into_code(mut self, inputs: &[Input<'_>], symbols: &Symbols<'_>) -> LinkedCode {
        let symbols = self.code_symbols(inputs, symbols.libcalls());
        self.except_table_relocated.sort_unstable();
        let [text, rodata, eh_frame, except_table] = self.regions;
        LinkedCode {
            text: text.bytes,
            rodata: rodata.bytes,
            symbols,
            frames: FrameSections {
                eh_frame: eh_frame.bytes,
                eh_frame_address: eh_frame.address,
                eh_frame_pieces: self.frame_pieces,
                except_table: except_table.bytes,
                except_table_address: except_table.address,
                except_table_relocated: self.except_table_relocated,
            },
        }
    }

    fn place_partition(&mut self, partition: usize, input: &Input<'_>) -> Result<(), ObjectError> {
        let mut places = vec![None; input.sections.len()];
        for (index, section) in input.placed_sections() {
            if !section.align.is_power_of_two() || section.align > PAGE_BYTES {
                return Err(ObjectError::UnsupportedSection { partition, section: section.name.to_owned() });
            }
            let (align, filler) = match section.role {
                Role::Text => (section.align.max(FUNC_ALIGN_BYTES), CODE_FILLER),
                _ => (section.align, 0),
            };
            let bytes = &mut self.regions[section.role as usize].bytes;
            bytes.resize(bytes.len().next_multiple_of(align as usize), filler);
            let offset = bytes.len();
            bytes.extend_from_slice(section.data);
            if section.role == Role::EhFrame {
                self.frame_pieces.push(offset..bytes.len());
            }
            places[index] = Some(Place { role: section.role, offset });
        }
        self.places.push(places);
        Ok(())
    }

    fn append_stubs(&mut self, libcalls: &[usize]) {
        let text = &mut self.regions[Role::Text as usize].bytes;
        for &libcall in libcalls {
            text.resize(text.len().next_multiple_of(FUNC_ALIGN_BYTES as usize), CODE_FILLER);
            self.stubs.push((libcall, text.len()));
            text.resize(text.len() + STUB_BYTES, CODE_FILLER);
        }
    }

    fn assign_addresses(&mut self) -> Result<(), ObjectError> {
        let [text, rest @ ..] = &mut self.regions;
        text.address = PAGE_BYTES;
        let mut end = rodata_address(text.bytes.len());
        for region in rest {
            region.address = end;
            end = (end + region.bytes.len() as u64).next_multiple_of(PAGE_BYTES);
        }
        // From the libcall table to the end, everything must reach everything else by a signed 32-bit distance.
        if end + PAGE_BYTES > i32::MAX as u64 {
            return Err(ObjectError::TooLarge { bytes: end });
        }
        Ok(())
    }

    fn fill_stubs(&mut self) {
        let text = &mut self.regions[Role::Text as usize];
        for &(libcall, offset) in &self.stubs {
            let next = text.address as i64 + (offset + STUB_BYTES) as i64;
            let distance = (Self::libcall_slot_address(libcall) - next) as i32;
            let stub = &mut text.bytes[offset..offset + STUB_BYTES];
            stub[..JUMP_INDIRECT.len()].copy_from_slice(&JUMP_INDIRECT);
            stub[JUMP_INDIRECT.len()..].copy_from_slice(&distance.to_le_bytes());
        }
    }

    fn code_symbols(&self, inputs: &[Input<'_>], libcalls: &[usize]) -> Vec<CodeSymbol> {
        let mut symbols = Vec::new();
        for (partition, input) in inputs.iter().enumerate() {
            for symbol in input.symbols.iter().filter(|s| s.is_func) {
                let SymbolPlace::Section(section, offset) = symbol.place else { continue };
                let Some(place @ Place { role: Role::Text, .. }) = self.place(partition, section) else { continue };
                symbols.push(CodeSymbol {
                    name: symbol.name.to_string(),
                    offset: (place.offset as u64).saturating_add(offset).try_into().unwrap_or(u32::MAX),
                    size_bytes: symbol.size_bytes.try_into().unwrap_or(u32::MAX),
                    kind: if symbol.is_local { SymbolKind::LocalFunc } else { SymbolKind::GlobalFunc },
                });
            }
        }
        debug_assert_eq!(libcalls.len(), self.stubs.len());
        symbols.extend(self.stubs.iter().map(|&(libcall, offset)| CodeSymbol {
            name: format!("libcall[{}]", LIBCALLS[libcall]),
            offset: offset as u32,
            size_bytes: STUB_BYTES as u32,
            kind: SymbolKind::Stub,
        }));
        symbols.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
        symbols
    }
}

impl Target {
    /// The address that the symbol's name stands for, or `None` if what it means is not part of the image.
    pub(super) fn address(self, layout: &Layout) -> Option<i64> {
        match self {
            Self::Section { partition, section, offset } => {
                Some(layout.address(layout.place(partition, section)?, offset))
            }
            Self::Libcall(libcall) => layout.stub_address(libcall),
            Self::Value(_) => None,
        }
    }
}
