//! The address that a client connects to: a `ws` or `wss` URL, taken apart. Resolving and connecting are left to the
//! driver.

#[cfg(feature = "url")]
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Uri;

use super::authority::{default_port, host_and_port};

/// A `ws://` or `wss://` URL (RFC 6455 section 3). `http://` and `https://` mean the same, as in browsers.
///
/// ```
/// # use ropeway_proto::handshake::Target;
/// let target: Target = "wss://user:secret@[2001:db8::1]/feed?all".parse()?;
/// assert!(target.is_secure());
/// assert_eq!((target.host(), target.port()), ("2001:db8::1", 443));
/// assert_eq!(target.to_string(), "wss://[2001:db8::1]/feed?all"); // never the password
/// # Ok::<(), ropeway_proto::handshake::TargetError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    is_secure: bool,
    /// The host as in the URL: IPv6 addresses are in brackets.
    host: String,
    port: u16,
    /// The resource name of section 3. It begins with a slash and has only characters that a request line may have.
    path_and_query: Uri,
    /// The credentials of Basic authentication, encoded.
    basic: Option<String>,
}

impl Target {
    /// Whether the connection uses TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The name or address to connect to. IPv6 addresses have no brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port to connect to. It is the scheme's default if the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and query to ask for.
    pub fn path_and_query(&self) -> &str {
        self.path_and_query.path_and_query().map_or("/", |path| path.as_str())
    }

    /// The request target of the opening handshake.
    pub(super) fn request_target(&self) -> Uri {
        self.path_and_query.clone()
    }

    /// The value of `Host`. Section 4.1: "followed by a ':' followed by /port/ when not using the default port".
    pub(super) fn host_header(&self) -> String {
        if default_port(self.scheme()) == Some(self.port) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The value of `Authorization` if the URL has userinfo.
    pub(super) fn authorization(&self) -> Option<String> {
        self.basic.as_ref().map(|basic| format!("Basic {basic}"))
    }

    fn scheme(&self) -> &'static str {
        if self.is_secure { "wss" } else { "ws" }
    }
}

/// With the feature `url`, text is read as a browser reads it: blanks around it and line ends in it are ignored, an
/// international host name becomes its `xn--` form, `/a/../b` becomes `/b`, and characters that a request line must not
/// have are percent-encoded. Without it, text must be a URL of RFC 3986, and is sent as it is.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        if !url.contains("://") {
            return Err(TargetError::SchemeMissing);
        }
        parse(url)
    }
}

#[cfg(feature = "url")]
fn parse(text: &str) -> Result<Target, TargetError> {
    use url::{Position, SyntaxViolation, Url};

    // A browser takes "ws:///chat" for the host "chat". RFC 9110 section 4.2.1: "A recipient that processes such a URI
    // reference MUST reject it as invalid." Such a URL is often made of an empty variable, and following it would send
    // secrets to a wrong host.
    let has_host = Cell::new(true);
    let note = |violation| {
        if violation == SyntaxViolation::ExpectedDoubleSlash {
            has_host.set(false);
        }
    };
    let url = Url::options().syntax_violation_callback(Some(&note)).parse(text).map_err(mistake)?;
    let is_secure = match url.scheme() {
        "ws" | "http" => false,
        "wss" | "https" => true,
        scheme => return Err(TargetError::Scheme(scheme.to_owned())),
    };
    if url.fragment().is_some() {
        return Err(TargetError::Fragment);
    }
    let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), has_host.get()) else {
        return Err(TargetError::Authority);
    };
    let has_userinfo = !url.username().is_empty() || url.password().is_some();
    Ok(Target {
        is_secure,
        host: host.to_owned(),
        port,
        path_and_query: url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| TargetError::Invalid)?,
        basic: has_userinfo.then(|| basic(&format!("{}:{}", url.username(), url.password().unwrap_or_default()))),
    })
}

/// Names the fault of a text that the parser refuses. No `From`: a version of `url` would be a part of the public API.
#[cfg(feature = "url")]
fn mistake(error: url::ParseError) -> TargetError {
    use url::ParseError as E;
    match error {
        E::RelativeUrlWithoutBase => TargetError::SchemeMissing,
        E::EmptyHost
        | E::IdnaError
        | E::InvalidPort
        | E::InvalidIpv4Address
        | E::InvalidIpv6Address
        | E::InvalidDomainCharacter => TargetError::Authority,
        _ => TargetError::Invalid,
    }
}

#[cfg(not(feature = "url"))]
fn parse(text: &str) -> Result<Target, TargetError> {
    // `Uri` would silently drop the fragment.
    if text.contains('#') {
        return Err(TargetError::Fragment);
    }
    Target::try_from(&text.parse::<Uri>().map_err(|_| TargetError::Invalid)?)
}

