//! The application decides about clients: on an event loop, in a task, and on another HTTP server's port alike.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::{
    Accept, Client, Connection, Handler, Handshake, MessageRef, Overflow, Refusal, Server, UpgradeRequest, WebSocket,
    deflate,
};
use testkit::wire::{Frame, TEXT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::eventually::{eventually, within};
use super::houses::{HOUSES, House, code, head, heard, rest};
use super::script::{Log, request, text};

/// Decisions that wait until the test lets them go.
#[derive(Clone, Default)]
struct Desk(Arc<Inside>);

struct Inside {
    asked: AtomicUsize,
    over: AtomicUsize,
    /// The decisions that wait now, and the most that have waited at once.
    waiting: AtomicUsize,
    most: AtomicUsize,
    go: Semaphore,
}

impl Default for Inside {
    fn default() -> Self {
        let [asked, over, waiting, most] = [(); 4].map(|()| AtomicUsize::new(0));
        Self { asked, over, waiting, most, go: Semaphore::new(0) }
    }
}

/// Counts a decision that is over, whether it was made or given up.
struct Over(Desk);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, SeqCst);
        self.0.0.over.fetch_add(1, SeqCst);
    }
}

impl Desk {
    fn authorize(
        &self,
    ) -> impl Fn(UpgradeRequest) -> std::pin::Pin<Box<dyn Future<Output = Result<Accept, Refusal>> + Send>> + use<>
    {
        let desk = self.clone();
        move |_| {
            let desk = desk.clone();
            Box::pin(async move {
                let waiting = desk.0.waiting.fetch_add(1, SeqCst) + 1;
                desk.0.most.fetch_max(waiting, SeqCst);
                let _over = Over(desk.clone());
                desk.0.asked.fetch_add(1, SeqCst);
                desk.0.go.acquire().await.unwrap().forget();
                Ok(Accept::new())
            })
        }
    }

    async fn until_asked(&self, times: usize) {
        eventually("the application is asked", || self.0.asked.load(SeqCst) == times).await;
    }

    async fn until_over(&self, times: usize) {
        eventually("decisions are over", || self.0.over.load(SeqCst) == times).await;
    }
}

// Deciding.

