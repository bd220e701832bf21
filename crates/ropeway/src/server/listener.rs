//! A listening socket. On Unix connections are accepted without tokio: a connection for an event loop need not be
//! registered with tokio first, which saves two system calls for each.

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

/// The type of a [spare](Listener::spare) descriptor.
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
    /// Returns a file descriptor that is not used for anything: another one for the same socket.
    pub(super) fn spare(&self) -> Option<Spare> {
        use std::os::fd::AsFd;

        self.inner.get_ref().as_fd().try_clone_to_owned().ok()
    }
}

#[cfg(not(unix))]
impl Listener {
    /// On other systems sockets are not file descriptors, and memory alone limits their number.
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

/// The connection as a tokio stream.
#[cfg(unix)]
pub(super) fn with_tokio(tcp: Tcp) -> io::Result<tokio::net::TcpStream> {
    tokio::net::TcpStream::from_std(tcp)
}

#[cfg(not(unix))]
pub(super) fn with_tokio(tcp: Tcp) -> io::Result<tokio::net::TcpStream> {
    Ok(tcp)
}
