//! Stocks: memory that a mutator has been given ahead of its need.
//!
//! The problem: mutators that run at once and allocate all the time meet at the lock of the heap for each buffer, that is,
//! every few microseconds, and each time a dozen cache lines of lock, allocator and tables go from one core to the
//! other. On a machine where that takes 60 ns two threads made 1.65 times the objects of one; where it takes longer,
//! no more than one.
//!
//! So with a buffer a mutator gets a few *pieces*, which fill later buffers without a lock. They are zeroed when it
//! comes to that, by the mutator, whose cache then has them. The first delivery after a collection is empty, and each is
//! about twice as large as the one before, up to [`MAX_PIECES`]: who allocates little holds little. A collection
//! takes all of it back.
//!
//! Invariants: pieces count as handed out, and their lines are fresh; none crosses a block's end; a stock belongs to
//! one mutator, and to the collector while that is stopped.

#![allow(unsafe_code, reason = "writes to memory that the mutator was given")]

use crate::address::ObjRef;
use crate::interface::to_runtime::TypeTable;
use crate::line::LINE_BYTES;
use crate::object;
use crate::space::Piece;
use crate::space::region::Region;
use dolmen_abi::collector::AllocBuffer;
use dolmen_abi::layout::array_size_bytes;
use dolmen_abi::object::{ARRAY_LENGTH_OFFSET, TYPE_WORD_OFFSET};
use dolmen_abi::reference::{LOG_REF_SCALE, REF_UNIT_BYTES};
use dolmen_abi::type_desc::Kind;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Pieces of a stock at most.
pub const MAX_PIECES: usize = 15;

/// What a mutator has in stock.
#[derive(Default)]
pub struct Stock {
    pieces: VecDeque<Piece>,
    /// The heap that they are from; none before the first piece.
    heap: Option<HeapBase>,
    /// Pieces of the next delivery.
    next_delivery: usize,
    /// Units that were left in buffers when pieces replaced them.
    left_units: u64,
}

/// What a mutator must know of its heap.
struct HeapBase {
    /// Address of reference word 0.
    address: *mut u8,
    types: Arc<dyn TypeTable>,
}

impl Stock {
    /// Makes a small struct or exception, zero but for its type word, at the start of a new buffer; what is left of the
    /// old one is given up. `None` if the stock is empty, or this is no small struct.
    ///
    /// # Safety
    ///
    /// The heap that stocked it lives, the buffer is its mutator's, and the mutator is not stopped.
    pub unsafe fn alloc_struct(&mut self, buffer: &mut AllocBuffer, type_word: u32) -> Option<ObjRef> {
        let (kind, desc) = object::type_desc(&*self.heap.as_ref()?.types, type_word)?;
        let bytes = matches!(kind, Kind::Struct | Kind::Exn).then_some(desc.fixed_bytes)?;
        // SAFETY: as the caller promises.
        unsafe { self.alloc(buffer, bytes, &[type_word]) }
    }

    /// [`Stock::alloc_struct`] for an array of `length` elements.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn alloc_array(&mut self, buffer: &mut AllocBuffer, type_word: u32, length: u32) -> Option<ObjRef> {
        let (kind, desc) = object::type_desc(&*self.heap.as_ref()?.types, type_word)?;
        let bytes = array_size_bytes(u32::from(desc.log_elem_bytes), length).filter(|_| kind == Kind::Array)?;
        // SAFETY: as the caller promises.
        unsafe { self.alloc(buffer, bytes, &[type_word, length]) }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces are to be delivered now.
    pub fn begin_delivery(&mut self, region: &Region, types: &Arc<dyn TypeTable>) -> usize {
        let count = self.next_delivery.saturating_sub(self.pieces.len());
        self.next_delivery = (2 * self.next_delivery + 1).min(MAX_PIECES);
        if count > 0 && self.heap.is_none() {
            self.heap = Some(HeapBase { address: region.base(), types: Arc::clone(types) });
        }
        if self.pieces.try_reserve(count).is_ok() { count } else { 0 }
    }

    /// Delivers a piece.
    pub fn add(&mut self, piece: Piece) {
        self.pieces.push_back(piece);
    }

    /// Takes everything back; the bytes that no object was made of. The mutator is stopped.
    pub fn retire(&mut self) -> u64 {
        self.next_delivery = 0;
        let units = self.pieces.drain(..).map(|piece| piece.units.len() as u64).sum::<u64>();
        (units + std::mem::take(&mut self.left_units)) * u64::from(REF_UNIT_BYTES)
    }

    /// Makes a piece the buffer, and an object of `bytes` bytes with this header at its start.
    ///
    /// # Safety
    ///
    /// As for [`Stock::alloc_struct`].
    unsafe fn alloc(&mut self, buffer: &mut AllocBuffer, bytes: u32, header: &[u32]) -> Option<ObjRef> {
        // A piece has a line at least.
        let heap = self.heap.as_ref().filter(|_| bytes <= LINE_BYTES)?;
        let Piece { units, is_zero } = self.pieces.pop_front()?;
        self.left_units += u64::from(buffer.limit - buffer.cursor);
        let start = heap.address.wrapping_add((units.start as usize) << LOG_REF_SCALE);
        if !is_zero {
            // SAFETY: the piece is memory of the heap, which lives, and was given to this mutator alone, which is not
            // stopped (the caller promises).
            unsafe { start.write_bytes(0, units.len() << LOG_REF_SCALE) };
        }
        // SAFETY: as above; each object has room for its header, and is aligned to words.
        unsafe { start.cast::<u32>().copy_from_nonoverlapping(header.as_ptr(), header.len()) };
        *buffer = AllocBuffer { cursor: units.start + bytes / REF_UNIT_BYTES, limit: units.end };
        ObjRef::from_word(units.start)
    }
}

const _: () =
    assert!(TYPE_WORD_OFFSET == 0 && ARRAY_LENGTH_OFFSET == REF_UNIT_BYTES, "a header is these words in a row");

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}
