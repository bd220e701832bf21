//! A host with its port, as in `Host`, `Origin` and URLs. Comparing two of them is left to the callers.

use std::net::Ipv6Addr;

use http::uri::Authority;

/// Splits an authority into its host, with IPv6 addresses in their brackets, and its port if it has one.
///
/// Returns `None` for authorities that `http` accepts although RFC 3986 section 3.2 does not: an empty host, a port
/// that is not a 16-bit number, something other than an IPv6 address in brackets. Userinfo is skipped.
pub(super) fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let text = authority.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_userinfo, rest)| rest);
    let host = authority.host();
    let port = match text.strip_prefix(host)? {
        // RFC 3986 section 3.2.3: a port may be empty, and then means the default.
        "" | ":" => None,
        rest => Some(port(rest.strip_prefix(':')?)?),
    };
    (is_bracketed_ipv6(host)? || !host.is_empty()).then_some((host, port))
}

/// The default port of a scheme (RFC 6455 section 3, RFC 9110 section 4.2).
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("wss") || scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

/// Whether the host is an IPv6 address in brackets. `None` if something else is in brackets, or a bracket has no other: `http`
/// takes the two of `[@]` for a pair, although userinfo ends between them.
fn is_bracketed_ipv6(host: &str) -> Option<bool> {
    match host.strip_prefix('[') {
        None => host.bytes().all(|byte| byte != b'[' && byte != b']').then_some(false),
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|_| true),
    }
}

fn port(digits: &str) -> Option<u16> {
    // `u16::from_str` would accept a plus sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rfc_3986_calls_host_and_port_is_taken() {
        for (text, expected) in [
            ("example.com", Some(("example.com", None))),
            ("example.com:", Some(("example.com", None))),
            ("example.com:8005", Some(("example.com", Some(8005)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("user:word@example.com:1", Some(("example.com", Some(1)))),
            ("a@b@example.com", Some(("example.com", None))),
            ("example.com:65536", None),
            ("example.com:+80", None),
            ("example.com:http", None),
            (":80", None),
            ("[zz]", None),
            ("[::1]x", None),
            ("[@]", None),
            ("[::1@]", None),
        ] {
            let authority: Authority = text.parse().expect(text);
            assert_eq!(host_and_port(&authority), expected, "{text}");
        }
    }
}
