//! The poller: which of the descriptors can be read. Node's loop watches it, as one descriptor for all of them.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Result;

use crate::descriptor::Descriptor;

/// The most sockets that are asked for at once. The others are ready in the next iteration of the loop too.
const MOST: usize = 1024;

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(MOST) })
    }

    pub(crate) fn number(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Watches a descriptor, level-triggered: it is ready as long as there is something to read.
    pub(crate) fn add(&self, descriptor: Descriptor, id: u32) -> Result<()> {
        epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(u64::from(id)), epoll::EventFlags::IN)
    }

    pub(crate) fn remove(&self, descriptor: Descriptor) -> Result<()> {
        epoll::delete(&self.epoll, descriptor)
    }

    /// Appends the ids of the connections that can be read now.
    pub(crate) fn ready(&mut self, ids: &mut Vec<u32>) -> Result<()> {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        ids.extend(self.events.iter().map(|event| event.data.u64() as u32));
        Ok(())
    }
}
