//! Branch hints: which way branches mostly go, as producers know from profiles or their source.
//!
//! They are in the custom section `metadata.code.branch_hint`. Custom sections never make a module invalid, so one that
//! is malformed, out of order or about things that are not there is no hint at all.

use std::collections::HashMap;
use wasmparser::BranchHintSectionReader;

/// For each function the offsets of `if` and `br_if` from the start of the body and whether the condition mostly holds;
/// ascending.
#[derive(Debug, Default)]
pub(crate) struct BranchHints(HashMap<u32, Vec<(u32, bool)>>);

impl BranchHints {
    /// Reads the section; nothing if any part of it is malformed.
    pub(crate) fn read(reader: BranchHintSectionReader<'_>) -> Self {
        Self::try_read(reader).unwrap_or_default()
    }

    fn try_read(reader: BranchHintSectionReader<'_>) -> Option<Self> {
        let mut functions = HashMap::new();
        for function in reader {
            let function = function.ok()?;
            let hints: Vec<(u32, bool)> = function
                .hints
                .into_iter()
                .map(|hint| hint.ok().map(|h| (h.func_offset, h.taken)))
                .collect::<Option<_>>()?;
            let ascending = hints.is_sorted_by(|a, b| a.0 < b.0);
            if !ascending || functions.insert(function.func, hints).is_some() {
                return None;
            }
        }
        Some(Self(functions))
    }

    /// Whether the condition of the branch at this offset in a function's body mostly holds, if there is a hint.
    pub(crate) fn get(&self, func: u32, offset: u64) -> Option<bool> {
        let hints = self.0.get(&func)?;
        let place = hints.binary_search_by_key(&offset, |&(offset, _)| offset.into()).ok()?;
        Some(hints[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::BinaryReader;

    fn read(bytes: &[u8]) -> BranchHints {
        BranchHintSectionReader::new(BinaryReader::new(bytes, 0)).map(BranchHints::read).unwrap_or_default()
    }

    #[test]
    fn hints_are_found_by_function_and_offset() {
        let hints = read(&[2, 3, 2, 5, 1, 1, 9, 1, 0, 7, 1, 5, 1, 0]);
        assert_eq!((hints.get(3, 5), hints.get(3, 9), hints.get(7, 5)), (Some(true), Some(false), Some(false)));
        assert_eq!((hints.get(3, 6), hints.get(4, 5)), (None, None));
    }

    #[test]
    fn malformed_sections_have_no_hints() {
        for bytes in
            [&[1, 3, 1, 5, 1, 2][..], &[1, 3, 2, 5, 1, 1], &[1, 3, 2, 5, 1, 1, 5, 1, 1], &[2, 3, 1, 5, 1, 1, 3, 0]]
        {
            assert_eq!(read(bytes).get(3, 5), None, "{bytes:?}");
        }
    }
}
