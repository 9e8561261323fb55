//! `args_*` and `environ_*`: lists of strings, written into the guest's memory as an array of pointers and the
//! zero-terminated strings themselves.

use super::call::{Call, Failure};
use super::errno::Errno;
use super::guest::Guest;

/// `args_sizes_get(count: *u32, bytes: *u32)`.
pub fn args_sizes_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (count_addr, bytes_addr) = (call.u32(0), call.u32(1));
    write_sizes(&mut call.memory, &call.ctx.args, count_addr, bytes_addr)
}

/// `args_get(argv: **u8, buffer: *u8)`.
pub fn args_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (pointers, strings) = (call.u32(0), call.u32(1));
    write_strings(&mut call.memory, &call.ctx.args, pointers, strings)
}

/// `environ_sizes_get(count: *u32, bytes: *u32)`.
pub fn environ_sizes_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (count_addr, bytes_addr) = (call.u32(0), call.u32(1));
    write_sizes(&mut call.memory, &call.ctx.env, count_addr, bytes_addr)
}

/// `environ_get(environ: **u8, buffer: *u8)`.
pub fn environ_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let (pointers, strings) = (call.u32(0), call.u32(1));
    write_strings(&mut call.memory, &call.ctx.env, pointers, strings)
}

fn write_sizes(memory: &mut Guest<'_>, strings: &[Vec<u8>], count_addr: u32, bytes_addr: u32) -> Result<(), Failure> {
    let bytes: usize = strings.iter().map(|string| string.len() + 1).sum();
    memory.write_u32(count_addr, u32::try_from(strings.len()).map_err(|_| Errno::Overflow)?)?;
    memory.write_u32(bytes_addr, u32::try_from(bytes).map_err(|_| Errno::Overflow)?)?;
    Ok(())
}

fn write_strings(
    memory: &mut Guest<'_>,
    strings: &[Vec<u8>],
    mut pointer_addr: u32,
    mut string_addr: u32,
) -> Result<(), Failure> {
    for string in strings {
        memory.write_u32(pointer_addr, string_addr)?;
        memory.write(string_addr, string)?;
        let end = string_addr.checked_add(string.len() as u32).ok_or(Errno::Fault)?;
        memory.write(end, &[0])?;
        string_addr = end.checked_add(1).ok_or(Errno::Fault)?;
        pointer_addr = pointer_addr.checked_add(4).ok_or(Errno::Fault)?;
    }
    Ok(())
}
