//! A program that sends a message and ends: the message arrives, and the close frame behind it. This test starts itself
//! again as that program, since a runtime that ends beside another one is not the same as a program that ends.

use std::time::Duration;

use futures_util::SinkExt;
use ropeway::{Client, Message, Server};
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Variables that turn this into the program that sends: the URL, the way of sending, and the kind of runtime.
const URL: &str = "LAST_WORDS_URL";
const WAY: &str = "LAST_WORDS_WAY";
const FLAVOUR: &str = "LAST_WORDS_FLAVOUR";

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

const SMALL: usize = 4;
const LARGE: usize = 3 << 20;

/// For each way to send and end: the size of the message, the number of attempts, and whether it is certain over TLS.
/// If a TLS stream does not accept all at once, an ending runtime does not learn when it does.
const WAYS: [(&str, usize, usize, bool); 7] = [
    ("send", SMALL, 20, true),
    ("sink", SMALL, 5, true),
    ("feed and flush", LARGE, 5, true),
    ("send, drop and yield", SMALL, 5, true),
    ("close", LARGE, 5, true),
    ("send", 10_000, 5, true),
    ("send", LARGE, 20, false),
];

/// The server's record of a connection: the sizes of its messages, and the code of its end.
type Heard = (Vec<usize>, u16);

fn main() {
    if let Ok(url) = std::env::var(URL) {
        let way = std::env::var(WAY).expect("a way");
        let flavour = std::env::var(FLAVOUR).expect("a flavour");
        let mut runtime =
            if flavour == "current_thread" { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        runtime.enable_all().build().expect("a runtime").block_on(speak(&url, &way)).expect("it is open");
        return;
    }
    Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(async {
        listen(Server::builder(), "ws", "127.0.0.1", true).await;
        #[cfg(feature = "tls")]
        listen(Server::builder().tls(tls::server()), "wss", "localhost", false).await;
    });
    println!("test what_a_program_sends_before_it_ends_arrives ... ok");
}

/// Sends and returns.
async fn speak(url: &str, way: &str) -> Result<(), ropeway::Error> {
    let (way, size) = way.split_once('/').expect("a way and a size");
    let message = Message::from(vec![7; size.parse().expect("a size")]);
    #[cfg(feature = "tls")]
    let client = Client::new().tls(tls::client());
    #[cfg(not(feature = "tls"))]
    let client = Client::new();
    let mut ws = client.connect(url).await?;
    match way {
        "send" => Ok(ws.send(message).await?),
        "sink" => SinkExt::send(&mut ws, message).await,
        "feed and flush" => {
            ws.feed(message).await?;
            SinkExt::flush(&mut ws).await
        }
        "send, drop and yield" => {
            ws.send(message).await?;
            drop(ws);
            tokio::task::yield_now().await;
            Ok(())
        }
        "close" => {
            ws.send(message).await?;
            ws.close(1000, "").await?;
            Ok(())
        }
        other => panic!("{other} is no way"),
    }
}

/// Runs the program against a server, and checks what arrives.
async fn listen(builder: ropeway::ServerBuilder, scheme: &str, host: &str, always: bool) {
    let server = builder.bind("127.0.0.1:0").await.expect("a port");
    let (tell, mut heard) = unbounded_channel::<Heard>();
    server.spawn_each(move |mut ws, _| {
        let tell = tell.clone();
        async move {
            let mut sizes = Vec::new();
            while let Ok(Some(message)) = ws.recv().await {
                sizes.push(message.len());
            }
            let code = ws.outcome().map_or(0, |closed| closed.code.as_u16());
            let _ = tell.send((sizes, code));
        }
    });
    let url = format!("{scheme}://{host}:{}/", server.local_addr().expect("it is bound").port());
    tokio::spawn(async move { server.run().await });
    let mut failures = Vec::new();
    for (way, size, times, over_tls) in WAYS {
        for flavour in ["current_thread", "multi_thread"] {
            if always || over_tls {
                let arrived = try_times(&url, &format!("{way}/{size}"), flavour, times, size, &mut heard).await;
                if arrived < times {
                    failures.push(format!("{way}, {size} bytes, {scheme}, {flavour}: {arrived} of {times} arrived"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns how often the message and the close frame arrived.
async fn try_times(
    url: &str,
    way: &str,
    flavour: &str,
    times: usize,
    size: usize,
    heard: &mut UnboundedReceiver<Heard>,
) -> usize {
    let mut arrived = 0;
    for _ in 0..times {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.env(URL, url).env(WAY, way).env(FLAVOUR, flavour).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let status = timeout(PATIENCE, child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{way}, {flavour}: the program ends")).expect("a status");
        assert!(status.success(), "{way}: it failed");
        let wait = timeout(PATIENCE, heard.recv());
        let (sizes, code) = wait.await.expect("the server hears of the connection's end").expect("the server runs");
        arrived += usize::from(sizes == [size] && code == 1000);
    }
    arrived
}

/// The certificate of the interop tests, and trust in it.
#[cfg(feature = "tls")]
mod tls {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/interop/tls").join(name)
    }

    pub(crate) fn server() -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(file("server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.expect("they belong together"))
    }

    pub(crate) fn client() -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("authority.pem")).expect("an authority")).expect("it is one");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
