//! The address of the peer, kept small.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address in two words.
#[derive(Debug)]
pub(super) enum Addr {
    Unknown,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Addr {
    pub(super) fn new(addr: Option<SocketAddr>) -> Self {
        match addr {
            None => Self::Unknown,
            Some(SocketAddr::V4(addr)) => Self::V4(addr),
            Some(SocketAddr::V6(addr)) => Self::V6(Box::new(addr)),
        }
    }

    pub(super) fn get(&self) -> Option<SocketAddr> {
        match self {
            Self::Unknown => None,
            Self::V4(addr) => Some(SocketAddr::V4(*addr)),
            Self::V6(addr) => Some(SocketAddr::V6(**addr)),
        }
    }
}
