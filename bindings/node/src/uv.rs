//! Node's event loop: one `uv_poll` of libuv, whose functions are looked up in the process.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::OnceLock;

use libloading::os::unix::Library;
use napi_sys as sys;

use crate::napi::{Env, Error, Result};

/// `UV_POLL` of libuv's `uv_handle_type`.
const UV_POLL: c_int = 8;

/// `UV_READABLE` of libuv's `uv_poll_event`.
const UV_READABLE: c_int = 1;

/// An address in libuv: of a loop or a handle.
type Raw = *mut c_void;

/// The functions of libuv that are needed, with libuv's own names.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "libuv's names")]
struct Functions {
    uv_handle_size: unsafe extern "C" fn(c_int) -> usize,
    uv_poll_init: unsafe extern "C" fn(Raw, Raw, c_int) -> c_int,
    uv_poll_start: unsafe extern "C" fn(Raw, c_int, unsafe extern "C" fn(Raw, c_int, c_int)) -> c_int,
    uv_poll_stop: unsafe extern "C" fn(Raw) -> c_int,
    uv_close: unsafe extern "C" fn(Raw, unsafe extern "C" fn(Raw)),
    uv_ref: unsafe extern "C" fn(Raw),
    uv_unref: unsafe extern "C" fn(Raw),
    uv_handle_set_data: unsafe extern "C" fn(Raw, Raw),
    uv_handle_get_data: unsafe extern "C" fn(Raw) -> Raw,
}

impl Functions {
    /// The functions, if this process has all of them.
    fn get() -> Option<Self> {
        static FOUND: OnceLock<Option<Functions>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let process = Library::this();
            // SAFETY: the types are those of libuv 1.x, which does not change them.
            unsafe {
                Some(Self {
                    uv_handle_size: *process.get(b"uv_handle_size\0").ok()?,
                    uv_poll_init: *process.get(b"uv_poll_init\0").ok()?,
                    uv_poll_start: *process.get(b"uv_poll_start\0").ok()?,
                    uv_poll_stop: *process.get(b"uv_poll_stop\0").ok()?,
                    uv_close: *process.get(b"uv_close\0").ok()?,
                    uv_ref: *process.get(b"uv_ref\0").ok()?,
                    uv_unref: *process.get(b"uv_unref\0").ok()?,
                    uv_handle_set_data: *process.get(b"uv_handle_set_data\0").ok()?,
                    uv_handle_get_data: *process.get(b"uv_handle_get_data\0").ok()?,
                })
            }
        })
    }
}

/// The closure that the loop calls when the descriptor can be read.
pub(crate) type Ready = Box<dyn Fn()>;

/// The loop's watch over one descriptor. It does not keep the loop alive at first.
pub(crate) struct Watch {
    functions: Functions,
    handle: Raw,
}

/// The data of a handle and of the environment's hook, until libuv has closed the handle.
struct Owned {
    layout: Layout,
    ready: Ready,
    /// Called when the environment ends.
    end: Option<Box<dyn FnOnce()>>,
    /// Removed when the handle is closed. Null if there is none.
    hook: sys::napi_async_cleanup_hook_handle,
}

impl Watch {
    /// Watches a descriptor for as long as the environment exists. `end` is called when the environment ends, and must
    /// [close](Self::close) the watch.
    pub(crate) fn start(env: Env, number: RawFd, ready: Ready, end: Box<dyn FnOnce()>) -> Result<Self> {
        let functions = Functions::get().ok_or_else(|| Error::new("ropeway: this process has no libuv"))?;
        let mut event_loop = ptr::null_mut();
        // SAFETY: the environment is this thread's.
        env.check(unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut event_loop) })?;
        // SAFETY: libuv tells the size of its handles. They are aligned as pointers are; 16 is more than that. The size is
        // not 0.
        let (layout, handle) = unsafe {
            let layout = Layout::from_size_align((functions.uv_handle_size)(UV_POLL).max(16), 16)
                .map_err(|_| Error::new("ropeway: libuv's handle has no size"))?;
            (layout, alloc_zeroed(layout).cast::<c_void>())
        };
        if handle.is_null() {
            return Err(Error::new("ropeway: there is no memory for a handle of libuv"));
        }
        // SAFETY: the loop is this thread's, the handle is new and large enough, and stays where it is until `closed`.
        let result = unsafe { (functions.uv_poll_init)(event_loop.cast(), handle, number) };
        if result != 0 {
            // SAFETY: libuv has not taken it.
            unsafe { dealloc(handle.cast(), layout) };
            return Err(Error::new(format!("ropeway: libuv cannot watch a descriptor: error {result}")));
        }
        let owned = Box::into_raw(Box::new(Owned { layout, ready, end: Some(end), hook: ptr::null_mut() }));
        let watch = Self { functions, handle };
        // SAFETY: the handle was initialised above. `owned` lives until `closed`, which removes the hook: behind that nothing is
        // called.
        unsafe {
            (functions.uv_handle_set_data)(handle, owned.cast());
            (functions.uv_unref)(handle);
            let hook = &raw mut (*owned).hook;
            let hooked = sys::napi_add_async_cleanup_hook(env.raw(), Some(ended), owned.cast(), hook);
            let started =
                env.check(hooked).and_then(|()| match (functions.uv_poll_start)(handle, UV_READABLE, on_ready) {
                    0 => Ok(()),
                    error => Err(Error::new(format!("ropeway: libuv cannot watch a descriptor: error {error}"))),
                });
            if let Err(error) = started {
                watch.close();
                return Err(error);
            }
        }
        Ok(watch)
    }

    /// Whether the watch keeps the loop alive.
    pub(crate) fn keep_alive(&self, on: bool) {
        // SAFETY: the handle is open as long as this exists.
        unsafe { if on { (self.functions.uv_ref)(self.handle) } else { (self.functions.uv_unref)(self.handle) } }
    }

    pub(crate) fn close(self) {
        // SAFETY: as above, and it is closed only here, as `self` is consumed.
        unsafe {
            (self.functions.uv_poll_stop)(self.handle);
            (self.functions.uv_close)(self.handle, closed);
        }
    }
}

unsafe extern "C" fn on_ready(handle: Raw, _status: c_int, _events: c_int) {
    let Some(functions) = Functions::get() else { return };
    // SAFETY: the data is the handle's `Owned` until `closed`. The closure is called by this alone, and does not close the
    // handle: that is done when the environment ends.
    let owned = unsafe { &*(functions.uv_handle_get_data)(handle).cast::<Owned>() };
    (owned.ready)();
}

unsafe extern "C" fn closed(handle: Raw) {
    let Some(functions) = Functions::get() else { return };
    // SAFETY: libuv calls this once, and the handle and its data are used by nobody behind it.
    unsafe {
        let owned = Box::from_raw((functions.uv_handle_get_data)(handle).cast::<Owned>());
        dealloc(handle.cast(), owned.layout);
        if !owned.hook.is_null() {
            sys::napi_remove_async_cleanup_hook(owned.hook);
        }
    }
}

unsafe extern "C" fn ended(_hook: sys::napi_async_cleanup_hook_handle, owned: *mut c_void) {
    // SAFETY: `start` passed this, and it lives until `closed`, which removes the hook. Nobody else touches `end`.
    let end = unsafe { (*owned.cast::<Owned>()).end.take() };
    if let Some(end) = end {
        end();
    }
}
