//! Whom the client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use ropeway::Server;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncReadExt;

use crate::program::run;
use crate::server;

/// A server with a certificate of its own making; gives its URL, and the file with the certificate.
async fn self_signed(name: &str) -> (String, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let server = Server::builder().tls(Arc::new(config)).bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let file = write(name, &cert.pem());
    (server::run(server).replace("ws://", "wss://"), file)
}

fn write(name: &str, text: &str) -> String {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    file.into_os_string().into_string().unwrap()
}

#[tokio::test]
async fn an_unknown_certificate_is_2_and_the_ways_out_are_told() {
    let (url, _) = self_signed("unknown.pem").await;
    let said = run(&[&url], "hello\n").await.failure(2);
    assert!(said.contains("--cacert FILE") && said.contains("--insecure"), "{said}");
}

#[tokio::test]
async fn a_certificate_can_be_trusted_by_its_file() {
    let (url, file) = self_signed("trusted.pem").await;
    assert_eq!(run(&["--cacert", &file, &url], "hello\n").await.output(), "hello\n");

    let (_, other) = self_signed("other.pem").await;
    run(&["--cacert", &other, &url], "hello\n").await.failure(2);
}

#[tokio::test]
async fn any_certificate_is_accepted_with_a_warning_if_so_asked() {
    let (url, _) = self_signed("any.pem").await;
    let outcome = run(&["-k", &url], "hello\n").await;
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), &b"hello\n"[..]));
    assert!(outcome.stderr.contains("warning: the server's certificate is not checked"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_port_without_tls_is_2_and_the_right_scheme_is_told() {
    let url = server::echo().await.replace("ws://", "wss://");
    let said = run(&[&url], "").await.failure(2);
    assert!(said.contains("try ws://"), "{said}");
}

/// It waits for a whole request, gets none, and says nothing.
#[tokio::test]
async fn a_port_without_tls_that_hangs_up_is_2_and_the_right_scheme_is_told() {
    let url = server::raw(|mut tcp| async move { assert!(tcp.read(&mut [0; 4096]).await.unwrap() > 0) });
    let said = run(&[&url.await.replace("ws://", "wss://")], "").await.failure(2);
    assert!(said.contains("try ws://"), "{said}");
}

#[tokio::test]
async fn a_file_without_certificates_is_wrong_usage() {
    for file in [write("empty.pem", "no certificate"), "/does/not/exist.pem".into()] {
        let said = run(&["--cacert", &file, "wss://127.0.0.1:1"], "").await.failure(64);
        assert!(said.contains(&file), "{said}");
    }
}
