//! From a host and a port to a TCP connection: all addresses of a name compete, as RFC 8305 ("Happy Eyeballs")
//! describes.

use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The time after which the next address is tried, if the last one has not answered. RFC 8305 section 5: "One
/// recommended value for a default delay is 250 milliseconds."
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// The addresses that were tried, with their errors. It outlives an attempt whose time is up, so that the error can
/// list them.
#[derive(Debug, Default)]
pub(super) struct Tried(Vec<(SocketAddr, Option<io::Error>)>);

/// Connects to the first address of the host that answers, and drops the others.
///
/// Both families are resolved together, and used when both are there: `getaddrinfo` does not answer earlier. It has
/// sorted them by RFC 6724, as RFC 8305 section 4 asks.
pub(super) async fn connect(host: &str, port: u16, tried: &mut Tried) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?.collect();
    match race(interleaved(addresses), TcpStream::connect, tried).await {
        Some(tcp) => {
            tcp.set_nodelay(true)?;
            Ok(tcp)
        }
        None => Err(std::mem::take(tried).into_error()),
    }
}

/// RFC 8305 section 4: "the client SHOULD modify the ordered list to interleave address families".
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let family = addresses.first().map(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|it| Some(it.is_ipv6()) == family);
    let mut others = others.into_iter();
    let mut sorted: Vec<_> = preferred.into_iter().flat_map(|it| [Some(it), others.next()]).flatten().collect();
    sorted.extend(others);
    sorted
}

/// Connects to one address after another: to the next one as soon as the last has failed, or has taken 250 ms. Earlier
/// attempts go on meanwhile. Returns the first connection, or `None` if all failed.
async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    tried: &mut Tried,
) -> Option<T> {
    let mut addresses = addresses.into_iter();
    let mut running = Vec::new();
    loop {
        if let Some(address) = addresses.next() {
            running.push((tried.0.len(), Box::pin(connect(address))));
            tried.0.push((address, None));
        }
        if running.is_empty() {
            return None;
        }
        let done = poll_fn(|cx| poll_any(&mut running, cx));
        let done = if addresses.len() == 0 { Ok(done.await) } else { timeout(NEXT_AFTER, done).await };
        match done {
            Ok((_, Ok(stream))) => return Some(stream),
            Ok((index, Err(error))) => tried.0[index].1 = Some(error),
            Err(_too_slow) => {}
        }
    }
}

/// Returns the number and the result of the first attempt that is done, and removes it from the list.
fn poll_any<F: Future>(running: &mut Vec<(usize, Pin<Box<F>>)>, cx: &mut Context<'_>) -> Poll<(usize, F::Output)> {
    for at in 0..running.len() {
        if let Poll::Ready(outcome) = running[at].1.as_mut().poll(cx) {
            let (index, _) = running.remove(at);
            return Poll::Ready((index, outcome));
        }
    }
    Poll::Pending
}

impl Tried {
    /// Why none of the addresses could be connected to. The kind is that of the address that was tried first.
    fn into_error(mut self) -> io::Error {
        match self.0.as_mut_slice() {
            [] => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
            // A single error says everything, and keeps the system's error number.
            [(_, error)] => error.take().unwrap_or_else(|| io::ErrorKind::TimedOut.into()),
            [..] => {
                let text = format!("none of its addresses could be connected to: {}", self.list());
                let kind = self.0[0].1.as_ref().map_or(io::ErrorKind::TimedOut, io::Error::kind);
                io::Error::new(kind, text)
            }
        }
    }

    /// Why there is no connection by the end of the time.
    pub(super) fn into_timeout(self, host: &str) -> io::Error {
        let text = match self.0.as_slice() {
            [] => format!("the name {host:?} was not resolved in time; check the name, or allow more time"),
            _ => format!("no address of the host answered in time: {}", self.list()),
        };
        io::Error::new(io::ErrorKind::TimedOut, text)
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for (address, error) in &self.0 {
            let separator = if list.is_empty() { "" } else { "; " };
            // Writing into a `String` does not fail.
            let _ = match error {
                Some(error) => write!(list, "{separator}{address}: {error}"),
                None => write!(list, "{separator}{address}: no answer"),
            };
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|ip| SocketAddr::new(ip.parse().expect(ip), 80)).collect()
    }

