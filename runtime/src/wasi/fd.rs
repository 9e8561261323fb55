//! `fd_*`: operations on open descriptors.
//!
//! Streams read, write, close and describe themselves. They have no position and no size, so what needs one
//! fails with [`Errno::SPipe`]; what needs a directory fails with [`Errno::NotDir`].

use super::call::{Call, Exit, Failure};
use super::ctx::BrokenPipe;
use super::descriptor::Descriptor;
use super::errno::Errno;
use super::guest::{Buffer, Guest};
use super::stream::{FileType, InputStream};
use super::wait::{READY_BYTES, Wait, is_ready};
use rustix::event::PollFlags;
use std::fs::File;
use std::io::{ErrorKind, IoSlice};

/// Size of WASI's `fdstat`: type (u8), flags (u16 at 2), base rights (u64 at 8), inheriting rights (u64 at 16).
const FDSTAT_BYTES: usize = 24;

/// Size of WASI's `filestat`; the type stands at [`FILESTAT_TYPE`].
const FILESTAT_BYTES: usize = 64;

/// Offset of the file type in WASI's `filestat`.
const FILESTAT_TYPE: usize = 16;

/// What is read at most into more than one buffer, in bytes.
const MAX_SCATTERED_BYTES: usize = 64 << 10;

/// `fd_read(fd, buffers: *iovec, count: u32, read: *u32)`: one read of the host, so that what is there already is
/// never held back by waiting for more.
pub fn fd_read(call: &mut Call<'_>) -> Result<(), Failure> {
    let buffers = call.memory.buffers(call.u32(1), call.u32(2))?;
    let out = call.u32(3);
    let fd = call.u32(0);
    let Descriptor::Input(stream) = call.ctx.descriptors.get_mut(fd)? else {
        return Err(Errno::NotCapable.into());
    };
    if call.is_watched && !buffers.is_empty() {
        require_ready(stream.file(), PollFlags::IN)?;
    }
    let read = match buffers.as_slice() {
        [] => 0,
        [buffer] => call.memory.fill(buffer.addr, buffer.len_bytes, |bytes| read_once(stream, bytes))?,
        buffers => read_scattered(stream, &mut call.memory, buffers)?,
    };
    call.memory.write_u32(out, u32::try_from(read).map_err(|_| Errno::Overflow)?)?;
    Ok(())
}

/// `fd_write(fd, buffers: *ciovec, count: u32, written: *u32)`: into a pipe that may be full no more than fits.
pub fn fd_write(call: &mut Call<'_>) -> Result<(), Failure> {
    let buffers = call.memory.buffers(call.u32(1), call.u32(2))?;
    let Descriptor::Output(stream) = call.ctx.descriptors.get_mut(call.u32(0))? else {
        return Err(Errno::NotCapable.into());
    };
    let mut room = call.memory.max_borrowed_bytes();
    if call.is_watched && stream.file().is_some() && stream.file_type() != FileType::RegularFile {
        require_ready(stream.file(), PollFlags::OUT)?;
        room = room.min(READY_BYTES);
    }
    let mut parts = Vec::with_capacity(buffers.len());
    for buffer in &buffers {
        let len_bytes = room.min(buffer.len_bytes as usize);
        let part = call.memory.read(buffer.addr, len_bytes as u32)?;
        room -= part.len();
        let is_whole = part.len() == buffer.len_bytes as usize;
        parts.push(part);
        if !is_whole {
            break;
        }
    }
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let written = loop {
        match stream.write(&slices) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe && call.ctx.broken_pipe == BrokenPipe::End => {
                return Err(Failure::Exit(Exit::Closed));
            }
            other => break other.map_err(Errno::from)?,
        }
    };
    let written = u32::try_from(written).map_err(|_| Errno::Overflow)?;
    drop(parts);
    call.memory.write_u32(call.u32(3), written)?;
    Ok(())
}

/// `fd_close(fd)`.
pub fn fd_close(call: &mut Call<'_>) -> Result<(), Failure> {
    Ok(call.ctx.descriptors.close(call.u32(0))?)
}

/// `fd_renumber(from, to)`.
pub fn fd_renumber(call: &mut Call<'_>) -> Result<(), Failure> {
    Ok(call.ctx.descriptors.renumber(call.u32(0), call.u32(1))?)
}

