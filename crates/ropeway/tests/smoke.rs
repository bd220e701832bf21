//! A user's first steps: a server and a client, each in both styles.

use std::time::Duration;

use ropeway::{Client, CloseCode, Message, ReadyState, Server};

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

    let mut ws = ropeway::connect(&url).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hello")));
    let large = vec![7; 3_000_000];
    ws.send(large.clone()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(large)));

    let closed = ws.close(4000, "enough").await.unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.clean), (CloseCode::from(4000), "enough", true));
    assert_eq!(ws.ready_state(), ReadyState::Closed);
    server.shutdown().timeout(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();
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
        assert_eq!(echoes.recv().await, Some(Message::from(format!("{number}"))));
    }
    handle.close(1000, "done").unwrap();
    let closed = told.recv().await.unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.clean), (CloseCode::NORMAL, "done", true));
    handle.closed().await;
}
