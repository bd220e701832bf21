//! A connection of the core, with what the addon knows of it.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::{CloseCode, CloseFrame, Config, Connection, MessageRef, SendError};

#[cfg(target_os = "linux")]
use crate::descriptor::Polled;
use crate::settings::Settings;

/// A connection.
pub(crate) struct Socket {
    pub(crate) connection: Connection,
    /// Which connection it is of all that the environment has had.
    pub(crate) serial: u64,
    /// Whether a message is being sent in fragments.
    is_midway: bool,
    /// Whether messages that come may be compressed.
    pub(crate) may_inflate: bool,
    /// Whether it was closed, and is forgotten once no row names it.
    pub(crate) is_leaving: bool,
    #[cfg(target_os = "linux")]
    pub(crate) polled: Polled,
}

/// How a message is sent.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub(crate) is_last: bool,
    pub(crate) may_compress: bool,
    /// Whether a large message is left to be compressed elsewhere.
    pub(crate) leaves_work: bool,
}

impl Socket {
    pub(crate) fn new(
        settings: &Settings,
        config: Arc<Config>,
        role: ropeway_proto::Role,
        now: Instant,
        serial: u64,
    ) -> Self {
        let mut connection = Connection::new(role, config, now);
        if let Some((params, options)) = &settings.deflate {
            connection = connection.with_deflate(params, options);
        }
        Self {
            connection,
            serial,
            is_midway: false,
            may_inflate: settings.deflate.is_some(),
            is_leaving: false,
            #[cfg(target_os = "linux")]
            polled: Polled::default(),
        }
    }

    /// Whether a message is being sent in fragments.
    pub(crate) fn is_midway(&self) -> bool {
        self.is_midway
    }

    pub(crate) fn send(&mut self, message: MessageRef<'_>, how: How) -> Result<(), SendError> {
        if self.is_midway || !how.is_last {
            self.is_midway = !how.is_last;
            return self.connection.send_fragment(message, how.is_last);
        }
        if !how.may_compress {
            return self.connection.send_uncompressed(message);
        }
        self.connection.send(message)?;
        while !how.leaves_work && self.connection.has_work() {
            self.connection.handle_work(true);
        }
        Ok(())
    }

    /// Queues a control frame behind all that waits.
    pub(crate) fn control(&mut self, opcode: u32, payload: &[u8], now: Instant) -> Result<(), SendError> {
        match opcode {
            8 => self.connection.close(close_frame(payload).as_ref(), now),
            9 => self.connection.ping(payload),
            _ => self.connection.pong(payload),
        }
    }
}

fn close_frame(payload: &[u8]) -> Option<CloseFrame> {
    let (code, reason) = payload.split_first_chunk()?;
    let code = CloseCode::from(u16::from_be_bytes(*code));
    Some(CloseFrame::new(code, String::from_utf8_lossy(reason).into_owned()))
}

/// The most slices that are asked for at once, as many as a `writev` takes well.
const SLICES: usize = 16;

impl Socket {
    /// Passes all bytes that wait to `write`, piece by piece, and forgets them.
    pub(crate) fn write_all(&mut self, mut write: impl FnMut(&[u8])) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.connection.poll_transmit(&mut slices);
            if count == 0 {
                return;
            }
            let mut written = 0;
            for slice in &slices[..count] {
                write(slice);
                written += slice.len();
            }
            self.connection.handle_transmitted(written);
        }
    }

    /// Writes to the descriptor what the kernel takes now, and returns whether that was all. An error counts as nothing taken:
    /// Node writes the rest, and gets the same error.
    #[cfg(target_os = "linux")]
    pub(crate) fn flush(&mut self) -> bool {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.connection.poll_transmit(&mut slices);
            if count == 0 {
                return true;
            }
            let Some(descriptor) = self.polled.descriptor else { return false };
            let length: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let written = descriptor.write(&slices[..count]).unwrap_or(0);
            self.connection.handle_transmitted(written);
            self.polled.counts[1] += written as u64;
            if written < length {
                return false;
            }
        }
    }
}