#[tokio::test]
async fn a_decision_may_wait_and_what_the_client_sends_meanwhile_is_not_lost() {
    for house in HOUSES {
        let (server, desk, log) = (Server::builder().build(), Desk::default(), Log::default());
        server.authorize(desk.authorize()).handle_with(log.clone());
        let door = house.open(&server).await;
        let mut io = door.knock().await;
        io.write_all(&[request("").as_bytes(), &text("first").encode()].concat()).await.unwrap();
        desk.until_asked(1).await;
        // More than is read while the decision waits.
        let large = "x".repeat(100 << 10);
        io.write_all(&text(large.as_str()).encode()).await.unwrap();
        assert_eq!(server.clients().len(), 0, "{house:?}");
        desk.0.go.add_permits(1);
        assert_eq!(head(&mut io).await.status(), 101, "{house:?}");
        let mut texts = Vec::new();
        eventually("both messages come", || {
            texts.extend(log.take_texts());
            texts.len() == 2
        })
        .await;
        assert_eq!(texts, ["first", large.as_str()], "{house:?}");
        assert_eq!(desk.0.over.load(SeqCst), 1, "{house:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_any_status_headers_and_body() {
    for house in HOUSES {
        let (server, log) = (Server::builder().build(), Log::default());
        let refuse = async |_| {
            tokio::task::yield_now().await;
            let refusal = Refusal::json(402, r#"{"error":"no plan"}"#).header("x-plan", "none");
            Err::<Accept, _>(refusal.header("set-cookie", "a=1").header("set-cookie", "b=2"))
        };
        server.authorize(refuse).handle_with(log.clone());
        let (response, body) = house.open(&server).await.ask(&request("")).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (402, r#"{"error":"no plan"}"#), "{house:?}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/json", "{house:?}");
        assert_eq!(headers["x-plan"], "none", "{house:?}");
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"], "{house:?}");
        assert_eq!((log.told().handles.len(), server.clients().len()), (0, 0), "{house:?}");
    }
}

#[tokio::test]
async fn rules_of_the_handshake_come_before_the_application() {
    for house in HOUSES {
        let (server, desk) = (Server::builder().build(), Desk::default());
        server.authorize(desk.authorize()).handle_with(Log::default());
        let door = house.open(&server).await;
        let (response, _) = door.ask(&request("Origin: https://evil.example\r\n")).await;
        assert_eq!(response.status(), 403, "{house:?}");
        let (response, _) = door.ask(&request("").replace("Version: 13", "Version: 8")).await;
        assert_eq!(response.status(), 426, "{house:?}");
        assert_eq!(desk.0.asked.load(SeqCst), 0, "{house:?}");
    }
}

// Choosing.

#[tokio::test]
async fn the_application_chooses_for_one_connection() {
    for house in HOUSES {
        let server = Server::builder().subprotocols(["v1"]).max_payload(1000).build();
        let choose = async |request: UpgradeRequest| {
            if request.path() == "/plain" {
                return Ok(Accept::new());
            }
            assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["v1", "v2"]);
            let accept = Accept::new().subprotocol("v2").header("set-cookie", "a=1").header("set-cookie", "b=2");
            Ok(accept.max_payload(10).overflow(Overflow::Close).per_message_deflate(deflate::Options::default()))
        };
        server.authorize(choose).on_connection(|ws, handshake| {
            ws.send(format!("{:?}", handshake.subprotocol)).unwrap();
        });
        let door = house.open(&server).await;
        let client = Client::new().subprotocols(["v1", "v2"]);
        let (mut ws, handshake) = door.connect(&client, "/chosen").await.unwrap();
        let headers = handshake.response.headers();
        assert_eq!(headers["sec-websocket-protocol"], "v2", "{house:?}");
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"], "{house:?}");
        assert!(headers["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate"), "{house:?}");
        assert_eq!(heard(&mut ws).await, r#"Some("v2")"#, "{house:?}");
        ws.send("more than ten").await.unwrap();
        assert_eq!(code(&mut ws).await, 1009, "{house:?}");
        // The next connection has the route's settings.
        let (mut ws, handshake) = door.connect(&client, "/plain").await.unwrap();
        assert_eq!(handshake.response.headers().get("sec-websocket-extensions"), None, "{house:?}");
        assert_eq!(heard(&mut ws).await, r#"Some("v1")"#, "{house:?}");
        ws.send("more than ten").await.unwrap();
        assert!(ws.close(1000, "").await.unwrap().clean, "{house:?}");
    }
}

#[tokio::test]
async fn an_application_that_chooses_what_cannot_be_is_told_and_its_client_refused() {
    type Choose = fn() -> Accept;
    let wrong: [(Choose, &str); 5] = [
        (|| Accept::new().subprotocol("v9"), "RFC 6455 section 4.2.2"),
        (|| Accept::new().header("Sec-WebSocket-Accept", "mine"), "sec-websocket-accept"),
        (|| Accept::new().header("connection", "close"), "connection"),
        (|| Accept::new().header("content-length", "1"), "content-length"),
        (|| Accept::new().header("x-name", "line\r\nbreak"), "x-name"),
    ];
    for house in HOUSES {
        for (choose, says) in wrong {
            let server = Server::builder().build();
            server.authorize(move |_| ready(Ok(choose()))).handle_with(Log::default());
            let (response, body) = house.open(&server).await.ask(&request("Sec-WebSocket-Protocol: v1\r\n")).await;
            assert_eq!(response.status(), 500, "{house:?} {says}");
            assert!(body.contains(says) && body.contains("RFC "), "{house:?} {body}");
        }
    }
}

// The value.

/// A client that was let in.
struct User(&'static str);

async fn log_in(request: UpgradeRequest) -> Result<Accept<User>, Refusal> {
    match request.header("x-user") {
        Some("anna") => Ok(Accept::with(User("Anna"))),
        _ => Err(Refusal::new(401, "log in").header("www-authenticate", "Bearer")),
    }
}

/// A handler that greets users, of whom each has a value.
struct Greeter;

impl Handler<User> for Greeter {
    type State = User;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake<User>) -> User {
        handshake.value
    }

    fn on_message(&self, ws: &mut Connection<'_>, user: &mut User, _message: MessageRef<'_>) {
        ws.send(format!("hello {}", user.0)).unwrap();
    }
}

#[tokio::test]
async fn the_value_of_the_decision_reaches_each_kind_of_handler() {
    for house in HOUSES {
        let server = Server::builder().build();
        server.at("/handler").authorize(log_in).handle_with(Greeter);
        server.at("/listeners").authorize(log_in).on_connection(|ws, handshake| {
            let User(name) = handshake.value;
            ws.on_message(move |ws, _| ws.send(format!("hello {name}")).unwrap());
        });
        server.at("/pull").authorize(log_in).spawn_each(async |mut ws: WebSocket, handshake: Handshake<User>| {
            while let Ok(Some(_)) = ws.recv().await {
                ws.send(format!("hello {}", handshake.value.0)).await.unwrap();
            }
        });
        let door = house.open(&server).await;
        let anna = Client::new().header("x-user", "anna");
        for path in ["/handler", "/listeners", "/pull"] {
            let (mut ws, _) = door.connect(&anna, path).await.unwrap();
            ws.send("I am here").await.unwrap();
            assert_eq!(heard(&mut ws).await, "hello Anna", "{house:?} {path}");
            let (response, _) = door.ask(&request("").replace("/chat", path)).await;
            assert_eq!(response.status(), 401, "{house:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_route_without_a_decision_of_its_own_is_open() {
    for house in HOUSES {
        let server = Server::builder().build();
        server.authorize(log_in).handle_with(Greeter);
        server.at("/open").handle_with(Log::default());
        let door = house.open(&server).await;
        assert_eq!(head(&mut door.send(&request("").replace("/chat", "/open")).await).await.status(), 101);
        assert_eq!(door.ask(&request("")).await.0.status(), 401);
    }
}

// The end of waiting.

/// A timeout that is waited for, yet leaves a stalled machine the time to read a request.
const SHORT: Duration = Duration::from_secs(2);

/// For tests that wait for a timeout.
async fn in_all_houses_at_once<F: Future<Output = ()> + Send + 'static>(test: fn(House) -> F) {
    HOUSES.iter().map(|house| test(*house)).collect::<JoinSet<_>>().join_all().await;
}

#[tokio::test]
async fn a_decision_that_takes_too_long_is_a_503_and_given_up() {
    in_all_houses_at_once(|house| async move {
        let server = Server::builder().handshake_timeout(SHORT).build();
        let desk = Desk::default();
        server.authorize(desk.authorize()).handle_with(Log::default());
        let (response, body) = house.open(&server).await.ask(&request("")).await;
        assert_eq!(response.status(), 503, "{house:?}");
        assert_eq!(response.headers()["retry-after"], "5", "{house:?}");
        assert!(body.contains("did not decide") && body.contains("RFC "), "{house:?} {body}");
        assert_eq!((desk.0.asked.load(SeqCst), desk.0.over.load(SeqCst)), (1, 1), "{house:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_decision_with_it() {
    for house in HOUSES {
        let server = Server::builder().max_connections(1).build();
        let desk = Desk::default();
        server.authorize(desk.authorize()).handle_with(Log::default());
        let door = house.open(&server).await;
        let io = door.send(&request("")).await;
        desk.until_asked(1).await;
        drop(io);
        desk.until_over(1).await;
        // Its place is another's.
        let mut io = door.send(&request("")).await;
        desk.until_asked(2).await;
        desk.0.go.add_permits(1);
        assert_eq!(head(&mut io).await.status(), 101, "{house:?}");
    }
}

/// hyper does not see it go: it reads no further than the byte.
#[tokio::test]
async fn a_client_that_leaves_a_byte_behind_its_request_holds_its_decision_for_the_timeout_at_most() {
    in_all_houses_at_once(|house| async move {
        let server = Server::builder().max_connections(1).handshake_timeout(SHORT).build();
        let desk = Desk::default();
        server.authorize(desk.authorize()).handle_with(Log::default());
        let door = house.open(&server).await;
        let mut io = door.send(&request("")).await;
        desk.until_asked(1).await;
        io.write_all(b"!").await.unwrap();
        drop(io);
        desk.until_over(1).await;
        // Its place is another's.
        let _io = door.send(&request("")).await;
        desk.until_asked(2).await;
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_refuses_those_who_wait_for_a_decision() {
    for house in HOUSES {
        let (server, desk) = (Server::builder().build(), Desk::default());
        server.authorize(desk.authorize()).handle_with(Log::default());
        let door = house.open(&server).await;
        let io = door.send(&request("")).await;
        desk.until_asked(1).await;
        let shutdown = tokio::spawn(server.shutdown().into_future());
        let (response, _) = rest(io).await;
        assert_eq!(response.status(), 503, "{house:?}");
        assert_eq!(response.headers()["retry-after"], "5", "{house:?}");
        within("the end of the shutdown", shutdown).await.unwrap();
        assert_eq!(desk.0.over.load(SeqCst), 1, "{house:?}");
    }
}

#[tokio::test]
async fn a_decision_that_panics_is_a_500_and_takes_no_other_client_with_it() {
    for house in HOUSES {
        let (server, log) = (Server::builder().build(), Log::default());
        let decide = |request: UpgradeRequest| {
            assert_ne!(request.path(), "/at-once", "a panic before there is a future");
            async move {
                tokio::task::yield_now().await;
                assert_ne!(request.path(), "/later", "a panic in the future");
                Ok(Accept::new())
            }
        };
        server.authorize(decide).handle_with(log.clone());
        let door = house.open(&server).await;
        let mut io = door.send(&request("")).await;
        assert_eq!(head(&mut io).await.status(), 101, "{house:?}");
        for path in ["/at-once", "/later"] {
            let (response, body) = door.ask(&request("").replace("/chat", path)).await;
            assert_eq!(response.status(), 500, "{house:?} {path}");
            assert!(body.contains("RFC 9110 section 15.6.1") && !body.contains("panic"), "{house:?} {body}");
        }
        io.write_all(&text("still here").encode()).await.unwrap();
        eventually("the other client is heard", || log.take_texts() == ["still here"]).await;
        assert_eq!(server.clients().len(), 1, "{house:?}");
    }
}

#[tokio::test]
async fn a_check_of_the_origin_that_panics_is_a_500_and_takes_no_other_client_with_it() {
    for house in HOUSES {
        let server = Server::builder().max_connections(2).allow_origin_if(|_| panic!("a check that fails")).build();
        let log = Log::default();
        server.handle_with(log.clone());
        let door = house.open(&server).await;
        let mut io = door.send(&request("")).await;
        assert_eq!(head(&mut io).await.status(), 101, "{house:?}");
        // More than there are places.
        for _ in 0..3 {
            let (response, body) = door.ask(&request("Origin: https://page.example\r\n")).await;
            assert_eq!(response.status(), 500, "{house:?}");
            assert!(body.contains("RFC 9110 section 15.6.1") && !body.contains("panic"), "{house:?} {body}");
        }
        io.write_all(&text("still here").encode()).await.unwrap();
        eventually("the other client is heard", || log.take_texts() == ["still here"]).await;
        assert_eq!(server.clients().len(), 1, "{house:?}");
    }
}

// Many at once.

#[tokio::test]
async fn many_decisions_that_wait_keep_nobody_else_waiting() {
    for house in HOUSES {
        // Sockets need files on both sides of a test, and a stream in memory none.
        let many = if matches!(house, House::Task) { 1000 } else { 200 };
        let (server, desk) = (Server::builder().build(), Desk::default());
        server.at("/slow").authorize(desk.authorize()).handle_with(Log::default());
        server.on_connection(|ws, _| {
            ws.on_message(|ws, message| ws.send(message).unwrap());
        });
        let door = house.open(&server).await;
        let mut waiting = Vec::new();
        for _ in 0..many {
            waiting.push(door.send(&request("").replace("/chat", "/slow")).await);
        }
        desk.until_asked(many).await;
        let mut io = door.send(&request("")).await;
        assert_eq!(head(&mut io).await.status(), 101, "{house:?}");
        io.write_all(&text("echo").encode()).await.unwrap();
        let expected = Frame::new(TEXT, "echo").encode();
        let mut echo = vec![0; expected.len()];
        within("an echo", io.read_exact(&mut echo)).await.unwrap();
        assert_eq!(echo, expected, "{house:?}");
        desk.0.go.add_permits(many);
        for io in &mut waiting {
            assert_eq!(head(io).await.status(), 101, "{house:?}");
        }
    }
}

#[tokio::test]
async fn those_who_wait_for_a_decision_take_places_of_max_handshakes() {
    let server = Server::builder().max_handshakes(2).build();
    let desk = Desk::default();
    server.authorize(desk.authorize()).handle_with(Log::default());
    let door = House::Loop.open(&server).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(door.send(&request("")).await);
    }
    desk.until_asked(2).await;
    // The third is asked about only once one of the two is done.
    desk.0.go.add_permits(1);
    desk.until_asked(3).await;
    desk.0.go.add_permits(2);
    for io in &mut clients {
        assert_eq!(head(io).await.status(), 101);
    }
    assert_eq!(desk.0.most.load(SeqCst), 2);
}

#[tokio::test]
async fn one_of_max_connections_is_taken_while_a_decision_waits() {
    for house in HOUSES {
        let (server, desk) = (Server::builder().max_connections(1).build(), Desk::default());
        server.authorize(desk.authorize()).handle_with(Log::default());
        let door = house.open(&server).await;
        let mut first = door.send(&request("")).await;
        desk.until_asked(1).await;
        assert_eq!(door.ask(&request("")).await.0.status(), 503, "{house:?}");
        desk.0.go.add_permits(1);
        assert_eq!(head(&mut first).await.status(), 101, "{house:?}");
    }
}

// The facts that a decision is made from.

/// The result of a middleware.
#[cfg(feature = "axum")]
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tenant(u32);

#[cfg(feature = "axum")]
#[tokio::test]
async fn what_middleware_attaches_reaches_the_decision_and_the_handler() {
    use axum::extract::Request;
    use axum::middleware::{Next, from_fn};

    let server = Server::builder().build();
    let decide = async |request: UpgradeRequest| Ok(Accept::with(request.extensions().get::<Tenant>().cloned()));
    server.authorize(decide).on_connection(|ws, handshake| {
        let found = handshake.request.extensions().get::<Tenant>();
        assert_eq!(found, handshake.value.as_ref());
        ws.send(format!("{found:?}")).unwrap();
    });
    let attach = from_fn(async |mut request: Request, next: Next| {
        request.extensions_mut().insert(Tenant(7));
        next.run(request).await
    });
    let addr = super::houses::serve_app(axum::Router::new().layer(server.layer()).layer(attach)).await;
    let mut ws = ropeway::connect(&format!("ws://{addr}/")).await.unwrap();
    assert_eq!(heard(&mut ws).await, "Some(Tenant(7))");
}

#[tokio::test]
async fn a_decision_that_keeps_the_request_takes_nothing_from_the_handler() {
    let (server, kept) = (Server::builder().build(), Arc::new(Mutex::new(Vec::new())));
    let keep = {
        let kept = Arc::clone(&kept);
        move |request: UpgradeRequest| {
            kept.lock().unwrap().push(request);
            ready(Ok(Accept::new()))
        }
    };
    server
        .authorize(keep)
        .on_connection(|ws, handshake| ws.send(handshake.headers()["x-name"].to_str().unwrap()).unwrap());
    let door = House::Loop.open(&server).await;
    let client = Client::new().header("x-name", "value");
    let (mut ws, _) = door.connect(&client, "/").await.unwrap();
    assert_eq!(heard(&mut ws).await, "value");
    assert_eq!(kept.lock().unwrap()[0].header("x-name"), Some("value"));
}

#[tokio::test]
async fn a_runtime_that_ends_while_a_decision_waits_drops_it() {
    let (server, desk) = (Server::builder().build(), Desk::default());
    server.authorize(desk.authorize()).handle_with(Log::default());
    let served = server.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let door = House::Loop.open(&served).await;
        tell.send(door.addr).unwrap();
        pending::<()>().await;
    });
    let mut tcp = TcpStream::connect(told.await.unwrap()).await.unwrap();
    tcp.write_all(request("").as_bytes()).await.unwrap();
    desk.until_asked(1).await;
    runtime.shutdown_background();
    desk.until_over(1).await;
}
