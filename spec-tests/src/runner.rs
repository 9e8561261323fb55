//! Directives of a script: what each does, and when it holds.
//!
//! A script has one store. It defines modules, instantiates them, registers instances under names that later
//! modules import from, calls exports and says what must come of it. Imports are looked up among the registered
//! instances first, then in the [host's modules](crate::host), for each instantiation anew: a script may
//! register another instance under an old name.
//!
//! Threads of a script have a store each (`threads.rs`).
//!
//! A directive that does not hold is recorded and the script goes on. If a module cannot be instantiated, what
//! refers to it afterwards fails too, rather than using an older module.

use crate::host::{HostItems, host_items};
use crate::options::{CompileFailure, RunOptions};
use crate::report::{FileReport, Location};
use crate::threads::{Exports, Inherited, Threads, directives_at};
use crate::values::{argument, check_results};
use dolmen::{Engine, Error, Extern, Instance, Linker, Memory, Module, Store, Trap, Val};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wast::core::WastRetCore;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// Runs the script in a file.
///
/// # Errors
///
/// If the file cannot be read. Whatever else goes wrong is in the report.
pub fn run_file(path: impl AsRef<Path>, options: &RunOptions<'_>) -> std::io::Result<FileReport> {
    let path = path.as_ref();
    Ok(run_script(&path.display().to_string(), &std::fs::read_to_string(path)?, options))
}

/// Runs a script. A panic on the way ends the script and is a failure of the directive that it happened in.
#[must_use]
pub fn run_script(name: &str, text: &str, options: &RunOptions<'_>) -> FileReport {
    let mut report = FileReport::new(name);
    if let Err(error) = run_directives(text, options, &mut report) {
        report.record(location(error.span(), text), Err(error.message()));
    }
    report
}

fn run_directives(text: &str, options: &RunOptions<'_>, report: &mut FileReport) -> Result<(), wast::Error> {
    let engine = match Engine::new(&options.config).map_err(|error| error.to_string()) {
        Ok(engine) => engine,
        Err(reason) => {
            report.record(Location { line: 1, column: 1 }, Err(reason));
            return Ok(());
        }
    };
    Sequence { text, options, engine: &engine }.run(None, Inherited::default(), report)
}

/// Directives that run one after the other: those of a script or of one of its threads.
#[derive(Clone, Copy)]
struct Sequence<'a> {
    text: &'a str,
    options: &'a RunOptions<'a>,
    engine: &'a Engine,
}

impl Sequence<'_> {
    /// Runs the directives of the thread at a place, or those of the script.
    fn run(self, thread: Option<Span>, inherited: Inherited, report: &mut FileReport) -> Result<(), wast::Error> {
        let mut lexer = Lexer::new(self.text);
        // The suite has scripts that are about such characters.
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer)?;
        let script: Wast<'_> = parser::parse(&buffer)?;
        let directives = match thread {
            None => script.directives,
            Some(place) => directives_at(script.directives, place).unwrap_or_default(),
        };
        match Runner::new(self.options, self.engine, inherited) {
            Ok(runner) => self.run_all(runner, directives, report),
            Err(reason) => report.record(Location { line: 1, column: 1 }, Err(reason)),
        }
        Ok(())
    }

    fn run_all(self, mut runner: Runner<'_>, directives: Vec<WastDirective<'_>>, report: &mut FileReport) {
        std::thread::scope(|scope| {
            let mut threads = Threads::default();
            for directive in directives {
                let span = directive.span();
                let place = location(span, self.text);
                let outcome = match directive {
                    WastDirective::Thread(thread) => runner.inherited(thread.shared_module).and_then(|inherited| {
                        let run = move || self.run_thread(span, inherited);
                        threads.add(thread.name.name(), scope.spawn(run))
                    }),
                    WastDirective::Wait { thread, .. } => threads.wait(thread.name(), report),
                    directive => match catch_unwind(AssertUnwindSafe(|| runner.run(directive))) {
                        Ok(outcome) => outcome,
                        Err(panic) => {
                            report.record(place, Err(format!("panic: {}", panic_text(&*panic))));
                            break;
                        }
                    },
                };
                report.record(place, outcome);
            }
            if let Err(reason) = threads.wait_for_all(report) {
                report.record(Location { line: 1, column: 1 }, Err(reason));
            }
        });
    }

    fn run_thread(self, span: Span, inherited: Inherited) -> FileReport {
        let mut report = FileReport::default();
        if let Err(error) = self.run(Some(span), inherited, &mut report) {
            report.record(location(error.span(), self.text), Err(error.message()));
        }
        report
    }
}

