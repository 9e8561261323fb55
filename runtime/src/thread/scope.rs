//! Threads that end before what follows.
//!
//! As with [`std::thread::scope`], all threads that were started in a scope are joined before [`Store::scope`]
//! returns, also if it returns by a panic.

use super::spawn::{JoinHandle, Outcome, ThreadId};
use crate::error::Error;
use crate::externals::Func;
use crate::store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut, StoreData};
use crate::value::Val;
use std::panic::resume_unwind;

/// A store whose threads are joined at the end of the scope.
#[derive(Debug)]
pub struct Scope<'s, T> {
    store: &'s mut StoreData<T>,
    handles: Vec<JoinHandle>,
}

impl<T: Send + 'static> Store<T> {
    /// Runs `work`, which can start threads in the scope that it is given, and waits for them to end.
    ///
    /// # Errors
    ///
    /// Why a thread's function did not return, if nobody has joined it; of several that of the oldest thread.
    ///
    /// # Panics
    ///
    /// If `work` panics, or a host function in a thread that nobody has joined.
    pub fn scope<R>(&mut self, work: impl FnOnce(&mut Scope<'_, T>) -> R) -> Result<R, Error> {
        let mut scope = Scope { store: self.context_mut(), handles: Vec::new() };
        let result = work(&mut scope);
        scope.join_all().map(|()| result)
    }
}

impl<T: Send + 'static> Scope<'_, T> {
    /// Starts a thread that calls a function: see [`StoreContextMut::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn(&mut self, func: Func, args: &[Val]) -> Result<ThreadId, Error> {
        let handle = self.as_context_mut().spawn(func, args)?;
        let id = handle.id();
        self.handles.push(handle);
        Ok(id)
    }
}

impl<T> Scope<'_, T> {
    /// Waits for a thread of the scope to end; `None` if it has been joined, or is not of this scope.
    ///
    /// # Errors
    ///
    /// As of [`JoinHandle::join`].
    ///
    /// # Panics
    ///
    /// As [`JoinHandle::join`].
    pub fn join(&mut self, thread: ThreadId) -> Option<Result<Box<[Val]>, Error>> {
        let index = self.handles.iter().position(|handle| handle.id() == thread)?;
        let handle = self.handles.remove(index);
        Some(handle.join(&mut *self))
    }

    fn join_all(&mut self) -> Result<(), Error> {
        let mut first_error = None;
        let mut first_panic = None;
        for handle in std::mem::take(&mut self.handles) {
            match handle.wait(self.store) {
                Ok(Outcome::Ended(Ok(_))) => {}
                Ok(Outcome::Panicked(payload)) => first_panic = first_panic.or(Some(payload)),
                Ok(Outcome::Ended(Err(error))) | Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if let Some(payload) = first_panic {
            resume_unwind(payload);
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl<T> Drop for Scope<'_, T> {
    fn drop(&mut self) {
        for handle in std::mem::take(&mut self.handles) {
            // What the threads have to say is lost in the panic that has come here.
            let _ = handle.wait(self.store);
        }
    }
}

impl<T> AsContext for Scope<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.store)
    }
}

impl<T> AsContextMut for Scope<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.store)
    }
}
