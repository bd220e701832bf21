//! The settings of a connection mean the same wherever they are set: on a server, on one of its paths, on a client.

use std::time::Duration;

use ropeway::{Client, Config, Overflow, Server};
use testkit::wire::{CONTINUATION, Frame, KEY, PONG, TEXT};

use super::script::{Log, codes, connect, open, open_client};
use super::wire::{Wire, pass, settle};

/// A limit that is set, and broken by the peer.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Payload,
    Fragments,
    ControlRate,
    MessageTimeout,
    Config,
}

const LIMITS: [Limit; 5] = [Limit::Payload, Limit::Fragments, Limit::ControlRate, Limit::MessageTimeout, Limit::Config];

/// Sets a limit on any of the types that have it.
macro_rules! set {
    ($settings:expr, $limit:expr) => {
        match $limit {
            Limit::Payload => $settings.max_payload(10),
            Limit::Fragments => $settings.max_fragments(2),
            Limit::ControlRate => $settings.max_control_rate(2),
            Limit::MessageTimeout => $settings.message_timeout(Duration::from_secs(1)),
            Limit::Config => {
                let mut config = Config::server();
                config.max_payload = 10;
                $settings.config(config)
            }
        }
    };
}

/// Breaks a limit. Returns the codes of the close frames that follow.
async fn break_limit(limit: Limit, wire: &Wire, mask: Option<[u8; 4]>) -> Vec<u16> {
    let frame = |opcode, fin, payload: &str| Frame { fin, ..Frame::new(opcode, payload).with_mask(mask) };
    match limit {
        Limit::Payload | Limit::Config => wire.send(&[frame(TEXT, true, "more than 10")]),
        Limit::Fragments => {
            wire.send(&[frame(TEXT, false, ""), frame(CONTINUATION, false, ""), frame(CONTINUATION, false, "")]);
        }
        Limit::ControlRate => wire.send(&vec![frame(PONG, true, ""); 3]),
        Limit::MessageTimeout => {
            wire.send(&[frame(TEXT, false, "x")]);
            pass(Duration::from_secs(1)).await;
        }
    }
    settle().await;
    codes(wire)
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_wherever_it_is_set() {
    for limit in LIMITS {
        let expected = match limit {
            Limit::Payload | Limit::Config => [1009],
            Limit::Fragments | Limit::ControlRate | Limit::MessageTimeout => [1008],
        };
        let (_log, wire) = connect(set!(Server::builder(), limit)).await;
        assert_eq!(break_limit(limit, &wire, Some(KEY)).await, expected, "{limit:?} on a server");

        let server = Server::builder().build();
        set!(server.at("/chat"), limit).handle_with(Log::default());
        let wire = open(&server).await;
        assert_eq!(break_limit(limit, &wire, Some(KEY)).await, expected, "{limit:?} on a path");

        let (_ws, wire) = open_client(&set!(Client::new(), limit)).await;
        assert_eq!(break_limit(limit, &wire, None).await, expected, "{limit:?} on a client");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_has_the_servers_settings_but_for_its_own() {
    let server = Server::builder().max_payload(20).overflow(Overflow::Drop).build();
    server.at("/chat").max_fragments(2).handle_with(Log::default());
    let wire = open(&server).await;
    wire.send(&[Frame::new(TEXT, "no more than twenty").with_mask(Some(KEY))]);
    settle().await;
    assert_eq!(codes(&wire), [0_u16; 0]);
    wire.send(&[Frame::new(TEXT, "more than twenty bytes").with_mask(Some(KEY))]);
    settle().await;
    assert_eq!(codes(&wire), [1009]);
}
