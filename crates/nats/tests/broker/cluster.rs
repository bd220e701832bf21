//! Three servers, of which one is lost.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ropeway::engine::{Arrival, Position, Replay, Session};
use ropeway_nats::Nats;
use testkit::broker::{Broker, NATS, free_port};

use crate::{KEPT, LIMIT, connected, engine, heard, name, publish, subscribe, within};

/// Starts three servers, and waits until each passes messages to each.
async fn cluster() -> [Broker; 3] {
    let ports = [free_port(), free_port(), free_port()];
    let routes = [free_port(), free_port(), free_port()];
    let start = |index: usize| {
        let others: Vec<String> = routes.iter().map(|port| format!("'nats://127.0.0.1:{port}'")).collect();
        let settings = format!(
            "server_name: s{index}\ncluster {{ name: c, listen: '127.0.0.1:{}', routes: [{}] }}",
            routes[index],
            others.join(", ")
        );
        Broker::on_port(NATS, ports[index], &settings)
    };
    let cluster = [start(0), start(1), start(2)];
    for hearer in &cluster {
        let client = async_nats::connect(hearer.address()).await.expect("it can connect");
        for speaker in &cluster {
            let mut heard = client.subscribe("probe").await.expect("it can subscribe");
            let speaker = async_nats::connect(speaker.address()).await.expect("it can connect");
            let speak = async {
                loop {
                    speaker.publish("probe", "".into()).await.expect("it can publish");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            within("the servers' way to each other", async {
                tokio::select! { _ = heard.next() => {}, () = speak => {} }
            })
            .await;
        }
    }
    cluster
}

fn engine_for(cluster: &[Broker], first: usize) -> Nats {
    let url = |index: usize| format!("nats://{}", cluster[index % 3].address());
    engine(&url(first)).or(url(first + 1)).or(url(first + 2)).replicas(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_server_keeps_histories_and_takes_new_sessions() {
    let mut cluster = cluster().await;
    let (a, _) = connected(&engine_for(&cluster, 0)).await;
    let (b, mut arrivals) = connected(&engine_for(&cluster, 1)).await;
    until_replayed(&*b, None).await;
    subscribe(&b, "room").await.expect("it is allowed");
    until_published(&a, "1").await;
    assert_eq!(until_heard(&mut arrivals, "1").await, "1");
    let place = until_replayed(&*b, None).await.end;

    cluster[0].kill();
    within("the end of the session", a.ended()).await.expect_err("its server is gone");
    let (a, _) = connected(&engine_for(&cluster, 0)).await;
    until_published(&a, "2").await;
    assert_eq!(until_heard(&mut arrivals, "2").await, "2");
    let replay = until_replayed(&*a, Some(place)).await;
    assert!(replay.is_complete, "{replay:?}");
    let bodies: Vec<_> = replay.messages.iter().map(|(_, body)| body.to_vec()).collect();
    assert_eq!(bodies.last().map(Vec::as_slice), Some(b"2".as_slice()));
    assert!(replay.end.epoch == place.epoch);

    // With two of three servers gone there is no history any more, and no call waits for ever. Messages without one go on.
    cluster[1].kill();
    within("the end of the session", b.ended()).await.expect_err("its server is gone");
    let (a, mut arrivals) = connected(&engine_for(&cluster, 0)).await;
    subscribe(&a, "room").await.expect("it is allowed");
    publish(&a, "room", "without", None).await.expect("it needs no other server");
    assert_eq!(heard(&mut arrivals).await, "without");
    publish(&a, "room", "with", Some(KEPT)).await.expect_err("most replicas are gone");
    publish(&a, "room", "without", None).await.expect("the session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_at_another_server_after_subscribing_is_heard() {
    let cluster = cluster().await;
    let (a, _) = connected(&engine_for(&cluster, 0)).await;
    let (b, mut arrivals) = connected(&engine_for(&cluster, 1)).await;
    // A third node comes later, at a server that had none.
    let (c, _) = connected(&engine_for(&cluster, 2)).await;
    for round in 0..300 {
        let topic = format!("room {round}");
        subscribe(&b, &topic).await.expect("it is allowed");
        let publisher = if round % 2 == 0 { &a } else { &c };
        publish(publisher, &topic, &topic, None).await.expect("it is allowed");
        assert_eq!(heard(&mut arrivals).await, topic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_holds_up_subscribing_once_and_a_gap_is_told() {
    let cluster = cluster().await;
    let alone = |index: usize| engine(&format!("nats://{}", Broker::address(&cluster[index])));
    let (b, mut arrivals) = connected(&alone(1)).await;
    subscribe(&b, "before").await.expect("it is allowed");
    let (a, _) = connected(&alone(0)).await;
    // Its greeting came before this message, and is read before the answer to the next question.
    publish(&a, "before", "a", None).await.expect("it is allowed");
    assert_eq!(heard(&mut arrivals).await, "a");
    subscribe(&b, "again").await.expect("it is allowed");
    cluster[0].stop();
    subscribe(&b, "room").await.expect("the other servers go on");
    match within("a gap", arrivals.recv()).await.expect("the session goes on") {
        Arrival::Missed { topic } => assert_eq!(topic, Some(name("room"))),
        other => panic!("a gap was expected, not {other:?}"),
    }
    subscribe(&b, "after").await.expect("it is allowed");
    publish(&b, "after", "hello", None).await.expect("it is allowed");
    assert_eq!(heard(&mut arrivals).await, "hello", "there is no further gap");
    cluster[0].go_on();
}

/// A cluster elects its leaders when it has started, and when one was lost.
async fn until_published(session: &std::sync::Arc<dyn Session>, body: &str) {
    let started = Instant::now();
    while let Err(error) = publish(session, "room", body, Some(KEPT)).await {
        assert!(started.elapsed() < 3 * LIMIT, "after {:?}: {error}", started.elapsed());
    }
}

async fn until_replayed(session: &dyn Session, after: Option<Position>) -> Replay {
    let started = Instant::now();
    loop {
        match within("a replay", session.replay(&name("room"), KEPT, after)).await {
            Ok(replay) => return replay,
            Err(error) => assert!(started.elapsed() < 3 * LIMIT, "after {:?}: {error}", started.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A message that was published several times, since its first acknowledgement was lost, is heard several times.
async fn until_heard(arrivals: &mut tokio::sync::mpsc::Receiver<Arrival>, body: &str) -> String {
    loop {
        let heard = heard(arrivals).await;
        if heard == body {
            return heard;
        }
    }
}
