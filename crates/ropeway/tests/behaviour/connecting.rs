//! Every way to a server, with every use of the connection. One builder has them all.

use std::future::IntoFuture;
use std::time::Duration;

use http::StatusCode;
use ropeway::{Client, ClientError, Connecting, Error, Server, Transport};
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::eventually::within;
use super::script::Log;
use super::tls::{client_config, server_config};
use super::wire::{settle, wire};

/// The use of a connection.
#[derive(Clone, Copy, Debug)]
enum Use {
    Pull,
    PullWithHandshake,
    Listeners,
    Handler,
}

const USES: [Use; 4] = [Use::Pull, Use::PullWithHandshake, Use::Listeners, Use::Handler];

/// Connects, says hello to an echo server, and closes. Returns the messages that came, and the answer's status if it is
/// known.
async fn talk(connecting: Connecting<'_>, way: Use) -> (Vec<String>, Option<StatusCode>) {
    match way {
        Use::Pull => {
            let mut ws = connecting.await.unwrap();
            ws.send("hello").await.unwrap();
            let echo = ws.recv().await.unwrap().unwrap();
            assert!(ws.close(1000, "").await.unwrap().clean);
            (vec![echo.to_string()], None)
        }
        Use::PullWithHandshake => {
            let (mut ws, handshake) = connecting.with_handshake().await.unwrap();
            ws.send("hello").await.unwrap();
            let echo = ws.recv().await.unwrap().unwrap();
            assert!(ws.close(1000, "").await.unwrap().clean);
            (vec![echo.to_string()], Some(handshake.response.status()))
        }
        Use::Listeners => {
            // Neither can be cloned, since the closures are called once.
            let (tell_status, status) = oneshot::channel();
            let (tell_closed, closed) = oneshot::channel();
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let listening = connecting.on_connection(move |ws, handshake| {
                tell_status.send(handshake.response.status()).unwrap();
                ws.on_message(move |_, message| tell.send(message.to_string()).unwrap());
                ws.on_close(move |_, closed| tell_closed.send(closed.clean).unwrap());
            });
            let handle = listening.await.unwrap();
            handle.send("hello").unwrap();
            handle.close(1000, "").unwrap();
            assert!(closed.await.unwrap());
            (vec![told.recv().await.unwrap()], Some(status.await.unwrap()))
        }
        Use::Handler => {
            let log = Log::default();
            let handle = connecting.handle_with(log.clone()).await.unwrap();
            handle.send("hello").unwrap();
            // The echo comes before the answer to the close frame.
            handle.close(1000, "").unwrap();
            handle.closed().await;
            assert!(log.closed().clean);
            (log.take_texts(), None)
        }
    }
}

/// Checks one cell of the table.
async fn check(connecting: Connecting<'_>, way: Use, name: &str) {
    let (texts, status) = within(&format!("the talk of {name}, {way:?}"), talk(connecting, way)).await;
    assert_eq!(texts, ["hello"], "{name}, {way:?}");
    let is_told = matches!(way, Use::PullWithHandshake | Use::Listeners);
    assert_eq!(status, is_told.then_some(StatusCode::SWITCHING_PROTOCOLS), "{name}, {way:?}");
}

fn echo(server: &Server) {
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
}

