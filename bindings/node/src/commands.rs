//! The commands: the functions of the addon that JavaScript may call.

use std::cell::RefCell;
use std::rc::Rc;

use ropeway_proto::{MessageRef, SendError};

use crate::background;
use crate::hub::Hub;
use crate::keys;
use crate::napi::{Args, Env, Error, Result, Run, UNDEFINED, Value};
use crate::settings::Settings;
use crate::socket::How;

/// All commands with their names.
pub(crate) const ALL: &[(&str, Run<Hub>)] = &[
    ("open", open),
    ("close", close),
    ("feed", feed),
    ("take", take),
    ("send", send),
    ("control", control),
    ("received", received),
    ("onCompressed", on_compressed),
];

const BINARY: u32 = 1;
const LAST: u32 = 2;
const COMPRESS: u32 = 4;
const KEY: u32 = 8;
const STRING: u32 = 16;
const BACKGROUND: u32 = 32;

/// The result of `send` when the message is compressed in the background.
const WORKING: f64 = -2.0;

/// `open(flags, maxPayload, maxFragments, …)`, see [`Settings`]: makes a connection and returns its id.
fn open(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let settings = Settings::read(env, args)?;
    env.integer(hub.borrow_mut().open(&settings))
}

/// `close(id)`: forgets a connection.
fn close(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    hub.borrow_mut().close(env.to_integer(args.get(0))?)?;
    Ok(UNDEFINED)
}

/// `feed(id, chunk, from)`: takes the bytes of a chunk from an offset on, unmasks them where they are, and appends rows.
/// Returns the offset of the first byte that it left, as the table was full or much was inflated.
fn feed(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let id = env.to_integer(args.get(0))?;
    let chunk = env.bytes_mut(args.get(1))?;
    let from = (env.to_integer(args.get(2))? as usize).min(chunk.len());
    env.integer(hub.borrow_mut().feed(env, id, chunk, from)? as u32)
}

/// `take(id)`: moves what is to be written to where the table then says, and returns its length.
fn take(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let length = hub.borrow_mut().take(env, env.to_integer(args.get(0))?)?;
    env.number(length as f64)
}

/// `send(id, data, flags, key)`: queues a message, or a fragment of one. `key` is that of `generateMask`, as a number.
/// Returns how many bytes wait; -1 if a text in bytes is not UTF-8, which the core does not send; -2 if a large message is
/// compressed in the background, until which nothing else may be sent.
fn send(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let (id, flags) = (env.to_integer(args.get(0))?, env.to_integer(args.get(2))?);
    let is_on = |flag: u32| flags & flag != 0;
    let shared = hub;
    let mut hub = hub.borrow_mut();
    let how = How { is_last: is_on(LAST), may_compress: is_on(COMPRESS), leaves_work: is_on(BACKGROUND) };
    let key = if is_on(KEY) { Some(env.to_integer(args.get(3))?.to_be_bytes()) } else { None };
    let mut text = std::mem::take(&mut hub.text);
    text.clear();
    let data: &[u8] = if is_on(STRING) {
        env.read_string(args.get(1), &mut text)?;
        &text
    } else {
        env.bytes(args.get(1))?
    };
    // A continuation frame does not say whether it is text, and may begin or end within a character.
    let message = if is_on(BINARY) || hub.socket(id)?.is_midway() {
        MessageRef::from(data)
    } else {
        match simdutf8::basic::from_utf8(data) {
            Ok(text) => MessageRef::from(text),
            Err(_) => return env.number(-1.0),
        }
    };
    let socket = hub.socket(id)?;
    keys::with(key, || socket.send(message, how)).map_err(|error| refused(&error))?;
    let waiting = socket.connection.buffered_amount();
    let work = socket.connection.take_work();
    let serial = socket.serial;
    if text.capacity() <= KEPT_TEXT {
        hub.text = text;
    }
    drop(hub);
    if let Some(work) = work {
        background::start(env, shared, (id, serial), key, work)?;
        return env.number(WORKING);
    }
    env.number(waiting as f64)
}

/// `onCompressed(done)`: `done` is called with a connection's id when its message was compressed in the background.
fn on_compressed(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    hub.borrow_mut().compressed = Some(env.keep(args.get(0))?);
    Ok(UNDEFINED)
}

/// The most memory that is kept for the next text.
const KEPT_TEXT: usize = 256 * 1024;

/// `control(id, opcode, payload, flags, key)`: queues a control frame behind all that waits.
fn control(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let (id, opcode) = (env.to_integer(args.get(0))?, env.to_integer(args.get(1))?);
    let payload = env.bytes(args.get(2))?;
    let has_key = env.to_integer(args.get(3))? & KEY != 0;
    let key = if has_key { Some(env.to_integer(args.get(4))?.to_be_bytes()) } else { None };
    let mut hub = hub.borrow_mut();
    let time = hub.time;
    let socket = hub.socket(id)?;
    keys::with(key, || socket.control(opcode, payload, time)).map_err(|error| refused(&error))?;
    env.number(socket.connection.buffered_amount() as f64)
}

/// `received(id)`: the length of the unfinished message so far.
fn received(hub: &Rc<RefCell<Hub>>, env: Env, args: &Args) -> Result<Value> {
    let id = env.to_integer(args.get(0))?;
    env.number(hub.borrow_mut().socket(id)?.connection.received_amount() as f64)
}

fn refused(error: &SendError) -> Error {
    Error::new(format!("ropeway: {error}"))
}
