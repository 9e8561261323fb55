//! References and objects: `gc_export.h`.

pub(crate) mod handle;
