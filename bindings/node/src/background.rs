//! Compressing in the background: a large message's work on a thread of Node's pool, and the way back.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use napi_sys as sys;
use ropeway_proto::Work;

use crate::hub::Hub;
use crate::keys;
use crate::napi::{Env, Error, Reference, Result, guarded};

/// A message that is being compressed. Only `work` is used on the other thread.
struct Task {
    env: Env,
    hub: Rc<RefCell<Hub>>,
    id: u32,
    /// Which of the connections that have had this id.
    serial: u64,
    /// The masking key of the user's for the frame.
    key: Option<[u8; 4]>,
    handle: sys::napi_async_work,
    work: Option<Work>,
}

/// Compresses a message in the background. Then its frame is queued, and the function that `done` keeps is called with the
/// connection's id.
pub(crate) fn start(
    env: Env,
    hub: &Rc<RefCell<Hub>>,
    (id, serial): (u32, u64),
    key: Option<[u8; 4]>,
    work: Work,
) -> Result<()> {
    let name = env.string("ROPEWAY_COMPRESS")?;
    let task = Task { env, hub: Rc::clone(hub), id, serial, key, handle: ptr::null_mut(), work: Some(work) };
    let task = Box::into_raw(Box::new(task));
    // SAFETY: Node calls `execute` and then `complete` with the task, which lives until then. If either call fails, it is freed
    // here, and Node does not have it.
    unsafe {
        let handle = &raw mut (*task).handle;
        let made = sys::napi_create_async_work(
            env.raw(),
            ptr::null_mut(),
            name,
            Some(execute),
            Some(complete),
            task.cast(),
            handle,
        );
        let result = env.check(made).and_then(|()| env.check(sys::napi_queue_async_work(env.raw(), *handle)));
        if result.is_err() {
            drop(Box::from_raw(task));
        }
        result
    }
}

unsafe extern "C" fn execute(_env: sys::napi_env, task: *mut c_void) {
    // SAFETY: the task is alive, and its owner does not touch `work` until `complete`.
    let work = unsafe { &mut (*task.cast::<Task>()).work };
    let done = guarded(|| {
        work.iter_mut().for_each(Work::run);
        Ok(())
    });
    if done.is_err() {
        // The message is lost, and with it the window of the codec: `complete` says so.
        *work = None;
    }
}

unsafe extern "C" fn complete(_env: sys::napi_env, _status: sys::napi_status, task: *mut c_void) {
    // SAFETY: `start` passed this, and Node calls this once, on the environment's thread.
    let task = unsafe { Box::from_raw(task.cast::<Task>()) };
    let env = task.env;
    // SAFETY: the work is done, and nobody else deletes it.
    unsafe { sys::napi_delete_async_work(env.raw(), task.handle) };
    match guarded(|| finish(*task)) {
        Ok(Some((id, done))) => {
            if let Ok(id) = env.integer(id) {
                // A handler that throws is an uncaught exception, which Node sees to.
                let _ = env.invoke(done, id);
            }
        }
        Ok(None) => {}
        Err(error) => env.fatal(&error),
    }
}

/// Queues the frame. Returns what to call, unless the connection is gone.
fn finish(task: Task) -> Result<Option<(u32, crate::napi::Value)>> {
    let Some(work) = task.work else {
        return Err(Error::new("ropeway: compressing a message panicked, which is a fault of ropeway"));
    };
    let hub = &mut *task.hub.borrow_mut();
    let Ok(socket) = hub.socket(task.id) else { return Ok(None) };
    if socket.serial != task.serial {
        return Ok(None);
    }
    keys::with(task.key, || socket.connection.return_work(work));
    let done: Option<&Reference> = hub.compressed.as_ref();
    done.map(|done| task.env.kept(done).map(|function| (task.id, function))).transpose()
}
