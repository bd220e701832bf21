//! Agreeing on parameters: the client's offer, the server's answer, and the client's check of it (RFC 7692 section
//! 7.1).

use std::mem;

use super::error::ExtensionError;
use super::header::{self, Extension};
use super::options::Options;
use super::params::Params;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The value of the client's `Sec-WebSocket-Extensions` header.
///
/// It always says that the client's window may be limited. The other parameters are included if `options` ask for them.
pub fn offer(options: &Options) -> String {
    Stated {
        server_no_context_takeover: options.server_no_context_takeover,
        client_no_context_takeover: options.client_no_context_takeover,
        server_max_window_bits: Some(options.server_max_window_bits).filter(|&bits| bits < 15),
        client_max_window_bits: Some(options.client_max_window_bits),
    }
    .write()
}

/// Chooses among a client's offers, which are the values of its `Sec-WebSocket-Extensions` headers. Returns what is
/// agreed, and the value of the header that says so to the client.
///
/// The offers are in the client's order of preference. The first that can be honoured is accepted. Other extensions are
/// skipped. So are offers that RFC 7692 section 7.1 tells a server to decline: those with a parameter that is unknown,
/// repeated or of an impossible value. `None` means that there is no compression, and no header in the response.
///
/// # Errors
/// [`ExtensionError::Syntax`] and [`ExtensionError::TooMany`]. The request should be answered with status 400.
pub fn accept_offers<'a>(
    values: impl Iterator<Item = &'a str>,
    options: &Options,
) -> Result<Option<(Params, String)>, ExtensionError> {
    let extensions = header::parse(values)?;
    let mut offers = extensions.iter().filter(|extension| extension.name == NAME);
    Ok(offers.find_map(|offer| Stated::read(offer, Kind::Offer).ok()).map(|offer| {
        let answer = answer(&offer, options);
        (answer.params(), answer.write())
    }))
}

/// Checks the server's answer, which is the values of its `Sec-WebSocket-Extensions` headers. Returns what is agreed,
/// or `None` if the server declined. `offered` says whether the request had an [`offer`] of the same `options`.
///
/// # Errors
/// Any deviation from the offer that RFC 7692 does not allow. The connection must be failed.
pub fn check_answer<'a>(
    values: impl Iterator<Item = &'a str>,
    options: &Options,
    offered: bool,
) -> Result<Option<Params>, ExtensionError> {
    let extensions = header::parse(values)?;
    if let Some(foreign) = extensions.iter().find(|extension| !offered || extension.name != NAME) {
        return Err(ExtensionError::NotOffered(foreign.name.to_owned()));
    }
    match extensions.as_slice() {
        [] => Ok(None),
        [answer] => agree(&Stated::read(answer, Kind::Answer)?, options).map(Some),
        _ => Err(ExtensionError::Repeated),
    }
}

/// Returns what the server answers to a valid offer.
fn answer(offer: &Stated, options: &Options) -> Stated {
    Stated {
        // Section 7.1.1.1: the server accepts an offer that has this "by including" it in the answer, and may include
        // it unasked.
        server_no_context_takeover: offer.server_no_context_takeover || options.server_no_context_takeover,
        // Section 7.1.1.2: the same holds here. The offer is a hint that the client will reset its window anyway, and
        // if it is agreed to, this side need not keep the window.
        client_no_context_takeover: offer.client_no_context_takeover || options.client_no_context_takeover,
        // Section 7.1.2.1: accepted by including it "with the same or smaller value", and it may be included unasked.
        server_max_window_bits: match offer.server_max_window_bits {
            Some(bits) => Some(bits.min(options.server_max_window_bits)),
            None => Some(options.server_max_window_bits).filter(|&bits| bits < 15),
        },
        // Section 7.1.2.2: this must not be included unless it was offered. Without it messages are inflated with a
        // window that is large enough for any. An absent parameter means 15.
        client_max_window_bits: offer
            .client_max_window_bits
            .map(|bits| bits.min(options.client_max_window_bits))
            .filter(|&bits| bits < 15),
    }
}

