//! The address to listen on: parsed, and bound.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Parses an address and a port. The address may be a name, which is looked up when it is bound.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (example, port) = match text.strip_prefix(':').unwrap_or(text) {
        port if port.parse::<u16>().is_ok() => (true, port),
        _ => (false, "8005"),
    };
    let wanted = format!(
        "give an address and a port: 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for others too, [::1]:{port} with IPv6"
    );
    if example {
        return Err(wanted);
    }
    if text.contains("://") {
        return Err(format!("this is a URL; {wanted}"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("there is no port; {wanted}"))?;
    if port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is not a port, which is a number from 0 to 65535; {wanted}"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(format!("an IPv6 address is written in brackets; {wanted}"));
    }
    Ok(text.to_owned())
}

/// Binds the first address that can be bound. The socket is ready for any runtime.
pub(super) fn bind(address: &str) -> Result<(TcpListener, SocketAddr), String> {
    let bind = || -> io::Result<_> {
        let addrs: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(&*addrs)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    bind().map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program listens there: choose another port with --listen, or 0 for a free one"
            }
            io::ErrorKind::AddrNotAvailable => {
                "; choose an address of this machine with --listen, or 0.0.0.0 for all of them"
            }
            io::ErrorKind::PermissionDenied => "; only an administrator may use ports below 1024",
            _ => "",
        };
        format!("cannot listen on {address}: {error}{advice}")
    })
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for fine in ["127.0.0.1:8005", "localhost:0", "[::1]:8005", "0.0.0.0:65535"] {
            assert_eq!(address(fine).as_deref(), Ok(fine));
        }
        for (wrong, says) in [
            ("8105", "127.0.0.1:8105"),
            (":8105", "127.0.0.1:8105"),
            ("localhost", "no port"),
            ("localhost:http", "\"http\" is not a port"),
            ("::1:80", "in brackets"),
            ("ws://localhost:80", "a URL"),
        ] {
            let said = address(wrong).unwrap_err();
            assert!(said.contains(says), "{wrong}: {said}");
        }
    }
}
