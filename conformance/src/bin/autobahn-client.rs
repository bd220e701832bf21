//! The client that a fuzzing server tests: it connects once for each case and echoes each message.
//!
//! `autobahn-client ws://HOST:PORT PARALLEL takeover|no-takeover`; the last argument says whether our compression keeps
//! its window from message to message. The server knows the number of cases and judges them. A case that the server
//! breaks off is not an error here.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ropeway::Client;
use ropeway::deflate::Options;
use tokio::task::JoinSet;

/// The name in the reports.
const AGENT: &str = "ropeway";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, parallel, offer] = arguments.as_slice() else {
        return Err("usage: autobahn-client ws://HOST:PORT PARALLEL takeover|no-takeover".into());
    };
    let without = offer == "no-takeover";
    let client = Client::new().per_message_deflate(Options::context_takeover().client_no_context_takeover(without));
    let count = case_count(server).await?;
    println!("{count} cases");

    let next = Arc::new(AtomicUsize::new(1));
    let mut workers = JoinSet::new();
    for _ in 0..parallel.parse()? {
        let (client, server, next) = (client.clone(), server.clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let case = next.fetch_add(1, Ordering::Relaxed);
                if case > count {
                    return Ok(());
                }
                run_case(&client, &server, case).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker?.map_err(|error: ropeway::Error| format!("no connection for a case: {error}"))?;
    }

    // The server ends the connection when it has updated its reports. kosoku does so without a close frame.
    let mut updated = ropeway::connect(&format!("{server}/updateReports?agent={AGENT}")).await?;
    while let Ok(Some(_)) = updated.recv().await {}
    Ok(())
}

async fn case_count(server: &str) -> Result<usize, Box<dyn Error>> {
    let mut ws = ropeway::connect(&format!("{server}/getCaseCount")).await?;
    let count = ws.recv().await?.ok_or("the server told no number of cases")?;
    Ok(count.as_text().ok_or("the number of cases is no text")?.parse()?)
}

/// Echoes until the connection has ended. The server judges the end.
///
/// The echo is a listener, for this reason: several cases send a message and a violation in one segment, and in the
/// strict outcome the message's echo goes out before the close frame. A listener answers between the two. A task is
/// only woken for the message, and would answer after both.
async fn run_case(client: &Client, server: &str, case: usize) -> Result<(), ropeway::Error> {
    let url = format!("{server}/runCase?case={case}&agent={AGENT}");
    let connection = client.connect(&url).on_connection(|socket, _| {
        // It is refused if the connection is closing; then the case is over.
        socket.on_message(|ws, message| drop(ws.send(message)));
    });
    connection.await?.closed().await;
    Ok(())
}
