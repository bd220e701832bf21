//! Each type in a public signature can be named with this crate alone. The compiler's lint `unnameable_types` sees to
//! it for the crate's own types; these are the protocol's, which it re-exports. The closures are to compile: their
//! types are the test.

use ropeway::http::header::{HeaderMap, HeaderName};
use ropeway::http::uri::{Authority, Scheme};
use ropeway::{
    Broken, Buffers, ByteString, Bytes, Cause, Cidr, CidrError, Client, ClientError, CloseCode, CloseFrame, Closed,
    Config, Destination, Error, Fault, ForwardedHeader, Handshake, HeadError, HeadLimits, Message, MessageRef, Payload,
    Prepared, ReadyState, Refusal, SendError, Target, TargetError, Text, Violation, deflate, http,
};

#[test]
fn what_is_in_an_error_can_be_named() {
    let _: fn(&Error) -> Option<&ClientError> =
        |error| if let Error::Handshake(inner) = error { Some(inner) } else { None };
    let _: fn(&Error) -> Option<&Violation> =
        |error| if let Error::Violation(inner) = error { Some(inner) } else { None };
    let _: fn(&Error) -> Option<&Closed> = |error| if let Error::Lost(inner) = error { Some(inner) } else { None };
    let _: fn(&Error) -> Option<&SendError> = |error| if let Error::Send(inner) = error { Some(inner) } else { None };
    let _: fn(&ClientError) -> Option<&TargetError> =
        |error| if let ClientError::Target(inner) = error { Some(inner) } else { None };
    let _: fn(&ClientError) -> Option<&HeadError> =
        |error| if let ClientError::Head(inner) = error { Some(inner) } else { None };
    let _: fn(&ClientError) -> Option<&HeaderName> =
        |error| if let ClientError::ReservedHeader(inner) = error { Some(inner) } else { None };
    let _: fn(&ClientError) -> Option<&deflate::ExtensionError> =
        |error| if let ClientError::Extensions(inner) = error { Some(inner) } else { None };
    let _: fn(&Closed) -> (&CloseCode, &ByteString, &Cause) = |closed| (&closed.code, &closed.reason, &closed.cause);
    let _: fn(&Cause) -> Option<&Broken> = |cause| if let Cause::Broken(inner) = cause { Some(inner) } else { None };
    let _: fn(&Refusal) -> &Fault = |refusal| &refusal.fault;
    let _: fn(&str) -> Result<Cidr, CidrError> = str::parse;
    let _: fn(&str) -> Result<Target, TargetError> = str::parse;
}

#[test]
fn what_is_set_can_be_named() {
    let _: fn(Config) -> Option<std::sync::Arc<Buffers>> = |config| config.buffers;
    let _: fn(Client, HeadLimits) -> Client = Client::head_limits;
    let _: fn(Client, Config) -> Client = Client::config;
    let _: fn(Client, deflate::Options) -> Client = Client::per_message_deflate;
    let _: [ForwardedHeader; 0] = [];
}

#[test]
fn what_is_told_can_be_named() {
    let _: fn(&Handshake) -> Option<Destination> = Handshake::destination;
    let _: fn(&Handshake) -> &HeaderMap = Handshake::headers;
    let _: fn(&Handshake) -> &http::Request<()> = |handshake| &handshake.request;
    let _: fn(&Destination) -> (&Authority, Option<&Scheme>) = |it| (it.authority(), it.scheme());
    let _: fn(Message) -> Prepared = Prepared::from;
    let _: fn(MessageRef<'_>) -> Message = |message| message.into_owned();
    let _: fn(MessageRef<'_>) -> Option<Text<'_>> =
        |message| if let MessageRef::Text(text) = message { Some(text) } else { None };
    let _: fn(MessageRef<'_>) -> Option<Payload<'_>> =
        |message| if let MessageRef::Binary(payload) = message { Some(payload) } else { None };
    let _: fn(Message) -> Option<Bytes> =
        |message| if let Message::Binary(bytes) = message { Some(bytes) } else { None };
    let _: fn(CloseFrame) -> ByteString = |frame| frame.reason;
    let _: [ReadyState; 0] = [];
}

#[cfg(feature = "tls")]
#[test]
fn what_tls_is_set_with_can_be_named() {
    use std::sync::Arc;

    use ropeway::ServerBuilder;
    use ropeway::rustls::pki_types::CertificateDer;
    use ropeway::rustls::{ClientConfig, Error as TlsError, ServerConfig};

    let _: fn(Client, Arc<ClientConfig>) -> Client = Client::tls;
    let _: fn(Client, Vec<CertificateDer<'static>>) -> Result<Client, TlsError> = Client::trust;
    let _: fn(ServerBuilder, Arc<ServerConfig>) -> ServerBuilder = ServerBuilder::tls;
}
