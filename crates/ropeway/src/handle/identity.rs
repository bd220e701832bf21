//! The number of a connection and the address of its peer, kept small.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::connection_id::ConnectionId;

/// A connection's number and the address of its peer, in two words. An IPv4 address leaves room for the number beside
/// it, an IPv6 address is in a box.
#[derive(Debug)]
pub(super) enum Identity {
    /// The transport has no address.
    Unknown(ConnectionId),
    V4(SocketAddrV4, ConnectionId),
    V6(Box<(SocketAddrV6, ConnectionId)>),
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Identity>() <= 16);

impl Identity {
    /// Assigns a number to a connection.
    pub(super) fn new(addr: Option<SocketAddr>) -> Self {
        let id = ConnectionId::next();
        match addr {
            None => Self::Unknown(id),
            Some(SocketAddr::V4(addr)) => Self::V4(addr, id),
            Some(SocketAddr::V6(addr)) => Self::V6(Box::new((addr, id))),
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        match self {
            Self::Unknown(id) | Self::V4(_, id) => *id,
            Self::V6(both) => both.1,
        }
    }

    pub(super) fn remote_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Unknown(_) => None,
            Self::V4(addr, _) => Some(SocketAddr::V4(*addr)),
            Self::V6(both) => Some(SocketAddr::V6(both.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_number_of_its_own_and_keeps_its_address() {
        let addrs = [None, "192.0.2.1:80".parse().ok(), "[2001:db8::1%7]:80".parse().ok(), None];
        let all = addrs.map(Identity::new);
        assert_eq!(all.each_ref().map(Identity::remote_addr), addrs);
        assert!(all.windows(2).all(|pair| pair[0].id() < pair[1].id()), "{all:?}");
    }
}
