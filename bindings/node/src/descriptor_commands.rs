//! The commands for sockets whose descriptors the addon reads and writes itself.

use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;

use crate::descriptor::Descriptor;
use crate::hub::{Hub, find};
use crate::napi::{Args, Env, Error, Result, Run, UNDEFINED, Value};
use crate::turn;

/// All of them with their names.
pub(crate) const ALL: &[(&str, Run<Hub>)] = &[
    ("start", start),
    ("adopt", adopt),
    ("watch", watch),
    ("keepAlive", keep_alive),
    ("flush", flush),
    ("leave", leave),
    ("write", write),
    ("count", count),
];

/// `start(deliver, settle)`: prepares for the first descriptor. `deliver` is called with the rows of a turn of the event loop,
/// `settle` to write what was sent in it.
fn start(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    if hub.borrow().descriptors.is_some() {
        return Ok(UNDEFINED);
    }
    let (deliver, settle) = (env.keep(args.get(0))?, env.keep(args.get(1))?);
    let sockets = turn::start(env, hub, deliver, settle)?;
    hub.borrow_mut().descriptors = Some(sockets);
    Ok(UNDEFINED)
}

/// `adopt(id, descriptor)`: the connection writes to this descriptor from now on.
fn adopt(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let number = i32::try_from(env.to_integer(args.get(1))?).unwrap_or(-1);
    let descriptor = Descriptor::new(number).ok_or_else(|| Error::new("ropeway: this is no descriptor"))?;
    hub.borrow_mut().socket(env.to_integer(args.get(0))?)?.polled.descriptor = Some(descriptor);
    Ok(UNDEFINED)
}

/// `watch(id, on)`: begins or ends to read the descriptor.
fn watch(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let (id, on) = (env.to_integer(args.get(0))?, env.to_integer(args.get(1))? != 0);
    let hub = &mut *hub.borrow_mut();
    let socket = find(&mut hub.sockets, id)?;
    if let Some(sockets) = &mut hub.descriptors {
        sockets.watch(id, socket, on)?;
    }
    Ok(UNDEFINED)
}

/// `keepAlive(id, on)`: whether the process stays for this socket.
fn keep_alive(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let (id, on) = (env.to_integer(args.get(0))?, env.to_integer(args.get(1))? != 0);
    let hub = &mut *hub.borrow_mut();
    let socket = find(&mut hub.sockets, id)?;
    if let Some(sockets) = &mut hub.descriptors {
        sockets.keep_alive(socket, on);
    }
    Ok(UNDEFINED)
}

/// `flush(id)`: writes what the kernel takes. Returns 0 if that was all, else the rest is ready as after `take`, and its length
/// is returned.
fn flush(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let id = env.to_integer(args.get(0))?;
    let hub = &mut *hub.borrow_mut();
    if hub.socket(id)?.flush() {
        return env.number(0.0);
    }
    env.number(hub.take(env, id)? as f64)
}

/// `leave(id)`: takes the descriptor away, before Node closes it or reads it again.
fn leave(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    hub.borrow_mut().leave(env.to_integer(args.get(0))?)?;
    Ok(UNDEFINED)
}

/// `write(id, header, payload)`: writes what the kernel takes of a frame that is encoded already, before which nothing may wait.
/// Returns how many bytes. An error counts as none: Node writes the rest, and gets the same error.
fn write(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let id = env.to_integer(args.get(0))?;
    let (header, payload) = (env.bytes(args.get(1))?, env.bytes(args.get(2))?);
    let slices = [IoSlice::new(header), IoSlice::new(payload)];
    let mut hub = hub.borrow_mut();
    let socket = hub.socket(id)?;
    let written = socket.polled.descriptor.and_then(|descriptor| descriptor.write(&slices).ok()).unwrap_or(0);
    socket.polled.counts[1] += written as u64;
    env.number(written as f64)
}

/// `count(id, direction)`: how many bytes were read from the descriptor (0), or written to it (1).
fn count(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let (id, direction) = (env.to_integer(args.get(0))?, env.to_integer(args.get(1))? as usize);
    env.number(hub.borrow_mut().socket(id)?.polled.counts[direction.min(1)] as f64)
}
