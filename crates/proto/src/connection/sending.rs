//! Sending: the user's messages, pings and pongs, and their order. Messages wait while one is sent in fragments, and
//! while a large one is compressed. Making frames of them is left to the encoder.

use super::Connection;
use crate::deflate::SLICE;
use crate::error::SendError;
use crate::frame::Opcode;
use crate::frame::header::MAX_CONTROL_PAYLOAD;
use crate::message::{MessageRef, Payload};
use crate::send::encoder::split;
use crate::send::fragments::Held;
use crate::send::job::{Behind, Done, Job, Work};
use crate::send::prepared::Prepared;

/// Commands of the user.
impl Connection {
    /// Queues a message.
    ///
    /// Fails with [`SendError::Full`] while [`max_buffered`](crate::Config::max_buffered) bytes wait. Otherwise the
    /// whole message is accepted, however large it is.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.send_message(message.into())
    }

    /// The same as [`send`](Connection::send), but the message is not compressed, whatever was negotiated.
    pub fn send_uncompressed<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.check_room()?;
        self.queue_uncompressed(message.into());
        Ok(())
    }

    /// Queues a message that is never refused for lack of room. It is for messages that a driver has accepted earlier,
    /// in a queue of its own.
    pub fn send_promised<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.check_open()?;
        self.queue_message(message.into());
        Ok(())
    }

    /// Queues a message that other connections send too. Unlike with [`send`](Connection::send), work that is the same
    /// for all of them is done only once.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use ropeway_proto::deflate::{Options, Params};
    /// use ropeway_proto::{Config, Connection, Prepared, Role};
    ///
    /// let (config, now) = (Arc::new(Config::server()), Instant::now());
    /// let mut connections = [(); 3].map(|()| {
    ///     let connection = Connection::new(Role::Server, Arc::clone(&config), now);
    ///     connection.with_deflate(&Params::default(), &Options::default())
    /// });
    /// let news = Prepared::from("it rains, ".repeat(200));
    /// for connection in &mut connections {
    ///     connection.send_prepared(&news)?;
    ///     assert!(connection.buffered_amount() < news.message().len());
    /// }
    /// assert_eq!(news.compressions(), 1);
    /// # Ok::<(), ropeway_proto::SendError>(())
    /// ```
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        if !self.has_plain_room() {
            self.check_room()?;
        }
        self.queue_prepared(message);
        Ok(())
    }

    /// Queues a message that other connections send too, and that is never refused for lack of room: see
    /// [`send_promised`](Connection::send_promised).
    pub fn send_prepared_promised(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.check_open()?;
        self.queue_prepared(message);
        Ok(())
    }

    /// Queues a part of a message whose whole length need not be known: a fragment. The first one decides whether the
    /// message is text or binary. Fragments are not compressed. Messages that are sent before the `last` part wait for
    /// it (RFC 6455 section 5.4: fragments of different messages "MUST NOT be interleaved"). A part is never refused
    /// for lack of room, since a message that has begun has to be finished: watch the
    /// [buffered amount](Connection::buffered_amount).
    pub fn send_fragment<'m>(&mut self, part: impl Into<MessageRef<'m>>, last: bool) -> Result<(), SendError> {
        self.check_open()?;
        let first = self.life.fragments().is_none();
        self.queue_fragment(part.into(), first, last);
        match (first, last) {
            (true, false) => self.life.start_fragments(),
            (false, true) => {
                let held = self.life.end_fragments().held;
                for Held { message, may_compress } in held {
                    if may_compress {
                        self.queue_message(message.into());
                    } else {
                        self.queue_uncompressed(message.into());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Queues a ping of at most 125 bytes, ahead of all messages that have not started, unless
    /// [`control_first`](crate::Config::control_first) is off.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload)
    }

    /// Queues a pong of at most 125 bytes: an unsolicited one, or an answer if [`auto_pong`](crate::Config::auto_pong)
    /// is off.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload)
    }
}

/// Work for the driver.
impl Connection {
    /// Whether a large message is being compressed, so that [`Connection::handle_work`] has to be called. `false` while that
    /// work [is done elsewhere](Connection::take_work).
    #[inline]
    pub fn has_work(&self) -> bool {
        self.job().is_some_and(|job| !job.is_away())
    }

    /// Takes the work away, to be done on another thread. The message keeps its place: what is sent behind it waits until
    /// [`return_work`](Connection::return_work). A codec is taken by the thread that [runs](Work::run) it.
    ///
    /// ```
    /// # use std::{sync::Arc, thread, time::Instant};
    /// # use ropeway_proto::deflate::{Options, Params};
    /// # use ropeway_proto::{Config, Connection, Role};
    /// # let connection = Connection::new(Role::Server, Arc::new(Config::server()), Instant::now());
    /// # let mut connection = connection.with_deflate(&Params::default(), &Options::default());
    /// connection.send("it rains, ".repeat(10_000))?;
    /// connection.send("a short one")?;
    /// let mut work = connection.take_work().expect("a long message is to be compressed");
    /// let work = thread::spawn(move || {
    ///     work.run();
    ///     work
    /// });
    /// connection.return_work(work.join().expect("compressing does not panic"));
    /// assert!(connection.buffered_amount() < 2_000);
    /// # Ok::<(), ropeway_proto::SendError>(())
    /// ```
    pub fn take_work(&mut self) -> Option<Work> {
        let deflate = self.deflate.as_mut()?;
        deflate.job.as_mut()?.take_work(&mut deflate.compressor)
    }

    /// Queues the message of which the work was [taken](Connection::take_work), and what waits behind it. If the work is not
    /// [done](Work::run) yet, the rest of it is done here. Does nothing if the connection has been closed in the meantime.
    pub fn return_work(&mut self, work: Work) {
        let Some(job) = self.job_mut() else { return };
        if job.put_back(work) {
            while self.has_work() && self.job().is_some_and(Job::has_begun) {
                self.handle_work(true);
            }
        }
    }

    /// Compresses the next 16 KiB of a large message, at most half a millisecond of work. The message, and messages
    /// behind it, wait until all of it is compressed, and count as [buffered](Connection::buffered_amount). Pings and
    /// pongs do not wait. A driver calls this once a turn while the connection [has work](Connection::has_work), and
    /// gives other connections their turn.
    ///
    /// A message takes a codec of about 265 KiB with its first slice, and returns it with its last. The driver decides
    /// by `may_begin` whether another message may take a codec. It can look at the number of codecs that are
    /// [in use](crate::deflate::codecs_in_use). If `may_begin` is `false`, a message that has not begun is sent
    /// uncompressed, which RFC 7692 section 6.1 leaves to the sender.
    pub fn handle_work(&mut self, may_begin: bool) {
        let Some(deflate) = &mut self.deflate else { return };
        let Some(mut job) = deflate.job.take_if(|job| !job.is_away()) else { return };
        if !job.step(&mut deflate.compressor, may_begin) {
            deflate.job = Some(job);
            return;
        }
        let Done { opcode, is_compressed, payload, mut behind } = job.finish();
        self.encoder.frame(opcode, true, is_compressed, payload, &mut self.queue);
        while let Some(next) = behind.pop() {
            match next {
                Behind::Message(message) => self.queue_whole(message.into()),
                Behind::Prepared(prepared) => self.queue_prepared_whole(&prepared),
                Behind::Fragment { part, first, last } => self.queue_fragment(part.into(), first, last),
                Behind::Control(opcode, payload) => self.queue_control(opcode, &payload),
                Behind::Close(payload) => self.queue_close(&payload),
            }
            if let Some(job) = self.job_mut() {
                // The other messages wait for this one.
                job.set_behind(behind);
                break;
            }
        }
        self.release();
    }

    /// Breaks the work off, for a driver that has no more time: the message that is being compressed, and all messages
    /// from now on, are sent uncompressed. Does nothing while the work [is done elsewhere](Connection::take_work).
    pub fn give_up_work(&mut self) {
        let Some(deflate) = &mut self.deflate else { return };
        let Some(job) = deflate.job.as_mut().filter(|job| !job.is_away()) else { return };
        // The peer's window will lack this message, so no later message may point back into it.
        deflate.compressor.stop();
        job.give_up();
        while self.has_work() {
            self.handle_work(false);
        }
    }
}

impl Connection {
    fn send_message(&mut self, message: MessageRef<'_>) -> Result<(), SendError> {
        if self.has_plain_room() {
            self.encoder.message(message, &mut self.queue);
            return Ok(());
        }
        self.check_room()?;
        self.queue_message(message);
        Ok(())
    }

    /// Whether a message can be queued directly. Most connections are open, compress nothing and are within no
    /// fragmented message: then all that waits is in the queue.
    #[inline]
    fn has_plain_room(&self) -> bool {
        self.life.is_plainly_open() && self.deflate.is_none() && self.queue.len() < self.config.max_buffered
    }

    #[inline(never)]
    fn queue_message(&mut self, message: MessageRef<'_>) {
        if let Some(fragments) = self.life.fragments() {
            return fragments.hold(message.into_owned(), true);
        }
        self.queue_whole(message);
    }

    #[cold]
    fn queue_uncompressed(&mut self, message: MessageRef<'_>) {
        match self.life.fragments() {
            Some(fragments) => fragments.hold(message.into_owned(), false),
            // A whole message is the first and the last of its fragments, and those are not compressed.
            None => self.queue_fragment(message, true, true),
        }
    }

    /// Queues a message whose turn has come. It waits if another is being compressed.
    fn queue_whole(&mut self, message: MessageRef<'_>) {
        let Some(deflate) = self.deflate.as_deref_mut() else {
            let (opcode, payload) = split(message);
            return self.encoder.frame(opcode, true, false, payload, &mut self.queue);
        };
        if let Some(job) = &mut deflate.job {
            job.push(Behind::Message(message.into_owned()));
        } else if message.len() > SLICE && deflate.compressor.wants(message.len()) {
            let (opcode, payload) = split(message);
            deflate.job = Some(Box::new(Job::new(opcode, payload.into_bytes())));
        } else {
            self.encoder.compressed(message, &mut deflate.compressor, &mut self.queue);
        }
    }

    fn queue_fragment(&mut self, part: MessageRef<'_>, first: bool, last: bool) {
        match self.job_mut() {
            Some(job) => job.push(Behind::Fragment { part: part.into_owned(), first, last }),
            None => self.encoder.fragment(part, first, last, &mut self.queue),
        }
    }

    pub(super) fn queue_close(&mut self, payload: &[u8]) {
        match self.job_mut() {
            Some(job) => job.push(Behind::Close(payload.to_vec())),
            None => self.encoder.close(payload, &mut self.queue),
        }
    }

    #[inline]
    pub(super) fn job(&self) -> Option<&Job> {
        self.deflate.as_ref()?.job.as_deref()
    }

    fn job_mut(&mut self) -> Option<&mut Job> {
        self.deflate.as_mut()?.job.as_deref_mut()
    }

    fn queue_prepared(&mut self, message: &Prepared) {
        if self.life.fragments().is_some() {
            // It is queued together with the other messages that are held.
            return self.queue_message(message.message().clone().into());
        }
        self.queue_prepared_whole(message);
    }

    fn queue_prepared_whole(&mut self, message: &Prepared) {
        if let Some(job) = self.job_mut() {
            return job.push(Behind::Prepared(message.clone()));
        }
        let compressor = self.deflate.as_mut().map(|deflate| &mut deflate.compressor);
        self.encoder.prepared(message, compressor, &mut self.queue);
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.life.is_open() { Ok(()) } else { Err(SendError::NotOpen(self.ready_state())) }
    }

    fn check_room(&self) -> Result<(), SendError> {
        self.check_open()?;
        let buffered = self.buffered_amount();
        if buffered >= self.config.max_buffered {
            return Err(SendError::Full { buffered });
        }
        Ok(())
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.check_room()?;
        self.queue_control(opcode, payload);
        Ok(())
    }

    /// Queues a ping or a pong, ahead of messages or in its turn.
    pub(super) fn queue_control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.config.control_first {
            return self.encoder.control(opcode, payload, &mut self.queue);
        }
        match self.job_mut() {
            Some(job) => job.push(Behind::Control(opcode, payload.to_vec())),
            None => self.encoder.frame(opcode, true, false, Payload::Lent(payload), &mut self.queue),
        }
    }
}
