//! Paths of routes, their parameters, and the settings that a route has of its own.

use ropeway::{Accept, Client, Server, UpgradeRequest, deflate};

use super::houses::{HOUSES, code, head, heard};
use super::script::{Log, request};

#[tokio::test]
async fn parameters_of_the_path_reach_the_decision_and_the_handler() {
    for house in HOUSES {
        let server = Server::builder().build();
        let param = async |request: UpgradeRequest| {
            let params = request.params().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            Ok(Accept::with(params.join("&")))
        };
        for path in ["/rooms/{room}", "/rooms/lobby", "/rooms/{room}/user-{user}", "/files/{*rest}"] {
            server.at(path).authorize(param).on_connection(move |ws, handshake| {
                let again = handshake.params().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
                assert_eq!(again.join("&"), handshake.value);
                assert_eq!(handshake.param("none"), None);
                ws.send(format!("{path} {}", handshake.value)).unwrap();
            });
        }
        server.on_connection(|ws, handshake| ws.send(format!("default {}", handshake.path())).unwrap());
        let door = house.open(&server).await;
        for (asked, served) in [
            ("/rooms/7", "/rooms/{room} room=7"),
            ("/rooms/7?room=8", "/rooms/{room} room=7"),
            ("/rooms/a%2Fb%20%C3%A4+%25", "/rooms/{room} room=a/b ä+%"),
            ("/rooms/..%2f", "/rooms/{room} room=../"),
            ("/rooms/lobby", "/rooms/lobby "),
            ("/rooms/7/user-anna", "/rooms/{room}/user-{user} room=7&user=anna"),
            ("/files/a/b/c", "/files/{*rest} rest=a/b/c"),
            ("/rooms/", "default /rooms/"),
            ("/rooms", "default /rooms"),
            ("/Rooms/7", "default /Rooms/7"),
            ("/rooms/7/", "default /rooms/7/"),
            ("/", "default /"),
        ] {
            let (mut ws, _) = door.connect(&Client::new(), asked).await.unwrap();
            assert_eq!(heard(&mut ws).await, served, "{house:?} {asked}");
        }
        let (response, body) = door.ask(&request("").replace("/chat", "/rooms/%ff")).await;
        assert_eq!(response.status(), 400, "{house:?}");
        assert!(body.contains("\"room\"") && body.contains("RFC 3986"), "{house:?} {body}");
    }
}

#[test]
fn paths_that_cannot_be_told_apart_are_refused_when_they_are_registered() {
    let server = Server::builder().path("/default/{name}").build();
    server.at("/rooms/{room}").handle_with(Log::default());
    for (path, says) in [
        ("/rooms/{name}", "\"/rooms/{room}\""),
        ("/default/{other}", "\"/default/{name}\""),
        ("rooms", "slash"),
        ("", "slash"),
        ("/{a}-{b}", "between two slashes"),
        ("/{", "brace"),
        ("/{}", "name"),
        ("/{*rest}/more", "end"),
    ] {
        let error = server.try_at(path).expect_err(path);
        assert_eq!(error.path(), path);
        assert!(error.to_string().contains(says), "{path}: {error}");
    }
    // The same path again replaces what was there, and is no conflict.
    server.try_at("/rooms/{room}").unwrap().handle_with(Log::default());
    server.try_at("/default/{name}").unwrap().handle_with(Log::default());
}

#[test]
#[should_panic(expected = "nothing tells it from \"/rooms/{room}\"")]
fn at_panics_over_a_path_that_cannot_be_told_from_another() {
    let server = Server::builder().build();
    server.at("/rooms/{room}").handle_with(Log::default());
    server.at("/rooms/{name}").handle_with(Log::default());
}

#[test]
#[should_panic(expected = "does not begin with a slash")]
fn a_builder_panics_over_a_path_that_is_none() {
    drop(Server::builder().path("ws"));
}

#[tokio::test]
async fn a_route_has_subprotocols_origins_and_limits_of_its_own() {
    for house in HOUSES {
        let server = Server::builder().subprotocols(["v1"]).build();
        server.handle_with(Log::default());
        let own = server.at("/own").subprotocols(["v2"]).allow_origins(["https://app.test"]);
        own.max_payload(5).per_message_deflate(deflate::Options::default()).handle_with(Log::default());
        server.at("/any").subprotocols(["v9"]).any_subprotocol(true).allow_any_origin().handle_with(Log::default());
        server.at("/below").allow_origin_if(|origin| origin.is_within("app.test")).handle_with(Log::default());
        let door = house.open(&server).await;
        for (path, origin, expected) in [
            ("/chat", "http://server.example.com", Some("v1")),
            ("/chat", "https://app.test", None),
            ("/own", "https://app.test", Some("v2")),
            ("/own", "http://server.example.com", None),
            ("/any", "https://evil.test", Some("v3")),
            ("/below", "https://a.app.test", Some("v1")),
            ("/below", "https://evilapp.test", None),
        ] {
            let headers = format!("Origin: {origin}\r\nSec-WebSocket-Protocol: v3, v2, v1\r\n");
            let request = request(&headers).replace("/chat", path);
            let Some(agreed) = expected else {
                assert_eq!(door.ask(&request).await.0.status(), 403, "{house:?} {path} {origin}");
                continue;
            };
            let response = head(&mut door.send(&request).await).await;
            assert_eq!(response.status(), 101, "{house:?} {path} {origin}");
            assert_eq!(response.headers()["sec-websocket-protocol"], agreed, "{house:?} {path}");
        }
        let (mut ws, handshake) = door.connect(&Client::new(), "/own").await.unwrap();
        assert!(handshake.response.headers().contains_key("sec-websocket-extensions"), "{house:?}");
        ws.send("sixsix").await.unwrap();
        assert_eq!(code(&mut ws).await, 1009, "{house:?}");
    }
}
