//! A node that does not take its messages.

use bytes::Bytes;
use ropeway::engine::{Arrival, Engine as _, Inlet, Outgoing};
use testkit::broker::{Broker, NATS};

use crate::{connected, engine, name, publish, subscribe, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_keep_up_loses_messages_at_a_place_that_it_is_told() {
    const COUNT: u32 = 5_000;
    let broker = Broker::start(NATS);
    let slow = engine(&broker.address()).max_waiting(1000 * 300);
    let (inlet, mut arrivals) = Inlet::new(1);
    let slow = within("connecting", slow.connect(inlet)).await.expect("it can connect");
    let (publisher, _) = connected(&engine(&broker.address())).await;
    subscribe(&slow, "room").await.expect("it is allowed");
    let outgoing = |number: u32| Outgoing { topic: name("room"), body: Bytes::from(number.to_string()), history: None };
    let (mut next, mut heard, mut gaps, mut is_after_gap) = (0, 0, 0, false);
    // If the machine is so busy that the node keeps up, there is another round.
    for round in 1..=20 {
        let end = round * COUNT;
        let batch: Vec<_> = (end - COUNT..end).map(outgoing).collect();
        within("publishing", publisher.publish(&batch)).await.expect("it is allowed");
        while next < end {
            match within("an arrival", arrivals.recv()).await.expect("the session goes on") {
                Arrival::Message { body, .. } => {
                    let number: u32 =
                        std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok()).expect("a number");
                    assert!(
                        number == next || is_after_gap && number > next,
                        "{number} came after {next} without a mark"
                    );
                    (next, heard, is_after_gap) = (number + 1, heard + 1, false);
                }
                Arrival::Missed { topic } => {
                    assert_eq!(topic, Some(name("room")));
                    assert!(!is_after_gap, "one mark is enough");
                    (gaps, is_after_gap) = (gaps + 1, true);
                    // The last message may be one of those that were dropped, so another one tells where the gap ends.
                    publish(&publisher, "room", &end.to_string(), None).await.expect("it is allowed");
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        if gaps > 0 {
            assert!(heard >= 900, "{heard} were heard, with {gaps} gaps");
            return;
        }
    }
    panic!("the node was never too slow");
}
