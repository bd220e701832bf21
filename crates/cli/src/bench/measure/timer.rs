//! Waiting for the next message that is due. It is more precise than tokio's timers, which have a resolution of a
//! millisecond.

use std::io;
use std::time::Duration;

/// The longest wait for a message that is due. After it, the end of the run is checked.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A thread's timer. On Linux it is a file descriptor of the kernel's high-resolution timers.
#[cfg(target_os = "linux")]
pub(crate) struct Timer(tokio::io::unix::AsyncFd<Fd>);

#[cfg(target_os = "linux")]
struct Fd(nix::sys::timerfd::TimerFd);

#[cfg(target_os = "linux")]
impl std::os::fd::AsRawFd for Fd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
impl Timer {
    /// A timer for the current runtime.
    pub(crate) fn new() -> io::Result<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // Its successor `register` is unsafe: the caller must promise that the file descriptor stays the same one, and
        // open. Here the timer owns it.
        #[allow(deprecated, reason = "nothing else registers a file descriptor without unsafe")]
        let registered = tokio::io::unix::AsyncFd::new(Fd(fd))?;
        Ok(Self(registered))
    }

    /// Waits for this time.
    pub(crate) async fn wait(&self, time: Duration) -> io::Result<()> {
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        // A time of zero would stop the timer.
        let time = time.max(Duration::from_nanos(1));
        self.0.get_ref().0.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(expired) = ready.try_io(|fd| fd.get_ref().0.wait().map_err(io::Error::from)) {
                return expired;
            }
        }
    }
}

/// On other systems this is tokio's timer. Messages that are due within the same millisecond are sent together.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn wait(&self, time: Duration) -> io::Result<()> {
        tokio::time::sleep(time).await;
        Ok(())
    }
}
