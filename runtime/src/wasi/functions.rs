//! The list of all functions of WASI preview 1: name, type, implementation. Nothing else in the crate names
//! one, so what is not in this list is an unknown import.

use super::call::{Call, Failure};
use super::{args, clock, fd, poll, process, random};

/// The module name of the imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// A parameter's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    I32,
    I64,
}

/// What a function returns to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    Errno,
    Nothing,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub name: &'static str,
    pub params: &'static [Param],
    pub returns: Returns,
    pub run: fn(&mut Call<'_>) -> Result<(), Failure>,
}

const fn function(
    name: &'static str,
    params: &'static [Param],
    run: fn(&mut Call<'_>) -> Result<(), Failure>,
) -> Function {
    Function { name, params, returns: Returns::Errno, run }
}

const W: Param = Param::I32;
const D: Param = Param::I64;

/// All functions, by name.
pub const FUNCTIONS: &[Function] = &[
    function("args_get", &[W, W], args::args_get),
    function("args_sizes_get", &[W, W], args::args_sizes_get),
    function("clock_res_get", &[W, W], clock::clock_res_get),
    function("clock_time_get", &[W, D, W], clock::clock_time_get),
    function("environ_get", &[W, W], args::environ_get),
    function("environ_sizes_get", &[W, W], args::environ_sizes_get),
    function("fd_advise", &[W, D, D, W], fd::needs_file),
    function("fd_allocate", &[W, D, D], fd::needs_file),
    function("fd_close", &[W], fd::fd_close),
    function("fd_datasync", &[W], fd::fd_sync),
    function("fd_fdstat_get", &[W, W], fd::fd_fdstat_get),
    function("fd_fdstat_set_flags", &[W, W], fd::fd_fdstat_set_flags),
    function("fd_fdstat_set_rights", &[W, D, D], fd::fd_fdstat_set_rights),
    function("fd_filestat_get", &[W, W], fd::fd_filestat_get),
    function("fd_filestat_set_size", &[W, D], fd::needs_file),
    function("fd_filestat_set_times", &[W, D, D, W], fd::needs_file),
    function("fd_pread", &[W, W, W, D, W], fd::needs_file),
    function("fd_prestat_dir_name", &[W, W, W], fd::fd_prestat),
    function("fd_prestat_get", &[W, W], fd::fd_prestat),
    function("fd_pwrite", &[W, W, W, D, W], fd::needs_file),
    function("fd_read", &[W, W, W, W], fd::fd_read),
    function("fd_readdir", &[W, W, W, D, W], fd::needs_directory),
    function("fd_renumber", &[W, W], fd::fd_renumber),
    function("fd_seek", &[W, D, W, W], fd::needs_file),
    function("fd_sync", &[W], fd::fd_sync),
    function("fd_tell", &[W, W], fd::needs_file),
    function("fd_write", &[W, W, W, W], fd::fd_write),
    function("path_create_directory", &[W, W, W], fd::needs_directory),
    function("path_filestat_get", &[W, W, W, W, W], fd::needs_directory),
    function("path_filestat_set_times", &[W, W, W, W, D, D, W], fd::needs_directory),
    function("path_link", &[W, W, W, W, W, W, W], fd::needs_directory),
    function("path_open", &[W, W, W, W, W, D, D, W, W], fd::needs_directory),
    function("path_readlink", &[W, W, W, W, W, W], fd::needs_directory),
    function("path_remove_directory", &[W, W, W], fd::needs_directory),
    function("path_rename", &[W, W, W, W, W, W], fd::needs_directory),
    function("path_symlink", &[W, W, W, W, W], fd::path_symlink),
    function("path_unlink_file", &[W, W, W], fd::needs_directory),
    function("poll_oneoff", &[W, W, W, W], poll::poll_oneoff),
    Function { name: "proc_exit", params: &[W], returns: Returns::Nothing, run: process::proc_exit },
    function("proc_raise", &[W], process::proc_raise),
    function("random_get", &[W, W], random::random_get),
    function("sched_yield", &[], process::sched_yield),
    function("sock_accept", &[W, W, W], fd::needs_socket),
    function("sock_recv", &[W, W, W, W, W, W], fd::needs_socket),
    function("sock_send", &[W, W, W, W, W], fd::needs_socket),
    function("sock_shutdown", &[W, W], fd::needs_socket),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_complete() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(FUNCTIONS.len(), 46);
    }
}
