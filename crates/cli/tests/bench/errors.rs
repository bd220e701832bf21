//! Servers that misbehave: each error is counted under its kind, and the run goes on.

use std::sync::atomic::Ordering;

use ropeway::http::StatusCode;
use ropeway::{Accept, Refusal, Server};
use tokio::net::TcpListener;

use crate::program::{errors, eventually, run};
use crate::server;

#[tokio::test]
async fn a_server_that_is_not_there_fails_every_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    for mode in [&["echo", "--conns", "5"][..], &["fanout", "--conns", "4"], &["idle", "--conns", "5"]] {
        let outcome = run(&[mode, &[&url, "--json"]].concat()).await;
        assert_eq!(errors(&outcome.json(), "connect_refused"), 5, "{mode:?}");
        let said = outcome.failure(1);
        assert!(said.contains("no connection could be opened"), "{said}");
    }
    let outcome = run(&["connect", &url, "--parallel", "2", "--handshakes", "6", "--json"]).await;
    assert_eq!(errors(&outcome.json(), "connect_refused"), 6);
    assert_eq!(outcome.json()["latency_us"], serde_json::Value::Null);
    outcome.failure(1);
}

#[tokio::test]
async fn a_refusal_is_counted_by_its_status() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|_, _| {});
    let refuse = async |_| Err::<Accept, _>(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full"));
    server.authorize(refuse).on_connection(|_, _| ());
    let url = server::run(server);
    let outcome = run(&["echo", &url, "--conns", "3", "--json"]).await;
    assert_eq!(errors(&outcome.json(), "handshake_status_503"), 3);
    outcome.failure(1);
}

#[tokio::test]
async fn connections_that_the_server_closes_are_errors_and_what_they_owe_are_drops() {
    let url = server::closing().await;
    // On each connection two messages are answered, and the third of four closes it.
    let outcome = run(&["echo", &url, "--conns", "5", "--window", "4", "-n", "1000", "--json"]).await;
    let result = outcome.json();
    // It measured something before it had to stop.
    let said = outcome.stderr.clone();
    assert!(said.contains("all 5 connections ended before the run did (closed_4001"), "{said}");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(errors(&result, "closed_4001"), 5);
    assert_eq!(result["connections"]["dropped"], 5);
    assert_eq!(result["count"], 10);
    assert_eq!(result["errors"]["kinds"][0]["first"], "4001 (private use) \"enough\"");
    let drops = result["drops"].as_u64().unwrap();
    assert!((10..=20).contains(&drops), "four at least were sent on each, and two answered: {result}");
}

#[tokio::test]
async fn messages_that_are_never_answered_are_drops() {
    let url = server::silent().await;
    for pace in [["--window", "2"], ["--rate", "10000"]] {
        let args = [&["echo", &url, "--conns", "3", "-n", "6", "--timeout", "5", "--json"], &pace[..]].concat();
        let outcome = run(&args).await;
        let result = outcome.json();
        assert_eq!((&result["count"], &result["drops"]), (&0.into(), &6.into()), "{pace:?}");
        let said = outcome.failure(1);
        assert!(said.contains("does not answer messages: is it the right path?"), "{said}");
    }
}

#[tokio::test]
async fn a_fanout_that_the_server_does_not_deliver_ends_all_the_same() {
    let (url, _) = server::echo().await;
    // Only the publisher gets its message.
    let outcome = run(&["fanout", &url, "--conns", "3", "--secs", "0.1", "--timeout", "5", "--json"]).await;
    assert_eq!(outcome.json()["drops"], 3, "{outcome:?}");
    let said = outcome.failure(1);
    assert!(said.contains("only the publisher"), "{said}");
}

#[tokio::test]
async fn answers_that_are_something_else_are_told() {
    let url = server::contrary().await;
    let outcome = run(&["echo", &url, "--conns", "2", "-n", "4", "--timeout", "5", "--json"]).await;
    let result = outcome.json();
    assert_eq!(errors(&result, "unexpected_message"), 2, "{result}");
    assert_eq!((&result["count"], &result["drops"]), (&0.into(), &2.into()));
    let said = outcome.failure(1);
    assert!(said.contains("other messages than were sent"), "{said}");
}

