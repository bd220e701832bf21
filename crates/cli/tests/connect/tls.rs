//! The certificates that the client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use ropeway::Server;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::AsyncReadExt;

use crate::program::run;
use crate::server;

/// A server with a self-signed certificate. Returns its URL, and the file with the certificate.
async fn self_signed(name: &str) -> (String, String) {
    serve(name, params(&["localhost", "127.0.0.1"])).await
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Parameters as `openssl req -x509 -newkey rsa:2048 -nodes` uses them: the certificate is an authority's.
fn openssl_params(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A server with a certificate that it has signed itself.
async fn serve(name: &str, params: CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    serve_certificate(name, &cert, &key).await
}

async fn serve_certificate(name: &str, cert: &Certificate, key: &KeyPair) -> (String, String) {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
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
async fn a_certificate_as_openssl_makes_it_is_trusted_by_its_file_for_its_names_and_its_time() {
    let (url, file) = serve("openssl.pem", openssl_params(&["localhost", "127.0.0.1"])).await;
    assert_eq!(run(&["--cacert", &file, &url], "hello\n").await.output(), "hello\n");

    // Without the file, and with another one: the error says what to do.
    let (_, other) = serve("openssl-other.pem", openssl_params(&["127.0.0.1"])).await;
    for args in [&[&*url][..], &["--cacert", &other, &url]] {
        let said = run(args, "").await.failure(2);
        assert!(said.contains("CA:TRUE") && said.contains("--cacert") && !said.contains("Other("), "{said}");
    }

    let (url, file) = serve("openssl-name.pem", openssl_params(&["other.example"])).await;
    let said = run(&["--cacert", &file, &url], "").await.failure(2);
    assert!(said.contains("is for \"other.example\", not for \"127.0.0.1\"; connect by a name"), "{said}");

    let (url, file) = serve("openssl-nameless.pem", openssl_params(&[])).await;
    let said = run(&["--cacert", &file, &url], "").await.failure(2);
    assert!(said.contains("names no host in its subjectAltName") && said.contains("-addext"), "{said}");

    let mut expired = openssl_params(&["127.0.0.1"]);
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2020, 2, 1);
    let mut not_yet = openssl_params(&["127.0.0.1"]);
    not_yet.not_before = date_time_ymd(4000, 1, 1);
    for (params, complaint) in [(expired, "has expired"), (not_yet, "is not valid yet")] {
        let (url, file) = serve("openssl-time.pem", params).await;
        let said = run(&["--cacert", &file, &url], "").await.failure(2);
        assert!(said.contains(complaint), "{said}");
    }
}

#[tokio::test]
async fn a_servers_certificate_is_trusted_by_its_file_without_its_issuers() {
    // The issuer has a name of its own, or the same name as the server. By default rcgen gives all certificates the
    // same name.
    let mut named = openssl_params(&[]);
    named.distinguished_name.push(DnType::CommonName, "an authority");
    for (number, issuer) in [named, openssl_params(&[])].into_iter().enumerate() {
        let issuer = Issuer::new(issuer, KeyPair::generate().unwrap());
        for params in [params(&["127.0.0.1"]), openssl_params(&["127.0.0.1"])] {
            let key = KeyPair::generate().unwrap();
            let cert = params.signed_by(&key, &issuer).unwrap();
            let (url, file) = serve_certificate(&format!("issued-{number}.pem"), &cert, &key).await;
            assert_eq!(run(&["--cacert", &file, &url], "hello\n").await.output(), "hello\n");
        }
    }
}

/// The certificate is public, so a server that shows it must prove that it has the key.
#[tokio::test]
async fn a_trusted_certificate_without_its_key_is_worth_nothing() {
    let (key, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let cert = openssl_params(&["127.0.0.1"]).self_signed(&key).unwrap();
    let shown = vec![cert.der().clone()];
    let key = ring::sign::any_supported_type(&PrivateKeyDer::try_from(thief.serialize_der()).unwrap()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(shown, key))));
    let server = Server::builder().tls(Arc::new(config)).bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|_, _| {});
    let file = write("stolen.pem", &cert.pem());
    let said = run(&["--cacert", &file, &server::run(server).replace("ws://", "wss://")], "").await.failure(2);
    assert!(said.contains("TLS"), "{said}");
}

#[tokio::test]
async fn any_certificate_is_accepted_with_insecure_and_a_warning() {
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

/// The server waits for a whole request, gets none, and closes without an answer.
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
