//! The peer's part of the opening handshake, the frames that a client sends, and a handler that records its calls.

use std::sync::{Arc, Mutex, MutexGuard};

use ropeway::{
    Client, Connection, Error, Handle, Handler, Handshake, MessageRef, Server, ServerBuilder, Transport, WebSocket,
};
use ropeway_proto as proto;
use ropeway_proto::handshake::{HeadReader, Limits, OriginPolicy, ServerOptions, accept};
use testkit::wire::{BINARY, CONTINUATION, Frame, KEY, PING, PONG, TEXT};
use testkit::{Event, variant};

use super::wire::{Wire, settle, wire};

/// A client's opening handshake with these additional header lines.
pub(crate) fn request(headers: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// Opens a connection to a server, from a client of which only the wire exists.
pub(crate) async fn open(server: &Server) -> Wire {
    open_with(server, request("")).await
}

/// The same with another request, which may have bytes behind it.
pub(crate) async fn open_with(server: &Server, request: impl Into<Vec<u8>>) -> Wire {
    let wire = knock(server);
    wire.send_bytes(request);
    settle().await;
    let answer = wire.take_written();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the server answers") + 4;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert_eq!(head, answer.len(), "nothing is sent unasked");
    wire.take_writes();
    wire
}

/// A transport to a server, on which nothing has been sent.
pub(crate) fn knock(server: &Server) -> Wire {
    let (wire, end) = wire();
    let server = server.clone();
    tokio::spawn(async move { server.serve_stream(Transport::other(end), None).await });
    wire
}

/// Opens a connection of a client, to a server of which only the wire exists. The server agrees to all that the client
/// offers.
pub(crate) async fn open_client(client: &Client) -> (WebSocket, Wire) {
    let deflate = Some(proto::deflate::Options::default());
    let (ws, wire) = open_client_with(client, deflate, b"").await;
    (ws.await, wire)
}

/// The same with the server's choice of compression, and with bytes right behind the server's answer.
pub(crate) async fn open_client_with(
    client: &Client,
    deflate: Option<proto::deflate::Options>,
    behind: &[u8],
) -> (impl Future<Output = WebSocket> + use<>, Wire) {
    let (wire, end) = wire();
    let client = client.clone();
    let connecting =
        tokio::spawn(async move { client.connect("ws://server.example.com/chat").over(Transport::other(end)).await });
    settle().await;
    let (request, _) = HeadReader::new(Limits::server()).handle_request(&wire.take_written()).unwrap().unwrap();
    let mut options = ServerOptions::default();
    options.deflate = deflate;
    options.origins = OriginPolicy::Any;
    let mut answer = accept(&request, &options).unwrap().response_bytes();
    answer.extend_from_slice(behind);
    wire.send_bytes(answer);
    wire.take_writes();
    (async move { connecting.await.unwrap().unwrap() }, wire)
}

/// A server that records its events, and a connection to it.
pub(crate) async fn connect(builder: ServerBuilder) -> (Log, Wire) {
    let (server, log) = (builder.build(), Log::default());
    server.handle_with(log.clone());
    let wire = open(&server).await;
    (log, wire)
}

/// A client's text message.
pub(crate) fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload).with_mask(Some(KEY))
}

/// A client's binary message.
pub(crate) fn binary(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(BINARY, payload).with_mask(Some(KEY))
}

/// A client's continuation frame.
pub(crate) fn continuation(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUATION, payload).with_mask(Some(KEY))
}

/// A client's ping.
pub(crate) fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(PING, payload).with_mask(Some(KEY))
}

/// A client's pong.
pub(crate) fn pong(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(PONG, payload).with_mask(Some(KEY))
}

/// A client's close frame.
pub(crate) fn close(code: u16, reason: &str) -> Frame {
    Frame::close(Some((code, reason))).with_mask(Some(KEY))
}

/// The code and reason of a close frame.
pub(crate) fn code_of(frame: &Frame) -> u16 {
    assert_eq!(frame.opcode, testkit::wire::CLOSE, "{frame} is no close frame");
    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
}

/// The codes of the close frames that ropeway has written since the last call. It must have written nothing else.
pub(crate) fn codes(wire: &Wire) -> Vec<u16> {
    wire.take_frames().iter().map(code_of).collect()
}

/// A handler that records its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Told>>);

/// The record of a [`Log`].
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    /// Ends of connections, one for each.
    pub(crate) closed: Vec<proto::Closed>,
    /// Errors other than violations.
    pub(crate) lost: Vec<proto::Closed>,
    /// The connections that opened.
    pub(crate) handles: Vec<Handle>,
}

impl Log {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// The handle to the newest connection.
    pub(crate) fn handle(&self) -> Handle {
        self.told().handles.last().expect("a connection is open").clone()
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.told().events)
    }

    /// The texts that came since the last call.
    pub(crate) fn take_texts(&self) -> Vec<String> {
        let text = |event| if let Event::Text(text) = event { text } else { panic!("{event} is no text") };
        self.take_events().into_iter().map(text).collect()
    }

    /// The end of the only connection.
    pub(crate) fn closed(&self) -> proto::Closed {
        let told = self.told();
        assert_eq!(told.closed.len(), 1, "{:?}", told.closed);
        told.closed[0].clone()
    }
}

impl Handler for Log {
    type State = ();

    fn on_open(&self, ws: &mut Connection<'_>, _handshake: Handshake) {
        self.told().handles.push(ws.handle());
    }

    fn on_message(&self, _ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        self.told().events.push(proto::Event::Message(message).into());
    }

    fn on_ping(&self, _ws: &mut Connection<'_>, (): &mut (), payload: &[u8]) {
        self.told().events.push(Event::Ping(payload.to_vec()));
    }

    fn on_pong(&self, _ws: &mut Connection<'_>, (): &mut (), payload: &[u8]) {
        self.told().events.push(Event::Pong(payload.to_vec()));
    }

    fn on_error(&self, _ws: &mut Connection<'_>, (): &mut (), error: &Error) {
        match error {
            Error::Violation(violation) => self.told().events.push(Event::Violation(variant(violation))),
            Error::Lost(closed) => self.told().lost.push(closed.clone()),
            other => panic!("{other}"),
        }
    }

    fn on_close(&self, _ws: &mut Connection<'_>, (): (), closed: &proto::Closed) {
        self.told().closed.push(closed.clone());
    }
}