/// Returns what is agreed by a valid answer to the offer of these options.
fn agree(answer: &Stated, options: &Options) -> Result<Params, ExtensionError> {
    if options.server_no_context_takeover && !answer.server_no_context_takeover {
        return Err(ExtensionError::Ignored(SERVER_NO_CONTEXT_TAKEOVER.to_owned()));
    }
    if options.server_max_window_bits < 15 && answer.server_max_window_bits.is_none() {
        return Err(ExtensionError::Ignored(SERVER_MAX_WINDOW_BITS.to_owned()));
    }
    for (param, answered, offered) in [
        (SERVER_MAX_WINDOW_BITS, answer.server_max_window_bits, options.server_max_window_bits),
        (CLIENT_MAX_WINDOW_BITS, answer.client_max_window_bits, options.client_max_window_bits),
    ] {
        if let Some(answered) = answered.filter(|&answered| answered > offered) {
            return Err(ExtensionError::WindowTooBig { param: param.to_owned(), offered, answered });
        }
    }
    let agreed = answer.params();
    Ok(Params {
        // Sections 7.1.1.2 and 7.1.2.2: the client keeps to what it offered "even if the server doesn't include" it.
        client_no_context_takeover: agreed.client_no_context_takeover || options.client_no_context_takeover,
        client_max_window_bits: agreed.client_max_window_bits.min(options.client_max_window_bits),
        ..agreed
    })
}

/// Whether parameters are stated in an offer or in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Offer,
    Answer,
}

/// The parameters as an offer or an answer states them.
///
/// In an offer, `client_max_window_bits` without a value says that the server may limit the window, just as a value of
/// 15 does.
#[derive(Default)]
struct Stated {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Stated {
    /// Parses the parameters. Section 7.1: for these errors a server "MUST decline" an offer, and a client "MUST _Fail
    /// the WebSocket Connection_" if they are in an answer.
    fn read(extension: &Extension<'_>, kind: Kind) -> Result<Self, ExtensionError> {
        let mut stated = Self::default();
        for &(name, ref value) in &extension.params {
            let value = value.as_deref();
            let duplicate = match name {
                SERVER_NO_CONTEXT_TAKEOVER => {
                    mem::replace(&mut stated.server_no_context_takeover, without_value(name, value)?)
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    mem::replace(&mut stated.client_no_context_takeover, without_value(name, value)?)
                }
                SERVER_MAX_WINDOW_BITS => stated.server_max_window_bits.replace(window_bits(name, value)?).is_some(),
                CLIENT_MAX_WINDOW_BITS => {
                    let value = if kind == Kind::Offer { value.or(Some("15")) } else { value };
                    stated.client_max_window_bits.replace(window_bits(name, value)?).is_some()
                }
                _ => return Err(ExtensionError::UnknownParam(name.to_owned())),
            };
            if duplicate {
                return Err(ExtensionError::DuplicateParam(name.to_owned()));
            }
        }
        Ok(stated)
    }

    fn write(&self) -> String {
        let mut text = String::from(NAME);
        let mut push = |param: &str| {
            text.push_str("; ");
            text.push_str(param);
        };
        if self.server_no_context_takeover {
            push(SERVER_NO_CONTEXT_TAKEOVER);
        }
        if self.client_no_context_takeover {
            push(CLIENT_NO_CONTEXT_TAKEOVER);
        }
        if let Some(bits) = self.server_max_window_bits {
            push(&format!("{SERVER_MAX_WINDOW_BITS}={bits}"));
        }
        match self.client_max_window_bits {
            None => {}
            // Only an offer states 15, and then the name without a value is enough.
            Some(15) => push(CLIENT_MAX_WINDOW_BITS),
            Some(bits) => push(&format!("{CLIENT_MAX_WINDOW_BITS}={bits}")),
        }
        text
    }

