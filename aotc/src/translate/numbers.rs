//! The numbers by which a partition refers to the rest of its module.
//!
//! The problem: object code is kept from one compilation to the next ([`crate::cache`]), and an edit that adds a function,
//! a type or a global changes the numbers of all that come behind it: the names of functions, and where in the instance
//! context something lies. Code that contains them would have to be made again, though nothing in it is different.
//!
//! So a partition has numbers of its own, in the order in which translation first mentions something, and linking tells
//! what they stand for ([`SymbolNumbers`]):
//!
//! - **Functions** have symbols `wasm[k]`.
//! - **Places in the instance context**, which hold type words, globals and the like, have made-up offsets until code
//!   generation, far from each other and from all that is real. LLVM's optimiser knows of a constant offset that it can be
//!   read, and that it is not another one; of a symbol it does not. Before code generation each becomes a symbol
//!   `number[k]` ([`crate::places`]), which is then part of an address like any constant.
//! - **Indices** that are passed to builtins, of tables and segments, are such symbols from the start, and so are constants
//!   that are passed to functions elsewhere: compilers number strings, or tell where they lie in a segment.
//!
//! Text has the names that people know, and final numbers ([`Naming::Final`]). Offsets and indices are real in code that is
//! not optimised, since what LLVM has to generate code fast knows no symbols in addresses, and in a partition that is all of
//! its module, which every edit changes: instructions with small offsets are shorter.

use crate::object::SymbolNumbers;
use crate::translate::unit::INSTANCE_ALIGN_BYTES;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

/// What symbols are to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By the partition's own numbers.
    Local,
    /// By what people know them by.
    Final,
}

/// The first made-up offset: nothing that a program computes is likely to be near it. A multiple of [`INSTANCE_ALIGN_BYTES`].
const FIRST_PLACE: u64 = 0x5b2d_9a70;

/// From one made-up offset to the next one. They are so far apart that LLVM does not make one access of two, and differ
/// by no power of two, so that it does not compute one from a condition. A multiple of [`INSTANCE_ALIGN_BYTES`].
const PLACE_STRIDE: u64 = 80;

/// What LLVM is told of an instance's size: made-up offsets lie below.
pub(crate) const INSTANCE_BYTES: u64 = 1 << 31;

/// Things by the order in which they were first mentioned.
#[derive(Debug)]
struct Numbering<T> {
    numbers: HashMap<T, u32>,
    things: Vec<T>,
}

impl<T> Default for Numbering<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), things: Vec::new() }
    }
}

impl<T: Copy + Eq + Hash> Numbering<T> {
    fn number(&mut self, thing: T) -> u32 {
        *self.numbers.entry(thing).or_insert_with(|| {
            self.things.push(thing);
            self.things.len() as u32 - 1
        })
    }
}

/// A number that linking tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Number {
    /// Of an offset in the instance context, with the bytes that are there.
    Place(u32, u32),
    Index(u32),
}

/// The numbers of one partition.
#[derive(Debug)]
pub(crate) struct Numbers {
    naming: Naming,
    has_values: bool,
    funcs: RefCell<Numbering<u32>>,
    numbers: RefCell<Numbering<Number>>,
}

impl Numbers {
    /// All but functions is called by its real number unless it `has_values` that linking puts in.
    pub(crate) fn new(naming: Naming, has_values: bool) -> Self {
        Self { naming, has_values, funcs: RefCell::default(), numbers: RefCell::default() }
    }

    /// Whether offsets in the instance context are made up.
    pub(crate) fn has_places(&self) -> bool {
        self.has_values
    }

    pub(crate) fn naming(&self) -> Naming {
        self.naming
    }

    /// The partition's number of a function, which it has from now on.
    pub(crate) fn func(&self, func: u32) -> u32 {
        self.funcs.borrow_mut().number(func)
    }

