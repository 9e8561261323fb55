//! Heap snapshots: what is in the heap, and what keeps it there.
//!
//! A program that holds more memory than its author thinks is hard to understand from numbers. A [`HeapSnapshot`]
//! has every reachable object with its type, its size and its references, and the roots. It is written in the format
//! that Chrome's developer tools open (Memory, Load): they compute retained sizes, dominators and paths from the
//! roots.
//!
//! ```text
//! node 0   (GC roots) ── one node per kind of root ── objects …
//! nodes    [type, name, id, self_size, edge_count, trace_node_id, detachedness] per node, flat
//! edges    [type, name or index, to_node] per edge, flat, in the order of the nodes they start from
//! ```
//!
//! Field names are not in artifacts: an edge from a struct is named by its offset in bytes, one from an array by the
//! element's index.

use super::StoreInner;
use crate::error::{Error, StoreError};
use crate::types::{ArrayType, StructType};
use dolmen_abi::object::ARRAY_ELEMENTS_OFFSET;
use dolmen_abi::reference::{REF_BYTES, is_object};
use dolmen_abi::type_desc::Kind;
use dolmen_gc_heap::{AllocError, RootKind, RootVisitor, Runtime};
use std::collections::HashMap;
use std::io::{self, Write};

/// Numbers per node in the file.
const NODE_FIELDS: usize = 7;

/// Longest name of a type that the module does not name, in characters.
const MAX_TYPE_CHARS: usize = 100;

/// The head of the file: how to read it.
const META: &str = concat!(
    r#"{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],"#,
    r#""node_types":[["hidden","array","string","object","code","closure","regexp","number","native","synthetic","#,
    r#""concatenated string","sliced string","symbol","bigint","object shape"],"#,
    r#""string","number","number","number","number","number"],"#,
    r#""edge_fields":["type","name_or_index","to_node"],"#,
    r#""edge_types":[["context","element","property","internal","hidden","shortcut","weak"],"#,
    r#""string_or_number","node"],"#,
    r#""trace_function_info_fields":[],"trace_node_fields":[],"sample_fields":[],"location_fields":[]}"#,
);

/// Number of a node type in [`META`].
#[derive(Clone, Copy, Debug)]
enum NodeType {
    Array = 1,
    Object = 3,
    Closure = 5,
    Native = 8,
    Synthetic = 9,
}

/// Number of an edge type in [`META`].
#[derive(Clone, Copy, Debug)]
enum EdgeType {
    Element = 1,
    Property = 2,
}

/// Everything reachable in the heap of a store at one moment.
#[derive(Debug)]
pub struct HeapSnapshot {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    strings: Strings,
}

/// Objects of one type, for [`HeapSnapshot::census`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeCensus {
    /// The module's name of the type, or its structure.
    pub name: String,
    pub objects: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
}

#[derive(Debug)]
struct Node {
    ty: NodeType,
    name: usize,
    /// Reference word of the object; 0 of what is no object.
    word: u32,
    bytes: u32,
    edges: usize,
}

#[derive(Debug)]
struct Edge {
    ty: EdgeType,
    name: usize,
    to: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Node(usize),
    Object(u32),
}

#[derive(Debug, Default)]
struct Strings {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl HeapSnapshot {
    /// Takes a snapshot of a store's heap.
    pub(super) fn take(store: &mut StoreInner) -> Result<Self, Error> {
        let names = type_names(store);
        let mut snapshot = Self { nodes: Vec::new(), edges: Vec::new(), strings: Strings::default() };
        let (heap, mut runtime) = store.heap_and_runtime();
        snapshot.add_roots(&mut runtime);
        // The references of an object come before it.
        let edges = std::cell::RefCell::new(Vec::new());
        let walked = heap.for_each_reference(
            &mut runtime,
            &mut |_, offset, word| edges.borrow_mut().push((offset, word)),
            &mut |object, type_word, bytes| {
                let name = names.get(&type_word).map_or_else(|| kind_name(type_word), String::as_str);
                snapshot.add_object(object.word(), type_word, bytes, name, &edges.take());
            },
        );
        walked.map_err(|error| StoreError::Heap(AllocError::Corrupt(error)))?;
        Ok(snapshot)
    }

