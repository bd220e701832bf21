//! TLS: `wss://` against a server's own port, with the certificate of the interop tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ropeway::{Client, ClientError, Error, Message, Server, ServerBuilder, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::eventually::within;
use super::handshake_rows::read_response;
use super::script::{Log, request};
use super::wire::{settle, wire};

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/interop/tls").join(name)
}

pub(crate) fn server_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

/// Trusts the authority that signed the server's certificate.
pub(crate) fn client_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("authority.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A server with TLS that echoes.
async fn serve(builder: ServerBuilder) -> Server {
    let server = builder.tls(server_config()).bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, handshake| {
        assert!(handshake.client_ip().unwrap().is_loopback());
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    server
}

fn url(server: &Server, host: &str) -> String {
    format!("wss://{host}:{}/", server.local_addr().unwrap().port())
}

#[tokio::test]
async fn messages_of_all_sizes_come_through_tls_without_another_to_push_them() {
    let server = serve(Server::builder()).await;
    for host in ["localhost", "127.0.0.1"] {
        let mut ws = Client::new().tls(client_config()).connect(&url(&server, host)).await.unwrap();
        for size in [0, 1, 125, 126, 16_384, 16_385, 65_536, 5_000_000] {
            // Each message has to arrive before the next is sent, so that none may stay in a buffer.
            let message = Message::from(vec![7; size]);
            ws.send(message.clone()).await.unwrap();
            assert!(ws.recv().await.unwrap() == Some(message), "{size} bytes");
        }
        for number in 0..1000 {
            ws.send(number.to_string()).await.unwrap();
        }
        for number in 0..1000 {
            assert_eq!(ws.recv().await.unwrap(), Some(number.to_string().into()));
        }
        let closed = ws.close(1000, "done").await.unwrap();
        assert!(closed.clean, "{closed}");
    }
}

#[tokio::test]
async fn a_secret_is_not_sent_in_the_clear_over_a_stream_of_ones_own() {
    // Over TCP, and over another stream: wss:// means TLS wherever the stream comes from.
    let server = serve(Server::builder()).await;
    let url = url(&server, "localhost");
    let client = Client::new().tls(client_config());
    let tcp = || TcpStream::connect(server.local_addr().unwrap());
    for stream in [Transport::from(tcp().await.unwrap()), Transport::other(tcp().await.unwrap())] {
        let mut ws = client.connect(&url).over(stream).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    }

    let (wire, end) = wire();
    let connecting = tokio::spawn(async move {
        let client = Client::new().header("authorization", "Bearer 1234");
        client.connect("wss://user:word@example.com/").over(Transport::other(end)).await.map(|_| ())
    });
    settle().await;
    let written = wire.take_written();
    // A TLS record of the type handshake (RFC 8446 section 5.1).
    assert_eq!(written[..2], [0x16, 3], "{:?}", String::from_utf8_lossy(&written));
    connecting.abort();
}

#[tokio::test]
async fn a_stream_with_tls_of_its_own_is_written_to_as_it_is() {
    let server = serve(Server::builder()).await;
    let tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(client_config()).connect(name, tcp).await.unwrap();
    let stream = Transport::other(tls);
    let mut ws = Client::new().connect(&url(&server, "localhost")).over_secured(stream).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_never_answers_in_tls_is_told_as_that() {
    let (_wire, end) = wire();
    let outcome = Client::new().connect("wss://example.com/").over(Transport::other(end)).await;
    let Err(Error::Tls(error)) = outcome.map(|_| ()) else { panic!("it is given up") };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn an_authority_can_be_trusted_alone_and_besides_mozillas() {
    let server = serve(Server::builder()).await;
    let authority = || CertificateDer::from_pem_file(file("authority.pem")).unwrap();
    for client in [Client::new().trust([authority()]).unwrap(), Client::new().trust_also([authority()]).unwrap()] {
        let mut ws = client.connect(&url(&server, "localhost")).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    }
    let client = Client::new().trust_also([]).unwrap();
    assert!(matches!(client.connect(&url(&server, "localhost")).await, Err(Error::Tls(_))), "it is Mozilla's alone");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_an_error_that_says_so() {
    let server = serve(Server::builder()).await;
    let Err(Error::Tls(error)) = ropeway::connect(&url(&server, "localhost")).await else { panic!("it is refused") };
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_client_without_tls_does_not_hang_on_a_port_with_it_nor_the_other_way_round() {
    let server = serve(Server::builder()).await;
    let error = ropeway::connect(&url(&server, "localhost").replace("wss", "ws")).await.unwrap_err();
    let Error::Handshake(ClientError::Refused(response)) = &error else { panic!("{error:?}") };
    assert_eq!(response.status(), 400);

    let plain = Server::bind("127.0.0.1:0").await.unwrap();
    plain.handle_with(Log::default());
    let url = url(&plain, "localhost");
    tokio::spawn(async move { plain.run().await });
    let error = Client::new().tls(client_config()).connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    assert!(error.to_string().contains("is not TLS") && error.to_string().contains("connect with ws://"), "{error}");
}

#[tokio::test]
async fn a_port_that_ends_the_connection_at_the_first_bytes_of_tls_may_be_one_without_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let serving = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_u8().await.unwrap();
        tcp.shutdown().await.unwrap();
        // A socket that is dropped with unread bytes is reset.
        tcp.read_to_end(&mut Vec::new()).await.unwrap();
    };
    let connecting = async { ropeway::connect(&url).await.unwrap_err() };
    let (error, ()) = within("the client's failure", async { tokio::join!(connecting, serving) }).await;
    assert!(error.to_string().contains("connect with ws://"), "{error}");
}

#[tokio::test]
async fn http_on_a_port_with_tls_is_told_what_the_port_speaks() {
    let server = serve(Server::builder()).await;
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), request(""), "P".to_owned()] {
        let mut tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), tcp.read_to_end(&mut answer)).await;
        // If the port knows nothing of HTTP, its end may be a reset.
        read.expect("an answer, and the end").ok();
        let (response, body) = read_response(&answer);
        assert_eq!(response.status(), 400, "{request:?}");
        assert!(body.contains("wss://"), "{body:?}");
    }
}

#[tokio::test]
async fn plain_requests_and_refusals_come_through_tls() {
    let server = serve(Server::builder()).await;
    for (request, status) in
        [("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 426), (request("").replace("Version: 13", "Version: 8"), 426)]
    {
        let tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(client_config()).connect(name, tcp).await.unwrap();
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Without TLS's close_notify before the end this would be an error.
        tls.read_to_end(&mut answer).await.unwrap();
        assert_eq!(read_response(&answer).0.status(), status);
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_the_tls_handshake_is_let_go() {
    let server = serve(Server::builder().handshake_timeout(Duration::from_millis(50))).await;
    let mut tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
    // Only the beginning of a TLS record.
    tcp.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    let mut answer = Vec::new();
    within("it is let go", tcp.read_to_end(&mut answer)).await.expect("without a reset");
    assert_eq!(answer, b"");
}
