//! Partitions: the ranges of functions that are compiled apart.
//!
//! They have about equal weight, so that no thread waits long for another. But an edit that makes a function longer, or
//! adds one, moves all places of equal weight a little, and what was compiled for a range of functions is of no use for
//! another range ([`cache`](crate::cache)). So a partition ends where the text says so: of the functions around the place
//! of equal weight, the next one starts with that whose *fingerprint* is least. An edit elsewhere makes it another one
//! only if the place moves by so much that this one is too far away, or a function with a lesser fingerprint near enough.
//!
//! A fingerprint is a hash of what stands in a function and in the one before, operators without operands: the numbers of
//! functions and types are not always the same.
//!
//! What decides is the module alone, so that the number of threads does not change the output.

use super::Module;
use crate::error::CompileError;
use crate::options::{PARTITION_BODY_BYTES, PARTITION_FUNCS, PARTITION_PLAY};
use std::ops::Range;
use wasmparser::FunctionBody;

/// Ranges of defined functions (by position) that make up the partitions; at least one.
///
/// A function weighs its share of all bytes and its share of all functions. Of several partitions there is an even number:
/// two threads then end together.
pub(crate) fn find(module: &Module<'_>) -> Result<Vec<Range<usize>>, CompileError> {
    let sizes: Vec<u64> = module.bodies.iter().map(|body| body.body.as_bytes().len() as u64).collect();
    let (funcs, bytes) = (sizes.len() as u64, sizes.iter().sum::<u64>());
    let needed = bytes.div_ceil(PARTITION_BODY_BYTES).max(funcs.div_ceil(PARTITION_FUNCS));
    if needed <= 1 {
        return Ok(std::iter::once(0..sizes.len()).collect());
    }
    let count = needed.next_multiple_of(2);
    let weights = Weights::new(&sizes, count);
    let mut starts = vec![0];
    for place in 1..count {
        starts.extend(start(module, &weights, place, starts.last().map_or(0, |last| last + 1))?);
    }
    let ends = starts.iter().copied().skip(1).chain([sizes.len()]);
    Ok(starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect())
}

/// What stands in front of functions, in units of which a partition has `per_partition`.
struct Weights {
    before: Vec<u128>,
    per_partition: u128,
}

impl Weights {
    fn new(sizes: &[u64], partitions: u64) -> Self {
        let (funcs, bytes) = (sizes.len() as u128, sizes.iter().map(|&size| u128::from(size)).sum::<u128>());
        let mut bytes_before = 0;
        let weigh = |(position, &size): (usize, &u64)| {
            let before = bytes_before * funcs + position as u128 * bytes;
            bytes_before += u128::from(size);
            before * u128::from(partitions)
        };
        Self { before: sizes.iter().enumerate().map(weigh).collect(), per_partition: 2 * bytes * funcs }
    }
}

/// Where the partition starts that follows a number of others, if it has functions: not before position `first`.
fn start(module: &Module<'_>, weights: &Weights, place: u64, first: usize) -> Result<Option<usize>, CompileError> {
    let ideal = u128::from(place) * weights.per_partition;
    let play = weights.per_partition / PARTITION_PLAY;
    let position = |weight: u128| weights.before.partition_point(|&before| before < weight).max(first);
    let mut best = None;
    for candidate in position(ideal - play)..position(ideal + play + 1) {
        let key = (fingerprint(module, candidate)?, weights.before[candidate].abs_diff(ideal));
        if best.is_none_or(|(least, _)| key < least) {
            best = Some((key, candidate));
        }
    }
    let start = best.map_or_else(|| position(ideal), |(_, candidate)| candidate);
    Ok((start < weights.before.len()).then_some(start))
}

/// A number that depends on the operators of the function at a position and of the one before.
fn fingerprint(module: &Module<'_>, position: usize) -> Result<u64, CompileError> {
    let mut hash = 0;
    for body in &module.bodies[position.saturating_sub(1)..=position] {
        hash = add_operators(hash, &body.body)?;
    }
    Ok(hash)
}

/// A hash of so much and of a function's operators, by the first bytes that say which they are.
fn add_operators(mut hash: u64, body: &FunctionBody<'_>) -> Result<u64, CompileError> {
    /// Operators from here on are told apart by the byte that follows.
    const FIRST_PREFIX: u8 = 0xfb;
    /// That of FxHash, which is good enough: hashes that are equal cost no more than balance.
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let bytes = body.as_bytes();
    let mut add = |byte: u8| hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(FACTOR);
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let offset = (reader.original_position() - body.range().start) as usize;
        reader.read()?;
        let operator = bytes.get(offset..).unwrap_or_default();
        operator.iter().take(1).for_each(|&byte| add(byte));
        if operator.first().is_some_and(|&byte| byte >= FIRST_PREFIX) {
            operator.iter().skip(1).take(1).for_each(|&byte| add(byte));
        }
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;

    /// The sizes of the partitions of a module of functions with such bodies.
    fn sizes_of(bodies: &[String]) -> Vec<usize> {
        let funcs = bodies.iter().map(|body| format!("(func {body})"));
        let wasm = wat::parse_str(format!("(module {})", funcs.collect::<String>())).expect("the text is right");
        let module = Module::decode(&wasm, Features::default()).expect("the module is valid");
        let partitions = find(&module).expect("bodies are valid");
        assert!(partitions.windows(2).all(|pair| pair[0].end == pair[1].start && !pair[1].is_empty()));
        assert_eq!((partitions[0].start, partitions[partitions.len() - 1].end), (0, bodies.len()));
        partitions.iter().map(Range::len).collect()
    }

    fn sizes(funcs: usize, instructions: impl Fn(usize) -> usize) -> Vec<usize> {
        sizes_of(&(0..funcs).map(|i| "(nop)".repeat(instructions(i))).collect::<Vec<_>>())
    }

    #[test]
    fn partitions_of_like_functions_weigh_the_same() {
        assert_eq!(sizes(0, |_| 0), [0]);
        assert_eq!(sizes(1000, |_| 1), [1000]);
        assert_eq!(sizes(1001, |_| 1), [500, 501]);
        assert_eq!(sizes(2500, |_| 1), [625; 4]);
        // Three for the bytes, so four.
        assert_eq!(sizes(100, |_| 3000), [25; 4]);
        // A large function has about all bytes, which is half of the weight.
        let sizes = sizes(1001, |i| if i == 0 { 200_000 } else { 1 });
        assert!(sizes.len() == 2 && sizes[0] < 80, "{sizes:?}");
    }

    /// Bodies that are not alike.
    fn bodies(count: u32) -> Vec<String> {
        let body = |i: u32| {
            let bits = i.wrapping_mul(0x9e37_79b9) >> 12;
            (0..20).map(|bit| if bits >> bit & 1 == 0 { "(nop)" } else { "(block)" }).collect()
        };
        (0..count).map(body).collect()
    }

    #[test]
    fn partitions_start_with_the_same_functions_after_an_edit() {
        let before = sizes_of(&bodies(2500));
        assert_eq!(before.len(), 4);
        assert!(before.iter().all(|size| size.abs_diff(625) <= 2 * 625 / PARTITION_PLAY as usize), "{before:?}");
        for position in (0..2500).step_by(97) {
            let mut edited = bodies(2500);
            edited.insert(position, "(nop) (drop (i32.const 1))".to_owned());
            let after = sizes_of(&edited);
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            // One is longer by the new function; seldom does a boundary move.
            assert!(changed == 1 || changed <= 3 && position % 5 == 0, "{position}: {before:?} {after:?}");
        }
    }
}
