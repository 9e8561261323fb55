//! The memory of a loaded artifact.
//!
//! Compiled code finds its constants, and the table through which it calls C library functions, at fixed
//! distances: so the whole file is mapped as it is, with one page in front of it for that table.
//!
//! ```text
//! libcall table, read-only | ELF header, r | .text, r+x | .rodata and the rest, r
//! ```
//!
//! Pages of a file are shared with other processes and read from disk when they are first used. No page is ever
//! writable and executable. The file must not be changed while it is mapped; replacing it by another file of
//! the same name does no harm.

use crate::os::{Mapping, PAGE_BYTES, Protection};
use crate::trap::StoreCode;
use crate::unwind::{UnwindError, UnwindTables};
use dolmen_abi::builtin::LIBCALLS;
use std::ffi::{c_double, c_float, c_int, c_void};
use std::fs::File;
use std::io;
use std::ops::Range;

/// A mapped artifact.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    mapping: Mapping,
    file_bytes: usize,
    /// In the file; empty until it is sealed.
    text: Range<usize>,
}

/// The unwind tables of a mapped artifact, which keep nothing alive by themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MappedTables(UnwindTables<'static>);

impl CodeMemory {
    /// Copies an artifact into memory of its own.
    ///
    /// # Errors
    ///
    /// If the system has no memory for it.
    pub(crate) fn from_bytes(file: &[u8]) -> io::Result<Self> {
        let mut memory = Self::reserve(file.len())?;
        memory.mapping.protect(PAGE_BYTES, file.len(), Protection::ReadWrite)?;
        let start = memory.mapping.base().as_ptr().wrapping_add(PAGE_BYTES);
        // SAFETY: that many bytes behind the first page are ours and were just made writable.
        unsafe { start.copy_from_nonoverlapping(file.as_ptr(), file.len()) };
        memory.mapping.protect(PAGE_BYTES, file.len(), Protection::Read)?;
        Ok(memory)
    }

    /// Maps an artifact.
    ///
    /// # Errors
    ///
    /// If the file cannot be mapped.
    pub(crate) fn from_file(file: &File) -> io::Result<Self> {
        let file_bytes = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut memory = Self::reserve(file_bytes)?;
        if file_bytes > 0 {
            memory.mapping.map_file(PAGE_BYTES, file, file_bytes)?;
        }
        Ok(memory)
    }

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        let start = self.mapping.base().as_ptr().wrapping_add(PAGE_BYTES);
        // SAFETY: the constructors made that many bytes readable, and nobody writes to them.
        unsafe { std::slice::from_raw_parts(start, self.file_bytes) }
    }

    /// Makes `.text` executable, which must start on a page and share its last one with nothing else.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(crate) fn seal(&mut self, text: Range<usize>) -> io::Result<()> {
        self.mapping.protect(PAGE_BYTES + text.start, text.len(), Protection::ReadExecute)?;
        self.text = text;
        Ok(())
    }

    /// Address of the code section.
    pub(crate) fn text_address(&self) -> u64 {
        self.mapping.base().as_ptr() as u64 + (PAGE_BYTES + self.text.start) as u64
    }

    /// Address of a byte of the file.
    pub(crate) fn address(&self, offset: usize) -> u64 {
        self.mapping.base().as_ptr() as u64 + (PAGE_BYTES + offset) as u64
    }

    /// Reads the unwind tables.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn unwind_tables(&self, section: Range<usize>) -> Result<MappedTables, UnwindError> {
        let start: *const u8 = self.bytes()[section.clone()].as_ptr();
        // SAFETY: the section is part of the mapping, which the tables' user keeps (see `register`).
        let section = unsafe { std::slice::from_raw_parts(start, section.len()) };
        UnwindTables::parse(section, self.text.len() as u64).map(MappedTables)
    }

    /// Makes the code known to the unwinder of a store.
    ///
    /// `module` owns this memory, and the store's code map keeps it.
    pub(crate) fn register(&self, tables: MappedTables, module: crate::Module, code: &mut StoreCode) {
        let start = self.text_address();
        // SAFETY: code and tables are unchanged as long as this memory exists, and the map keeps its owner.
        unsafe { code.insert(start..start + self.text.len() as u64, tables.0, module) };
    }

    /// Reserves address space for a file and the table in front of it, and makes the table.
    fn reserve(file_bytes: usize) -> io::Result<Self> {
        let len = file_bytes.checked_add(PAGE_BYTES).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut mapping = Mapping::reserve(len, Protection::None)?;
        mapping.protect(0, PAGE_BYTES, Protection::ReadWrite)?;
        let table = mapping.base().as_ptr().cast::<u64>();
        for (index, name) in LIBCALLS.iter().enumerate() {
            let address = libcall(name).map_or(0, |function| function as u64);
            // SAFETY: the table fits the page (asserted below), which was just made writable.
            unsafe { table.add(index).write(address) };
        }
        mapping.protect(0, PAGE_BYTES, Protection::Read)?;
        Ok(Self { mapping, file_bytes, text: 0..0 })
    }
}

