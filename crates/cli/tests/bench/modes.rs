//! The work of each mode, counted on both sides.

use std::sync::atomic::Ordering;

use crate::program::{result, run};
use crate::server;

#[tokio::test]
async fn echo_sends_as_many_messages_as_asked_and_has_each_answered() {
    let (url, seen) = server::echo().await;
    let result = result(&["echo", &url, "--conns", "7", "--window", "3", "--messages", "1000", "--threads", "2"]).await;
    assert_eq!(result["count"], 1000);
    assert_eq!(result["counted"], "messages");
    assert_eq!(result["latency_us"]["count"], 1000);
    assert_eq!((&result["drops"], &result["errors"]["total"]), (&0.into(), &0.into()));
    assert_eq!((&result["connections"]["asked"], &result["connections"]["opened"]), (&7.into(), &7.into()));
    assert_eq!(seen.messages.load(Ordering::Relaxed), 1000);
    assert_eq!((seen.opened.load(Ordering::Relaxed), seen.closed.load(Ordering::Relaxed)), (7, 7));
}

#[tokio::test]
async fn echo_at_a_rate_sends_as_many_messages_and_says_what_it_was_asked() {
    let (url, seen) = server::echo().await;
    let result =
        result(&["echo", &url, "--conns", "5", "--rate", "2000", "-n", "400", "--text", "--threads", "2"]).await;
    assert_eq!(result["count"], 400);
    assert_eq!(result["latency_us"]["count"], 400);
    assert_eq!(result["sent_late_us"]["count"], 400);
    assert_eq!(result["rate_per_s"]["asked"], 2000.0);
    assert_eq!(result["settings"]["payload"], "text");
    assert_eq!(result["settings"]["window"], serde_json::Value::Null);
    assert_eq!(seen.messages.load(Ordering::Relaxed), 400);
}

