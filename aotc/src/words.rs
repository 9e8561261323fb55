//! References as 64-bit words where they cross blocks.
//!
//! The problem: LLVM selects instructions block by block, and what crosses from one block to another is a register of
//! the value's own width. A reference has 32 bits, an address needs it extended to 64. Code generation knows that the
//! upper half is zero (every load and every argument is extended already) in the block that defines the reference, and
//! has forgotten it in all others: each of them extends it anew, by a move into another register, and both registers
//! stay occupied. The same is true of indices, which are compared in one block and used in the next.
//!
//! So just before code generation
//!
//! - each reference that is part of an address, and used outside its block, is extended where it is defined, at no cost,
//!   and the other blocks use the extended value; phis of such references become phis of words;
//! - an extension of a 32-bit number moves to the instruction that makes the number, if that extends by itself;
//! - where the address of an array's elements, the array's plus a constant, is in another block than the access with an
//!   index, the constant is added last: the access then has it in its addressing mode.
//!
//! What a block needs as a reference (to store, pass or return it) it makes from the word again, which is nothing but
//! naming the lower half of the register.

use crate::llvm::{Block, Builder, Cast, Opcode, TypeKind, Value};
use crate::translate::unit::Unit;
use std::collections::{HashMap, HashSet};

/// Widens what crosses blocks in a function whose references are lowered.
pub(crate) fn apply(unit: &Unit<'_, '_>, function: Value) {
    let blocks = function.blocks();
    let Some(&entry) = blocks.first() else { return };
    let mut widening = Widening {
        unit,
        b: Builder::new(unit.context),
        entry,
        places: blocks.iter().map(|&block| (block, Place::of(block))).collect(),
        words: HashMap::new(),
        narrowed: HashMap::new(),
    };
    widening.hoist_extensions(&blocks);
    widening.add_constants_last(&blocks);
    widening.widen(function, &blocks);
}

/// Where code can be put into a block.
struct Place {
    /// The first instruction that is neither phi nor landing pad.
    first: Value,
    predecessors: usize,
}

impl Place {
    fn of(block: Block) -> Self {
        let instructions = block.instructions();
        let first = instructions.into_iter().find(|i| !matches!(i.opcode(), Opcode::Phi | Opcode::LandingPad));
        Self { first: first.expect("every block has a terminator"), predecessors: 0 }
    }
}

struct Widening<'w, 'c, 'm> {
    unit: &'w Unit<'c, 'm>,
    b: Builder<'c>,
    entry: Block,
    places: HashMap<Block, Place>,
    /// The words of references.
    words: HashMap<Value, Value>,
    /// References made from words again, by block.
    narrowed: HashMap<(Value, Block), Value>,
}