fn location(span: Span, text: &str) -> Location {
    let (line, column) = span.linecol_in(text);
    let number = |zero_based: usize| u32::try_from(zero_based + 1).unwrap_or(u32::MAX);
    Location { line: number(line), column: number(column) }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Why a directive does not hold, in words.
type Reason = String;

/// What came of running something.
type Outcome = Result<Vec<Val>, RunError>;

/// Why running something ended early.
enum RunError {
    /// What the script may wait for: a trap, an exception, a link error.
    Run(Error),
    /// It did not come to running.
    Script(Reason),
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

impl From<Reason> for RunError {
    fn from(reason: Reason) -> Self {
        Self::Script(reason)
    }
}

/// A script that is running.
struct Runner<'a> {
    options: &'a RunOptions<'a>,
    engine: Engine,
    store: Store<()>,
    host: HostItems,
    /// What the thread shares with the one that started it.
    inherited: Inherited,
    /// Instances that modules import from.
    registered: HashMap<String, Instance>,
    /// Shared memories that modules import, by the name that their module is registered under.
    shared: HashMap<String, Exports>,
    instances: Named<Instance>,
    definitions: Named<Module>,
}

/// Things that a script names, or refers to as the last one.
struct Named<T> {
    by_name: HashMap<String, T>,
    last: Option<T>,
}

impl<T: Clone> Named<T> {
    fn new() -> Self {
        Self { by_name: HashMap::new(), last: None }
    }

    /// Adds a thing, or takes away what the name meant if it could not be made.
    fn set(&mut self, name: Option<Id<'_>>, thing: Option<T>) {
        if let Some(name) = name {
            match &thing {
                Some(thing) => _ = self.by_name.insert(name.name().to_owned(), thing.clone()),
                None => _ = self.by_name.remove(name.name()),
            }
        }
        self.last = thing;
    }

    fn get(&self, name: Option<Id<'_>>) -> Result<T, Reason> {
        let found = match name {
            Some(name) => self.by_name.get(name.name()),
            None => self.last.as_ref(),
        };
        let wanted = || name.map_or_else(|| "module so far".to_owned(), |name| format!("module ${}", name.name()));
        found.cloned().ok_or_else(|| format!("there is no {}", wanted()))
    }
}

impl<'a> Runner<'a> {
    fn new(options: &'a RunOptions<'a>, engine: &Engine, inherited: Inherited) -> Result<Self, Reason> {
        let mut store = Store::new(engine, ()).map_err(|error| error.to_string())?;
        let host = host_items(&mut store).map_err(|error| error.to_string())?;
        Ok(Self {
            options,
            engine: engine.clone(),
            store,
            host,
            inherited,
            registered: HashMap::new(),
            shared: HashMap::new(),
            instances: Named::new(),
            definitions: Named::new(),
        })
    }

    fn run(&mut self, directive: WastDirective<'_>) -> Result<(), Reason> {
        use WastDirective as D;
        match directive {
            D::Module(module) => self.define_and_instantiate(module),
            D::ModuleDefinition(module) => self.define(module),
            D::ModuleInstance { instance, module, .. } => self.instantiate_definition(instance, module),
            D::Register { name, module, .. } => self.register(name, module),
            D::Invoke(invoke) => describe(self.invoke(&invoke)).map(drop),
            D::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            D::AssertTrap { exec, message, .. } => assert_trap(self.execute(exec), message),
            D::AssertExhaustion { call, message, .. } => assert_trap(self.invoke(&call), message),
            D::AssertException { exec, .. } => assert_exception(self.execute(exec)),
            D::AssertUnlinkable { module, message, .. } => assert_unlinkable(self.instantiate_wat(module), message),
            D::AssertInvalid { module, .. } => self.assert_invalid(module),
            D::AssertMalformed { module, .. } => self.assert_malformed(module),
            D::AssertInvalidCustom { .. } | D::AssertMalformedCustom { .. } => {
                Err("contents of custom sections are not checked".into())
            }
            D::AssertSuspension { .. } => Err("stack switching is not supported".into()),
            D::Thread(_) | D::Wait { .. } => Err("a thread where none can be started".into()),
        }
    }

    fn define_and_instantiate(&mut self, mut module: QuoteWat<'_>) -> Result<(), Reason> {
        let name = module.name();
        let outcome = self.compile(&mut module).map_err(RunError::Script).and_then(|module| self.instantiate(&module));
        self.instances.set(name, outcome.as_ref().ok().cloned());
        describe(outcome).map(drop)
    }

    fn define(&mut self, mut module: QuoteWat<'_>) -> Result<(), Reason> {
        let name = module.name();
        let outcome = self.compile(&mut module);
        self.definitions.set(name, outcome.as_ref().ok().cloned());
        outcome.map(drop)
    }

    fn instantiate_definition(&mut self, instance: Option<Id<'_>>, module: Option<Id<'_>>) -> Result<(), Reason> {
        let outcome = self.definitions.get(module).map_err(RunError::Script).and_then(|m| self.instantiate(&m));
        self.instances.set(instance, outcome.as_ref().ok().cloned());
        describe(outcome).map(drop)
    }

    /// What a thread has in common with this one that shares the exports of a module.
    fn inherited(&mut self, module: Option<Id<'_>>) -> Result<Inherited, Reason> {
        let Some(name) = module else { return Ok(Inherited::default()) };
        let exports = self.instances.get(module)?.exports(&self.store);
        let memories = exports.into_iter().filter_map(|(export, item)| match item {
            Extern::Memory(memory) => Some((export, memory.as_shared(&self.store)?)),
            _ => None,
        });
        Ok(Inherited { module: Some((name.name().to_owned(), memories.collect())) })
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Result<(), Reason> {
        self.shared.remove(name);
        if let (Some(module), Some((inherited, exports))) = (module, &self.inherited.module)
            && module.name() == inherited
        {
            self.shared.insert(name.to_owned(), exports.clone());
            return Ok(());
        }
        let instance = self.instances.get(module);
        if instance.is_err() {
            self.registered.remove(name);
        }
        self.registered.insert(name.to_owned(), instance?);
        Ok(())
    }

    fn compile(&self, module: &mut QuoteWat<'_>) -> Result<Module, Reason> {
        let wasm = module.encode().map_err(|error| format!("text: {}", error.message()))?;
        self.compile_bytes(&wasm).map_err(|failure| format!("compile: {failure}"))
    }

    fn compile_bytes(&self, wasm: &[u8]) -> Result<Module, CompileFailure> {
        let artifact = self.options.compiler.compile(wasm, self.options.for_compiler(self.engine.collector()))?;
        Module::deserialize(&self.engine, &artifact)
            .map_err(|error| CompileFailure::Other(format!("the artifact does not load: {error}")))
    }

    fn instantiate(&mut self, module: &Module) -> Result<Instance, RunError> {
        let mut linker = Linker::new(&self.engine);
        let mut defined = HashSet::new();
        for import in module.imports() {
            if let Some(item) = self.find_import(import.module(), import.name())
                && defined.insert((import.module(), import.name()))
            {
                linker.define(&mut self.store, import.module(), import.name(), item)?;
            }
        }
        Ok(linker.instantiate(&mut self.store, module)?)
    }

    fn find_import(&mut self, module: &str, name: &str) -> Option<Extern> {
        if let Some(memory) = self.shared.get(module).and_then(|exports| exports.get(name)) {
            return Memory::from_shared(&mut self.store, memory).ok().map(Extern::Memory);
        }
        match self.registered.get(module) {
            Some(instance) => instance.get_export(&mut self.store, name),
            None => self.host.get(&(module, name)).copied(),
        }
    }

    fn instantiate_wat(&mut self, wat: Wat<'_>) -> Outcome {
        let module = self.compile(&mut QuoteWat::Wat(wat))?;
        self.instantiate(&module).map(|_| Vec::new())
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Outcome {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(wat) => self.instantiate_wat(wat),
            WastExecute::Get { module, global, .. } => {
                let instance = self.instances.get(module)?;
                let global = instance
                    .get_global(&mut self.store, global)
                    .ok_or_else(|| format!("no global {global:?} is exported"))?;
                Ok(vec![global.get(&mut self.store)])
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Outcome {
        let instance = self.instances.get(invoke.module)?;
        let func = instance
            .get_func(&mut self.store, invoke.name)
            .ok_or_else(|| format!("no function {:?} is exported", invoke.name))?;
        let mut args = Vec::with_capacity(invoke.args.len());
        for arg in &invoke.args {
            match arg {
                WastArg::Core(arg) => args.push(argument(&mut self.store, arg)?),
                other => return Err(RunError::Script(format!("not an argument of a core module: {other:?}"))),
            }
        }
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &args, &mut results)?;
        Ok(results)
    }

    fn assert_return(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Result<(), Reason> {
        let found = describe(self.execute(exec))?;
        let expected: Option<Vec<&WastRetCore<'_>>> = expected
            .iter()
            .map(|expected| match expected {
                WastRet::Core(expected) => Some(expected),
                _ => None,
            })
            .collect();
        let expected = expected.ok_or("not a result of a core module")?;
        check_results(&mut self.store, &found, &expected)
    }

    /// The module must be turned away by the compiler's validation: an invalid module has a binary form.
    fn assert_invalid(&self, mut module: QuoteWat<'_>) -> Result<(), Reason> {
        let wasm =
            module.encode().map_err(|error| format!("expected to be invalid, but malformed: {}", error.message()))?;
        self.assert_rejected(&wasm)
    }

    /// The module must be turned away, by the text's parser or by the compiler.
    fn assert_malformed(&self, mut module: QuoteWat<'_>) -> Result<(), Reason> {
        module.encode().map_or(Ok(()), |wasm| self.assert_rejected(&wasm))
    }

    fn assert_rejected(&self, wasm: &[u8]) -> Result<(), Reason> {
        match self.compile_bytes(wasm) {
            Err(CompileFailure::Invalid(_)) => Ok(()),
            Err(CompileFailure::Other(reason)) => Err(format!("refused, but not as invalid: {reason}")),
            Ok(_) => Err("expected to be refused, but it compiles".into()),
        }
    }
}

fn describe<T>(outcome: Result<T, RunError>) -> Result<T, Reason> {
    outcome.map_err(|error| match error {
        RunError::Run(error) => error.to_string(),
        RunError::Script(reason) => reason,
    })
}

fn assert_trap(outcome: Outcome, expected: &str) -> Result<(), Reason> {
    match outcome {
        Err(RunError::Run(Error::Trap(Trap { message, .. }))) if message_fits(&message, expected) => Ok(()),
        outcome => Err(format!("expected trap {expected:?}, found {}", found(outcome))),
    }
}

fn assert_exception(outcome: Outcome) -> Result<(), Reason> {
    match outcome {
        Err(RunError::Run(Error::Exception(_))) => Ok(()),
        outcome => Err(format!("expected an exception, found {}", found(outcome))),
    }
}

fn assert_unlinkable(outcome: Outcome, expected: &str) -> Result<(), Reason> {
    match outcome {
        Err(RunError::Run(Error::Link(error))) if error.to_string().starts_with(expected) => Ok(()),
        outcome => Err(format!("expected link error {expected:?}, found {}", found(outcome))),
    }
}

/// The suite gives the beginning of a message; it adds the index of a table's element where it knows one.
fn message_fits(message: &str, expected: &str) -> bool {
    let without_index = expected.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end();
    message.starts_with(without_index)
}

fn found(outcome: Outcome) -> Reason {
    match outcome {
        Ok(_) => "no failure".into(),
        Err(RunError::Run(error)) => error.to_string(),
        Err(RunError::Script(reason)) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_may_be_longer_and_lack_an_index() {
        assert!(message_fits("out of bounds memory access", "out of bounds"));
        assert!(message_fits("uninitialized element", "uninitialized element 2"));
        assert!(!message_fits("undefined element", "uninitialized element"));
        assert!(!message_fits("out of bounds", "out of bounds memory access"));
    }

    #[test]
    fn a_module_that_could_not_be_made_hides_the_older_one() {
        let mut named = Named::new();
        named.set(None, Some(1));
        named.set(None, None);
        assert_eq!(named.get(None), Err("there is no module so far".into()));
    }
}
