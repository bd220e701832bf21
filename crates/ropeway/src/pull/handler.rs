//! The connection's end of an inbox, as a [`Handler`].

use std::cell::Cell;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use ropeway_proto::{Message, MessageRef};

use super::inbox::{INBOX_FULL, KEPT, MESSAGE_COST, Shared};
use super::websocket::WebSocket;
use crate::connection::{Connection, Handler};
use crate::handle::Handle;
use crate::handshake::Handshake;

/// A list of messages in one word.
type Batch = Box<Vec<Message>>;

thread_local! {
    static MESSAGES: Cell<Option<Batch>> = const { Cell::new(None) };
}

/// The time after which a peer that has closed is answered, if the user asks for no message. Most users ask sooner.
/// Peers wait longer than this for a closing handshake: ours 10 s, npm's ws 30 s.
const PATIENCE: Duration = Duration::from_secs(1);

/// Puts messages into the inbox of a [`WebSocket`]. `F` gets the `WebSocket` once the connection is open.
pub(crate) struct Pull<F> {
    pub(crate) opened: F,
}

/// The connection's end of the inbox.
pub(crate) struct PullState {
    inbox: Arc<Shared>,
    /// The messages of the current read, so that the inbox is locked once for many. The list is lent by the thread, and
    /// takes one word of the connection.
    batch: Option<Batch>,
}

impl<T, F: Fn(WebSocket, Handshake<T>) + Send + Sync + 'static> Handler<T> for Pull<F> {
    type State = PullState;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake<T>) -> PullState {
        let inbox = Arc::<Shared>::default();
        let socket = WebSocket::new(ws.handle(), Arc::clone(&inbox), handshake.subprotocol.clone());
        (self.opened)(socket, handshake);
        PullState { inbox, batch: None }
    }

    fn on_message(&self, ws: &mut Connection<'_>, state: &mut PullState, message: MessageRef<'_>) {
        let batch = state.batch.get_or_insert_with(take_messages);
        batch.push(message.into_owned());
        if batch.len() >= KEPT {
            state.leave(ws);
        }
    }

    fn on_read_complete(&self, ws: &mut Connection<'_>, state: &mut PullState) {
        state.leave(ws);
    }

    /// The user may want to answer each message that came before. So the peer is answered when the user asks for the
    /// next message after the last one, or at once if the user is asking already. A user who asks for no message for
    /// [`PATIENCE`] does not want to.
    fn on_peer_close(&self, ws: &mut Connection<'_>, state: &mut PullState) {
        state.leave(ws);
        let mut inbox = state.inbox.lock();
        let is_done = inbox.messages.is_empty() && (inbox.waiting.is_some() || !inbox.is_used);
        inbox.is_unanswered = !(is_done || inbox.deaf);
        if inbox.is_unanswered {
            // A task that awaits the end, and not these messages, answers once it is woken.
            let waiting = inbox.waiting.take();
            drop(inbox);
            waiting.into_iter().for_each(Waker::wake);
            tokio::spawn(answer_unless_asked(Arc::clone(&state.inbox), ws.handle()));
        } else {
            drop(inbox);
            ws.answer_close();
        }
    }
}

impl PullState {
    /// Passes the batch to the user.
    fn leave(&mut self, ws: &mut Connection<'_>) {
        let Some(mut batch) = self.batch.take() else { return };
        let mut inbox = self.inbox.lock();
        let waiting = if inbox.deaf {
            batch.clear();
            None
        } else {
            inbox.cost += batch.iter().map(|message| message.len() + MESSAGE_COST).sum::<usize>();
            if inbox.cost >= INBOX_FULL {
                ws.hold();
            }
            inbox.is_used = true;
            inbox.messages.extend(batch.drain(..));
            inbox.waiting.take()
        };
        drop(inbox);
        keep_messages(batch);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The connection has ended, and its close event was handled.
impl Drop for PullState {
    fn drop(&mut self) {
        let mut inbox = self.inbox.lock();
        inbox.is_over = true;
        let waiting = inbox.waiting.take();
        drop(inbox);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Answers a peer that has closed, once the user has asked for no message for a while.
async fn answer_unless_asked(shared: Arc<Shared>, handle: Handle) {
    loop {
        let asked = shared.asked();
        // A user may be waiting for room for an answer, until the peer has taken more.
        if handle.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(PATIENCE).await;
        let mut inbox = shared.lock();
        if inbox.is_over || !inbox.is_unanswered {
            return;
        }
        if shared.asked() == asked {
            inbox.is_unanswered = false;
            drop(inbox);
            return handle.link().answer_close();
        }
    }
}

/// Takes the thread's list for messages.
#[expect(clippy::unnecessary_box_returns, reason = "each connection has room for one word")]
fn take_messages() -> Batch {
    MESSAGES.take().unwrap_or_default()
}

/// Returns the list to the thread. It must be empty.
fn keep_messages(messages: Batch) {
    debug_assert!(messages.is_empty(), "messages belong to one connection");
    MESSAGES.set(Some(messages));
}