impl Widening<'_, '_, '_> {
    /// Moves extensions to the instructions whose results they extend.
    fn hoist_extensions(&mut self, blocks: &[Block]) {
        let types = &self.unit.types;
        for extension in blocks.iter().flat_map(|block| block.instructions()).filter(|&i| i.opcode() == Opcode::ZExt) {
            let number = extension.operand(0);
            let is_index = number.ty() == types.i32 && extension.ty() == types.i64;
            if is_index && extends_by_itself(number) && number.block() != extension.block() {
                let Some(next) = number.next_instruction() else { continue };
                self.b.position_before(next);
                extension.replace_all_uses_with(self.b.cast(Cast::ZExt, number, types.i64));
                self.erase(extension);
            }
        }
    }

    /// Makes `(object + constant) + index` `(object + index) + constant`, if the first sum is in another block.
    fn add_constants_last(&mut self, blocks: &[Block]) {
        let is_element = |i: &Value| i.opcode() == Opcode::GetElementPtr && i.operand(1).const_int().is_none();
        for element in blocks.iter().flat_map(|block| block.instructions()).filter(is_element) {
            let elements = element.operand(0);
            if !is_offset(elements) || elements.block() == element.block() {
                continue;
            }
            self.b.position_before(element);
            let indices: Vec<_> = element.operands().skip(1).collect();
            let sum = self.b.gep_wrapping(element.gep_source_type(), elements.operand(0), &indices);
            let address = self.b.gep_wrapping(elements.gep_source_type(), sum, &[elements.operand(1)]);
            element.replace_all_uses_with(address);
            self.erase(element);
            if !elements.has_uses() {
                self.erase(elements);
            }
        }
    }

    /// Erases an instruction whose block may have it as its place.
    fn erase(&mut self, instruction: Value) {
        if let Some(place) = self.places.get_mut(&instruction.block()).filter(|place| place.first == instruction) {
            place.first = instruction.next_instruction().expect("every block has a terminator");
        }
        instruction.erase();
    }

    fn widen(&mut self, function: Value, blocks: &[Block]) {
        for block in blocks.iter().flat_map(|block| block.successors()) {
            self.places.get_mut(&block).expect("it is a block of the function").predecessors += 1;
        }
        let references = self.references(function, blocks);
        let is_wanted = |&r: &Value| (is_address(r) || is_passed_on(r)) && self.crosses(r);
        let crossing: HashSet<_> = references.iter().copied().filter(is_wanted).collect();
        let phis = self.wide_phis(&references);
        let incoming = phis.iter().flat_map(|phi| phi.incoming()).map(|(value, _)| value);
        let needed: HashSet<_> = incoming.chain(crossing).filter(|v| !v.is_constant()).collect();
        for &phi in &phis {
            self.b.position_before(phi);
            let word = self.b.phi(self.unit.types.i64);
            self.words.insert(phi, word);
        }
        for &reference in references.iter().filter(|r| needed.contains(r)) {
            self.define_word(reference);
        }
        for &phi in &phis {
            for (value, from) in phi.incoming() {
                let word = self.word_of(value);
                self.words[&phi].add_incoming(word, from);
            }
        }
        let phis: HashSet<_> = phis.into_iter().collect();
        for reference in references {
            self.replace_uses(reference, &phis);
        }
        for &phi in &phis {
            phi.replace_all_uses_with(phi.ty().poison());
        }
        phis.into_iter().for_each(Value::erase);
    }

    /// All references that the function defines, in order.
    fn references(&self, function: Value, blocks: &[Block]) -> Vec<Value> {
        let params = (0..function.param_count()).map(|index| function.param(index));
        let results = blocks.iter().flat_map(|block| block.instructions());
        params.chain(results).filter(|value| value.ty().kind() == TypeKind::Ref).collect()
    }

    fn block_of(&self, value: Value) -> Block {
        if value.is_instruction() { value.block() } else { self.entry }
    }

    /// Whether a reference is used in another block than its own.
    fn crosses(&self, reference: Value) -> bool {
        let home = self.block_of(reference);
        reference.users().into_iter().any(|user| match user.opcode() {
            Opcode::Phi => user.incoming().into_iter().any(|(value, from)| value == reference && from != home),
            _ => user.block() != home,
        })
    }

    /// The phis of references all of whose values can have words.
    fn wide_phis(&self, references: &[Value]) -> Vec<Value> {
        let is_phi = |value: &Value| value.is_instruction() && value.opcode() == Opcode::Phi;
        let phis = references.iter().copied().filter(is_phi);
        phis.filter(|phi| is_address(*phi) && phi.incoming().into_iter().all(|(value, _)| self.can_have_word(value)))
            .collect()
    }

    /// The result of a call exists only where the call returns to; there is no place if others go there, too.
    fn can_have_word(&self, reference: Value) -> bool {
        let is_invoke = reference.is_instruction() && reference.opcode() == Opcode::Invoke;
        !is_invoke || self.places[&reference.normal_dest()].predecessors == 1
    }

    /// Extends a reference where it is defined.
    fn define_word(&mut self, reference: Value) {
        if self.words.contains_key(&reference) || !self.can_have_word(reference) {
            return;
        }
        let place = if !reference.is_instruction() {
            self.places[&self.entry].first
        } else {
            match reference.opcode() {
                Opcode::Invoke => self.places[&reference.normal_dest()].first,
                Opcode::Phi => self.places[&reference.block()].first,
                _ => reference.next_instruction().expect("every block has a terminator"),
            }
        };
        self.b.position_before(place);
        let word = self.b.cast(Cast::PtrToInt, reference, self.unit.types.i64);
        self.words.insert(reference, word);
    }

    fn word_of(&self, reference: Value) -> Value {
        match self.words.get(&reference) {
            Some(&word) => word,
            None => self.b.cast(Cast::PtrToInt, reference, self.unit.types.i64),
        }
    }

    /// Makes other blocks use a reference's word, and all blocks if it is a phi that goes.
    fn replace_uses(&mut self, reference: Value, phis: &HashSet<Value>) {
        let Some(&word) = self.words.get(&reference) else { return };
        let home = self.block_of(reference);
        let goes = phis.contains(&reference);
        let mut seen = HashSet::new();
        for user in reference.users().into_iter().filter(|user| seen.insert(*user)) {
            match user.opcode() {
                _ if user == word || phis.contains(&user) => {}
                Opcode::Phi => self.replace_incoming(user, reference, goes),
                Opcode::PtrToInt if user.ty() == self.unit.types.i32 => self.replace_number(user, word, goes),
                _ if user.block() == home && !goes => {}
                Opcode::ICmp if user.operand(1).is_null_constant() => {
                    user.set_operand(0, word);
                    user.set_operand(1, self.unit.types.i64.zero());
                }
                _ => {
                    let narrow = self.narrow(reference, user.block());
                    user.replace_operand(reference, narrow);
                }
            }
        }
    }

    /// A phi of references that stays gets the reference made from its word, where that comes from another block.
    fn replace_incoming(&mut self, phi: Value, reference: Value, goes: bool) {
        let home = self.block_of(reference);
        for (index, (value, from)) in phi.incoming().into_iter().enumerate() {
            if value == reference && (goes || from != home) {
                let narrow = self.narrow(reference, from);
                phi.set_operand(index, narrow);
            }
        }
    }

    /// Replaces a reference's 32-bit number and what extends it.
    fn replace_number(&mut self, number: Value, word: Value, goes: bool) {
        let types = &self.unit.types;
        for extension in number.users() {
            if extension.opcode() == Opcode::ZExt && extension.ty() == types.i64 {
                extension.replace_all_uses_with(word);
                self.erase(extension);
            }
        }
        if !number.has_uses() {
            self.erase(number);
        } else if goes || self.block_of(number.operand(0)) != number.block() {
            self.b.position_before(number);
            number.replace_all_uses_with(self.b.cast(Cast::Trunc, word, types.i32));
            self.erase(number);
        }
    }

    /// The reference, made from its word at the start of a block.
    fn narrow(&mut self, reference: Value, block: Block) -> Value {
        if let Some(&narrow) = self.narrowed.get(&(reference, block)) {
            return narrow;
        }
        let word = self.words[&reference];
        // Where the word is defined in this very block it comes first.
        let place = match word.is_instruction() && word.block() == block && word.opcode() != Opcode::Phi {
            true => word.next_instruction().expect("every block has a terminator"),
            false => self.places[&block].first,
        };
        self.b.position_before(place);
        let narrow = self.b.cast(Cast::IntToPtr, word, self.unit.types.reference);
        self.narrowed.insert((reference, block), narrow);
        narrow
    }
}

/// Whether the instruction of a 32-bit number clears the upper half of its register.
fn extends_by_itself(number: Value) -> bool {
    number.is_instruction()
        && matches!(number.opcode(), Opcode::Arithmetic | Opcode::Load | Opcode::ZExt | Opcode::SExt | Opcode::Select)
}

/// Whether a reference is extended somewhere, to become part of an address.
fn is_address(reference: Value) -> bool {
    let extends = |user: Value| user.users().into_iter().any(|user| user.opcode() == Opcode::ZExt);
    reference.users().into_iter().any(|user| user.opcode() == Opcode::PtrToInt && extends(user))
}

/// Whether a reference that is extended already, as arguments are, is an argument again: of a call, which extends it.
fn is_passed_on(reference: Value) -> bool {
    let is_call = |user: Value| matches!(user.opcode(), Opcode::Call | Opcode::Invoke);
    !reference.is_instruction() && reference.users().into_iter().any(is_call)
}

/// Whether an address is another one plus a constant.
fn is_offset(address: Value) -> bool {
    address.is_instruction()
        && address.opcode() == Opcode::GetElementPtr
        && address.operand_count() == 2
        && address.operand(1).const_int().is_some()
}
