//! Laws for all messages, all fragments, all reads, and all bytes. Single rules have their rows in `testdata/`.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use testkit::deflate::Deflater;
use testkit::wire::{self, Frame, Length};
use testkit::{Command, Config, Deflate, Driver, Event, Role, Sent, Step, sent_frames};

proptest! {
    // A failure is printed in its smallest form. It becomes a row in `testdata/` rather than a seed in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A client's messages reach the server, and come back as they were.
    #[test]
    fn messages_survive_the_way_there_and_back(
        messages in vec(message(), 0..12),
        deflate in option::of(params()),
        there in reads(),
        back in reads(),
    ) {
        let config = Config { deflate, max_buffered: Some(usize::MAX), ..Config::default() };
        let (mut client, mut server) = (Driver::new(Role::Client, &config), Driver::new(Role::Server, &config));
        for message in &messages {
            client.step(&Step::Send(command(message)));
        }
        receive(&mut server, &client.take_sent(), &there);
        let received = server.take_events();
        prop_assert_eq!(&received, &messages);
        for message in &received {
            server.step(&Step::Send(command(message)));
        }
        receive(&mut client, &server.take_sent(), &back);
        prop_assert_eq!(client.take_events(), messages);
    }

    /// A message that the reference encoder cuts into fragments is put together again, also with pings between the
    /// fragments.
    #[test]
    fn fragments_are_put_together_however_they_are_cut(
        messages in vec((message(), any::<bool>(), vec(0..200_usize, 0..6), any::<bool>()), 1..6),
        deflate in option::of(params()),
        role in role(),
        reads in reads(),
    ) {
        let config = Config { deflate, ..Config::default() };
        let mut peer = Fragmenter { role, config: &config, deflater: Deflater::new(), bytes: Vec::new() };
        let mut expected = Vec::new();
        let mut pings = 0;
        for (message, compressed, cuts, pinged) in messages {
            let between = peer.message(&message, compressed, &cuts, pinged);
            expected.extend(vec![Event::Ping(b"between".to_vec()); between]);
            expected.push(message);
            pings += between;
        }
        let mut driver = Driver::new(role, &config);
        receive(&mut driver, &peer.bytes, &reads);
        prop_assert_eq!(driver.take_events(), expected);
        let pong = Frame::new(wire::PONG, "between").with_mask(role.our_mask()).encode();
        prop_assert_eq!(driver.take_sent(), pong.repeat(pings));
    }

    /// Text is accepted or refused as by the standard library, and refused at the first byte that no continuation can
    /// make valid.
    #[test]
    fn text_is_judged_as_by_the_standard_library_and_as_early_as_can_be(
        text in maybe_text(),
        cuts in vec(0..20_usize, 0..4),
        role in role(),
        reads in reads(),
    ) {
        let hopeless_from = (1..=text.len())
            .find(|&length| std::str::from_utf8(&text[..length]).is_err_and(|error| error.error_len().is_some()));
        // For each byte on the wire, the number of bytes of text that have come with it.
        let mut stream = Vec::new();
        let mut so_far = 0;
        for (index, fragment) in fragments(&text, &cuts).iter().enumerate() {
            let opcode = if index == 0 { wire::TEXT } else { wire::CONTINUATION };
            let mut frame = Frame::new(opcode, *fragment).with_mask(role.peer_mask());
            frame.fin = index == cuts.len();
            let bytes = frame.encode();
            let header = bytes.len() - fragment.len();
            stream.extend(bytes.iter().enumerate().map(|(at, &byte)| (byte, so_far + (at + 1).saturating_sub(header))));
            so_far += fragment.len();
        }

        let mut driver = Driver::new(role, &Config::default());
        let not_utf8 = Event::Violation("NotUtf8".into());
        let mut events = Vec::new();
        for read in cut(&stream, &reads) {
            let bytes: Vec<u8> = read.iter().map(|(byte, _)| *byte).collect();
            driver.step(&Step::Receive(bytes));
            events.extend(driver.take_events());
            let seen = read.last().map_or(0, |(_, seen)| *seen);
            let hopeless = hopeless_from.is_some_and(|from| seen >= from);
            let violated = events.contains(&not_utf8);
            prop_assert!(violated || !hopeless, "{} bytes of {:02x?} passed", seen, text);
            prop_assert!(!violated || hopeless || seen == text.len(), "{} bytes of {:02x?} failed", seen, text);
        }
        let verdict = String::from_utf8(text).map_or(not_utf8, Event::Text);
        prop_assert_eq!(events, vec![verdict]);
    }

    /// The result does not depend on how bytes are cut into reads, nor on how our answers are cut into writes. Nothing
    /// panics.
    #[test]
    fn the_result_does_not_depend_on_how_bytes_are_cut(
        bytes in hostile(),
        role in role(),
        deflate in option::of(params()),
        reads in reads(),
        write in 1..20_usize,
    ) {
        let config = Config { deflate, max_payload: Some(300), max_fragments: Some(5), ..Config::default() };
        let bytes = bytes.into_iter().flat_map(|piece| piece.encode(role)).collect::<Vec<u8>>();
        let mut whole = Driver::new(role, &config);
        whole.step(&Step::Receive(bytes.clone()));
        let mut in_parts = Driver::new(role, &config);
        in_parts.write_at_most(write);
        receive(&mut in_parts, &bytes, &reads);
        prop_assert_eq!(whole.outcome(), in_parts.outcome());
        whole.step(&Step::Eof);
        in_parts.step(&Step::Eof);
        let outcome = whole.outcome();
        prop_assert_eq!(&outcome, &in_parts.outcome());
        prop_assert!(outcome.closed.is_some());
        // Our own output is well-formed, whatever the peer sends.
        sent_frames(role, &config, &outcome.sent).map_err(TestCaseError::fail)?;
    }

    /// Our compressed messages never point back further than was negotiated: the reference inflater has no larger
    /// window.
    #[test]
    fn compressed_messages_keep_within_the_negotiated_window(
        blocks in vec(vec(any::<u8>(), 1..1500), 1..6),
        orders in vec(vec(0..6_usize, 1..20), 1..6),
        deflate in params(),
        role in role(),
    ) {
        let config = Config { deflate: Some(deflate), max_buffered: Some(usize::MAX), ..Config::default() };
        let mut driver = Driver::new(role, &config);
        let mut expected = Vec::new();
        for order in orders {
            let message: Vec<u8> = order.iter().flat_map(|index| &blocks[index % blocks.len()]).copied().collect();
            driver.step(&Step::Send(Command::Binary(message.clone())));
            let frame = Frame::new(wire::BINARY, message).with_rsv(wire::RSV1).with_mask(role.our_mask());
            expected.push(Sent { frame, compressed: true, any_reason: false });
        }
        let sent = sent_frames(role, &config, &driver.take_sent()).map_err(TestCaseError::fail)?;
        prop_assert!(sent == expected);
    }
}

