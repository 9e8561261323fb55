//! References and objects: `gc_export.h`.
//!
//! | module | what |
//! |---|---|
//! | `handle` | references that C holds, and how long |
//! | `building` | objects that C is still making |
//! | `types` | types of modules |
//! | `kinds` | what a reference is |
//! | `aggregates` | structs and arrays |
//! | `hosts` | `i31`, and pointers of C's as references |
//! | `functions` | functions as references |
//! | `exceptions` | exceptions |
//! | `lifetimes` | local references, pins, scopes, weak references |
//! | `collector` | collections and statistics |

mod aggregates;
mod building;
mod collector;
mod exceptions;
mod functions;
pub(crate) mod handle;
mod hosts;
mod kinds;
pub(crate) mod lifetimes;
pub(crate) mod types;
