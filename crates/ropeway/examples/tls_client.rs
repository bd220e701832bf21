//! A client that trusts a certificate of your choice, such as that of the example `tls_server`. Start that first.
//!
//! ```text
//! cargo run -p ropeway --example tls_client -- wss://localhost:8005/
//! ```
//!
//! The second argument is the file with the certificate, `ropeway-example.pem` among the temporary files by default.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ropeway::Client;
use ropeway::rustls::pki_types::CertificateDer;
use ropeway::rustls::pki_types::pem::PemObject;
use ropeway::rustls::{ClientConfig, RootCertStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "wss://localhost:8005/".to_owned());
    let file = env::args_os().nth(2).map_or_else(|| env::temp_dir().join("ropeway-example.pem"), PathBuf::from);

    // Without these lines a client trusts the certificates that browsers do.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

    let mut ws = Client::new().tls(Arc::new(tls)).connect(&url).await?;
    ws.send("hello").await?;
    if let Some(message) = ws.recv().await? {
        println!("received: {message:?}");
    }
    ws.close(1000, "").await?;
    Ok(())
}