    /// The partition's number of a function that it has mentioned.
    pub(crate) fn known_func(&self, func: u32) -> Option<u32> {
        self.funcs.borrow().numbers.get(&func).copied()
    }

    /// The function with that number.
    pub(crate) fn func_of(&self, number: u32) -> Option<u32> {
        self.funcs.borrow().things.get(number as usize).copied()
    }

    /// The offset by which LLVM is to know a place of so many bytes in the instance context.
    pub(crate) fn place(&self, offset: u32, bytes: u32) -> u64 {
        if !self.has_values {
            return offset.into();
        }
        made_up(self.numbers.borrow_mut().number(Number::Place(offset, bytes)), bytes)
    }

    /// The number of an index, if linking is to put it in.
    pub(crate) fn index(&self, index: u32) -> Option<u32> {
        let is_linked = self.has_values && self.naming == Naming::Local;
        is_linked.then(|| self.numbers.borrow_mut().number(Number::Index(index)))
    }

    /// Whether a number is near made-up offsets, so that it may be made of one.
    pub(crate) fn is_near_place(&self, number: i64) -> bool {
        let end = FIRST_PLACE + (self.numbers.borrow().things.len() as u64 + 1) * PLACE_STRIDE;
        u64::try_from(number).is_ok_and(|number| (FIRST_PLACE - PLACE_STRIDE..end).contains(&number))
    }

    /// The number of the place that a made-up offset lies in, and the distance from its start.
    pub(crate) fn place_at(&self, offset: i64) -> Option<(u32, u64)> {
        let offset = u64::try_from(offset).ok()?;
        let number = u32::try_from(offset.checked_sub(FIRST_PLACE)? / PLACE_STRIDE).ok()?;
        match *self.numbers.borrow().things.get(number as usize)? {
            Number::Place(_, bytes) => {
                let distance = offset.checked_sub(made_up(number, bytes))?;
                (distance < bytes.into()).then_some((number, distance))
            }
            Number::Index(_) => None,
        }
    }

    /// What a number stands for.
    pub(crate) fn value(&self, number: u32) -> u32 {
        match self.numbers.borrow().things[number as usize] {
            Number::Place(offset, _) => offset,
            Number::Index(index) => index,
        }
    }

    /// What linking is to know, given the symbol of each function.
    pub(crate) fn symbols(&self, symbol: impl Fn(u32) -> String) -> SymbolNumbers {
        let values = (0..self.numbers.borrow().things.len() as u32).map(|number| self.value(number));
        SymbolNumbers {
            funcs: self.funcs.borrow().things.iter().map(|&func| symbol(func)).collect(),
            values: values.collect(),
        }
    }
}

/// The made-up offset of a place of so many bytes. LLVM must not think that the place is aligned better than it is.
fn made_up(number: u32, bytes: u32) -> u64 {
    FIRST_PLACE + u64::from(number) * PLACE_STRIDE + u64::from(bytes) % INSTANCE_ALIGN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_told_from_what_lies_near_them() {
        let numbers = Numbers::new(Naming::Local, true);
        let offsets: Vec<_> = [(40, 4), (48, 8), (64, 16), (40, 4)].map(|(at, bytes)| numbers.place(at, bytes)).into();
        assert_eq!(offsets[0], offsets[3]);
        for (number, (offset, bytes)) in offsets.iter().zip([4, 8, 16]).enumerate() {
            let at = |distance: i64| numbers.place_at(offset.cast_signed() + distance);
            assert_eq!((at(0), at(bytes - 1)), (Some((number as u32, 0)), Some((number as u32, bytes as u64 - 1))));
            assert_eq!((at(-1), at(bytes)), (None, None));
            assert!([-16, 0, 24].iter().all(|distance| numbers.is_near_place(offset.cast_signed() + distance)));
        }
        assert!(![0, -1, i64::MAX, i64::MIN, 1 << 30].iter().any(|&number| numbers.is_near_place(number)));
    }
}
