//! A TCP connection that an event loop watches. It reads and writes when it is ready, and never waits.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
#[cfg(target_os = "linux")]
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::transport::Stream;

/// The events for which a socket has become ready. They are edge-triggered: reported once for each change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    readable: bool,
    writable: bool,
    end: End,
}

/// The part of a socket that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Nothing,
    /// The peer has ended its half: after the remaining bytes, reading reports the end.
    Half,
    /// The connection is broken, or both halves have ended.
    All,
}

impl From<&Event> for Readiness {
    fn from(event: &Event) -> Self {
        let end = if event.is_write_closed() || event.is_error() {
            End::All
        } else if event.is_read_closed() {
            End::Half
        } else {
            End::Nothing
        };
        Self {
            readable: event.is_readable() || end > End::Nothing,
            writable: event.is_writable() || end == End::All,
            end,
        }
    }
}

/// A TCP connection that never blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    readiness: Readiness,
    /// Whether the peer's system has a time limit to acknowledge sent bytes, see [`Stream::expect_confirmation`].
    is_timed: bool,
}

impl Socket {
    /// Makes a socket of a connection in non-blocking mode. Bytes that have come already are reported when it is
    /// [watched](Socket::watch).
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, readiness: Readiness { readable: false, writable: true, end: End::Nothing }, is_timed: false }
    }

    /// Registers it with the poller under this token.
    pub(crate) fn watch(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.tcp.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.readiness.readable |= readiness.readable;
        self.readiness.writable |= readiness.writable;
        self.readiness.end = self.readiness.end.max(readiness.end);
    }
}

impl Stream for Socket {
    #[inline]
    fn poll_read(&mut self, _cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.readiness.readable {
            match self.tcp.read(buffer) {
                Ok(count) => {
                    // Fewer bytes than the buffer holds were all there are. Further bytes are reported as a new event.
                    self.readiness.readable = count == buffer.len() || self.readiness.end > End::Nothing;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }

    #[inline]
    fn poll_write(&mut self, _cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while self.readiness.writable {
            let result = match slices {
                // The common case, for which there is a cheaper system call.
                [slice] => self.tcp.write(slice),
                slices => self.tcp.write_vectored(slices),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        Poll::Pending
    }

    #[inline]
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_broken(&self) -> bool {
        self.readiness.end == End::All
    }

    #[cfg(target_os = "linux")]
    fn expect_confirmation(&mut self, within: Option<Duration>) {
        if within.is_some() == self.is_timed {
            return;
        }
        self.is_timed = within.is_some();
        // 0 restores the system's own limit.
        if let Err(error) = socket2::SockRef::from(&self.tcp).set_tcp_user_timeout(Some(within.unwrap_or_default())) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT cannot be set");
        }
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.tcp.shutdown(Shutdown::Write))
    }
}
