//! A turn of the event loop: all sockets that can be read are read, then JavaScript is called once for all of their events, and
//! once more to write what it sent.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use ropeway_proto::Input;
use rustix::io::Errno;

use crate::callback::{Called, Context};
use crate::descriptor::Descriptor;
use crate::hub::{Hub, Memory};
use crate::napi::{Env, Error, Reference, Result, describe};
use crate::poller::Poller;
use crate::rows::{Kind, Place, Row, Word};
use crate::socket::Socket;
use crate::uv::Watch;

/// The most bytes that are read into a slab at once, as many as libuv reads.
const READ: usize = 64 * 1024;

/// The most that one socket is read in a turn, so that the others get theirs.
const BUDGET: usize = 1 << 20;

/// What all descriptors of an environment share.
pub(crate) struct Sockets {
    poller: Poller,
    watch: Watch,
    calls: Rc<Calls>,
    /// The sockets that keep the process alive: those that are watched and not unref'd.
    alive: usize,
    /// The ids that can be read in this turn.
    ready: Vec<u32>,
}

/// What is called in JavaScript.
struct Calls {
    context: Context,
    /// Delivers the rows from [`Word::Cursor`] to [`Word::End`].
    deliver: Reference,
    /// Writes what was sent.
    settle: Reference,
}

impl Sockets {
    pub(crate) fn start(env: Env, hub: &Rc<RefCell<Hub>>, deliver: Reference, settle: Reference) -> Result<Self> {
        let poller = Poller::new().map_err(|error| failed("make a poller", error))?;
        let (turning, ending) = (Rc::clone(hub), Rc::clone(hub));
        let ready = Box::new(move || turn(env, &turning));
        let end = Box::new(move || {
            // Nothing of the hub is borrowed: the environment ends when no JavaScript runs.
            if let Ok(mut hub) = ending.try_borrow_mut() {
                hub.end();
            }
        });
        let watch = Watch::start(env, poller.number(), ready, end)?;
        let calls = Rc::new(Calls { context: Context::new(env, "ROPEWAY")?, deliver, settle });
        Ok(Self { poller, watch, calls, alive: 0, ready: Vec::new() })
    }

    /// Ends the watch, and with it the poller.
    pub(crate) fn close(self) {
        self.watch.close();
    }

    /// Begins or ends to read a socket.
    pub(crate) fn watch(&mut self, id: u32, socket: &mut Socket, on: bool) -> Result<()> {
        let Some(descriptor) = socket.descriptor.filter(|_| socket.is_watched != on) else { return Ok(()) };
        let result = if on { self.poller.add(descriptor, id) } else { self.poller.remove(descriptor) };
        result.map_err(|error| failed("watch a socket", error))?;
        self.change(socket, |socket| socket.is_watched = on);
        Ok(())
    }

    /// Whether a socket keeps the process alive.
    pub(crate) fn keep_alive(&mut self, socket: &mut Socket, on: bool) {
        self.change(socket, |socket| socket.is_referenced = on);
    }

    fn change(&mut self, socket: &mut Socket, change: impl FnOnce(&mut Socket)) {
        let before = socket.is_watched && socket.is_referenced;
        change(socket);
        let after = socket.is_watched && socket.is_referenced;
        if before == after {
            return;
        }
        if after {
            self.alive += 1;
        } else {
            self.alive -= 1;
        }
        if self.alive == usize::from(after) {
            self.watch.keep_alive(after);
        }
    }
}

/// The turn, called by the loop.
fn turn(env: Env, hub: &Rc<RefCell<Hub>>) {
    let result = catch_unwind(AssertUnwindSafe(|| env.scoped(|| run(env, hub))));
    match result {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error)) | Err(error)) => env.fatal(error.message()),
        Err(panic) => env.fatal(&describe(panic.as_ref())),
    }
}

fn run(env: Env, hub: &RefCell<Hub>) -> Result<()> {
    let calls = {
        let mut hub = hub.borrow_mut();
        hub.sweep();
        hub.read_ready(env)?;
        let rows = &hub.memory.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let Some(sockets) = &hub.descriptors else { return Ok(()) };
        rows.begin_batch();
        Rc::clone(&sockets.calls)
    };
    let word = |word| hub.borrow().memory.rows.get(word);
    loop {
        match env.call(&calls.context, &calls.deliver) {
            Called::Ended => return Ok(()),
            // A handler threw: those behind it are called all the same.
            Called::Threw if word(Word::Cursor) < word(Word::End) => {}
            Called::Threw | Called::Returned => break,
        }
    }
    if word(Word::Restless) != 0 {
        env.call(&calls.context, &calls.settle);
    }
    hub.borrow().memory.rows.set(Word::Batch, 0);
    Ok(())
}