#[tokio::test]
async fn answers_to_nothing_are_told_and_have_no_latency() {
    let url = server::twice().await;
    for pace in [["--window", "2"], ["--rate", "1000"]] {
        let args = [&["echo", &url, "--conns", "2", "-n", "40", "--timeout", "5", "--json"], &pace[..]].concat();
        let result = run(&args).await.json();
        assert_eq!((&result["count"], &result["drops"]), (&40.into(), &0.into()), "{pace:?}: {result}");
        assert_eq!(result["latency_us"]["count"], 40, "{pace:?}: {result}");
        // The last ones may come after the end of the run.
        assert!((20..=40).contains(&errors(&result, "unexpected_message")), "{pace:?}: {result}");
    }
}

/// A connection may be closed before its first message is sent, during that, or after it. In each case the run ends,
/// and not by its timeout.
#[tokio::test]
async fn connections_that_are_closed_at_once_are_not_waited_for() {
    let url = server::unwilling().await;
    for pace in [["--window", "2"], ["--rate", "1000"]] {
        let args = [&["echo", &url, "--conns", "3", "-n", "60", "--timeout", "3600", "--json"], &pace[..]].concat();
        let outcome = run(&args).await;
        let result = outcome.json();
        assert_eq!(errors(&result, "closed_4001"), 3, "{pace:?}: {result}");
        assert_eq!(result["count"], 0, "{pace:?}: {result}");
        // The path is right. The server refuses.
        let said = outcome.failure(1);
        assert!(said.contains("nothing was measured: all 3 connections ended early (closed_4001"), "{pace:?}: {said}");
        assert!(!said.contains("right path"), "{pace:?}: {said}");
    }
}

#[tokio::test]
async fn a_message_that_the_server_finds_too_large_is_no_wrong_path() {
    let (url, _) = server::echo_with(Server::builder().max_payload(100)).await;
    let args = ["echo", &url, "--conns", "2", "--size", "101", "--secs", "60", "--warmup", "0"];
    let said = run(&args).await.failure(1);
    assert!(said.contains("closed_1009") && !said.contains("right path"), "{said}");
}

#[tokio::test]
async fn connections_that_could_not_be_opened_have_no_latency() {
    let (url, _) = server::echo_with(Server::builder().max_connections(3)).await;
    let outcome = run(&["idle", &url, "--conns", "8", "--secs", "0.1", "--threads", "1", "--json"]).await;
    let result = outcome.json();
    assert_eq!((&result["connections"]["opened"], &result["latency_us"]["count"]), (&3.into(), &3.into()), "{result}");
    assert_eq!(errors(&result, "handshake_status_503"), 5);
}

/// The server dies in the middle of each run. Runs that need connections would go on for an hour.
#[tokio::test]
async fn a_server_that_dies_is_a_failure_whatever_was_measured_before() {
    for (mode, path, args) in [
        ("echo", "", &["--conns", "4", "--secs", "3600", "--warmup", "0"][..]),
        ("fanout", "all", &["--conns", "4", "--secs", "3600", "--warmup", "0"]),
        ("connect", "", &["--parallel", "4", "--secs", "5", "--warmup", "0"]),
        ("idle", "", &["--conns", "4", "--secs", "3600"]),
    ] {
        let server = server::Mortal::start();
        let url = format!("{}{path}", server.url);
        let args = [&[mode, &url, "--threads", "1"], args].concat();
        let bench = crate::program::command(&args).spawn().unwrap();
        let is_under_way = || match mode {
            "echo" | "fanout" => server.seen.messages.load(Ordering::Relaxed) >= 20,
            _ => server.seen.opened.load(Ordering::Relaxed) >= 4,
        };
        eventually("a run that is under way", is_under_way).await;
        server.die();
        let said = crate::program::finish(bench.wait_with_output()).await.failure(1);
        let says = ["ended before the run did", "ended early", "no longer accepted connections"];
        assert!(says.iter().any(|words| said.contains(words)), "{mode}: {said}");
    }
}