    /// Number and size of the objects of each type, largest sum first.
    #[must_use]
    pub fn census(&self) -> Vec<TypeCensus> {
        let mut by_name: HashMap<usize, (u64, u64)> = HashMap::new();
        for node in self.nodes.iter().filter(|node| node.word != 0) {
            let (objects, bytes) = by_name.entry(node.name).or_default();
            *objects += 1;
            *bytes += u64::from(node.bytes);
        }
        let entry =
            |(name, (objects, bytes)): (usize, _)| TypeCensus { name: self.strings.list[name].clone(), objects, bytes };
        let mut census: Vec<_> = by_name.into_iter().map(entry).collect();
        census.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
        census
    }

    /// Writes the snapshot in the format of Chrome's developer tools, usually into a file whose name ends in
    /// `.heapsnapshot`.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"snapshot\":{{\"meta\":{META},\"node_count\":{},", self.nodes.len())?;
        write!(out, "\"edge_count\":{},\"trace_function_count\":0}},\n\"nodes\":[", self.edges.len())?;
        for (index, node) in self.nodes.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n" };
            let Node { ty, name, bytes, edges, .. } = node;
            // Identifiers are odd by convention.
            write!(out, "{separator}{},{name},{},{bytes},{edges},0,0", *ty as u8, 2 * index + 1)?;
        }
        write!(out, "],\n\"edges\":[")?;
        for (index, edge) in self.edges.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n" };
            write!(out, "{separator}{},{},{}", edge.ty as u8, edge.name, self.position(edge.to) * NODE_FIELDS)?;
        }
        write!(out, "],\n\"trace_function_infos\":[],\"trace_tree\":[],\"samples\":[],\"locations\":[],")?;
        write!(out, "\n\"strings\":[")?;
        for (index, text) in self.strings.list.iter().enumerate() {
            write!(out, "{}{}", if index == 0 { "" } else { ",\n" }, json_string(text))?;
        }
        writeln!(out, "]}}")
    }

    /// Node 0, and a node for each kind of root with edges to its objects.
    fn add_roots(&mut self, runtime: &mut dyn Runtime) {
        let mut roots = Roots::default();
        runtime.stop_mutators();
        runtime.scan_roots(&mut roots);
        runtime.resume_mutators();
        let top = self.strings.number("(GC roots)");
        self.nodes.push(Node { ty: NodeType::Synthetic, name: top, word: 0, bytes: 0, edges: roots.kinds.len() });
        for index in 0..roots.kinds.len() {
            self.edges.push(Edge { ty: EdgeType::Element, name: index, to: Target::Node(index + 1) });
        }
        for (kind, words) in &roots.kinds {
            let name = self.strings.number(&format!("({kind:?})"));
            self.nodes.push(Node { ty: NodeType::Synthetic, name, word: 0, bytes: 0, edges: words.len() });
            let edge = |(name, &word)| Edge { ty: EdgeType::Element, name, to: Target::Object(word) };
            self.edges.extend(words.iter().enumerate().map(edge));
        }
    }

    fn add_object(&mut self, word: u32, type_word: u32, bytes: u32, name: &str, references: &[(u32, u32)]) {
        let kind = Kind::of_type_word(type_word);
        let ty = match kind {
            Some(Kind::Array) => NodeType::Array,
            Some(Kind::Func) => NodeType::Closure,
            Some(Kind::Extern) => NodeType::Native,
            _ => NodeType::Object,
        };
        let before = self.edges.len();
        for &(offset, to) in references.iter().filter(|(_, word)| is_object(*word)) {
            let (ty, name) = if kind == Some(Kind::Array) {
                (EdgeType::Element, ((offset - ARRAY_ELEMENTS_OFFSET) / REF_BYTES) as usize)
            } else {
                (EdgeType::Property, self.strings.number(&format!("+{offset}")))
            };
            self.edges.push(Edge { ty, name, to: Target::Object(to) });
        }
        let name = self.strings.number(name);
        self.nodes.push(Node { ty, name, word, bytes, edges: self.edges.len() - before });
    }

    /// The node of a target. Objects are in address order behind the roots; all that are referred to are there.
    fn position(&self, target: Target) -> usize {
        match target {
            Target::Node(index) => index,
            Target::Object(word) => self.nodes.binary_search_by_key(&word, |node| node.word).unwrap_or(0),
        }
    }
}