#[tokio::test]
async fn fewer_messages_than_connections_are_no_special_case() {
    let (url, seen) = server::echo().await;
    for pace in [["--window", "2"], ["--rate", "1000"]] {
        let args = [&["echo", &url, "--conns", "10", "-n", "3", "--size", "0"], &pace[..]].concat();
        assert_eq!(result(&args).await["count"], 3, "{pace:?}");
    }
    assert_eq!(seen.messages.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn echo_counts_for_as_long_as_it_is_told() {
    let (url, seen) = server::echo().await;
    let result = result(&["echo", &url, "--conns", "3", "--secs", "0.2", "--warmup", "0.1"]).await;
    assert_eq!(result["elapsed_s"], 0.2);
    let counted = result["count"].as_u64().unwrap();
    // Messages of the warm-up do not count.
    assert!(counted > 0 && counted < seen.messages.load(Ordering::Relaxed), "{result}");
}

#[tokio::test]
async fn fanout_delivers_each_message_to_everyone_the_publisher_too() {
    for (kind, threads) in [("--binary", "1"), ("--text", "3")] {
        let url = server::broadcast().await;
        let args = ["fanout", &url, "--conns", "10", "--depth", "4", "-n", "50", kind, "--threads", threads];
        let result = result(&args).await;
        assert_eq!(result["counted"], "deliveries");
        assert_eq!(result["count"], 50 * 11, "{result}");
        assert_eq!(result["latency_us"]["count"], 50 * 11);
        assert_eq!(result["connections"]["opened"], 11);
        assert_eq!((&result["drops"], &result["errors"]["total"]), (&0.into(), &0.into()));
    }
}

#[tokio::test]
async fn fanout_at_a_rate_does_not_wait_for_deliveries() {
    let url = server::broadcast().await;
    let result = result(&["fanout", &url, "--conns", "4", "--rate", "1000", "-n", "60"]).await;
    assert_eq!(result["count"], 60 * 5);
    // Each is delivered to five subscribers.
    assert_eq!(result["rate_per_s"]["asked"], 5000.0);
    assert_eq!(result["sent_late_us"]["count"], 60);
}

#[tokio::test]
async fn a_message_too_small_for_its_time_is_wrong_usage() {
    let said = run(&["fanout", "localhost:1", "--size", "15", "--text"]).await.failure(64);
    assert!(said.contains("--size has to be 16 at least"), "{said}");
}

#[tokio::test]
async fn connect_opens_as_many_connections_and_closes_them_cleanly() {
    let (url, seen) = server::echo().await;
    let result = result(&["connect", &url, "--parallel", "4", "--handshakes", "30", "--threads", "2"]).await;
    assert_eq!((&result["counted"], &result["count"]), (&"handshakes".into(), &30.into()));
    assert_eq!(result["latency_us"]["count"], 30);
    assert_eq!((&result["drops"], &result["errors"]["total"]), (&0.into(), &0.into()));
    assert_eq!((seen.opened.load(Ordering::Relaxed), seen.closed.load(Ordering::Relaxed)), (30, 30));
}

#[tokio::test]
async fn idle_holds_its_connections() {
    let (url, seen) = server::echo().await;
    let result = result(&["idle", &url, "--conns", "40", "--secs", "0.1", "--threads", "2"]).await;
    assert_eq!((&result["counted"], &result["count"]), (&"connections".into(), &40.into()));
    assert_eq!(result["connections"]["dropped"], 0);
    assert_eq!(result["latency_us"]["count"], 40);
    assert_eq!(result["server_memory"], serde_json::Value::Null);
    assert_eq!((seen.messages.load(Ordering::Relaxed), seen.closed.load(Ordering::Relaxed)), (0, 40));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn idle_looks_at_the_memory_of_a_process_before_and_after_one_message_each() {
    let (url, seen) = server::echo().await;
    let pid = std::process::id().to_string();
    let result = result(&["idle", &url, "--conns", "20", "--secs", "0.1", "--pid", &pid]).await;
    let memory = &result["server_memory"];
    for name in ["before_bytes", "open_bytes", "used_bytes"] {
        assert!(memory[name].as_u64().unwrap() > 0, "{result}");
    }
    // If the server uses no more memory than before, the cost of a connection is not known. It is never negative.
    let before = memory["before_bytes"].as_u64();
    for (when, each) in [("open_bytes", "per_connection_open_bytes"), ("used_bytes", "per_connection_used_bytes")] {
        assert_eq!(memory[each].is_null(), memory[when].as_u64() <= before, "{result}");
        assert!(memory[each].as_f64().is_none_or(|each| each > 0.0), "{result}");
    }
    // One more connection came and went first.
    assert_eq!((seen.opened.load(Ordering::Relaxed), seen.messages.load(Ordering::Relaxed)), (21, 21));

    let said = run(&["idle", &url, "--conns", "1", "--pid", "4294967295"]).await.failure(1);
    assert!(said.contains("--pid"), "{said}");
}

#[tokio::test]
async fn compression_is_agreed_on_or_it_is_told() {
    let (url, seen) = server::deflating().await;
    for mode in ["--deflate", "--deflate=takeover"] {
        let result = result(&["echo", &url, "--conns", "3", "-n", "30", "--size", "2000", mode]).await;
        assert_eq!((&result["count"], &result["connections"]["compressed"]), (&30.into(), &3.into()), "{mode}");
    }
    assert_eq!(seen.messages.load(Ordering::Relaxed), 60);

    let (url, _) = server::echo_with(ropeway::Server::builder().per_message_deflate(None)).await;
    let outcome = run(&["echo", &url, "--conns", "3", "-n", "30", "--deflate"]).await;
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stdout.contains("compression refused"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("warning: the server does not compress"), "{}", outcome.stderr);
}

#[tokio::test]
async fn fanout_publishes_at_one_server_and_hears_at_another() {
    let servers = server::broadcast_on_two().await;
    for threads in ["1", "3"] {
        let [near, far] = [&servers.near, &servers.far];
        let args = ["fanout", near, far, "--conns", "10", "--depth", "4", "-n", "50", "--threads", threads];
        let result = result(&args).await;
        assert_eq!((&result["count"], &result["drops"]), (&550.into(), &0.into()), "{result}");
        assert_eq!(result["settings"]["hear_at"], far.as_str());
    }
    let opened = |seen: &server::Seen| seen.opened.load(Ordering::Relaxed);
    assert_eq!((opened(&servers.at_near), opened(&servers.at_far)), (2, 20), "the publisher alone is at the first");
}