/// A message of any kind, of lengths where behaviour changes, which compresses well or not at all.
fn message() -> impl Strategy<Value = Event> {
    let length = prop_oneof![
        4 => 0..300_usize,
        1 => prop_oneof![Just(125_usize), Just(126), Just(127), Just(65535), Just(65536), Just(70000)],
    ];
    prop_oneof![
        any::<String>().prop_map(Event::Text),
        (any::<char>(), 0..3000_usize).prop_map(|(char, times)| Event::Text(char.to_string().repeat(times))),
        vec(any::<u8>(), 0..400).prop_map(Event::Binary),
        (vec(any::<u8>(), 1..40), length)
            .prop_map(|(some, length)| { Event::Binary(some.into_iter().cycle().take(length).collect()) }),
    ]
}

fn command(message: &Event) -> Command {
    match message {
        Event::Text(text) => Command::Text(text.clone()),
        Event::Binary(payload) => Command::Binary(payload.clone()),
        other => panic!("{other} is no message"),
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn params() -> impl Strategy<Value = Deflate> {
    (any::<bool>(), any::<bool>(), option::of(8..=15_u8), option::of(8..=15_u8)).prop_map(
        |(server_no_context_takeover, client_no_context_takeover, server_max_window_bits, client_max_window_bits)| {
            Deflate {
                server_no_context_takeover,
                client_no_context_takeover,
                server_max_window_bits,
                client_max_window_bits,
                threshold: Some(0),
            }
        },
    )
}

/// The sizes of successive reads, which are repeated.
fn reads() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), vec(1..20_usize, 1..8), vec(1..2000_usize, 1..8), Just(vec![usize::MAX])]
}

fn cut<'a, T>(stream: &'a [T], sizes: &[usize]) -> Vec<&'a [T]> {
    let mut rest = stream;
    let mut sizes = sizes.iter().cycle();
    let next = || {
        let size = sizes.next()?;
        let read = rest.split_off(..rest.len().min(*size))?;
        (!read.is_empty()).then_some(read)
    };
    std::iter::from_fn(next).collect()
}

fn receive(driver: &mut Driver, bytes: &[u8], reads: &[usize]) {
    for read in cut(bytes, reads) {
        driver.step(&Step::Receive(read.to_vec()));
    }
}

/// Cuts a payload into one part more than there are cuts. Each cut is a distance from the one before, as far as the
/// payload goes.
fn fragments<'a>(payload: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = payload;
    let mut fragments: Vec<_> = cuts.iter().filter_map(|size| rest.split_off(..rest.len().min(*size))).collect();
    fragments.push(rest);
    fragments
}

/// A peer that encodes with the reference encoder.
struct Fragmenter<'a> {
    role: Role,
    config: &'a Config,
    deflater: Deflater,
    bytes: Vec<u8>,
}

