//! Reads call-site tables: which calls of a function unwind to which landing pad.
//!
//! The language-specific data of a function (Itanium C++ ABI, as LLVM writes it for all languages):
//!
//! ```text
//! u8       encoding of the landing pads' base     always omitted: the base is the function's start
//! u8       encoding of type descriptors           what follows the call sites is not read: a landing pad is
//! uleb128  distance to their end, unless omitted  entered whatever its action says, and decides for itself
//! u8       encoding of call sites                 uleb128 or 4 bytes
//! uleb128  size of call sites in bytes
//! call sites, ascending: start, length, landing pad or 0; uleb128 action
//! ```

use super::UnwindError;
use crate::object::FrameSections;
use gimli::constants::{DW_EH_PE_omit as OMIT, DW_EH_PE_udata4 as UDATA4, DW_EH_PE_uleb128 as ULEB128};
use gimli::{DwEhPe, EndianSlice, LittleEndian, Reader};
use std::ops::Range;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A range of code whose calls unwind alike. Offsets are into the code section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallSite {
    pub start: u32,
    pub end: u32,
    /// `None` if exceptions pass by.
    pub landing_pad: Option<u32>,
}

/// The call sites of the function `func` whose language-specific data is at this address, ascending, disjoint.
pub(super) fn call_sites(frames: &FrameSections, address: u64, func: Range<u32>) -> Result<Vec<CallSite>, UnwindError> {
    let unsupported = |reason| UnwindError::UnsupportedCallSites { func: func.start, reason };
    let offset = address.checked_sub(frames.except_table_address).and_then(|o| usize::try_from(o).ok());
    let offset = offset.filter(|o| *o <= frames.except_table.len()).ok_or_else(|| unsupported("it is missing"))?;
    let mut data = Slice::new(&frames.except_table[offset..], LittleEndian);
    if DwEhPe(data.read_u8()?) != OMIT {
        return Err(unsupported("landing pads have a base of their own"));
    }
    if DwEhPe(data.read_u8()?) != OMIT {
        data.read_uleb128()?;
    }
    let encoding = DwEhPe(data.read_u8()?);
    let table_bytes = usize::try_from(data.read_uleb128()?).map_err(|_| unsupported("it is too long"))?;
    let mut table = data.split(table_bytes)?;
    let table_end = frames.except_table.len() - data.len();
    if frames.except_table_relocated.iter().any(|r| (offset..table_end).contains(r)) {
        return Err(unsupported("it has relocations"));
    }
    let mut sites: Vec<CallSite> = Vec::new();
    while !table.is_empty() {
        let site = call_site(&mut table, encoding, &func)?.ok_or_else(|| unsupported("unknown encoding"))?;
        let earliest = sites.last().map_or(func.start, |s| s.end);
        if site.start < earliest || site.end > func.end || site.landing_pad.is_some_and(|l| !func.contains(&l)) {
            return Err(unsupported("call sites overlap or leave the function"));
        }
        sites.push(site);
    }
    Ok(sites)
}

/// Reads one entry; `None` if the encoding is unknown.
fn call_site(table: &mut Slice<'_>, encoding: DwEhPe, func: &Range<u32>) -> Result<Option<CallSite>, UnwindError> {
    let mut values = [0; 3];
    for value in &mut values {
        *value = match encoding {
            ULEB128 => table.read_uleb128()?,
            UDATA4 => u64::from(table.read_u32()?),
            _ => return Ok(None),
        };
    }
    table.read_uleb128()?;
    // Saturated offsets lie outside any function.
    let at = |offset: u64| u32::try_from(offset.saturating_add(u64::from(func.start))).unwrap_or(u32::MAX);
    let [start, len, landing_pad] = values;
    Ok(Some(CallSite {
        start: at(start),
        end: at(start.saturating_add(len)),
        landing_pad: (landing_pad != 0).then(|| at(landing_pad)),
    }))
}
