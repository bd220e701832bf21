//! Messages for many connections: each connection sends them as it would send any other message, however much work is
//! shared.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::io::IoSlice;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ropeway_proto::deflate::{Options, Params};
use ropeway_proto::{Config, Connection, Event, Input, Message, Prepared, Role};

fn client() -> Role {
    Role::client(|| [0x37, 0xfa, 0x21, 0x3d])
}

/// An instruction for all connections.
#[derive(Clone, Debug)]
enum Order {
    /// A message for all connections.
    Prepared(Message),
    /// The same, after room was promised.
    Promised(Message),
    /// A message for one connection alone.
    Own(Message),
    /// A part of a message in fragments, and whether it is the last.
    Fragment(Message, bool),
    /// All that waits is written.
    Write,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Equal to the byte, without context takeover. Limits, thresholds and fragments are included.
    #[test]
    fn a_prepared_message_is_sent_like_any_other(
        everybody in vec((role(), option::of((params(), 0..400_usize))), 1..5),
        orders in vec(order(), 0..20),
        max_buffered in prop_oneof![0..3000_usize, Just(usize::MAX)],
    ) {
        let config = Arc::new(Config::server().max_buffered(max_buffered));
        let connections = || everybody.iter().map(|(role, deflate)| {
            let params = |params| Params { server_no_context_takeover: true, client_no_context_takeover: true, ..params };
            let deflate = deflate.map(|(agreed, threshold)| (params(agreed), threshold));
            connection(role.clone(), &config, deflate)
        });
        let mut pairs: Vec<_> = connections().zip(connections()).collect();
        for order in orders {
            let prepared = prepared(&order);
            for (one_of_many, alone) in &mut pairs {
                match &order {
                    Order::Prepared(message) => {
                        prop_assert_eq!(one_of_many.send_prepared(&prepared), alone.send(message));
                    }
                    Order::Promised(message) => {
                        prop_assert_eq!(one_of_many.send_prepared_promised(&prepared), alone.send_promised(message));
                    }
                    Order::Own(_) | Order::Fragment(..) => {
                        follow(one_of_many, &order, &prepared);
                        follow(alone, &order, &prepared);
                    }
                    Order::Write => prop_assert_eq!(written(one_of_many), written(alone)),
                }
                work(one_of_many);
                work(alone);
                prop_assert_eq!(one_of_many.buffered_amount(), alone.buffered_amount());
            }
        }
        for (one_of_many, alone) in &mut pairs {
            prop_assert!(written(one_of_many) == written(alone));
        }
    }

    /// Peers with windows of all sizes, kept or not, receive all of it. It was compressed at most once for each size.
    #[test]
    fn prepared_messages_reach_all_peers_between_messages_of_their_own(
        everybody in vec(option::of((params(), 0..400_usize)), 1..6),
        orders in vec(order().prop_filter("whole messages", |order| !matches!(order, Order::Fragment(..))), 0..20),
    ) {
        let config = Arc::new(Config::server().max_buffered(usize::MAX));
        let ends = |deflate: &Option<_>| [Role::Server, client()].map(|role| connection(role, &config, *deflate));
        let mut everybody: Vec<_> = everybody.iter().map(ends).collect();
        for order in orders {
            let prepared = prepared(&order);
            for [server, client] in &mut everybody {
                follow(server, &order, &prepared);
                let mut bytes = written(server);
                let mut input = Input::new(&mut bytes);
                let heard = client.handle_input(&mut input, Instant::now());
                match &order {
                    Order::Prepared(message) | Order::Promised(message) | Order::Own(message) => {
                        prop_assert_eq!(heard, Some(Event::Message(message.into())));
                    }
                    Order::Fragment(..) | Order::Write => prop_assert_eq!(heard, None),
                }
            }
            // Windows of 9 to 12 bits: by default a deflater does not look back further.
            prop_assert!(prepared.compressions() <= 4);
        }
    }
}

