//! Laws that compressing and inflating obey together, for arbitrary messages, parameters and cuts.

use proptest::prelude::*;
use testkit::deflate::Inflater as Reference;

use super::{Compressor, InflateError, Inflater, Options, Params, Side, compress_alone};

fn params() -> impl Strategy<Value = Params> {
    (any::<[bool; 2]>(), 8..=15_u8, 8..=15_u8).prop_map(|(forgets, server_bits, client_bits)| Params {
        server_no_context_takeover: forgets[0],
        client_no_context_takeover: forgets[1],
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    })
}

fn options() -> impl Strategy<Value = Options> {
    (0..=9_u8, 1..=9_u8, 8..=15_u8).prop_map(|(level, mem_level, window_bits)| {
        Options::default().level(level).mem_level(mem_level).window_bits(window_bits)
    })
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Server, Side::Client])
}

/// Noise, words, and noise that is repeated after any distance, up to the length of some windows.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let noise = |length| prop::collection::vec(any::<u8>(), length);
    prop_oneof![
        noise(0..40),
        noise(0..5_000),
        (noise(1..2_000), 1..60_usize).prop_map(|(noise, times)| noise.repeat(times)),
        prop::collection::vec(prop::sample::select(vec!["rope", "way", " ", "car", "cable", "\n"]), 0..10_000)
            .prop_map(|words| words.concat().into_bytes()),
    ]
}

/// Inflates a payload in pieces of these lengths, which are repeated as needed.
fn inflate(
    inflater: &mut Inflater,
    payload: &[u8],
    cuts: &[usize],
    limit: usize,
) -> (Vec<u8>, Result<(), InflateError>) {
    let mut out = Vec::new();
    let mut rest = payload;
    for &cut in cuts.iter().cycle() {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        if let Err(error) = inflater.inflate(piece, &mut out, limit) {
            return (out, Err(error));
        }
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    let result = inflater.finish(&out);
    (out, result)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(1_usize), 1..20_usize, 1..5_000_usize], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_come_back_and_keep_to_the_agreed_window(
        params in params(),
        options in options(),
        sender in side(),
        messages in prop::collection::vec((message(), cuts(), any::<bool>()), 1..6),
    ) {
        let receiver = if sender == Side::Server { Side::Client } else { Side::Server };
        let sent = params.sent_by(sender);
        prop_assert_eq!(sent, params.received_by(receiver));
        let mut compressor = Compressor::new(&params, sender, &options);
        let mut inflater = Inflater::new(&params, receiver);
        // Another codec, whose window has exactly the agreed size. A reference to anything further back gives wrong
        // output there.
        let mut reference = Reference::new(sent.max_window_bits);
        for (message, cuts, once_for_many) in &messages {
            let mut payload = Vec::new();
            if *once_for_many {
                payload = compress_alone(compressor.share(message), message);
            } else {
                compressor.compress(message, &mut payload);
            }
            let (out, result) = inflate(&mut inflater, &payload, cuts, message.len());
            prop_assert_eq!(result, Ok(()));
            prop_assert!(out == *message);
            if !sent.context_takeover {
                reference.restart();
            }
            prop_assert!(reference.inflate(&payload).as_ref() == Ok(message));
        }
    }

    #[test]
    fn a_shared_message_inflates_on_each_connection_between_its_own_messages(
        peers in prop::collection::vec(params(), 1..4),
        options in options(),
        messages in prop::collection::vec((message(), message()), 1..3),
    ) {
        let mut peers: Vec<_> = peers
            .iter()
            .map(|params| {
                let sent = params.sent_by(Side::Server);
                let ends = (Compressor::new(params, Side::Server, &options), Inflater::new(params, Side::Client));
                (ends, Reference::new(sent.max_window_bits), sent)
            })
            .collect();
        for (everybodys, own) in &messages {
            for ((compressor, inflater), reference, sent) in &mut peers {
                let mut payload = Vec::new();
                compressor.compress(own, &mut payload);
                let shared = compress_alone(compressor.share(everybodys), everybodys);
                for (payload, message) in [(&payload[..], own), (&shared, everybodys)] {
                    let (out, result) = inflate(inflater, payload, &[usize::MAX], message.len());
                    prop_assert_eq!(result, Ok(()));
                    prop_assert!(out == *message);
                    if !sent.context_takeover {
                        reference.restart();
                    }
                    prop_assert!(reference.inflate(payload).as_ref() == Ok(message));
                }
            }
        }
    }

    #[test]
    fn arbitrary_payloads_have_the_same_outcome_however_cut_and_never_exceed_the_limit(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        params in params(),
        cuts in cuts(),
        limit in 0..2_000_usize,
    ) {
        let mut whole = Inflater::new(&params, Side::Server);
        let mut cut = Inflater::new(&params, Side::Server);
        for payload in &payloads {
            let (expected, outcome) = inflate(&mut whole, payload, &[usize::MAX], limit);
            let (out, result) = inflate(&mut cut, payload, &cuts, limit);
            prop_assert_eq!(&result, &outcome);
            prop_assert_eq!(&out, &expected);
            prop_assert!(out.len() <= limit);
            prop_assert!(result != Err(InflateError::TooBig) || out.len() == limit);
            if result.is_err() {
                break;
            }
        }
    }

    #[test]
    fn damaged_payloads_have_the_same_outcome_however_cut_and_never_exceed_the_limit(
        message in message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in cuts(),
        limit in 0..20_000_usize,
    ) {
        let params = Params::default();
        let mut payload = Vec::new();
        Compressor::new(&params, Side::Client, &Options::default()).compress(&message, &mut payload);
        for (index, byte) in damage {
            *index.get_mut(&mut payload) = byte;
        }
        let whole = &mut Inflater::new(&params, Side::Server);
        let (expected, outcome) = inflate(whole, &payload, &[usize::MAX], limit);
        let (out, result) = inflate(&mut Inflater::new(&params, Side::Server), &payload, &cuts, limit);
        prop_assert_eq!(&result, &outcome);
        prop_assert!(out == expected);
        prop_assert!(out.len() <= limit);
        prop_assert!(result != Err(InflateError::TooBig) || out.len() == limit);
    }

    #[test]
    fn payload_cut_short_is_corrupt_or_ends_with_another_block(message in message(), end in any::<prop::sample::Index>()) {
        let params = Params::default();
        let mut payload = Vec::new();
        Compressor::new(&params, Side::Client, &Options::default()).compress(&message, &mut payload);
        payload.truncate(end.index(payload.len()));
        let (out, result) = inflate(&mut Inflater::new(&params, Side::Server), &payload, &[usize::MAX], usize::MAX);
        prop_assert!(result.is_err() || message.starts_with(&out));
    }
}