impl Hub {
    /// Reads all sockets that can be read, as far as there is room for their rows.
    fn read_ready(&mut self, env: Env) -> Result<()> {
        let Some(sockets) = &mut self.descriptors else { return Ok(()) };
        let mut ready = std::mem::take(&mut sockets.ready);
        ready.clear();
        sockets.poller.ready(&mut ready).map_err(|error| failed("ask which sockets can be read", error))?;
        for &id in &ready {
            // The others are asked for in the next turn: they are still ready then.
            if self.memory.rows.left() * SHORTEST < READ / 8 {
                break;
            }
            self.read(env, id)?;
        }
        if let Some(sockets) = &mut self.descriptors {
            sockets.ready = ready;
        }
        Ok(())
    }

    /// Reads one socket.
    fn read(&mut self, env: Env, id: u32) -> Result<()> {
        let Some(socket) = self.sockets.get_mut(id as usize) else { return Ok(()) };
        let Some(descriptor) = socket.descriptor else { return Ok(()) };
        let ending = match read(env, id, socket, descriptor, &mut self.memory, self.now)? {
            Ended::NotYet => return Ok(()),
            Ended::Peer => Row { id, kind: Kind::End, place: Place::Chunk(0), length: 0, value: 0 },
            Ended::Error(error) => {
                let value = error.raw_os_error().unsigned_abs();
                Row { id, kind: Kind::Error, place: Place::Chunk(0), length: 0, value }
            }
        };
        self.memory.rows.push(&ending);
        let Some(sockets) = &mut self.descriptors else { return Ok(()) };
        sockets.watch(id, socket, false)
    }
}

/// The fewest bytes that a frame has: a server's has no mask.
const SHORTEST: usize = 2;

/// Whether a socket can be read on.
enum Ended {
    NotYet,
    /// The peer has ended its half.
    Peer,
    Error(Errno),
}

fn read(
    env: Env,
    id: u32,
    socket: &mut Socket,
    descriptor: Descriptor,
    memory: &mut Memory,
    now: Instant,
) -> Result<Ended> {
    let mut budget = BUDGET;
    loop {
        let (asked, result) = if let Some(room) = socket.connection.poll_read_buffer() {
            let result = descriptor.read(room);
            let asked = room.len();
            if let Ok(count @ 1..) = result
                && let Some(event) = socket.connection.handle_read_in_place(count, now)
            {
                memory.tell(env, id, event, |_| None)?;
            }
            (asked, result)
        } else {
            // A frame takes a row, and rows are limited.
            let most = READ.min(memory.rows.left().saturating_sub(1) * SHORTEST);
            if most == 0 {
                return Ok(Ended::NotYet);
            }
            let (filled, result) = memory.slab.fill(env, &memory.rows, most, |free| descriptor.read(free))?;
            if let Some(mut filled) = filled {
                let (slot, offset) = filled.place();
                let begin = filled.bytes().as_ptr().addr();
                let mut is_lent = false;
                // What comes behind a close frame is read and thrown away: a TCP connection that ends with unread bytes is
                // reset.
                if socket.connection.is_receiving() {
                    let mut input = Input::new(filled.bytes());
                    while !input.is_empty() {
                        while let Some(event) = socket.connection.handle_input(&mut input, now) {
                            memory.tell(env, id, event, |payload| {
                                is_lent = true;
                                Some(Place::Slab(slot, offset + (payload.as_ptr().addr() - begin) as u32))
                            })?;
                        }
                    }
                }
                if !is_lent {
                    memory.slab.give_back(&filled);
                }
            }
            (most, result)
        };
        match result {
            Ok(0) => return Ok(Ended::Peer),
            Ok(count) if count < asked => return Ok(Ended::NotYet),
            Ok(count) => budget = budget.saturating_sub(count),
            Err(Errno::AGAIN) => return Ok(Ended::NotYet),
            Err(error) => return Ok(Ended::Error(error)),
        }
        if budget == 0 {
            return Ok(Ended::NotYet);
        }
    }
}

fn failed(what: &str, error: Errno) -> Error {
    Error::new(format!("ropeway: the operating system would not {what}: {error}"))
}