/// `fd_fdstat_get(fd, stat: *fdstat)`.
pub fn fd_fdstat_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let descriptor = call.ctx.descriptors.get(call.u32(0))?;
    let mut stat = [0; FDSTAT_BYTES];
    stat[0] = descriptor.file_type() as u8;
    stat[8..16].copy_from_slice(&descriptor.rights().to_le_bytes());
    call.memory.write(call.u32(1), &stat)?;
    Ok(())
}

/// `fd_fdstat_set_flags(fd, flags)`: streams have no flags to set; clearing all is what they are.
pub fn fd_fdstat_set_flags(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(0))?;
    if call.u32(1) == 0 { Ok(()) } else { Err(Errno::NotSup.into()) }
}

/// `fd_fdstat_set_rights(fd, base: u64, inheriting: u64)`: rights can be given up, never gained. Streams keep
/// theirs.
pub fn fd_fdstat_set_rights(call: &mut Call<'_>) -> Result<(), Failure> {
    let rights = call.ctx.descriptors.get(call.u32(0))?.rights();
    let gained = call.u64(1) & !rights | call.u64(2);
    if gained == 0 { Ok(()) } else { Err(Errno::NotCapable.into()) }
}

/// `fd_filestat_get(fd, stat: *filestat)`: a stream knows nothing but its type.
pub fn fd_filestat_get(call: &mut Call<'_>) -> Result<(), Failure> {
    let mut stat = [0; FILESTAT_BYTES];
    stat[FILESTAT_TYPE] = call.ctx.descriptors.get(call.u32(0))?.file_type() as u8;
    call.memory.write(call.u32(1), &stat)?;
    Ok(())
}

/// `fd_sync(fd)` and `fd_datasync(fd)`: nothing is buffered on this side.
pub fn fd_sync(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(0))?;
    Ok(())
}

/// Operations that need a position or a size: `fd_seek`, `fd_tell`, `fd_pread`, `fd_pwrite`, `fd_advise`,
/// `fd_allocate`, `fd_filestat_set_size`, `fd_filestat_set_times`.
pub fn needs_file(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(0))?;
    Err(Errno::SPipe.into())
}

/// Operations on a directory of the guest (the first argument): `fd_readdir` and all of `path_*` but `path_symlink`.
pub fn needs_directory(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(0))?;
    Err(Errno::NotDir.into())
}

/// `path_symlink(target: *u8, target_length: u32, directory, path: *u8, path_length: u32)`.
pub fn path_symlink(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(2))?;
    Err(Errno::NotDir.into())
}

/// `fd_prestat_get` and `fd_prestat_dir_name`: no descriptor is a directory that the embedder opened. Guests
/// count up from 3 until they see [`Errno::BadF`].
pub fn fd_prestat(_call: &mut Call<'_>) -> Result<(), Failure> {
    Err(Errno::BadF.into())
}

/// Operations on a socket (the first argument): `sock_*`.
pub fn needs_socket(call: &mut Call<'_>) -> Result<(), Failure> {
    call.ctx.descriptors.get(call.u32(0))?;
    Err(Errno::NotSock.into())
}

/// Fails unless the next operation on a file does not block; what is no file is the embedder's business.
fn require_ready(file: Option<&File>, flags: PollFlags) -> Result<(), Failure> {
    match file {
        Some(file) if !is_ready(file, flags)? => {
            Err(Failure::Blocked(Wait::for_file(file, flags).map_err(Errno::from)?))
        }
        _ => Ok(()),
    }
}

/// Reads into more than one buffer, by way of one of ours: the guest's may overlap.
fn read_scattered(stream: &mut InputStream, memory: &mut Guest<'_>, buffers: &[Buffer]) -> Result<usize, Errno> {
    let total: usize = buffers.iter().map(|buffer| buffer.len_bytes as usize).sum();
    let mut bytes = vec![0; total.min(MAX_SCATTERED_BYTES)];
    let read = read_once(stream, &mut bytes)?;
    let mut rest = &bytes[..read];
    for buffer in buffers {
        let (part, tail) = rest.split_at(rest.len().min(buffer.len_bytes as usize));
        memory.write(buffer.addr, part)?;
        rest = tail;
    }
    Ok(read)
}

fn read_once(stream: &mut InputStream, bytes: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match stream.read(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // An embedder's reader may claim more than there was room for.
            other => return Ok(other?.min(bytes.len())),
        }
    }
}
