//! permessage-deflate offers of arbitrary clients: an answer keeps to the rules of the offer, a client accepts it, and
//! both sides get the same parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_proto::deflate::{Options, accept_offers, check_answer};

fuzz_target!(|data: &[u8]| {
    let [choice, header @ ..] = data else { return };
    let Ok(header) = std::str::from_utf8(header) else { return };
    let options = match choice % 3 {
        0 => Options::context_takeover(),
        1 => Options::no_context_takeover(),
        _ => Options::context_takeover().server_max_window_bits(10).client_max_window_bits(11),
    };
    // The header may come in several lines.
    let _ = check_answer(header.split('\n'), &options, true);
    let Ok(Some((params, answer))) = accept_offers(header.split('\n'), &options) else { return };
    assert!((8..=15).contains(&params.server_max_window_bits));
    assert!((8..=15).contains(&params.client_max_window_bits));
    // A client that offers everything, and does not limit its own window, accepts every answer.
    let offered = Options::context_takeover().client_max_window_bits(15);
    let agreed = check_answer([answer.as_str()].into_iter(), &offered, true);
    assert_eq!(agreed, Ok(Some(params)), "{answer}");
});
