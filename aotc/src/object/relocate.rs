//! Patches every reference between sections with its final distance.
//!
//! With `S` the address of the symbol, `A` the addend, `P` the address of the field:
//!
//! | type | field | value |
//! |---|---|---|
//! | `PC32`, `PLT32` | 32 bits, signed | `S + A - P` |
//! | `PC64` | 64 bits | `S + A - P` |
//! | `GOTPCREL`, `GOTPCRELX`, `REX_GOTPCRELX` | 32 bits, signed | as above, `S` the symbol's libcall table entry; libcalls only |
//!
//! | `32`, `32S`, `64` | 32 or 64 bits | `S + A` of a symbol that is a number |
//!
//! Anything else needs the address at which the image is loaded, or a table that it does not have. So an absolute
//! relocation, also in `.data.rel.ro`, is an error.
//!
//! In `.eh_frame`, references to the personality routine are cleared; language-specific data is left as it is (its
//! relocations are those of type descriptors, which wasm exceptions do not have), but the places are noted.

use super::input::{Input, InputRelocation, InputSection, Role};
use super::layout::{Layout, Place};
use super::symbols::{Symbols, Target};
use super::{ObjectError, RelocationPlace};
use ::object::elf::{
    R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_GOTPCREL, R_X86_64_GOTPCRELX, R_X86_64_NONE, R_X86_64_PC32,
    R_X86_64_PC64, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX, RelocationType,
};

/// What a type of relocation asks for.
struct Field {
    bytes: usize,
    /// Whether the value is the distance to a table entry that holds the symbol's address.
    indirect: bool,
}

/// A relocation and where it stands.
struct Site<'a, 'data> {
    partition: usize,
    input: &'a Input<'data>,
    section: &'a InputSection<'data>,
    relocation: &'a InputRelocation,
    place: Place,
}

/// Applies the relocations of all sections in the image.
pub(super) fn apply(inputs: &[Input<'_>], symbols: &Symbols<'_>, layout: &mut Layout) -> Result<(), ObjectError> {
    for (partition, input) in inputs.iter().enumerate() {
        for (index, section) in input.placed_sections() {
            let Some(place) = layout.place(partition, index) else { continue };
            for relocation in section.relocations.iter().filter(|r| r.kind != R_X86_64_NONE) {
                let site = Site { partition, input, section, relocation, place };
                match section.role {
                    Role::Text | Role::Rodata => site.apply_to_image(symbols, layout)?,
                    Role::EhFrame => site.apply_to_frames(symbols, layout)?,
                    Role::ExceptTable => layout.note_except_table_relocation(place, relocation.offset),
                }
            }
        }
    }
    Ok(())
}

impl Site<'_, '_> {
    fn apply_to_image(&self, symbols: &Symbols<'_>, layout: &mut Layout) -> Result<(), ObjectError> {
        let target = symbols.target(self.partition, self.input, self.relocation.symbol)?;
        if let Target::Value(value) = target {
            return self.write_value(value, layout);
        }
        let field = self.field()?;
        let in_image = match target {
            Target::Section { partition, section, .. } => {
                layout.place(partition, section).is_some_and(|p| matches!(p.role, Role::Text | Role::Rodata))
            }
            Target::Libcall(_) | Target::Value(_) => true,
        };
        let symbol = match target {
            _ if !in_image => None,
            Target::Libcall(libcall) if field.indirect => Some(Layout::libcall_slot_address(libcall)),
            _ if field.indirect => return Err(self.unsupported()),
            direct => direct.address(layout),
        };
        let symbol = symbol.ok_or_else(|| ObjectError::TargetOutsideImage { place: self.describe() })?;
        self.write(field.bytes, self.distance(symbol, layout), layout)
    }

    fn write_value(&self, value: u32, layout: &mut Layout) -> Result<(), ObjectError> {
        let bytes = match self.relocation.kind {
            R_X86_64_32 | R_X86_64_32S => 4,
            R_X86_64_64 => 8,
            _ => return Err(self.unsupported()),
        };
        self.write(bytes, self.relocation.addend.wrapping_add(value.into()), layout)
    }

    fn apply_to_frames(&self, symbols: &Symbols<'_>, layout: &mut Layout) -> Result<(), ObjectError> {
        let field = self.field()?;
        let target = symbols.target(self.partition, self.input, self.relocation.symbol).ok();
        let place = match target {
            Some(Target::Section { partition, section, offset }) => layout.place(partition, section).zip(Some(offset)),
            _ => None,
        };
        let value = match place {
            Some((place, offset)) if matches!(place.role, Role::Text | Role::ExceptTable) => {
                self.distance(layout.address(place, offset), layout)
            }
            _ => 0,
        };
        self.write(field.bytes, value, layout)
    }

    fn field(&self) -> Result<Field, ObjectError> {
        match self.relocation.kind {
            R_X86_64_PC32 | R_X86_64_PLT32 => Ok(Field { bytes: 4, indirect: false }),
            R_X86_64_PC64 => Ok(Field { bytes: 8, indirect: false }),
            R_X86_64_GOTPCREL | R_X86_64_GOTPCRELX | R_X86_64_REX_GOTPCRELX => Ok(Field { bytes: 4, indirect: true }),
            _ => Err(self.unsupported()),
        }
    }

    fn distance(&self, symbol: i64, layout: &Layout) -> i64 {
        let field = layout.address(self.place, self.relocation.offset);
        symbol.wrapping_add(self.relocation.addend).wrapping_sub(field)
    }

    fn write(&self, bytes: usize, distance: i64, layout: &mut Layout) -> Result<(), ObjectError> {
        let overflow = || ObjectError::DistanceOverflow { distance, place: self.describe() };
        if bytes == 4 && i32::try_from(distance).is_err() {
            return Err(overflow());
        }
        let outside = || ObjectError::PlaceOutsideSection { place: self.describe() };
        let start = usize::try_from(self.relocation.offset).ok().filter(|s| *s <= self.section.data.len());
        let start = start.ok_or_else(outside)?;
        let section = layout.bytes_mut(self.place, self.section.data.len());
        let field = section[start..].get_mut(..bytes).ok_or_else(outside)?;
        field.copy_from_slice(&distance.to_le_bytes()[..bytes]);
        Ok(())
    }

    fn unsupported(&self) -> ObjectError {
        let RelocationType(kind) = self.relocation.kind;
        ObjectError::UnsupportedRelocation { kind, place: self.describe() }
    }

    fn describe(&self) -> RelocationPlace {
        RelocationPlace {
            partition: self.partition,
            section: self.section.name.to_owned(),
            offset: self.relocation.offset,
            symbol: self.input.symbol(self.relocation.symbol).name.to_string(),
        }
    }
}
