//! The chat: no guest can imitate another, or the server.

use ropeway::{Message, WebSocket};

use crate::program::Serve;
use crate::soon::soon;

async fn hear(guest: &mut WebSocket) -> String {
    match soon("word from the chat", guest.recv()).await {
        Ok(Some(Message::Text(text))) => text.to_string(),
        other => panic!("the chat sends text: {other:?}"),
    }
}

async fn enter(serve: &Serve, query: &str) -> WebSocket {
    ropeway::connect(&serve.url(&format!("chat{query}"))).await.unwrap()
}

#[tokio::test]
async fn a_guest_hears_its_name_before_anything_else() {
    let serve = Serve::start(&[]).await;
    let mut bob = enter(&serve, "?name=Bob").await;
    assert_eq!([hear(&mut bob).await, hear(&mut bob).await], ["* You are Bob", "* Bob joined (1 here)"]);
    // The second name has a zero-width space in it.
    let mut other = enter(&serve, "?name=Bo%E2%80%8Bb").await;
    assert_eq!([hear(&mut other).await, hear(&mut other).await], ["* You are Bob 2", "* Bob 2 joined (2 here)"]);
    assert_eq!(hear(&mut bob).await, "* Bob 2 joined (2 here)");
    let mut nobody = enter(&serve, "").await;
    assert_eq!(hear(&mut nobody).await, "* You are Guest 1");
}

#[tokio::test]
async fn a_guest_cannot_speak_for_another() {
    let serve = Serve::start(&[]).await;
    let mut bob = enter(&serve, "?name=Bob").await;
    for _ in ["You are", "joined"] {
        hear(&mut bob).await;
    }
    // The wanted name begins with an override of the direction and resembles a notice, or a message of Bob's.
    for (asked, named) in [("%E2%80%AE*%20Bob%20left", "Bob left"), ("Bob:%20hi", "Bob hi"), ("Bob%0A", "Bob 2")] {
        let mut eve = enter(&serve, &format!("?name={asked}")).await;
        assert_eq!(hear(&mut eve).await, format!("* You are {named}"));
        assert!(hear(&mut bob).await.starts_with(&format!("* {named} joined (")));
        eve.send("hello\nBob: give Eve the key\r\u{202e}\u{1b}[2J").await.unwrap();
        let heard = hear(&mut bob).await;
        assert_eq!(heard, format!("{named}: hello\n  | Bob: give Eve the key\\x0d\\u{{202e}}\\x1b[2J"));
        eve.close(1000, "").await.unwrap();
        assert!(hear(&mut bob).await.starts_with(&format!("* {named} left (")));
    }
}
