//! Serving `wss://`: with a certificate from files, with a self-signed one, and the complaints about files that cannot
//! be used.

use std::path::PathBuf;

use crate::program::{Serve, echoed, hello, refused};
use crate::raw;

/// Writes a certificate for this machine and its key. Returns the two files.
fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    (
        write(&format!("{name}.cert.pem"), &made.cert.pem()),
        write(&format!("{name}.key.pem"), &made.signing_key.serialize_pem()),
    )
}

fn write(name: &str, text: &str) -> String {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    std::fs::write(&file, text).unwrap();
    file.into_os_string().into_string().unwrap()
}

#[tokio::test]
async fn without_a_certificate_it_is_ws() {
    let server = Serve::start(&[]).await;
    assert!(server.announced.starts_with("http://127.0.0.1:"), "{}", server.announced);
    assert_eq!(hello(&[&server.echo()]).await, echoed());
}

#[tokio::test]
async fn a_certificate_and_its_key_make_it_wss() {
    let (cert, key) = certificate("files");
    // On several threads, each of which uses the same certificate.
    let server = Serve::start(&["--cert", &cert, "--key", &key, "--threads", "2"]).await;
    assert!(server.announced.starts_with("https://127.0.0.1:"), "{}", server.announced);
    for _ in 0..4 {
        assert_eq!(hello(&["--cacert", &cert, &server.echo()]).await, echoed());
    }
    assert_ne!(hello(&[&server.echo().replace("wss://", "ws://")]).await, echoed());
}

#[tokio::test]
async fn certificate_and_key_may_be_in_one_file() {
    let (cert, key) = certificate("together");
    let both = [key, cert.clone()].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    let both = write("both.pem", &both);
    let server = Serve::start(&["--cert", &both, "--key", &both]).await;
    assert_eq!(hello(&["--cacert", &cert, &server.echo()]).await, echoed());
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_by_those_who_accept_any() {
    let server = Serve::start(&["--tls-self-signed"]).await;
    assert_eq!(hello(&["--insecure", &server.echo()]).await, echoed());
    assert_eq!(hello(&[&server.echo()]).await, (Some(2), String::new()));
}

#[tokio::test]
async fn over_tls_its_own_pages_are_those_of_https() {
    let server = Serve::start(&["--tls-self-signed", "--allow-origin", "https://example.org"]).await;
    let own = server.announced.trim_end_matches('/').to_owned();
    for origin in [&own, &own.replace("127.0.0.1", "localhost"), "https://example.org"] {
        assert_eq!(hello(&["-k", "--origin", origin, &server.echo()]).await, echoed(), "{origin}");
    }
    let (code, _) = hello(&["-k", "--origin", &own.replace("https://", "http://"), &server.echo()]).await;
    assert_eq!(code, Some(3));
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_which_scheme_it_wants() {
    let server = Serve::start(&["--tls-self-signed"]).await;
    for request in
        ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), raw::handshake("/echo", "Host: localhost\r\n")]
    {
        let (status, body) = raw::ask(server.addr(), &request).await;
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("https://") && body.contains("wss://"), "{body}");
    }
    assert_eq!(hello(&["--insecure", &server.echo()]).await, echoed());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_told_what_is_missing() {
    let (cert, key) = certificate("alone");
    for (args, says) in [
        (&["--cert", &cert][..], "--key <FILE>"),
        (&["--key", &key], "--cert <FILE>"),
        (&["--cert", &cert, "--key", &key, "--tls-self-signed"], "cannot be used with"),
    ] {
        let said = refused(args).await;
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn files_that_are_no_good_are_told_by_name_with_the_reason() {
    let (cert, key) = certificate("good");
    let (_, other) = certificate("other");
    let empty = write("empty.pem", "nothing of the kind");
    let cut = write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    let odd = write("odd.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let locked =
        write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n");
    for (cert, key, says) in [
        (&cert, &other, [&*other, "does not belong to the first certificate"]),
        (&empty, &key, [&empty, "-----BEGIN CERTIFICATE-----"]),
        (&cut, &key, [&cut, "end marker"]),
        (&odd, &key, [&odd, "cannot be used"]),
        (&cert, &empty, [&empty, "-----BEGIN PRIVATE KEY-----"]),
        (&cert, &locked, [&locked, "openssl pkey"]),
        (&cert, &"/does/not/exist.pem".to_owned(), ["/does/not/exist.pem", "No such file"]),
    ] {
        let said = refused(&["--cert", cert, "--key", key]).await;
        assert!(says.iter().all(|part| said.contains(part)), "{cert} {key}: {said}");
    }
}
