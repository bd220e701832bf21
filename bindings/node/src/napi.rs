//! The thin layer over Node-API: values, arguments, references and one error. A panic becomes a JavaScript exception at this
//! border, and never crosses it.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::OnceLock;

use napi_sys as sys;
use ropeway_proto::Bytes;

/// A value that lives as long as the call from JavaScript, or the [`Scope`], in which it was made.
pub(crate) type Value = sys::napi_value;

/// The value `undefined`, as the result of a function.
pub(crate) const UNDEFINED: Value = ptr::null_mut();

/// The environment: one isolate of the process, the main thread's or a worker's.
#[derive(Clone, Copy)]
pub(crate) struct Env(sys::napi_env);

/// A call that failed, with the message of the `Error` that JavaScript gets. It is empty if Node has thrown one already, or runs
/// no JavaScript any more.
#[derive(Debug)]
pub(crate) struct Error(String);

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn message(&self) -> &str {
        &self.0
    }
}

/// The most arguments that a function of the addon takes.
const MOST: usize = 10;

/// The arguments of a call. Those that were not given are `undefined`.
pub(crate) struct Args([Value; MOST]);

impl Args {
    pub(crate) fn get(&self, index: usize) -> Value {
        self.0[index]
    }
}

/// Values.
impl Env {
    pub(crate) fn number(self, number: f64) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: `self` is the environment of this thread, and `value` can be written.
        self.check(unsafe { sys::napi_create_double(self.0, number, &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn integer(self, number: u32) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: as in `number`.
        self.check(unsafe { sys::napi_create_uint32(self.0, number, &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn to_integer(self, value: Value) -> Result<u32> {
        let mut number = 0;
        // SAFETY: `value` belongs to this call, and a value of another type is an error and nothing else.
        self.check(unsafe { sys::napi_get_value_uint32(self.0, value, &raw mut number) })?;
        Ok(number)
    }

    pub(crate) fn to_number(self, value: Value) -> Result<f64> {
        let mut number = 0.0;
        // SAFETY: as in `to_integer`.
        self.check(unsafe { sys::napi_get_value_double(self.0, value, &raw mut number) })?;
        Ok(number)
    }

    /// The bytes of a `Uint8Array`. They are lent for the call, in which no JavaScript runs: nobody else can change them,
    /// unless they are shared with another thread, for which JavaScript has no lock either.
    pub(crate) fn bytes<'call>(self, value: Value) -> Result<&'call [u8]> {
        let (data, length) = self.buffer_info(value)?;
        if length == 0 {
            return Ok(&[]);
        }
        // SAFETY: Node says that `length` bytes are there. The value keeps them alive for the call.
        Ok(unsafe { std::slice::from_raw_parts(data, length) })
    }

    /// The same, to be changed. It is for a call that takes no other bytes.
    pub(crate) fn bytes_mut<'call>(self, value: Value) -> Result<&'call mut [u8]> {
        let (data, length) = self.buffer_info(value)?;
        if length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `bytes`; the call has no other slice of this memory.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, length) })
    }

    fn buffer_info(self, value: Value) -> Result<(*mut u8, usize)> {
        let mut data = ptr::null_mut();
        let mut length = 0;
        // SAFETY: `value` belongs to this call, and is a view of an `ArrayBuffer`: our own JavaScript passes nothing else.
        self.check(unsafe { sys::napi_get_buffer_info(self.0, value, &raw mut data, &raw mut length) })?;
        Ok((data.cast(), length))
    }

    /// Appends the UTF-8 of a string to `out`. A lone surrogate becomes U+FFFD.
    pub(crate) fn read_string(self, value: Value, out: &mut Vec<u8>) -> Result<()> {
        // Most strings are short: for these it is not asked how long they are.
        if !self.try_string(value, out, 4096)? {
            let mut length = 0;
            // SAFETY: without a buffer Node writes the length and nothing else.
            let status = unsafe { sys::napi_get_value_string_utf8(self.0, value, ptr::null_mut(), 0, &raw mut length) };
            self.check(status)?;
            self.try_string(value, out, length + 8)?;
        }
        Ok(())
    }

    /// Appends a string to `out` if it surely has fewer than `most` bytes.
    fn try_string(self, value: Value, out: &mut Vec<u8>, most: usize) -> Result<bool> {
        out.reserve(most);
        let room = out.spare_capacity_mut();
        let mut copied = 0;
        // SAFETY: `room` has at least `most` bytes, and Node writes no more than that, with the zero at the end.
        let status = unsafe {
            sys::napi_get_value_string_utf8(self.0, value, room.as_mut_ptr().cast::<c_char>(), most, &raw mut copied)
        };
        self.check(status)?;
        // A character that did not fit leaves up to three bytes unused, besides the zero.
        if copied + 4 >= most {
            return Ok(false);
        }
        // SAFETY: Node has written so many bytes there.
        unsafe { out.set_len(out.len() + copied) };
        Ok(true)
    }

    /// A new `ArrayBuffer`, and its memory, which is zeroed and lives as long as the value is referenced.
    pub(crate) fn array_buffer(self, length: usize) -> Result<(Value, NonNull<u8>)> {
        let mut value = ptr::null_mut();
        let mut data = ptr::null_mut();
        // SAFETY: as in `number`.
        self.check(unsafe { sys::napi_create_arraybuffer(self.0, length, &raw mut data, &raw mut value) })?;
        let data = NonNull::new(data.cast()).ok_or_else(|| Error::new("Node gave an ArrayBuffer without memory"))?;
        Ok((value, data))
    }

    /// An `ArrayBuffer` of these bytes, without a copy where Node allows that.
    pub(crate) fn external(self, bytes: Bytes) -> Result<Value> {
        let mut value = ptr::null_mut();
        let owner = Box::into_raw(Box::new(bytes));
        // SAFETY: the bytes stay where they are until `drop_bytes` is called with their owner, once. JavaScript may write to
        // them: the core has given them away, and no other clone of them exists.
        let status = unsafe {
            let data = (*owner).as_ptr().cast_mut().cast();
            let length = (*owner).len();
            sys::napi_create_external_arraybuffer(self.0, data, length, Some(drop_bytes), owner.cast(), &raw mut value)
        };
        if status != sys::Status::napi_no_external_buffers_allowed {
            // If this is an error, Node may have taken the owner before it failed: the owner is not freed here.
            return self.check(status).map(|()| value);
        }
        // SAFETY: Node refuses such memory before it takes the owner.
        let bytes = unsafe { Box::from_raw(owner) };
        // Electron forbids memory that is not V8's.
        let (value, mut data) = self.array_buffer(bytes.len())?;
        // SAFETY: the new memory has so many bytes, and is no one else's yet.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_mut(), bytes.len()) };
        Ok(value)
    }

    /// Calls a function when an object was collected, or when the environment ends.
    pub(crate) fn on_free(self, object: Value, call: Box<dyn FnOnce()>) -> Result<()> {
        let call = Box::into_raw(Box::new(call));
        // SAFETY: as in `set`; `run_freed` gets the function, once. If this fails, Node does not have it.
        unsafe {
            let added =
                sys::napi_add_finalizer(self.0, object, call.cast(), Some(run_freed), ptr::null_mut(), ptr::null_mut());
            self.check(added).inspect_err(|_| drop(Box::from_raw(call)))
        }
    }

    pub(crate) fn array(self) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: as in `number`.
        self.check(unsafe { sys::napi_create_array(self.0, &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn get(self, array: Value, index: u32) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: the array belongs to this call or scope.
        self.check(unsafe { sys::napi_get_element(self.0, array, index, &raw mut value) })?;
        Ok(value)
    }

    /// Whether the memory of an `ArrayBuffer` was taken away, as by `ArrayBuffer.prototype.transfer`.
    pub(crate) fn is_detached(self, array_buffer: Value) -> Result<bool> {
        let mut is_detached = false;
        // SAFETY: as in `to_integer`.
        self.check(unsafe { sys::napi_is_detached_arraybuffer(self.0, array_buffer, &raw mut is_detached) })?;
        Ok(is_detached)
    }

    pub(crate) fn set(self, array: Value, index: u32, value: Value) -> Result<()> {
        // SAFETY: both values belong to this call or scope.
        self.check(unsafe { sys::napi_set_element(self.0, array, index, value) })
    }

    pub(crate) fn set_named(self, object: Value, name: &str, value: Value) -> Result<()> {
        let name = c_string(name);
        // SAFETY: as in `set`; the name ends with a zero.
        self.check(unsafe { sys::napi_set_named_property(self.0, object, name.as_ptr(), value) })
    }

    /// Keeps a value alive until the environment ends.
    pub(crate) fn keep(self, value: Value) -> Result<Reference> {
        let mut reference = ptr::null_mut();
        // SAFETY: as in `set`.
        self.check(unsafe { sys::napi_create_reference(self.0, value, 1, &raw mut reference) })?;
        Ok(Reference(reference))
    }

    pub(crate) fn kept(self, reference: &Reference) -> Result<Value> {
        let mut value = ptr::null_mut();
        // SAFETY: the reference was made in this environment and is never deleted.
        self.check(unsafe { sys::napi_get_reference_value(self.0, reference.0, &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn raw(self) -> sys::napi_env {
        self.0
    }

    #[expect(clippy::unused_self, reason = "only what an environment returned is a status")]
    pub(crate) fn check(self, status: sys::napi_status) -> Result<()> {
        match status {
            sys::Status::napi_ok => Ok(()),
            sys::Status::napi_pending_exception | sys::Status::napi_closing | sys::Status::napi_cannot_run_js => {
                Err(Error::new(""))
            }
            status => Err(Error::new(format!("ropeway: Node-API refused a call of the addon with status {status}"))),
        }
    }

    fn throw(self, error: &Error) {
        if !error.0.is_empty() {
            let message = c_string(&error.0);
            // SAFETY: the message ends with a zero. Nothing can be done if this fails.
            unsafe { sys::napi_throw_error(self.0, ptr::null(), message.as_ptr()) };
        }
    }
}

/// A value that stays alive until the environment ends.
pub(crate) struct Reference(sys::napi_ref);

/// A function of the addon: what it does with the state of its environment.
pub(crate) type Run<S> = fn(&Rc<RefCell<S>>, Env, &Args) -> Result<Value>;

struct Function<S> {
    name: &'static str,
    state: Rc<RefCell<S>>,
    run: Run<S>,
}

/// Puts functions on `exports`, and keeps the state until the environment ends.
pub(crate) fn export<'a, S: 'static>(
    env: Env,
    exports: Value,
    state: &Rc<RefCell<S>>,
    functions: impl IntoIterator<Item = &'a (&'static str, Run<S>)>,
) -> Result<()> {
    let functions: Vec<Function<S>> =
        functions.into_iter().map(|&(name, run)| Function { name, state: Rc::clone(state), run }).collect();
    // Node has them before JavaScript does, so that they are freed once and not before the environment ends.
    let kept = Box::into_raw(Box::new(functions));
    // SAFETY: Node calls the finalizer once with this data, when no JavaScript runs any more.
    let status = unsafe { sys::napi_set_instance_data(env.0, kept.cast(), Some(drop_functions::<S>), ptr::null_mut()) };
    env.check(status)?;
    // SAFETY: it was made above, is not changed any more, and is freed by the finalizer alone.
    for function in unsafe { &*kept } {
        let mut value = ptr::null_mut();
        let data = ptr::from_ref(function).cast_mut().cast();
        // SAFETY: `enter` gets the function as its data, which is freed when the environment ends and not before.
        env.check(unsafe { sys::napi_create_function(env.0, ptr::null(), 0, Some(enter::<S>), data, &raw mut value) })?;
        env.set_named(exports, function.name, value)?;
    }
    Ok(())
}

/// Frees the functions when the environment ends.
unsafe extern "C" fn drop_functions<S: 'static>(_env: sys::napi_env, kept: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `export` passed this, and Node calls this once.
    drop(unsafe { Box::from_raw(kept.cast::<Vec<Function<S>>>()) });
}

/// Runs the registration of the module, as Node calls it in each environment.
pub(crate) fn register(env: sys::napi_env, exports: Value, run: fn(Env, Value) -> Result<()>) -> Value {
    static LOADED: OnceLock<libloading::Library> = OnceLock::new();
    let env = Env(env);
    let result = guarded(|| {
        // SAFETY: the library is this process itself, and is kept for ever. It is loaded once, before any other call.
        LOADED.get_or_init(|| unsafe { sys::setup() });
        run(env, exports)
    });
    finish(env, result.map(|()| exports))
}

/// The entry of every function of the addon.
unsafe extern "C" fn enter<S: 'static>(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let env = Env(env);
    let mut args = [ptr::null_mut(); MOST];
    let mut count = MOST;
    let mut data: *mut c_void = ptr::null_mut();
    // SAFETY: Node calls this with its own `env` and `info`; `args` has room for `count` values, and Node fills those that
    // were not given with `undefined`.
    unsafe {
        sys::napi_get_cb_info(env.0, info, &raw mut count, args.as_mut_ptr(), ptr::null_mut(), &raw mut data);
    }
    // SAFETY: `export` made the function with this type, and it lives as long as the environment.
    let function = unsafe { &*data.cast::<Function<S>>() };
    finish(env, guarded(|| (function.run)(&function.state, env, &Args(args))))
}

/// Turns an error into an exception.
fn finish(env: Env, result: Result<Value>) -> Value {
    result.unwrap_or_else(|error| {
        env.throw(&error);
        UNDEFINED
    })
}

/// Runs a part of the addon that Node calls. A panic becomes an error, as it must not leave Rust.
pub(crate) fn guarded<R>(run: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(describe(panic.as_ref())))
}

/// The error for a panic.
fn describe(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a message");
    Error::new(format!("ropeway: the addon panicked, which is a fault of ropeway: {text}"))
}

/// Frees the bytes of an [`Env::external`].
unsafe extern "C" fn drop_bytes(_env: sys::napi_env, _data: *mut c_void, owner: *mut c_void) {
    // SAFETY: `external` passed this owner, and Node calls this once.
    drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
}

/// Calls the function of an [`Env::on_free`].
unsafe extern "C" fn run_freed(_env: sys::napi_env, call: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `on_free` passed this function, and Node calls this once.
    let call = unsafe { Box::from_raw(call.cast::<Box<dyn FnOnce()>>()) };
    // Nobody could be told of an error.
    let _ = guarded(|| {
        call();
        Ok(())
    });
}

/// A text for Node, up to its first zero.
fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}