    /// Returns what is agreed by an answer that states this. A window that is not limited has 2^15 bytes (section
    /// 7.2.1).
    fn params(&self) -> Params {
        Params {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.unwrap_or(15),
            client_max_window_bits: self.client_max_window_bits.unwrap_or(15),
        }
    }
}

/// Checks that a parameter has no value, as sections 7.1.1.1 and 7.1.1.2 ask. Returns `true`: the parameter is stated.
fn without_value(param: &str, value: Option<&str>) -> Result<bool, ExtensionError> {
    if value.is_some() { Err(invalid_value(param, value)) } else { Ok(true) }
}

/// Sections 7.1.2.1 and 7.1.2.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(param: &str, value: Option<&str>) -> Result<u8, ExtensionError> {
    match value.unwrap_or_default().as_bytes() {
        [digit @ (b'8' | b'9')] => Ok(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Ok(10 + digit - b'0'),
        _ => Err(invalid_value(param, value)),
    }
}

fn invalid_value(param: &str, value: Option<&str>) -> ExtensionError {
    ExtensionError::InvalidValue { param: param.to_owned(), value: value.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::*;

    fn accept(offers: &[&str], options: &Options) -> Result<Option<String>, ExtensionError> {
        Ok(accept_offers(offers.iter().copied(), options)?.map(|(_, answer)| answer))
    }

    fn check(answer: &str, options: &Options) -> Result<Option<Params>, ExtensionError> {
        check_answer(iter::once(answer), options, true)
    }

    #[test]
    fn server_answers_the_first_offer_that_it_can_honour() {
        let only = Some("permessage-deflate");
        for (offers, answer) in [
            (&["permessage-deflate"][..], only),
            (&[], None),
            (&["foo"], None),
            (&["permessage-bzip2; a=1", "foo, permessage-deflate, bar"], only),
            (&["Permessage-Deflate"], None),
            // As Chromium sends it.
            (&["permessage-deflate; client_max_window_bits"], only),
            (
                &["permessage-deflate; server_no_context_takeover"],
                Some("permessage-deflate; server_no_context_takeover"),
            ),
            (
                &["permessage-deflate; client_no_context_takeover"],
                Some("permessage-deflate; client_no_context_takeover"),
            ),
            (&["permessage-deflate; server_max_window_bits=10"], Some("permessage-deflate; server_max_window_bits=10")),
            (
                &["permessage-deflate; server_max_window_bits=\"8\""],
                Some("permessage-deflate; server_max_window_bits=8"),
            ),
            (&["permessage-deflate; server_max_window_bits=15"], Some("permessage-deflate; server_max_window_bits=15")),
            (&["permessage-deflate; client_max_window_bits=8"], Some("permessage-deflate; client_max_window_bits=8")),
            (&["permessage-deflate; client_max_window_bits=15"], only),
            // An offer that is declined, and another one after it.
            (&["permessage-deflate; foo, permessage-deflate"], only),
            (&["permessage-deflate; foo=1", "permessage-deflate"], only),
            (&["permessage-deflate; server_max_window_bits, permessage-deflate"], only),
            (
                &["permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9"],
                Some("permessage-deflate; server_max_window_bits=9"),
            ),
        ] {
            assert_eq!(accept(offers, &Options::default()), Ok(answer.map(str::to_owned)), "{offers:?}");
        }
    }

    #[test]
    fn server_declines_parameters_that_are_unknown_or_doubled_or_have_an_impossible_value() {
        for params in [
            "foo",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=010",
            "server_max_window_bits=+9",
            "server_max_window_bits=-9",
            "server_max_window_bits=9.0",
            "server_max_window_bits=0x9",
            "server_max_window_bits=nine",
            "server_max_window_bits=100",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=\"\\0\\9\"",
            "server_no_context_takeover=true",
            "client_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits=10",
            "SERVER_NO_CONTEXT_TAKEOVER",
        ] {
            let offer = format!("permessage-deflate; {params}");
            assert_eq!(accept(&[&offer], &Options::default()), Ok(None), "{params}");
        }
    }

    #[test]
    fn server_refuses_a_malformed_header_even_behind_a_good_offer() {
        for header in
            ["permessage-deflate, ;", "permessage-deflate; server_max_window_bits=", "permessage-deflate; a=\"\""]
        {
            assert!(matches!(accept(&[header], &Options::default()), Err(ExtensionError::Syntax { .. })), "{header}");
        }
    }

    #[test]
    fn server_puts_its_options_into_the_answer() {
        let options = Options::no_context_takeover().server_max_window_bits(11).client_max_window_bits(12);
        let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for (params, answer) in [
            ("", "; server_max_window_bits=11"),
            ("; server_max_window_bits=10", "; server_max_window_bits=10"),
            ("; server_max_window_bits=13", "; server_max_window_bits=11"),
            // RFC 7692 section 7.1.2.2: if it was not offered, the server must not limit the client's window.
            ("; server_no_context_takeover", "; server_max_window_bits=11"),
            ("; client_max_window_bits", "; server_max_window_bits=11; client_max_window_bits=12"),
            ("; client_max_window_bits=13", "; server_max_window_bits=11; client_max_window_bits=12"),
            ("; client_max_window_bits=9", "; server_max_window_bits=11; client_max_window_bits=9"),
        ] {
            let offer = format!("permessage-deflate{params}");
            assert_eq!(accept(&[&offer], &options), Ok(Some(format!("{both}{answer}"))), "{params}");
        }
    }

    #[test]
    fn client_offers_to_be_told_a_window_and_what_its_options_ask_for() {
        assert_eq!(offer(&Options::default()), "permessage-deflate; client_max_window_bits");
        assert_eq!(
            offer(&Options::no_context_takeover().server_max_window_bits(9).client_max_window_bits(10)),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits=10"
        );
    }

    #[test]
    fn client_takes_what_a_server_may_answer() {
        let default = Params::default();
        for (answer, params) in [
            ("", None),
            ("permessage-deflate", Some(default)),
            // Sections 7.1.1.1, 7.1.1.2 and 7.1.2.1 let a server state these even if they were not in the offer.
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                Some(Params { server_no_context_takeover: true, client_no_context_takeover: true, ..default }),
            ),
            ("permessage-deflate; server_max_window_bits=8", Some(Params { server_max_window_bits: 8, ..default })),
            ("permessage-deflate; client_max_window_bits=\"8\"", Some(Params { client_max_window_bits: 8, ..default })),
        ] {
            assert_eq!(check(answer, &Options::default()), Ok(params), "{answer}");
        }
        // The client keeps to its own announcement, whatever the answer says.
        let options = Options::default().client_no_context_takeover(true).client_max_window_bits(10);
        let params = Params { client_no_context_takeover: true, client_max_window_bits: 10, ..default };
        assert_eq!(check("permessage-deflate", &options), Ok(Some(params)));
    }

    #[test]
    fn client_fails_on_what_it_did_not_offer_or_does_not_understand() {
        use ExtensionError::{DuplicateParam, NotOffered, Repeated, TooMany, UnknownParam};
        for (answer, error) in [
            ("foo", NotOffered("foo".into())),
            ("permessage-deflate, foo", NotOffered("foo".into())),
            ("foo, permessage-deflate", NotOffered("foo".into())),
            ("permessage-deflate, permessage-deflate", Repeated),
            ("permessage-deflate; foo", UnknownParam("foo".into())),
            ("permessage-deflate; server_max_window_bits", invalid_value(SERVER_MAX_WINDOW_BITS, None)),
            ("permessage-deflate; client_max_window_bits", invalid_value(CLIENT_MAX_WINDOW_BITS, None)),
            ("permessage-deflate; client_max_window_bits=16", invalid_value(CLIENT_MAX_WINDOW_BITS, Some("16"))),
            ("permessage-deflate; server_no_context_takeover=1", invalid_value(SERVER_NO_CONTEXT_TAKEOVER, Some("1"))),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                DuplicateParam(SERVER_NO_CONTEXT_TAKEOVER.into()),
            ),
            (&"permessage-deflate, ".repeat(33), TooMany(32)),
        ] {
            assert_eq!(check(answer, &Options::default()), Err(error), "{answer}");
        }
        assert!(matches!(check("permessage-deflate;", &Options::default()), Err(ExtensionError::Syntax { .. })));
        let unasked = check_answer(iter::once("permessage-deflate"), &Options::default(), false);
        assert_eq!(unasked, Err(NotOffered("permessage-deflate".into())));
        assert_eq!(check_answer(iter::empty(), &Options::default(), false), Ok(None));
    }