impl Fragmenter<'_> {
    /// Sends a message, with a ping before each fragment but the first. Returns the number of fragments.
    fn message(&mut self, message: &Event, compressed: bool, cuts: &[usize], pinged: bool) -> usize {
        let (opcode, payload) = match message {
            Event::Text(text) => (wire::TEXT, text.as_bytes()),
            Event::Binary(payload) => (wire::BINARY, payload.as_slice()),
            other => panic!("{other} is no message"),
        };
        let compressed = compressed && self.config.deflate.is_some();
        let payload = if compressed { self.compress(payload) } else { payload.to_vec() };
        let fragments = fragments(&payload, cuts);
        for (index, fragment) in fragments.iter().enumerate() {
            let mut frame = Frame::new(if index == 0 { opcode } else { wire::CONTINUATION }, *fragment);
            frame.fin = index + 1 == fragments.len();
            frame.rsv = if compressed && index == 0 { wire::RSV1 } else { 0 };
            if pinged && index > 0 {
                self.send(Frame::new(wire::PING, "between"));
            }
            self.send(frame);
        }
        if pinged { fragments.len() - 1 } else { 0 }
    }

    fn send(&mut self, frame: Frame) {
        frame.with_mask(self.role.peer_mask()).encode_into(&mut self.bytes);
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        let deflate = self.config.deflate.as_ref().expect("asked only when it was negotiated");
        let (restarts, bits) = match self.role {
            Role::Server => (deflate.client_no_context_takeover, deflate.client_max_window_bits),
            Role::Client => (deflate.server_no_context_takeover, deflate.server_max_window_bits),
        };
        // The reference deflater's window is always the largest. Our inflater has no behaviour that depends on a
        // smaller one.
        if restarts || bits.is_some() {
            self.deflater.restart();
        }
        self.deflater.deflate(payload)
    }
}

/// Bytes that may be text: well-formed pieces, broken ones, and any bytes.
fn maybe_text() -> impl Strategy<Value = Vec<u8>> {
    let broken = prop_oneof![
        Just(vec![0xe2, 0x82]),
        Just(vec![0xf0, 0x9f, 0x92]),
        Just(vec![0xe0, 0x80]),
        Just(vec![0xed, 0xa0]),
        Just(vec![0xf4, 0x90]),
        Just(vec![0xc0]),
        Just(vec![0x80]),
        vec(any::<u8>(), 1..4),
    ];
    let whole = || prop_oneof![any::<String>(), "[aé€𝒳]{0,40}"].prop_map(String::into_bytes);
    prop_oneof![
        whole(),
        (whole(), broken, whole()).prop_map(|(before, broken, after)| [before, broken, after].concat()),
        vec(any::<u8>(), 0..12),
    ]
}

/// A piece of the input from a hostile or broken peer.
#[derive(Clone, Debug)]
enum Piece {
    /// A frame with the mask that the role asks for.
    Frame(Frame),
    /// A frame with the wrong mask.
    WronglyMasked(Frame),
    Bytes(Vec<u8>),
}

impl Piece {
    fn encode(self, role: Role) -> Vec<u8> {
        match self {
            Self::Frame(frame) => frame.with_mask(role.peer_mask()).encode(),
            Self::WronglyMasked(frame) => frame.with_mask(role.our_mask()).encode(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Mostly valid frames, in any order, so that invalid ones come in every state.
fn hostile() -> impl Strategy<Value = Vec<Piece>> {
    let deflated = vec(any::<u8>(), 0..400).prop_map(|message| Deflater::new().deflate(&message));
    let payload = prop_oneof![
        3 => any::<String>().prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..130),
        1 => deflated,
        1 => (any::<u8>(), 0..400_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let opcode = prop_oneof![
        20 => prop_oneof![Just(wire::TEXT), Just(wire::BINARY), Just(wire::CONTINUATION), Just(wire::PING), Just(wire::PONG)],
        2 => Just(wire::CLOSE),
        1 => 0..16_u8,
    ];
    let rsv = prop_oneof![8 => Just(0), 4 => Just(wire::RSV1), 1 => 0..8_u8];
    let length = prop_oneof![
        20 => Just(Length::Shortest),
        1 => Just(Length::Bits16),
        1 => Just(Length::Bits64),
        1 => any::<u64>().prop_map(Length::Declared),
    ];
    let frame = (any::<bool>(), rsv, opcode, length, payload).prop_map(|(fin, rsv, opcode, length, payload)| Frame {
        fin,
        rsv,
        opcode,
        mask: None,
        length,
        payload,
    });
    let piece = prop_oneof![
        20 => frame.clone().prop_map(Piece::Frame),
        1 => frame.prop_map(Piece::WronglyMasked),
        1 => vec(any::<u8>(), 0..30).prop_map(Piece::Bytes),
    ];
    vec(piece, 0..12)
}
