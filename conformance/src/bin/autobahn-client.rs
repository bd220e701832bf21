//! The client that a fuzzing server tests: it connects once for each case and echoes what it is sent.
//!
//! `autobahn-client ws://HOST:PORT PARALLEL`. Which cases there are, and how they went, is the server's to say; a case
//! that the server breaks off is no failure here.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

/// The name in the reports.
const AGENT: &str = "ropeway";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(parallel)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn-client ws://HOST:PORT PARALLEL".into());
    };
    let count = case_count(&server).await?;
    println!("{count} cases");

    let next = Arc::new(AtomicUsize::new(1));
    let mut workers = JoinSet::new();
    for _ in 0..parallel.parse()? {
        let (server, next) = (server.clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let case = next.fetch_add(1, Ordering::Relaxed);
                if case > count {
                    return Ok(());
                }
                run_case(&server, case).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker?.map_err(|error| format!("a case could not be connected to: {error}"))?;
    }

    // The server closes when it has taken note.
    let mut updated = ropeway::connect(&format!("{server}/updateReports?agent={AGENT}")).await?;
    while updated.recv().await?.is_some() {}
    Ok(())
}

async fn case_count(server: &str) -> Result<usize, Box<dyn Error>> {
    let mut ws = ropeway::connect(&format!("{server}/getCaseCount")).await?;
    let count = ws.recv().await?.ok_or("the server told no number of cases")?;
    Ok(count.as_text().ok_or("the number of cases is no text")?.parse()?)
}

/// Echoes until the connection has ended. How it ends is the case, and the server judges it.
async fn run_case(server: &str, case: usize) -> Result<(), ropeway::Error> {
    let mut ws = ropeway::connect(&format!("{server}/runCase?case={case}&agent={AGENT}")).await?;
    while let Ok(Some(message)) = ws.recv().await {
        // It is refused when the server is closing already; then the end is near.
        let _ = ws.send(message).await;
    }
    Ok(())
}
