//! Calls into JavaScript from the event loop, each with the ticks that follow it.
#![allow(unsafe_code)]
// Only the descriptor lane uses some of these items, and that lane is built only on Linux.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

use std::ptr;

use napi_sys as sys;

use crate::napi::{Env, Error, Reference, Result, Value};

/// The async context in which JavaScript is called. Each lane enters its own from there.
pub(crate) struct Context(sys::napi_async_context);

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// It returned.
    Returned,
    /// It threw, and the exception was given to `uncaughtException`.
    Threw,
    /// JavaScript can no longer be called: the environment ends.
    Ended,
}

impl Context {
    pub(crate) fn new(env: Env, name: &str) -> Result<Self> {
        let mut context = ptr::null_mut();
        let name = env.string(name)?;
        // SAFETY: the environment is this thread's; without a resource Node makes one.
        let status = unsafe { sys::napi_async_init(env.raw(), ptr::null_mut(), name, &raw mut context) };
        env.check(status)?;
        Ok(Self(context))
    }
}

impl Env {
    /// Runs `run` with a scope for the values that it makes. For calls that do not come from JavaScript.
    pub(crate) fn scoped<R>(self, run: impl FnOnce() -> R) -> Result<R> {
        let mut scope = ptr::null_mut();
        // SAFETY: the scope is closed below, on the same thread, and scopes are closed in order.
        self.check(unsafe { sys::napi_open_handle_scope(self.raw(), &raw mut scope) })?;
        let result = run();
        // SAFETY: it was opened above. If the environment ends, the scope ends with it.
        let _ = unsafe { sys::napi_close_handle_scope(self.raw(), scope) };
        Ok(result)
    }

    /// Calls a function without arguments, and then all ticks and microtasks. Nothing of the addon may be borrowed.
    pub(crate) fn call(self, context: &Context, function: &Reference) -> Called {
        let Ok(function) = self.kept(function) else { return Called::Ended };
        let Ok(this) = self.global() else { return Called::Ended };
        // SAFETY: the values belong to the scope that the caller opened; no arguments are passed and no result is asked for.
        let status =
            unsafe { sys::napi_make_callback(self.raw(), context.0, this, function, 0, ptr::null(), ptr::null_mut()) };
        if status == sys::Status::napi_ok {
            return Called::Returned;
        }
        self.report()
    }

    /// Gives an exception that waits to `uncaughtException`.
    fn report(self) -> Called {
        let mut is_pending = false;
        let mut exception = ptr::null_mut();
        // SAFETY: the environment is this thread's, both results can be written, and the exception belongs to the caller's
        // scope.
        unsafe {
            if sys::napi_is_exception_pending(self.raw(), &raw mut is_pending) != sys::Status::napi_ok || !is_pending {
                return Called::Ended;
            }
            if sys::napi_get_and_clear_last_exception(self.raw(), &raw mut exception) != sys::Status::napi_ok {
                return Called::Ended;
            }
            if sys::napi_fatal_exception(self.raw(), exception) != sys::Status::napi_ok {
                return Called::Ended;
            }
        }
        Called::Threw
    }

    /// Ends in `uncaughtException` with this error: the fault is the addon's, and no caller can be told. An error that Node
    /// has thrown is not reported: that is how it refuses calls while the environment ends.
    pub(crate) fn fatal(self, error: &Error) {
        if error.message().is_empty() {
            return;
        }
        let _ = self.scoped(|| {
            let mut exception = ptr::null_mut();
            let Ok(message) = self.string(error.message()) else { return };
            // SAFETY: as in `report`.
            unsafe {
                if sys::napi_create_error(self.raw(), ptr::null_mut(), message, &raw mut exception)
                    == sys::Status::napi_ok
                {
                    sys::napi_fatal_exception(self.raw(), exception);
                }
            }
        });
    }

    /// Calls a function with one argument, from within a call by Node.
    pub(crate) fn invoke(self, function: Value, argument: Value) -> Result<()> {
        let this = self.global()?;
        // SAFETY: the values belong to this call.
        self.check(unsafe {
            sys::napi_call_function(self.raw(), this, function, 1, &raw const argument, ptr::null_mut())
        })
    }

    fn global(self) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: as above.
        self.check(unsafe { sys::napi_get_global(self.raw(), &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn string(self, text: &str) -> Result<Value> {
        let mut value = ptr::null_mut();
        let length = isize::try_from(text.len()).map_err(|_| Error::new("ropeway: a text is too long"))?;
        // SAFETY: the text has so many bytes, and Node copies them.
        self.check(unsafe { sys::napi_create_string_utf8(self.raw(), text.as_ptr().cast(), length, &raw mut value) })?;
        Ok(value)
    }
}