    /// When each address was tried, in milliseconds, and the result. The last group of an address says how it answers:
    /// 0 never, an odd number with a refusal after that many milliseconds, an even one with a connection.
    async fn dial(text: &str) -> (Vec<(SocketAddr, u128)>, Option<SocketAddr>, u128, Tried) {
        let (start, begun, mut tried) = (Instant::now(), RefCell::new(Vec::new()), Tried::default());
        let connect = |address: SocketAddr| {
            begun.borrow_mut().push((address, start.elapsed().as_millis()));
            async move {
                let ip = address.ip().to_string();
                let number: u64 = ip.rsplit(['.', ':']).next().and_then(|last| last.parse().ok()).unwrap_or(0);
                match number {
                    0 => std::future::pending().await,
                    _ => sleep(Duration::from_millis(number)).await,
                }
                if number.is_multiple_of(2) { Ok(address) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        };
        let race = race(interleaved(addresses(text)), connect, &mut tried);
        let winner = timeout(Duration::from_mins(1), race).await.unwrap_or(None);
        (begun.into_inner(), winner, start.elapsed().as_millis(), tried)
    }

    #[test]
    fn families_take_turns_beginning_with_the_systems_choice() {
        for (given, sorted) in [
            ("", ""),
            ("1.1.1.1 1.1.1.2", "1.1.1.1 1.1.1.2"),
            ("::1 ::2 ::3 1.1.1.1", "::1 1.1.1.1 ::2 ::3"),
            ("1.1.1.1 ::1 ::2 ::3", "1.1.1.1 ::1 ::2 ::3"),
            ("::1 1.1.1.1 1.1.1.2 ::2", "::1 1.1.1.1 ::2 1.1.1.2"),
        ] {
            assert_eq!(interleaved(addresses(given)), addresses(sorted), "{given}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_what_it_is_sent_costs_250_ms() {
        for (given, begun, winner, took) in [
            // The first that answers is taken, and nothing more is tried.
            ("::2 1.1.1.2", &[0][..], "::2", 2),
            // No answer: the next address is tried in parallel.
            ("::0 1.1.1.2", &[0, 250], "1.1.1.2", 252),
            ("::0 ::2 1.1.1.0 1.1.1.4", &[0, 250, 500], "::2", 502),
            // A refusal: the next is tried at once.
            ("::1 ::3 1.1.1.2", &[0, 1], "1.1.1.2", 3),
            ("::1 1.1.1.0 ::2", &[0, 1, 251], "::2", 253),
            // The first one is slow and may still win.
            ("1.1.1.254 1.1.1.0", &[0, 250], "1.1.1.254", 254),
            // An earlier attempt is not given up when the last one has failed.
            ("1.1.1.254 1.1.1.3", &[0, 250], "1.1.1.254", 254),
        ] {
            let (tried, won, time, _) = dial(given).await;
            assert_eq!(tried.iter().map(|(_, at)| *at).collect::<Vec<_>>(), begun, "{given}");
            assert_eq!((won, time), (Some(addresses(winner)[0]), took), "{given}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_tells_all_that_was_tried() {
        let (_, won, _, tried) = dial("::1 1.1.1.3").await;
        assert_eq!(won, None);
        let error = tried.into_error();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            error.to_string(),
            "none of its addresses could be connected to: [::1]:80: connection refused; 1.1.1.3:80: connection refused"
        );
        assert_eq!(dial("1.1.1.1").await.3.into_error().to_string(), "connection refused");
        assert_eq!(dial("").await.3.into_error().to_string(), "the name has no address");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_says_which_addresses_were_silent() {
        let mut tried = Tried::default();
        let connect = |address: SocketAddr| async move {
            if address.is_ipv6() { std::future::pending().await } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        };
        let addresses = addresses("::1 1.1.1.1");
        let race = race::<(), _>(addresses, connect, &mut tried);
        assert!(timeout(Duration::from_secs(10), race).await.is_err());
        let error = tried.into_timeout("h");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = "no address of the host answered in time: [::1]:80: no answer; 1.1.1.1:80: connection refused";
        assert_eq!(error.to_string(), text);
        assert!(Tried::default().into_timeout("h.example").to_string().starts_with("the name \"h.example\" was not"));
    }

    /// A port that drops connection requests, as a firewall may: its queue is full, and stays full while the returned
    /// streams live.
    #[cfg(target_os = "linux")]
    async fn silent_port() -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queue = Vec::new();
        // Linux accepts one or two more than the backlog.
        while let Ok(taken) = timeout(NEXT_AFTER, TcpStream::connect(listener.local_addr().unwrap())).await {
            queue.push(taken.unwrap());
        }
        (listener, queue)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn real_sockets_are_raced_too() {
        let (silent, _queue) = silent_port().await;
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = vec![silent.local_addr().unwrap(), listening.local_addr().unwrap()];
        let mut tried = Tried::default();
        let tcp = timeout(Duration::from_mins(1), race(addresses.clone(), TcpStream::connect, &mut tried)).await;
        let tcp = tcp.expect("one of them answers").expect("it accepts");
        assert_eq!(tcp.peer_addr().unwrap(), addresses[1]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_tells_that_its_host_was_silent() {
        let (silent, _queue) = silent_port().await;
        let addr = silent.local_addr().unwrap();
        let client = crate::Client::new().handshake_timeout(NEXT_AFTER);
        let error = client.connect(&format!("ws://{addr}/")).await.unwrap_err();
        let text =
            format!("the server could not be reached: no address of the host answered in time: {addr}: no answer");
        assert_eq!(error.to_string(), text);
    }
}