/// Number and size of the reachable objects of each type, largest sum first. Takes little memory.
pub(crate) fn census(store: &mut StoreInner) -> Result<Vec<TypeCensus>, Error> {
    let mut by_type: HashMap<u32, (u64, u64)> = HashMap::new();
    let (heap, mut runtime) = store.heap_and_runtime();
    let walked = heap.for_each_object(&mut runtime, &mut |_, type_word, bytes| {
        let (objects, sum) = by_type.entry(type_word).or_default();
        *objects += 1;
        *sum += u64::from(bytes);
    });
    walked.map_err(|error| StoreError::Heap(AllocError::Corrupt(error)))?;
    Ok(by_name(store, &by_type))
}

/// Names for objects and bytes by type word, largest sum first.
pub(crate) fn by_name(store: &StoreInner, by_type: &HashMap<u32, (u64, u64)>) -> Vec<TypeCensus> {
    let names = type_names(store);
    let entry = |(type_word, &(objects, bytes)): (&u32, &(u64, u64))| {
        let name = names.get(type_word).map_or_else(|| kind_name(*type_word), String::as_str).to_owned();
        TypeCensus { name, objects, bytes }
    };
    let mut census: Vec<_> = by_type.iter().map(entry).collect();
    census.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    census
}

/// Collects the objects that roots refer to.
#[derive(Default)]
struct Roots {
    kinds: Vec<(RootKind, Vec<u32>)>,
}

impl RootVisitor for Roots {
    fn visit_slice(&mut self, kind: RootKind, words: &[u32]) {
        let index = self.kinds.iter().position(|(k, _)| *k == kind).unwrap_or_else(|| {
            self.kinds.push((kind, Vec::new()));
            self.kinds.len() - 1
        });
        self.kinds[index].1.extend(words.iter().copied().filter(|&w| is_object(w)));
    }
}

impl Strings {
    fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.index.get(text) {
            return number;
        }
        self.list.push(text.to_owned());
        self.index.insert(text.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

/// Names of the types of the store's modules by type word: what a module calls them, else their structure.
fn type_names(store: &StoreInner) -> HashMap<u32, String> {
    let engine = &store.engine;
    let mut names = HashMap::new();
    for instance in &store.instances {
        let given: HashMap<u32, &str> = instance.module.type_names().collect();
        for &canonical in &instance.module.spaces().types {
            let type_word = engine.types().entry(canonical).type_word;
            let name = given.get(&canonical).map(ToString::to_string).or_else(|| {
                let text = match Kind::of_type_word(type_word)? {
                    Kind::Struct => StructType::from_canonical(engine, canonical).to_string(),
                    Kind::Array => ArrayType::from_canonical(engine, canonical).to_string(),
                    _ => return None,
                };
                Some(text.chars().take(MAX_TYPE_CHARS).collect())
            });
            if let Some(name) = name {
                names.entry(type_word).or_insert(name);
            }
        }
    }
    names
}

fn kind_name(type_word: u32) -> &'static str {
    match Kind::of_type_word(type_word) {
        Some(Kind::Struct) => "struct",
        Some(Kind::Array) => "array",
        Some(Kind::Func) => "func",
        Some(Kind::Extern) => "extern",
        Some(Kind::Exn) => "exn",
        None => "?",
    }
}

/// A JSON string.
fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if u32::from(c) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}
