//! The start of the addon in a JavaScript environment: the main thread's, or a worker's.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use crate::commands;
use crate::hub::Hub;
use crate::memory::Memory;
use crate::napi::{self, Env, Result, Value};
use crate::rows::{self, Rows};
use crate::slab::Slab;

/// The version of Node-API that is needed: that of Node 18.17.
#[unsafe(no_mangle)]
extern "C" fn node_api_module_get_api_version_v1() -> i32 {
    9
}

/// Node calls this in each environment.
#[unsafe(no_mangle)]
extern "C" fn napi_register_module_v1(env: napi_sys::napi_env, exports: Value) -> Value {
    napi::register(env, exports, start)
}

fn start(env: Env, exports: Value) -> Result<()> {
    let (table, memory) = env.array_buffer(rows::BYTES)?;
    env.set_named(exports, "rows", table)?;
    // `exports` stays, but a property of it can be deleted.
    env.keep(table)?;
    // SAFETY: the memory has so many bytes, is aligned as any `ArrayBuffer`, and is kept until the environment ends.
    let rows = unsafe { Rows::new(memory) };
    let slabs = env.array()?;
    env.set_named(exports, "slabs", slabs)?;
    let slab = Slab::new(env, env.keep(slabs)?, &rows)?;
    let externals = env.array()?;
    env.set_named(exports, "externals", externals)?;
    let hub = Hub::new(Memory::new(rows, slab, env.keep(externals)?));
    #[cfg(target_os = "linux")]
    let others = crate::descriptor_commands::ALL;
    #[cfg(not(target_os = "linux"))]
    let others = &[];
    napi::export(env, exports, &Rc::new(RefCell::new(hub)), commands::ALL.iter().chain(others))
}