#[test]
fn it_is_compressed_by_the_first_connection_that_compresses_and_by_none_otherwise() {
    let config = Arc::new(Config::server());
    let deflating = |params, threshold| connection(Role::Server, &config, Some((params, threshold)));
    let prepared = Prepared::from("it rains, ".repeat(100));
    for (mut connection, compressions) in [
        (connection(Role::Server, &config, None), 0),
        (deflating(Params::default(), 1001), 0),
        (deflating(Params::default(), 1000), 1),
        (deflating(Params { server_no_context_takeover: true, ..Params::default() }, 0), 1),
        (deflating(Params { server_max_window_bits: 9, ..Params::default() }, 0), 2),
        (deflating(Params { server_max_window_bits: 8, ..Params::default() }, 0), 2),
        (deflating(Params::default(), 0), 2),
    ] {
        connection.send_prepared(&prepared).unwrap();
        assert_eq!(prepared.clone().compressions(), compressions);
    }
}

#[test]
fn threads_that_send_the_same_message_compress_it_once() {
    let config = Arc::new(Config::server());
    let prepared = Prepared::from("it rains, ".repeat(500));
    let sent: Vec<_> = thread::scope(|scope| {
        let send = || {
            let mut connection = connection(Role::Server, &config, Some((Params::default(), 0)));
            connection.send_prepared(&prepared).unwrap();
            written(&mut connection)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sent.iter().all(|bytes| *bytes == sent[0]));
    assert_eq!(prepared.compressions(), 1);
}

fn connection(role: Role, config: &Arc<Config>, deflate: Option<(Params, usize)>) -> Connection {
    let connection = Connection::new(role, Arc::clone(config), Instant::now());
    match deflate {
        Some((params, threshold)) => connection.with_deflate(&params, &Options::default().threshold(threshold)),
        None => connection,
    }
}

fn prepared(order: &Order) -> Prepared {
    match order {
        Order::Prepared(message) | Order::Promised(message) => message.into(),
        _ => "nobody's".into(),
    }
}

/// Whether a message finds room does not matter here.
fn follow(connection: &mut Connection, order: &Order, prepared: &Prepared) {
    let _ = match order {
        Order::Prepared(_) => connection.send_prepared(prepared),
        Order::Promised(_) => connection.send_prepared_promised(prepared),
        Order::Own(message) => connection.send(message),
        Order::Fragment(part, last) => connection.send_fragment(part, *last),
        Order::Write => Ok(()),
    };
    work(connection);
}

/// The part of a message behind its first slice is compressed later.
fn work(connection: &mut Connection) {
    while connection.has_work() {
        connection.handle_work(true);
    }
}

fn written(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = connection.poll_transmit(&mut slices);
        if count == 0 {
            return written;
        }
        let before = written.len();
        slices[..count].iter().for_each(|slice| written.extend_from_slice(slice));
        connection.handle_transmitted(written.len() - before);
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(client())]
}

fn params() -> impl Strategy<Value = Params> {
    (any::<[bool; 2]>(), 8..=15_u8, 8..=15_u8).prop_map(|(forgets, server_bits, client_bits)| Params {
        server_no_context_takeover: forgets[0],
        client_no_context_takeover: forgets[1],
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    })
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        3 => message().prop_map(Order::Prepared),
        1 => message().prop_map(Order::Promised),
        2 => message().prop_map(Order::Own),
        1 => (message(), any::<bool>()).prop_map(|(part, last)| Order::Fragment(part, last)),
        1 => Just(Order::Write),
    ]
}

/// Text, and binary that compresses well or not, copied or shared.
fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<String>().prop_map(Message::from),
        vec(any::<u8>(), 0..600).prop_map(Message::from),
        (vec(any::<u8>(), 1..300), 1..60_usize).prop_map(|(some, times)| some.repeat(times).into()),
    ]
}