    #[test]
    fn client_fails_on_an_answer_that_is_less_than_it_asked_for() {
        use ExtensionError::{Ignored, WindowTooBig};
        let too_big = |param: &str| WindowTooBig { param: param.to_owned(), offered: 10, answered: 11 };
        for (options, answer, error) in [
            (
                Options::default().server_no_context_takeover(true),
                "permessage-deflate",
                Ignored(SERVER_NO_CONTEXT_TAKEOVER.into()),
            ),
            (
                Options::default().server_max_window_bits(10),
                "permessage-deflate",
                Ignored(SERVER_MAX_WINDOW_BITS.into()),
            ),
            (
                Options::default().server_max_window_bits(10),
                "permessage-deflate; server_max_window_bits=11",
                too_big(SERVER_MAX_WINDOW_BITS),
            ),
            (
                Options::default().client_max_window_bits(10),
                "permessage-deflate; client_max_window_bits=11",
                too_big(CLIENT_MAX_WINDOW_BITS),
            ),
        ] {
            assert_eq!(check(answer, &options), Err(error), "{answer}");
        }
    }

    fn options() -> impl Strategy<Value = Options> {
        (any::<[bool; 2]>(), 8..=15_u8, 8..=15_u8).prop_map(|([server, client], server_bits, client_bits)| {
            Options::default()
                .server_no_context_takeover(server)
                .client_no_context_takeover(client)
                .server_max_window_bits(server_bits)
                .client_max_window_bits(client_bits)
        })
    }

