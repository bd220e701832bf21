//! Load over TLS. The options for trusting a certificate are those of `ropeway connect`.

use std::path::Path;
use std::sync::Arc;

use ropeway::Server;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

use crate::program::{errors, result, run};
use crate::server;

#[tokio::test]
async fn wss_is_measured_once_the_certificate_is_trusted() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (url, _) = server::echo_with(Server::builder().tls(Arc::new(config))).await;
    let url = url.replace("ws://", "wss://");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench.pem");
    std::fs::write(&file, cert.pem()).unwrap();

    let args = ["echo", &url, "--conns", "3", "-n", "30"];
    assert_eq!(result(&[&args[..], &["--cacert", file.to_str().unwrap()]].concat()).await["count"], 30);
    let insecure = run(&[&args[..], &["--insecure", "--json"]].concat()).await;
    assert_eq!(insecure.json()["count"], 30);
    assert!(insecure.stderr.contains("the server's certificate is not checked"), "{insecure:?}");
    let unknown = run(&[&args[..], &["--json"]].concat()).await;
    assert_eq!(errors(&unknown.json(), "tls_failed"), 3);
    unknown.failure(1);
}
