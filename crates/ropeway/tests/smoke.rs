//! A user's first steps: a server and a client, each with events and with pull.

use std::time::Duration;

use ropeway::{Client, CloseCode, Message, ReadyState, Server};
use tokio::time::timeout;

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<F: Future>(what: &str, work: F) -> F::Output {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{PATIENCE:?} have passed without this: {what}"))
}

#[tokio::test]
async fn an_echo_server_with_listeners_answers_a_client_that_pulls() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, handshake| {
        assert!(handshake.client_ip().unwrap().is_loopback());
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let url = format!("ws://{}/any?path", server.local_addr().unwrap());
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });

    let mut ws = within("a connection", ropeway::connect(&url)).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(within("an echo", ws.recv()).await.unwrap(), Some(Message::from("hello")));
    let large = vec![7; 3_000_000];
    within("room to send", ws.send(large.clone())).await.unwrap();
    assert_eq!(within("a large echo", ws.recv()).await.unwrap(), Some(Message::from(large)));

    let closed = within("the server's close frame", ws.close(4000, "enough")).await.unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.clean), (CloseCode::from(4000), "enough", true));
    assert_eq!(ws.ready_state(), ReadyState::Closed);
    server.shutdown().timeout(Duration::from_secs(5)).await;
    within("the end of the server", running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_pulls_sees_the_clients_close() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    server.spawn_each(move |mut ws, _| {
        let tell = tell.clone();
        async move {
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
            tell.send(ws.outcome().unwrap()).unwrap();
        }
    });
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });

    let (tell_echo, mut echoes) = tokio::sync::mpsc::unbounded_channel();
    let handle = Client::new()
        .connect(&url)
        .on_connection(move |ws, _| {
            let tell = tell_echo.clone();
            ws.on_message(move |_, message| tell.send(message.into_owned()).unwrap());
        })
        .await
        .unwrap();
    for number in 0..1000 {
        handle.send(format!("{number}")).unwrap();
    }
    for number in 0..1000 {
        assert_eq!(within("an echo", echoes.recv()).await, Some(Message::from(format!("{number}"))));
    }
    handle.close(1000, "done").unwrap();
    let closed = within("the server's word of the end", told.recv()).await.unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.clean), (CloseCode::NORMAL, "done", true));
    within("the end", handle.closed()).await;
}

#[tokio::test]
async fn a_server_without_a_port_of_its_own_says_how_to_get_one() {
    let server = Server::builder().build();
    for error in [server.local_addr().unwrap_err(), server.run().await.unwrap_err()] {
        assert!(error.to_string().contains("make it with `Server::bind`"), "{error}");
    }
}
