//! Servers that fail.

use std::time::{Duration, Instant};

use ropeway::engine::{Arrival, EngineFault};
use testkit::broker::{Broker, REDIS};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::node::{Node, command, engine, name, refused, within};
use ropeway_redis::Redis;

/// The deadline of engines in these tests.
const LIMIT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_server_that_is_killed_ends_the_session() {
    let mut broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    broker.kill();
    let error = node.ended().await;
    assert!(error.to_string().contains("closed the connection"), "{error}");
    // It says so again, and to every call.
    assert_eq!(node.ended().await.to_string(), error.to_string());
    for error in [node.publish(None, &[("a", "x")]).await, node.subscribe(&["b"]).await] {
        assert_eq!(error.expect_err("the session is over").fault(), EngineFault::Lost);
    }
    assert!(within("the end of arrivals", node.arrivals.recv()).await.is_none());
    let error = refused(engine(&broker)).await;
    assert_eq!(error.fault(), EngineFault::Unreachable);
    assert!(error.to_string().contains("cannot be reached"), "{error}");

    broker.restart();
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    node.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(node.message().await.1, "x");
}

#[tokio::test]
async fn a_call_to_a_server_that_hangs_fails_in_time() {
    let broker = Broker::start(REDIS);
    let node = Node::of(engine(&broker).timeout(LIMIT)).await;
    broker.stop();
    let started = Instant::now();
    let error = node.publish(None, &[("a", "x")]).await.expect_err("it does not answer");
    assert_eq!(error.fault(), EngineFault::Lost);
    assert!(error.to_string().contains("did not answer within 500ms"), "{error}");
    assert!(started.elapsed() >= LIMIT);
    node.ended().await;
    // The system accepts connections for it.
    let error = refused(engine(&broker).timeout(LIMIT)).await;
    assert_eq!(error.fault(), EngineFault::Unreachable);
    assert!(error.to_string().contains("did not answer within 500ms"), "{error}");
    broker.go_on();
    Node::on(&broker).await;
}

#[tokio::test]
async fn an_idle_session_with_a_server_that_hangs_ends() {
    let broker = Broker::start(REDIS);
    let node = Node::of(engine(&broker).timeout(LIMIT)).await;
    broker.stop();
    let error = node.ended().await;
    assert!(error.to_string().contains("did not answer within 500ms"), "{error}");
}

#[tokio::test]
async fn an_idle_session_goes_on() {
    let broker = Broker::start(REDIS);
    let mut node = Node::of(engine(&broker).timeout(Duration::from_millis(100))).await;
    node.subscribe(&["a"]).await.unwrap();
    // Both connections are asked for signs of life with HELLO, with which each command of the test begins too.
    command(&broker.address(), &["CONFIG", "RESETSTAT"]);
    within("ten signs of life", async {
        for own in 1_u32.. {
            let redis::Value::VerbatimString { text, .. } = command(&broker.address(), &["INFO", "commandstats"])
            else {
                panic!("a text");
            };
            let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_hello:calls=")?.split(',').next());
            if calls.is_some_and(|calls| calls.parse::<u32>().expect("a number") >= own + 20) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    node.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(node.message().await.1, "x");
}

#[tokio::test]
async fn the_loss_of_one_of_the_two_connections_ends_the_session() {
    let broker = Broker::start(REDIS);
    for kind in ["normal", "pubsub"] {
        let node = Node::on(&broker).await;
        node.subscribe(&["a"]).await.unwrap();
        command(&broker.address(), &["CLIENT", "KILL", "TYPE", kind]);
        node.ended().await;
    }
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_ends_the_session() {
    let (broker, other) = (Broker::start(REDIS), Broker::start(REDIS));
    let node = Node::of(engine(&broker).timeout(LIMIT)).await;
    command(&broker.address(), &["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    let error = node.ended().await;
    assert!(error.to_string().contains("replica"), "{error}");
    let error = refused(engine(&broker)).await;
    assert_eq!(error.fault(), EngineFault::WrongBroker);
    assert!(error.to_string().contains("is a replica"), "{error}");
}

#[tokio::test]
async fn an_address_that_leads_to_two_servers_is_told() {
    let (one, other) = (Broker::start(REDIS), Broker::start(REDIS));
    let balancer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = balancer.local_addr().unwrap().port();
    let addresses = [one.address(), other.address()];
    tokio::spawn(async move {
        for address in addresses.iter().cycle() {
            let (mut client, _) = balancer.accept().await.unwrap();
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let error = refused(Redis::connect_to(format!("redis://127.0.0.1:{port}"))).await;
    assert_eq!(error.fault(), EngineFault::Unreachable);
    assert!(error.to_string().contains("reached two servers"), "{error}");
}

/// A link to a broker that can be made to pass on nothing to its clients.
struct Link {
    port: u16,
    is_open: watch::Sender<bool>,
}

impl Link {
    async fn to(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = broker.address();
        let (is_open, open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut open, address) = (open.clone(), address.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(address).await.unwrap();
                    let (mut from_server, mut to_server) = server.into_split();
                    let (mut from_client, mut to_client) = client.into_split();
                    tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        open.wait_for(|&open| open).await.unwrap();
                        let Ok(length @ 1..) = from_server.read(&mut buffer).await else { break };
                        if to_client.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port, is_open }
    }
}

#[tokio::test]
async fn a_subscriber_that_the_server_cuts_off_for_being_slow_sees_the_end() {
    let broker = Broker::with_settings(REDIS, "client-output-buffer-limit pubsub 1mb 0 0");
    let link = Link::to(&broker).await;
    let mut slow = Node::of(Redis::connect_to(format!("redis://127.0.0.1:{}", link.port))).await;
    slow.subscribe(&["a"]).await.unwrap();
    link.is_open.send_replace(false);
    let publisher = Node::on(&broker).await;
    let long = "x".repeat(500_000);
    // The system's buffers take some megabytes before the server's does.
    within("the server cutting it off", async {
        while command(&broker.address(), &["PUBSUB", "CHANNELS"]) != redis::Value::Array(Vec::new()) {
            publisher.publish(None, &[("a", &long)]).await.unwrap();
        }
    })
    .await;
    link.is_open.send_replace(true);
    let reader = tokio::spawn(async move {
        let mut heard = 0;
        while let Some(arrival) = slow.arrivals.recv().await {
            assert!(matches!(arrival, Arrival::Message { topic, .. } if topic == name("a")));
            heard += 1;
        }
        heard
    });
    let heard = within("the end of arrivals", reader).await.unwrap();
    assert!(heard > 0, "that which has arrived is passed on");
}