const _: () = assert!(LIBCALLS.len() * size_of::<u64>() <= PAGE_BYTES);

unsafe extern "C" {
    fn memcpy(dst: *mut c_void, src: *const c_void, len: usize) -> *mut c_void;
    fn memmove(dst: *mut c_void, src: *const c_void, len: usize) -> *mut c_void;
    fn memset(dst: *mut c_void, byte: c_int, len: usize) -> *mut c_void;
    fn memcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int;
    fn bcmp(a: *const c_void, b: *const c_void, len: usize) -> c_int;
    fn ceil(x: c_double) -> c_double;
    fn ceilf(x: c_float) -> c_float;
    fn floor(x: c_double) -> c_double;
    fn floorf(x: c_float) -> c_float;
    fn trunc(x: c_double) -> c_double;
    fn truncf(x: c_float) -> c_float;
    fn rint(x: c_double) -> c_double;
    fn rintf(x: c_float) -> c_float;
    fn nearbyint(x: c_double) -> c_double;
    fn nearbyintf(x: c_float) -> c_float;
    fn roundeven(x: c_double) -> c_double;
    fn roundevenf(x: c_float) -> c_float;
    fn fma(x: c_double, y: c_double, z: c_double) -> c_double;
    fn fmaf(x: c_float, y: c_float, z: c_float) -> c_float;
}

/// A C library function of the table.
fn libcall(name: &str) -> Option<*const c_void> {
    Some(match name {
        "memcpy" => memcpy as *const c_void,
        "memmove" => memmove as *const c_void,
        "memset" => memset as *const c_void,
        "memcmp" => memcmp as *const c_void,
        "bcmp" => bcmp as *const c_void,
        "ceil" => ceil as *const c_void,
        "ceilf" => ceilf as *const c_void,
        "floor" => floor as *const c_void,
        "floorf" => floorf as *const c_void,
        "trunc" => trunc as *const c_void,
        "truncf" => truncf as *const c_void,
        "rint" => rint as *const c_void,
        "rintf" => rintf as *const c_void,
        "nearbyint" => nearbyint as *const c_void,
        "nearbyintf" => nearbyintf as *const c_void,
        "roundeven" => roundeven as *const c_void,
        "roundevenf" => roundevenf as *const c_void,
        "fma" => fma as *const c_void,
        "fmaf" => fmaf as *const c_void,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_libcall_has_an_address() {
        assert!(LIBCALLS.iter().all(|name| libcall(name).is_some()));
    }

    #[test]
    fn bytes_are_kept_and_code_runs() {
        let mut file = vec![0xcc; PAGE_BYTES + 100];
        // mov eax, 42; ret
        file[PAGE_BYTES..PAGE_BYTES + 6].copy_from_slice(&[0xb8, 42, 0, 0, 0, 0xc3]);
        let mut memory = CodeMemory::from_bytes(&file).unwrap();
        assert_eq!(memory.bytes(), file);
        memory.seal(PAGE_BYTES..PAGE_BYTES + 100).unwrap();
        let code = memory.text_address() as *const ();
        // SAFETY: the bytes at that address are a C function without parameters, and executable.
        let code = unsafe { std::mem::transmute::<*const (), extern "C" fn() -> i32>(code) };
        assert_eq!(code(), 42);
        assert_eq!(memory.bytes(), file);
    }
}
