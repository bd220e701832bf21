//! The descriptor of a socket that Node owns: reading and writing without waiting.
//!
//! Node closes it. `lib/fd-lane.js` sees that come, and takes the descriptor away from its connection before: a number that was
//! closed may already belong to another socket.
#![allow(unsafe_code)]

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use rustix::io::{Errno, Result};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};

/// An open socket of Node's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor(RawFd);

/// The part of a connection that the addon reads and writes itself.
#[derive(Default)]
pub(crate) struct Polled {
    /// The socket's descriptor, unless Node reads and writes it.
    pub(crate) descriptor: Option<Descriptor>,
    /// How many bytes were read from the descriptor, and written to it.
    pub(crate) counts: [u64; 2],
    /// Whether the poller watches the descriptor.
    pub(crate) is_watched: bool,
    /// Whether the socket keeps the process alive while it is watched.
    pub(crate) is_referenced: bool,
}

impl Descriptor {
    /// The number must be that of an open socket, until JavaScript says that it is not. -1 is none.
    pub(crate) fn new(number: RawFd) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }

    /// Reads what is there; 0 is the end of the peer's half.
    pub(crate) fn read(self, memory: &mut [u8]) -> Result<usize> {
        loop {
            match recv(self, &mut *memory, RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                result => return result.map(|(count, _)| count),
            }
        }
    }

    /// Writes what the kernel takes now.
    pub(crate) fn write(self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            let result = match slices {
                [slice] => send(self, slice, flags),
                slices => sendmsg(self, slices, &mut SendAncillaryBuffer::default(), flags),
            };
            match result {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number is not -1, and JavaScript takes the descriptor away before Node closes it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}