    /// Headers made of the pieces of the grammar, so that most of them get far in the parser.
    fn header() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            NAME,
            "permessage-deflate; client_max_window_bits",
            SERVER_NO_CONTEXT_TAKEOVER,
            CLIENT_NO_CONTEXT_TAKEOVER,
            SERVER_MAX_WINDOW_BITS,
            CLIENT_MAX_WINDOW_BITS,
            ";",
            "; ",
            ",",
            " , ",
            "=",
            "\"",
            "\\",
            "8",
            "15",
            "=10",
            "=\"1\\2\"",
            "\u{fc}",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_header_gets_an_outcome(
            header in prop_oneof![header(), any::<String>()],
            options in options(),
            offered: bool,
        ) {
            let _ = accept_offers(iter::once(header.as_str()), &options);
            let _ = check_answer(iter::once(header.as_str()), &options, offered);
        }

        #[test]
        fn whatever_a_server_answers_its_client_agrees_with(client in options(), server in options()) {
            let (at_server, answer) = accept_offers(iter::once(offer(&client).as_str()), &server).unwrap().unwrap();
            let at_client = check(&answer, &client).unwrap().unwrap();
            prop_assert_eq!(at_server, at_client);
            for asked in [&client, &server] {
                prop_assert!(at_client.server_no_context_takeover || !asked.server_no_context_takeover);
                prop_assert!(at_client.client_no_context_takeover || !asked.client_no_context_takeover);
                prop_assert!(at_client.server_max_window_bits <= asked.server_max_window_bits);
                prop_assert!(at_client.client_max_window_bits <= asked.client_max_window_bits);
            }
        }

        #[test]
        fn an_answer_states_only_what_its_offer_allows(offers in header(), options in options()) {
            if let Ok(Some((params, answer))) = accept_offers(iter::once(offers.as_str()), &options) {
                let answer = header::parse(iter::once(answer.as_str())).unwrap();
                let stated = Stated::read(&answer[0], Kind::Answer).unwrap();
                prop_assert_eq!(answer.len(), 1);
                prop_assert_eq!(stated.params(), params);
                prop_assert!(stated.client_max_window_bits.is_none() || offers.contains(CLIENT_MAX_WINDOW_BITS));
            }
        }
    }
}