/// Does the server's half of TLS over a stream.
async fn accept(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Transport {
    Transport::other(TlsAcceptor::from(server_config()).accept(stream).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_use_of_a_connection_works_over_a_stream_in_memory() {
    let server = Server::builder().build();
    echo(&server);
    let client = Client::new().tls(client_config());
    for way in USES {
        for (name, url) in
            [("over", "ws://localhost/"), ("TLS over", "wss://localhost/"), ("secured", "wss://localhost/")]
        {
            let (ours, theirs) = duplex(1024);
            let (is_tls, server) = (name == "TLS over", server.clone());
            tokio::spawn(async move {
                let stream = if is_tls { accept(theirs).await } else { Transport::other(theirs) };
                server.serve_stream(stream, None).await;
            });
            let (connecting, stream) = (client.connect(url), Transport::other(ours));
            let connecting = if name == "secured" { connecting.over_secured(stream) } else { connecting.over(stream) };
            check(connecting, way, name).await;
        }
    }
}

#[tokio::test]
async fn each_use_of_a_connection_works_over_tcp_and_tls() {
    let client = Client::new().tls(client_config());
    for builder in [Server::builder(), Server::builder().tls(server_config())] {
        let server = builder.bind("127.0.0.1:0").await.unwrap();
        echo(&server);
        let addr = server.local_addr().unwrap();
        tokio::spawn(async move { server.run().await });
        for way in USES {
            // The server of the first round speaks no TLS.
            let is_tls = TlsConnector::from(client_config())
                .connect(ServerName::try_from("localhost").unwrap(), TcpStream::connect(addr).await.unwrap())
                .await;
            let scheme = if is_tls.is_ok() { "wss" } else { "ws" };
            let url = format!("{scheme}://localhost:{}/", addr.port());
            check(client.connect(&url), way, &url).await;
            let tcp = TcpStream::connect(addr).await.unwrap();
            check(client.connect(&url).over(tcp), way, &format!("{url} over TCP")).await;
            let secured = match is_tls {
                Ok(tls) => Transport::other(tls),
                Err(_) => TcpStream::connect(addr).await.unwrap().into(),
            };
            check(client.connect(&url).over_secured(secured), way, &format!("{url} over a secured stream")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mistake_of_the_callers_is_an_error_before_anything_is_written() {
    let fine = "ws://localhost/";
    for (name, client, url) in [
        ("Target(SchemeMissing)", Client::new(), "localhost"),
        ("Target(Fragment)", Client::new(), "ws://localhost/#fragment"),
        ("InvalidHeaderName", Client::new().header("a b", "c"), fine),
        ("InvalidHeaderValue(\"authorization\")", Client::new().header("authorization", "Bearer 1\r\n"), fine),
        // The first mistake is the one that is reported.
        ("InvalidHeaderName", Client::new().header("", "").header("a", "\n").header("b", "c"), fine),
        ("ReservedHeader(\"upgrade\")", Client::new().header("upgrade", "websocket"), fine),
        ("InvalidOrigin", Client::new().origin("a\nb"), fine),
        ("InvalidSubprotocol(\"a b\")", Client::new().subprotocols(["a b"]), fine),
        ("RepeatedSubprotocol(\"a\")", Client::new().subprotocols(["a", "a"]), fine),
    ] {
        let (wire, end) = wire();
        let error = client.connect(url).over(Transport::other(end)).await.unwrap_err();
        let Error::Handshake(error) = error else { panic!("{name}: {error:?}") };
        assert_eq!(format!("{error:?}"), name);
        assert_eq!(wire.take_written(), b"", "{name}");
        assert!(wire.is_dropped(), "{name}");
        // It is reported before anything is dialled: port 0 cannot be connected to.
        let dialled = client.connect(url).await.unwrap_err();
        assert!(matches!(dialled, Error::Handshake(_)), "{name}: {dialled:?}");
    }
    let text = ClientError::InvalidHeaderValue(http::header::AUTHORIZATION).to_string();
    assert!(text.starts_with("the value of the header authorization has characters that it must not have"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_is_not_shown() {
    let secrets = ["s3cret", "c2VjcmV0"];
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", "Basic c2VjcmV0".parse().unwrap());
    for client in [
        Client::new().header("authorization", "Bearer s3cret"),
        Client::new().header("Cookie", "session=s3cret"),
        Client::new().headers(headers),
    ] {
        let (wire, end) = wire();
        let connecting = client.connect("ws://user:s3cret@localhost/?token=s3cret").over(Transport::other(end));
        for shown in [format!("{client:?}"), format!("{connecting:?}")] {
            assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
        }
        // They are sent all the same.
        let connecting = connecting.into_future();
        assert!(tokio::time::timeout(Duration::from_secs(1), connecting).await.is_err());
        settle().await;
        let written = String::from_utf8(wire.take_written()).unwrap();
        assert!(secrets.iter().any(|secret| written.contains(secret)), "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_ends_are_told_whether_messages_are_compressed() {
    use ropeway::deflate::Options;
    for (offered, agreed, bits) in [
        (Some(Options::default()), Some(Options::default().server_max_window_bits(10)), Some(10)),
        (Some(Options::default()), None, None),
        (None, Some(Options::default()), None),
    ] {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let server = Server::builder().per_message_deflate(agreed).build();
        server.on_connection(move |_, handshake| tell.send(handshake.deflate().copied()).unwrap());
        let (near, far) = duplex(64 * 1024);
        let serving = server.clone();
        tokio::spawn(async move { serving.serve_stream(Transport::other(far), None).await });
        let client = Client::new().per_message_deflate(offered);
        let connecting = client.connect("ws://localhost/").over(Transport::other(near));
        let (_ws, handshake) = connecting.with_handshake().await.unwrap();
        let ours = handshake.deflate().copied();
        assert_eq!(ours.map(|params| params.server_max_window_bits), bits);
        let theirs = within("the server is told", told.recv()).await;
        assert_eq!(theirs, Some(ours));
    }
}
