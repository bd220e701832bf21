//! A listening socket. On Unix it is accepted from without tokio: what an event loop carries need not be registered with
//! tokio before, and two system calls a connection are saved.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::TcpListener;

/// A connection that was accepted, in non-blocking mode.
#[cfg(unix)]
pub(super) type Tcp = std::net::TcpStream;
#[cfg(not(unix))]
pub(super) type Tcp = tokio::net::TcpStream;

/// What is [spare](Listener::spare).
#[cfg(unix)]
pub(super) type Spare = std::os::fd::OwnedFd;
#[cfg(not(unix))]
pub(super) type Spare = ();

pub(super) struct Listener {
    #[cfg(unix)]
    inner: tokio::io::unix::AsyncFd<mio::net::TcpListener>,
    #[cfg(not(unix))]
    inner: TcpListener,
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }
}

#[cfg(unix)]
impl Listener {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;

        let listener = mio::net::TcpListener::from_std(listener.into_std()?);
        #[expect(
            deprecated,
            reason = "its successor is an unsafe fn; a `TcpListener` owns its descriptor until it is dropped"
        )]
        let inner = AsyncFd::with_interest(listener, Interest::READABLE)?;
        Ok(Self { inner })
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        loop {
            let mut guard = std::task::ready!(self.inner.poll_read_ready(cx))?;
            if let Ok(accepted) = guard.try_io(|inner| inner.get_ref().accept()) {
                return Poll::Ready(accepted.map(|(tcp, addr)| (tcp.into(), addr)));
            }
        }
    }
}

#[cfg(unix)]
impl Listener {
    /// A file descriptor that serves for nothing: another of the same socket.
    pub(super) fn spare(&self) -> Option<Spare> {
        use std::os::fd::AsFd;

        self.inner.get_ref().as_fd().try_clone_to_owned().ok()
    }
}

#[cfg(not(unix))]
impl Listener {
    /// Elsewhere sockets are no file descriptors, and there are as many as there is memory.
    pub(super) fn spare(&self) -> Option<Spare> {
        Some(())
    }

    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { inner: listener })
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Tcp, SocketAddr)>> {
        self.inner.poll_accept(cx)
    }
}

/// The connection as tokio knows one.
#[cfg(unix)]
pub(super) fn with_tokio(tcp: Tcp) -> io::Result<tokio::net::TcpStream> {
    tokio::net::TcpStream::from_std(tcp)
}

#[cfg(not(unix))]
pub(super) fn with_tokio(tcp: Tcp) -> io::Result<tokio::net::TcpStream> {
    Ok(tcp)
}
