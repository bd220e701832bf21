//! A server with TLS on its own port (`wss://`), with a certificate that it makes for itself. The example `tls_client`
//! trusts it.
//!
//! ```text
//! cargo run -p ropeway --example tls_server
//! ```
//!
//! The second argument is the file to which the certificate is written, `ropeway-example.pem` among the temporary files
//! by default.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use ropeway::Server;
use ropeway::rustls::ServerConfig;
use ropeway::rustls::pki_types::PrivatePkcs8KeyDer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let file = env::args_os().nth(2).map_or_else(|| env::temp_dir().join("ropeway-example.pem"), PathBuf::from);

    // A real server reads its certificate and key from files, with `from_pem_file` of
    // `rustls::pki_types::pem::PemObject`.
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(&file, cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into())?;

    let server = Server::builder().tls(Arc::new(tls)).bind(addr).await?;
    server.on_connection(|ws, _handshake| {
        ws.on_message(|ws, message| {
            if let Err(error) = ws.send(message) {
                eprintln!("not sent: {error}");
            }
        });
    });

    println!("certificate in {}", file.display());
    // The name is that of the certificate.
    println!("listening on wss://localhost:{}/", server.local_addr()?.port());
    server.run().await?;
    Ok(())
}