/// Takes a URL that is parsed already. `http` has dropped its fragment identifier, which [`Target::from_str`] would
/// refuse.
impl TryFrom<&Uri> for Target {
    type Error = TargetError;

    fn try_from(uri: &Uri) -> Result<Self, TargetError> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(TargetError::SchemeMissing);
        };
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(TargetError::Scheme(scheme.to_owned())),
        };
        let (host, port) = host_and_port(authority).ok_or(TargetError::Authority)?;
        let port = port.or(default_port(scheme)).ok_or(TargetError::Authority)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_secure,
            host: host.to_owned(),
            port,
            path_and_query: resource_name(path).parse().map_err(|_| TargetError::Invalid)?,
            basic: authority.as_str().rsplit_once('@').map(|(userinfo, _)| basic(userinfo)),
        })
    }
}

/// Section 3: "'/' if the path component is empty". Characters that are not ASCII are percent-encoded, as RFC 3986
/// section 2.1 asks and browsers do.
fn resource_name(path_and_query: &str) -> String {
    let mut name = String::with_capacity(path_and_query.len() + 1);
    if !path_and_query.starts_with('/') {
        name.push('/');
    }
    for character in path_and_query.chars() {
        if character.is_ascii() {
            name.push(character);
        } else {
            let mut utf8 = [0; 4];
            name.extend(character.encode_utf8(&mut utf8).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    name
}

/// The credentials of RFC 7617 section 2. The colon is always there.
fn basic(userinfo: &str) -> String {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let credentials = [percent_decode(user), vec![b':'], percent_decode(password)].concat();
    BASE64_STANDARD.encode(credentials)
}

/// Decodes percent-encoding. A percent sign without two hexadecimal digits stays as it is, as in browsers.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, more @ ..] = rest {
        match (first, more) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = more;
            }
        }
    }
    decoded
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Writes the URL without its userinfo, which must not get into logs.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host_header(), self.path_and_query())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Why a URL cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// No scheme, as in `localhost:8005`.
    SchemeMissing,
    /// A scheme other than `ws`, `wss`, `http` and `https`.
    Scheme(String),
    /// A fragment identifier.
    Fragment,
    /// No host, or a port that is not a number.
    Authority,
    /// Characters that a URL must not have, or a text that is not a URL at all.
    Invalid,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SchemeMissing => {
                f.write_str("the URL has no scheme (RFC 6455 section 3); write ws:// in front of it, or wss:// for TLS")
            }
            Self::Scheme(scheme) => write!(
                f,
                "the URL's scheme is {scheme:?} (RFC 6455 section 3); use ws:// or, for TLS, wss://; http:// and \
                 https:// mean the same"
            ),
            Self::Fragment => f.write_str(
                "the URL has a fragment identifier, which a WebSocket URL must not have (RFC 6455 section 3); leave \
                 out the part from # on, or write %23 for a # that is meant",
            ),
            Self::Authority => f.write_str(
                "the URL's host or port is not one (RFC 3986 section 3.2); write something like \
                 ws://example.com:8005/ or ws://[::1]:8005/",
            ),
            Self::Invalid if cfg!(feature = "url") => {
                f.write_str("this is not a URL (RFC 3986); write something like ws://example.com:8005/path")
            }
            Self::Invalid => f.write_str(
                "this is not a URL (RFC 3986); percent-encode spaces and other special characters, and write \
                 international host names in their xn-- form, or turn on the feature `url`, which does both",
            ),
        }
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::{HeadReader, Limits};

    fn target(url: &str) -> Target {
        url.parse().expect(url)
    }

    #[test]
    fn the_host_header_leaves_default_ports_out_and_brackets_in() {
        for (url, header, host, port) in [
            ("ws://example.com", "example.com", "example.com", 80),
            ("ws://example.com:80/", "example.com", "example.com", 80),
            ("ws://example.com:443/", "example.com:443", "example.com", 443),
            ("wss://example.com:443/", "example.com", "example.com", 443),
            ("HTTPS://example.com:8005/", "example.com:8005", "example.com", 8005),
            ("ws://[::1]/", "[::1]", "::1", 80),
            ("ws://[::1]:8005/", "[::1]:8005", "::1", 8005),
        ] {
            let target = target(url);
            assert_eq!((target.host_header().as_str(), target.host(), target.port()), (header, host, port), "{url}");
        }
    }

    #[test]
    fn the_resource_name_begins_with_a_slash_and_is_ascii() {
        for (url, name) in [
            ("ws://h", "/"),
            ("ws://h?q", "/?q"),
            ("ws://h/a/b?c=d&e", "/a/b?c=d&e"),
            ("ws://h/ä?€", "/%C3%A4?%E2%82%AC"),
        ] {
            assert_eq!(target(url).path_and_query(), name, "{url}");
        }
    }

    #[cfg(feature = "url")]
    #[test]
    fn text_is_read_as_a_browser_reads_it() {
        for (text, url) in [
            ("ws://bücher.example/", "ws://xn--bcher-kva.example/"),
            ("wss://BÜCHER.example:8005/ä", "wss://xn--bcher-kva.example:8005/%C3%A4"),
            ("ws://例え。テスト/", "ws://xn--r8jz45g.xn--zckzah/"),
            ("ws://faß.example/", "ws://xn--fa-hia.example/"),
            ("  ws://example.com/\n", "ws://example.com/"),
            ("ws://exam\r\n  ple.com/".replace(' ', "").as_str(), "ws://example.com/"),
            ("ws://h/\r\nHost: evil", "ws://h/Host:%20evil"),
            ("ws://h/a b?c d", "ws://h/a%20b?c%20d"),
            ("ws://h/?q=\"<a>\"'", "ws://h/?q=%22%3Ca%3E%22%27"),
            ("ws://h/a\\b|c^{d}`?{}|^`[]", "ws://h/a/b|c^%7Bd%7D%60?{}|^`[]"),
            ("ws://h/a/./../b/%2e%2E/c", "ws://h/c"),
            ("ws://h/%zz%", "ws://h/%zz%"),
            ("ws://127.1/", "ws://127.0.0.1/"),
            ("ws://[0:0:0:0:0:0:0:1]/", "ws://[::1]/"),
            ("ws://example.com:/", "ws://example.com/"),
        ] {
            assert_eq!(target(text).to_string(), url, "{text}");
        }
    }

    #[cfg(feature = "url")]
    #[test]
    fn hosts_that_no_browser_accepts_are_refused() {
        for url in [
            "ws:///chat",
            "ws:////chat",
            "ws://\t/chat",
            "ws:\\\\h\\chat://",
            "ws://a b/",
            "ws://a\u{0}b/",
            "ws://xn--a/",
            "ws://\u{202e}/",
            "ws://256.1.1.1/",
            "ws://h%00/",
            "ws://h:80:80/",
        ] {
            assert_eq!(url.parse::<Target>(), Err(TargetError::Authority), "{url:?}");
        }
    }

    #[cfg(not(feature = "url"))]
    #[test]
    fn without_a_parser_text_must_be_a_url_already() {
        for url in ["ws:///chat", "ws://h/a b", "ws://h/\r\nHost: evil", "ws://hä/", " ws://h/"] {
            assert_eq!(url.parse::<Target>(), Err(TargetError::Invalid), "{url:?}");
        }
        assert_eq!(target("ws://h/a/../b").path_and_query(), "/a/../b");
    }

    #[test]
    fn userinfo_becomes_basic_authentication_and_is_never_shown() {
        for (url, credentials) in [
            ("ws://user:word@h/", "user:word"),
            ("ws://us%40er:w%3ard@h/", "us@er:w:rd"),
            ("ws://user@h/", "user:"),
            ("ws://:word@h/", ":word"),
            ("ws://%C3%A4:%@h/", "ä:%"),
        ] {
            let target = target(url);
            assert_eq!(target.authorization(), Some(format!("Basic {}", BASE64_STANDARD.encode(credentials))), "{url}");
            assert_eq!(format!("{target:?}"), "Target(ws://h/)");
        }
        assert_eq!(target("ws://h/").authorization(), None);
    }

    #[test]
    fn wrong_urls_are_told_apart() {
        for (url, error) in [
            ("", TargetError::SchemeMissing),
            ("localhost:8005", TargetError::SchemeMissing),
            ("/chat", TargetError::SchemeMissing),
            ("ftp://h/", TargetError::Scheme("ftp".into())),
            ("ws://h/#here", TargetError::Fragment),
            ("ws://:80/", TargetError::Authority),
            ("ws://h:65536/", TargetError::Authority),
            ("ws://h:x/", TargetError::Authority),
            ("ws://[::1]x/", TargetError::Authority),
        ] {
            assert_eq!(url.parse::<Target>(), Err(error), "{url:?}");
        }
    }

    proptest! {
        /// Any text that parses makes one request line and one `Host`, and reads the same when it is parsed again.
        #[test]
        fn any_accepted_url_makes_one_request_line(text in "(ws|HTTPS)://[a-zäß.\\[\\]:0-9%@]{0,12}[/?][ -~ä\r\n\t\u{202e}]{0,24}") {
            if let Ok(target) = text.parse::<Target>() {
                let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", target.path_and_query(), target.host_header());
                let read = HeadReader::new(Limits::server()).handle_request(head.as_bytes());
                let (request, consumed) = read.expect("a head").expect("a whole head");
                prop_assert_eq!(consumed, head.len());
                prop_assert_eq!(request.headers().len(), 1);
                prop_assert_eq!(request.uri().to_string(), target.path_and_query());
                let shown = target.to_string();
                prop_assert_eq!(shown.parse::<Target>().expect("it was read before").to_string(), shown);
            }
        }
    }
}
