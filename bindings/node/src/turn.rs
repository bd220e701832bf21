//! A turn of the event loop: all sockets that can be read are read, then JavaScript is called once for all of their events, and
//! once more to write what it sent.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use ropeway_proto::Input;
use rustix::io::Errno;

use crate::callback::Called;
use crate::descriptor::Descriptor;
use crate::hub::Hub;
use crate::memory::Memory;
use crate::napi::{Env, Reference, Result, guarded};
use crate::rows::{Kind, Place, Row, Word};
use crate::slice::Slice;
use crate::socket::Socket;
use crate::sockets::{Calls, Sockets};

/// The most bytes that are read into a slab at once, as many as libuv reads.
const READ: usize = 64 * 1024;

/// The most that one socket is read in a turn, so that the others get theirs.
const BUDGET: usize = 1 << 20;

/// No more sockets are read in a turn that has inflated so much: that takes a few milliseconds.
const INFLATED: usize = 1 << 20;

/// No more sockets are read in a turn that has put so much memory of its own into rows.
const HELD: usize = 32 << 20;

/// Prepares for the first descriptor of an environment.
pub(crate) fn start(env: Env, hub: &Rc<RefCell<Hub>>, deliver: Reference, settle: Reference) -> Result<Sockets> {
    let (turning, ending) = (Rc::clone(hub), Rc::clone(hub));
    let ready = Box::new(move || turn(env, &turning));
    let end = Box::new(move || {
        // Nothing of the hub is borrowed: the environment ends when no JavaScript runs.
        if let Ok(mut hub) = ending.try_borrow_mut() {
            hub.end();
        }
    });
    let calls = Calls::new(deliver, settle);
    Sockets::start(env, calls, ready, end)
}

/// The turn, called by the loop.
fn turn(env: Env, hub: &Rc<RefCell<Hub>>) {
    if let Err(error) = guarded(|| env.scoped(|| run(env, hub))?) {
        env.fatal(&error);
    }
}

fn run(env: Env, hub: &RefCell<Hub>) -> Result<()> {
    let calls = {
        let mut hub = hub.borrow_mut();
        // When an environment ends, Node closes its sockets, runs the loop, and calls hooks such as `end` at last. The numbers of
        // the descriptors may be another thread's by then.
        if !hub.memory.may_call(env) {
            return Ok(());
        }
        hub.sweep();
        hub.read_ready(env)?;
        let rows = &hub.memory.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let Some(sockets) = &hub.descriptors else { return Ok(()) };
        sockets.calls()
    };
    // Making it may call hooks of the program, so nothing of the hub is borrowed.
    let context = calls.context(env)?;
    hub.borrow().memory.rows.begin_batch();
    let word = |word| hub.borrow().memory.rows.get(word);
    loop {
        match env.call(context, &calls.deliver) {
            Called::Ended => return Ok(()),
            // A handler threw: those behind it are called all the same.
            Called::Threw if word(Word::Cursor) < word(Word::End) => {}
            Called::Threw | Called::Returned => break,
        }
    }
    if word(Word::Restless) != 0 {
        env.call(context, &calls.settle);
    }
    hub.borrow().memory.rows.set(Word::Batch, 0);
    Ok(())
}

impl Hub {
    /// Reads all sockets that can be read, as far as there is room for their rows.
    fn read_ready(&mut self, env: Env) -> Result<()> {
        let Some(sockets) = &mut self.descriptors else { return Ok(()) };
        let ready = sockets.ready()?;
        self.memory.held = 0;
        let (mut inflated, mut left) = (0, None);
        for &id in &ready {
            // The others are asked for in the next turn, which begins with them: they are still ready then.
            let has_room = self.memory.rows.left_to_turn() * SHORTEST >= READ / 8;
            if !has_room || self.memory.held > HELD || inflated >= INFLATED {
                left = Some(id);
                break;
            }
            inflated += self.read(env, id)?;
        }
        if let Some(sockets) = &mut self.descriptors {
            sockets.done(ready, left);
        }
        Ok(())
    }

    /// Reads one socket, and returns how many bytes were inflated.
    fn read(&mut self, env: Env, id: u32) -> Result<usize> {
        let Some(socket) = self.sockets.get_mut(id as usize) else { return Ok(0) };
        let Some(descriptor) = socket.polled.descriptor else { return Ok(0) };
        let slice = Slice::begin(socket, &self.memory);
        let ended = read(env, id, socket, descriptor, &mut self.memory, &slice, self.time)?;
        let inflated = slice.length(socket, &self.memory);
        let ending = match ended {
            Ended::NotYet => return Ok(inflated),
            Ended::Peer => Row { id, kind: Kind::End, place: Place::Chunk(0), length: 0, value: 0 },
            Ended::Error(error) => {
                let value = error.raw_os_error().unsigned_abs();
                Row { id, kind: Kind::Error, place: Place::Chunk(0), length: 0, value }
            }
        };
        self.memory.rows.push(&ending);
        if let Some(sockets) = &mut self.descriptors {
            sockets.watch(id, socket, false)?;
        }
        Ok(inflated)
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
    slice: &Slice,
    time: Instant,
) -> Result<Ended> {
    let mut budget = BUDGET;
    loop {
        let (asked, result) = if let Some(room) = socket.connection.poll_read_buffer() {
            let result = descriptor.read(room);
            let asked = room.len();
            if let Ok(count @ 1..) = result
                && let Some(event) = socket.connection.handle_read_in_place(count, time)
            {
                memory.tell(env, id, event, |_| None)?;
            }
            (asked, result)
        } else {
            // A frame takes a row, and rows are limited.
            let most = READ.min(memory.rows.left_to_turn() * SHORTEST);
            if most == 0 {
                return Ok(Ended::NotYet);
            }
            let (filled, result) = memory.slab.fill(env, &memory.rows, most, |free| descriptor.read(free))?;
            if let Some(mut filled) = filled {
                let (slot, offset) = filled.place();
                let begin = filled.bytes().as_ptr().addr();
                let mut is_lent = false;
                // Bytes behind a close frame are read and thrown away: a TCP connection that ends with unread bytes is
                // reset.
                if socket.connection.is_receiving() {
                    let mut input = Input::new(filled.bytes());
                    while !input.is_empty() && !slice.is_over(socket, memory) {
                        if let Some(event) = socket.connection.handle_input(&mut input, time) {
                            memory.tell(env, id, event, |payload| {
                                is_lent = true;
                                Some(Place::Slab(slot, offset + (payload.as_ptr().addr() - begin) as u32))
                            })?;
                        }
                    }
                    if !input.is_empty() {
                        let (at, length) = (input.remaining().as_ptr().addr() - begin, input.remaining().len() as u32);
                        let place = Place::Slab(slot, offset + at as u32);
                        memory.rows.push(&Row { id, kind: Kind::Rest, place, length, value: 0 });
                        is_lent = true;
                    }
                }
                if !is_lent {
                    memory.slab.give_back(&filled);
                }
            }
            (most, result)
        };
        socket.polled.counts[0] += result.unwrap_or(0) as u64;
        match result {
            Ok(0) => return Ok(Ended::Peer),
            Ok(count) if count < asked => return Ok(Ended::NotYet),
            Ok(count) => budget = budget.saturating_sub(count),
            Err(Errno::AGAIN) => return Ok(Ended::NotYet),
            Err(error) => return Ok(Ended::Error(error)),
        }
        if budget == 0 || slice.is_over(socket, memory) {
            return Ok(Ended::NotYet);
        }
    }
}
