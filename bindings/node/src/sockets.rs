//! The sockets of an environment whose descriptors the addon reads: one poller, which the event loop watches.

use std::cell::OnceCell;
use std::rc::Rc;

use rustix::io::Errno;

use crate::callback::Context;
use crate::napi::{Env, Error, Reference, Result};
use crate::poller::Poller;
use crate::socket::Socket;
use crate::uv::{Ready, Watch};

/// The part that all descriptors of an environment share.
pub(crate) struct Sockets {
    poller: Poller,
    watch: Watch,
    calls: Rc<Calls>,
    /// The sockets that keep the process alive: those that are watched and not unref'd.
    alive: usize,
    /// The ids that can be read in this turn.
    ready: Vec<u32>,
    /// The first id that the last turn has left for this one.
    left: Option<u32>,
}

/// The functions of JavaScript that a turn calls.
pub(crate) struct Calls {
    context: OnceCell<Context>,
    /// Delivers the rows from [`Word::Cursor`] to [`Word::End`].
    pub(crate) deliver: Reference,
    /// Writes what was sent.
    pub(crate) settle: Reference,
}

impl Calls {
    pub(crate) fn new(deliver: Reference, settle: Reference) -> Self {
        Self { context: OnceCell::new(), deliver, settle }
    }

    /// Returns the context of the calls. It is made in a turn, where no function of the program is running. So it has no stores of
    /// `AsyncLocalStorage`, as a socket has none that the system accepts.
    pub(crate) fn context(&self, env: Env) -> Result<&Context> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let context = Context::new(env, "ROPEWAY")?;
        Ok(self.context.get_or_init(|| context))
    }
}

impl Sockets {
    /// Calls `ready` when a socket can be read, and `end` when the environment ends, which must [close](Self::close) this.
    pub(crate) fn start(env: Env, calls: Calls, ready: Ready, end: Box<dyn FnOnce()>) -> Result<Self> {
        let poller = Poller::new().map_err(|error| failed("make a poller", error))?;
        let watch = Watch::start(env, poller.number(), ready, end)?;
        Ok(Self { poller, watch, calls: Rc::new(calls), alive: 0, ready: Vec::new(), left: None })
    }

    /// The functions of JavaScript.
    pub(crate) fn calls(&self) -> Rc<Calls> {
        Rc::clone(&self.calls)
    }

    /// Returns the ids of the sockets that can be read now. The list comes back with [`done`](Self::done).
    pub(crate) fn ready(&mut self) -> Result<Vec<u32>> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.poller.ready(&mut ready).map_err(|error| failed("ask which sockets can be read", error))?;
        if let Some(left) = self.left.take()
            && let Some(at) = ready.iter().position(|&id| id == left)
        {
            ready.rotate_left(at);
        }
        Ok(ready)
    }

    /// Takes the list back, for its memory. The next one begins with `left`, if that is still ready then.
    pub(crate) fn done(&mut self, ready: Vec<u32>, left: Option<u32>) {
        self.ready = ready;
        self.left = left;
    }

    /// Ends the watch, and with it the poller.
    pub(crate) fn close(self) {
        self.watch.close();
    }

    /// Begins or ends to read a socket.
    pub(crate) fn watch(&mut self, id: u32, socket: &mut Socket, on: bool) -> Result<()> {
        let Some(descriptor) = socket.polled.descriptor.filter(|_| socket.polled.is_watched != on) else {
            return Ok(());
        };
        if on {
            self.poller.add(descriptor, id).map_err(|error| failed("watch a socket", error))?;
        } else {
            // It fails only if the kernel does not watch it any more, which is as good.
            let _ = self.poller.remove(descriptor);
        }
        self.change(socket, |socket| socket.polled.is_watched = on);
        Ok(())
    }

    /// Whether a socket keeps the process alive.
    pub(crate) fn keep_alive(&mut self, socket: &mut Socket, on: bool) {
        self.change(socket, |socket| socket.polled.is_referenced = on);
    }

    fn change(&mut self, socket: &mut Socket, change: impl FnOnce(&mut Socket)) {
        let before = socket.polled.is_watched && socket.polled.is_referenced;
        change(socket);
        let after = socket.polled.is_watched && socket.polled.is_referenced;
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

fn failed(doing: &str, error: Errno) -> Error {
    Error::new(format!("ropeway: the operating system would not {doing}: {error}"))
}
