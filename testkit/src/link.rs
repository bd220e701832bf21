//! A link between a node and a broker on this machine, which tests cut, hold up and slow down.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Bytes pass.
    Open,
    /// Connections are closed, and no new ones are accepted for longer than a moment.
    Cut,
    /// Connections stay, but nothing passes until later.
    Held,
    /// Bytes reach the broker, but its answers do not pass until later.
    Deaf,
    /// Each piece of bytes passes later by this much.
    Slow(Duration),
}

/// A link to a port of this machine. It ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    port: u16,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

impl Link {
    /// Makes an open link to a broker's port.
    pub async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = watch::Sender::new(State::Open);
        let listening = tokio::spawn(listen(listener, broker, state.clone()));
        Self { port, state, listening }
    }

    /// The address for the node, such as `127.0.0.1:15000`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the state.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.send_replace(State::Cut);
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, broker: u16, state: watch::Sender<State>) {
    loop {
        // A system without descriptors has a test fail elsewhere.
        let Ok((node, _)) = listener.accept().await else { continue };
        if *state.borrow() != State::Cut {
            tokio::spawn(carry(node, broker, state.subscribe()));
        }
    }
}

async fn carry(node: TcpStream, broker: u16, state: watch::Receiver<State>) {
    let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else { return };
    // Without delay, as if there were no link.
    let _ = (node.set_nodelay(true), broker.set_nodelay(true));
    let ((from_node, to_node), (from_broker, to_broker)) = (node.into_split(), broker.into_split());
    let mut cut = state.clone();
    select! {
        _ = cut.wait_for(|state| *state == State::Cut) => {}
        () = pass(from_node, to_broker, state.clone(), false) => {}
        () = pass(from_broker, to_node, state, true) => {}
    }
}

/// Passes bytes one way until an end closes.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>, is_answer: bool) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        loop {
            let now = *state.borrow_and_update();
            match now {
                State::Open => break,
                State::Deaf if !is_answer => break,
                State::Slow(delay) => {
                    sleep(delay).await;
                    break;
                }
                State::Cut | State::Held | State::Deaf => {
                    if state.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
