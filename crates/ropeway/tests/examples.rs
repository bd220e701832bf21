//! Each example is started as a program and spoken to. `cargo test` builds the examples, and `cargo test --test examples` does not.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ropeway::{Client, CloseCode, Error, Message, Server, WebSocket};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Nothing here takes a second on an idle machine. A test that waits this long has found a hang.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn echo_sends_each_message_back_and_prints_how_it_ended() {
    let mut echo = Program::start("echo", &[LOCAL]).await;
    let mut ws = connect(&echo.url().await).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    assert_eq!(ask(&mut ws, &[1, 2, 3]).await, Message::from(&[1, 2, 3]));
    within("the server's close frame", ws.close(4000, "enough")).await.unwrap();
    echo.line(r#"closed: 4000 (private use) "enough""#).await;
    echo.end().await;
}

#[tokio::test]
async fn client_asks_echo_and_closes() {
    let mut echo = Program::start("echo", &[LOCAL]).await;
    let mut client = Program::start("client", &[&echo.url().await]).await;
    client.line(r#"received: Text("hello")"#).await;
    client.line(r#"closed: 1000 (normal closure) "that was all""#).await;
    client.ends_well().await;
    echo.line("closed: 1000").await;
    echo.end().await;
}

#[tokio::test]
async fn pull_asks_one_thing_after_the_other() {
    let mut pull = Program::start("pull", &[LOCAL]).await;
    let mut ws = connect(&pull.url().await).await;
    assert_eq!(text(&mut ws).await, "What is your name?");
    assert_eq!(ask(&mut ws, "Ada").await, Message::from("Hello, Ada! What shall I repeat?"));
    send(&ws, "echo").await;
    for _ in 0..3 {
        assert_eq!(text(&mut ws).await, "echo");
    }
    assert_eq!(end(&mut ws).await, (CloseCode::NORMAL, "bye".to_owned()));
    pull.line("closed: 1000").await;
    pull.end().await;
}

#[tokio::test]
async fn handler_counts_for_each_connection_and_for_all() {
    let mut handler = Program::start("handler", &[LOCAL]).await;
    let url = handler.url().await;
    let (mut one, mut two) = (connect(&format!("{url}one")).await, connect(&format!("{url}two")).await);
    assert_eq!(ask(&mut one, "a").await, Message::from("1 of 1"));
    assert_eq!(ask(&mut two, "b").await, Message::from("1 of 2"));
    assert_eq!(ask(&mut one, "c").await, Message::from("2 of 3"));
    within("the server's close frame", one.close(1000, "")).await.unwrap();
    handler.line(r#""/one" sent 2 messages: 1000"#).await;
    handler.end().await;
}

#[tokio::test]
async fn json_answers_requests_and_mistakes() {
    let mut json = Program::start("json", &[LOCAL]).await;
    let mut ws = connect(&json.url().await).await;
    for (request, answer) in [
        (r#"{"type":"add","a":1,"b":2}"#, r#"{"type":"sum","value":3}"#),
        (r#"{"type":"shout","text":"hello"}"#, r#"{"type":"shouted","text":"HELLO"}"#),
        (r#"{"type":"add","a":9223372036854775807,"b":1}"#, r#"{"type":"error","message":"the sum is too large"}"#),
    ] {
        assert_eq!(ask(&mut ws, request).await, Message::from(answer));
    }
    let answer = ask(&mut ws, "no JSON").await;
    assert!(answer.as_text().unwrap().starts_with(r#"{"type":"error","message":"expected"#), "{answer}");
    json.end().await;
}

#[tokio::test]
async fn chat_serves_its_page_and_tells_everybody() {
    let mut chat = Program::start("chat", &[LOCAL]).await;
    let addr = chat.addr().await;
    let page = get(&addr, "/").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>ropeway chat</title>"), "{page}");

    let mut one = connect(&format!("ws://{addr}/")).await;
    let hello = text(&mut one).await;
    let guest = hello.strip_suffix(" is here").expect(&hello);
    let mut two = connect(&format!("ws://{addr}/")).await;
    let other = text(&mut two).await;
    assert_eq!(text(&mut one).await, other);
    send(&one, "hello").await;
    for ws in [&mut one, &mut two] {
        assert_eq!(text(ws).await, format!("{guest}: hello"));
    }
    within("the server's close frame", one.close(1000, "")).await.unwrap();
    assert_eq!(text(&mut two).await, format!("{guest} has left"));
    chat.end().await;
}

#[tokio::test]
async fn rooms_keep_apart_and_know_who_is_there() {
    let mut rooms = Program::start("rooms", &[LOCAL]).await;
    let addr = rooms.addr().await;
    let enter = async |place: &str| connect(&format!("ws://{addr}/rooms/{place}")).await;
    let mut ada = enter("kitchen/Ada").await;
    assert_eq!(text(&mut ada).await, "Ada is here, 1 in the room");
    let mut elsewhere = enter("hall/Charles").await;
    assert_eq!(text(&mut elsewhere).await, "Charles is here, 1 in the room");
    let mut grace = enter("kitchen/Grace").await;
    for ws in [&mut ada, &mut grace] {
        assert_eq!(text(ws).await, "Grace is here, 2 in the room");
    }
    send(&grace, "hello").await;
    for ws in [&mut ada, &mut grace] {
        assert_eq!(text(ws).await, "Grace: hello");
    }
    assert_eq!(ask(&mut ada, "/who").await, Message::from("Ada, Grace"));
    within("the server's close frame", ada.close(1000, "")).await.unwrap();
    assert_eq!(text(&mut grace).await, "Ada has left, 1 in the room");
    assert_eq!(ask(&mut elsewhere, "/who").await, Message::from("Charles"));
    // A path without a route.
    let error = Client::new().connect(&format!("ws://{addr}/rooms/kitchen")).await.unwrap_err();
    assert_eq!(error.response().expect("a refusal").status(), 404);
    rooms.end().await;
}

#[tokio::test]
async fn authentication_refuses_strangers_and_knows_its_users() {
    let mut authentication = Program::start("authentication", &[LOCAL]).await;
    let url = authentication.url().await;
    let open = async |name: &str, value: &str| Client::new().header(name, value).connect(&url).await;
    let refused = ropeway::connect(&url).await.unwrap_err();
    let answer = refused.response().expect("a refusal");
    assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]));
    let refused = open("authorization", "Bearer 1234").await.unwrap_err();
    assert_eq!(refused.response().expect("a refusal").status(), 403);

    let mut ada = open("authorization", "Bearer ada-1815").await.unwrap();
    assert_eq!(text(&mut ada).await, "hello Ada, you may do everything");
    let mut grace = open("cookie", "theme=dark; session=grace-1906").await.unwrap();
    assert_eq!(text(&mut grace).await, "hello Grace");
    let long = "a".repeat(2000);
    assert_eq!(ask(&mut ada, &long).await, Message::from(format!("Ada: {long}")));
    send(&grace, &long).await;
    assert_eq!(end(&mut grace).await.0, CloseCode::TOO_BIG);
    authentication.end().await;
}

#[tokio::test]
async fn feed_sends_one_price_after_the_other_to_all() {
    let mut feed = Program::start("feed", &[LOCAL]).await;
    let url = feed.url().await;
    for _ in 0..2 {
        let mut ws = connect(&url).await;
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let price = text(&mut ws).await;
            numbers.push(price.strip_prefix("price ").and_then(|number| number.parse::<u64>().ok()).expect(&price));
        }
        assert_eq!(numbers[0] + 1, numbers[1]);
        within("the server's close frame", ws.close(1000, "")).await.unwrap();
        feed.line("missed 0 messages: 1000").await;
    }
    feed.end().await;
}

#[tokio::test]
async fn ping_measures_a_round_trip() {
    let mut echo = Program::start("echo", &[LOCAL]).await;
    let mut ping = Program::start("ping", &[&echo.url().await, "1"]).await;
    ping.line("1: ").await;
    ping.ends_well().await;
    echo.line("closed: 1000").await;
    echo.end().await;
}

#[tokio::test]
async fn bridge_passes_messages_and_ends_both_ways() {
    let upstream = Server::bind(LOCAL).await.unwrap();
    upstream.spawn_each(async |mut ws: WebSocket, _| {
        while let Ok(Some(message)) = ws.recv().await {
            match message.as_text() {
                Some("close") => drop(ws.close(4002, "from upstream").await),
                Some("close without code") => drop(ws.close_without_code().await),
                Some("terminate") => ws.terminate(),
                _ => ws.send(message).await.unwrap(),
            }
        }
    });
    let url = format!("ws://{}/", upstream.local_addr().unwrap());
    let serving = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.run().await }
    });

    let mut bridge = Program::start("bridge", &[LOCAL, &url]).await;
    let url = bridge.url().await;
    for (said, code, reason) in [
        ("close", CloseCode::from(4002), "from upstream"),
        ("close without code", CloseCode::NONE, ""),
        ("terminate", CloseCode::BAD_GATEWAY, "the other side was lost"),
    ] {
        let mut ws = connect(&url).await;
        assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
        send(&ws, said).await;
        assert_eq!(end(&mut ws).await, (code, reason.to_owned()), "{said}");
    }
    // And the other way.
    let mut ws = connect(&url).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    let upstream_end = upstream.clients()[0].clone();
    within("the bridge's close frame", ws.close(4001, "from the client")).await.unwrap();
    let closed = within("the upstream's end", upstream_end.closed()).await;
    assert_eq!((closed.code, &*closed.reason), (CloseCode::from(4001), "from the client"));

    upstream.shutdown().await;
    serving.await.unwrap().unwrap();
    let error = ropeway::connect(&url).await.unwrap_err();
    assert_eq!(error.response().expect("a refusal").status(), 502);
    bridge.end().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_client_trusts_tls_server_and_others_do_not() {
    let file = TemporaryFile::new("certificate.pem");
    let mut server = Program::start("tls_server", &[LOCAL, file.path()]).await;
    let url = server.url().await;
    let error = ropeway::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error}");
    let mut client = Program::start("tls_client", &[&url, file.path()]).await;
    client.line(r#"received: Text("hello")"#).await;
    client.ends_well().await;
    server.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn shutdown_closes_with_1012_and_lets_handlers_finish() {
    shuts_down("shutdown", nix::sys::signal::Signal::SIGTERM, "").await;
}

#[cfg(all(unix, feature = "axum"))]
#[tokio::test]
async fn axum_shutdown_closes_with_1012_and_lets_handlers_finish() {
    shuts_down("axum_shutdown", nix::sys::signal::Signal::SIGINT, "ws").await;
}

#[cfg(unix)]
async fn shuts_down(name: &str, signal: nix::sys::signal::Signal, path: &str) {
    let mut program = Program::start(name, &[LOCAL]).await;
    let url = format!("ws://{}/{path}", program.addr().await);
    let (mut one, mut two) = (connect(&url).await, connect(&url).await);
    for ws in [&mut one, &mut two] {
        assert_eq!(ask(ws, "hello").await, Message::from("hello"));
    }
    program.signal(signal);
    for ws in [&mut one, &mut two] {
        assert_eq!(end(ws).await, (CloseCode::SERVICE_RESTART, "restart".to_owned()));
        program.line("saved").await;
    }
    program.line("done").await;
    program.ends_well().await;
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_serves_itself_and_others() {
    use ropeway::Transport;

    let file = TemporaryFile::new("unix.sock");
    let mut program = Program::start("unix_socket", &[file.path()]).await;
    program.line("listening on ").await;
    program.line(r#"received: Text("hello")"#).await;
    let stream = tokio::net::UnixStream::connect(file.path()).await.unwrap();
    let mut ws = Client::new().connect("ws://localhost/ws").over(Transport::other(stream)).await.unwrap();
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    within("the server's close frame", ws.close(1000, "")).await.unwrap();
    program.end().await;
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn hyper_serves_pages_and_a_websocket() {
    let mut hyper = Program::start("hyper", &[LOCAL]).await;
    let addr = hyper.addr().await;
    for (path, status) in [("/", 200), ("/elsewhere", 404), ("/ws", 400)] {
        let answer = get(&addr, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    let mut ws = connect(&format!("ws://{addr}/ws")).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    within("the server's close frame", ws.close(1000, "")).await.unwrap();
    hyper.end().await;
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_listeners_greets_and_prints_what_it_hears_escaped() {
    greets("axum_listeners").await;
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_pull_greets_and_prints_what_it_hears_escaped() {
    greets("axum_pull").await;
}

/// Both are tested in a browser too, with their page: `conformance/browser/examples.test.mjs`.
#[cfg(feature = "axum")]
async fn greets(name: &str) {
    let mut program = Program::start(name, &[LOCAL]).await;
    let addr = program.addr().await;
    let page = get(&addr, "/").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>ropeway starter</title>"), "{page}");
    let mut ws = connect(&format!("ws://{addr}/ws/lobby")).await;
    program.line("client 127.0.0.1").await;
    assert_eq!(text(&mut ws).await, "hello from the server, lobby");
    send(&ws, "\u{1b}[2Jhello").await;
    program.line(r"message: \u{1b}[2Jhello").await;
    within("the server's close frame", ws.close(4000, "enough")).await.unwrap();
    program.line("closed: 4000").await;
    program.end().await;
}

/// A new example needs a test here, a command in the README, and the same command at its top.
#[test]
fn each_example_is_tested_listed_and_says_how_to_run_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let examples: BTreeSet<String> = fs::read_dir(root.join("examples"))
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    assert!(examples.len() >= 15, "{examples:?}");

    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let is_default = |feature: &toml::Value| manifest["features"]["default"].as_array().unwrap().contains(feature);
    let mut faults = Vec::new();
    let mut commands = BTreeSet::new();
    for name in &examples {
        let target = manifest["example"].as_array().unwrap().iter().find(|it| it["name"].as_str() == Some(name));
        let has_tests = target.is_some_and(|target| target.get("test").is_some());
        let mut command = format!("cargo {} -p ropeway --example {name}", if has_tests { "test" } else { "run" });
        let features = target.and_then(|target| target.get("required-features")).and_then(toml::Value::as_array);
        for feature in features.into_iter().flatten().filter(|feature| !is_default(feature)) {
            command += &format!(" --features {}", feature.as_str().unwrap());
        }
        let source = read(&format!("examples/{name}.rs"));
        let mut lines = source.lines();
        let mut next = || lines.next().unwrap_or_default();
        if !next().starts_with("//! ") {
            faults.push(format!("{name}: its first line does not say what it shows"));
        }
        // A command may go on with arguments.
        let is_on_top = source.lines().take(8).any(|line| {
            line.strip_prefix("//! ")
                .and_then(|line| line.strip_prefix(&command))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(" -- "))
        });
        if !is_on_top {
            faults.push(format!("{name}: `{command}` is not at its top"));
        }
        // One with tests of its own is built for them alone.
        if !has_tests && ![format!("start(\"{name}\""), format!("(\"{name}\"")].iter().any(|call| SELF.contains(call)) {
            faults.push(format!("{name}: no test starts it"));
        }
        commands.insert(command);
    }
    let listed: BTreeSet<String> = read("../../README.md")
        .lines()
        .filter(|line| line.starts_with("cargo ") && line.contains(" --example "))
        .map(|line| line.split(" -- ").next().unwrap_or(line))
        .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned())
        .collect();
    faults.extend(commands.difference(&listed).map(|command| format!("README.md does not list `{command}`")));
    faults.extend(listed.difference(&commands).map(|command| format!("README.md lists `{command}`")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const SELF: &str = include_str!("examples.rs");

/// Any free port.
const LOCAL: &str = "127.0.0.1:0";

/// An example that runs. It is killed at the end of its test in any case.
struct Program {
    name: String,
    child: Child,
    printed: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Program {
    async fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(built(name));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let printed = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { name: name.to_owned(), child, printed, seen: Vec::new() }
    }

    /// Waits for a line that begins with this text, and returns it.
    async fn line(&mut self, beginning: &str) -> String {
        let what = format!("{} to print {beginning:?}", self.name);
        within(&what, async {
            loop {
                match self.printed.next_line().await.expect("it prints text") {
                    Some(line) if line.starts_with(beginning) => return line,
                    Some(line) => self.seen.push(line),
                    None => panic!("{} ended before it printed {beginning:?}; it printed {:?}", self.name, self.seen),
                }
            }
        })
        .await
    }

    /// Waits for the URL that it serves.
    async fn url(&mut self) -> String {
        let what = format!("{} to print its URL", self.name);
        within(&what, async {
            loop {
                let line =
                    self.printed.next_line().await.expect("it prints text").expect("it prints its URL and runs on");
                if let Some((_, url)) = line.rsplit_once(' ').filter(|(_, url)| url.contains("://")) {
                    return url.to_owned();
                }
            }
        })
        .await
    }

    /// Waits for the URL that it serves, and returns the host and port.
    async fn addr(&mut self) -> String {
        let url = self.url().await;
        url.split('/').nth(2).expect("a URL has a host").to_owned()
    }

    #[cfg(unix)]
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).expect("it can be told");
    }

    /// Ends a program that would run on. If it has ended by itself, it has failed.
    async fn end(mut self) {
        let status = self.child.try_wait().expect("its state is known");
        assert!(status.is_none(), "{} ended by itself: {status:?}", self.name);
        within("its end", self.child.kill()).await.expect("it can be killed");
    }

    /// Waits for the end of a program that ends by itself, without an error.
    async fn ends_well(mut self) {
        let status = within(&format!("the end of {}", self.name), self.child.wait()).await.expect("its state is known");
        assert!(status.success(), "{}: {status}", self.name);
    }
}

/// The program of an example, beside the folder of this test's own program.
fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this program has a file");
    let profile = tests.ancestors().nth(2).expect("it is in target/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let how = "`cargo test -p ropeway --all-features` builds it, with `--test examples` alone it is not built";
    // Cargo lists the files that a program was made of behind a colon. A blank in a name has a backslash before it.
    let made_of =
        fs::read_to_string(program.with_extension("d")).unwrap_or_else(|_| panic!("{name} is not built: {how}"));
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (_, sources) = made_of.split_once(": ").expect("a list of files");
    for source in sources.replace("\\ ", "\0").split_whitespace().map(|source| source.replace('\0', " ")) {
        let is_old = changed(Path::new(&source)) > changed(&program);
        assert!(!is_old, "{name} is older than {source}: {how}");
    }
    program
}

/// A file of one test, removed at its end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ropeway-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("its name is text")
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

async fn connect(url: &str) -> WebSocket {
    ropeway::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

async fn send(ws: &WebSocket, message: impl Into<Message>) {
    within("room to send", ws.send(message)).await.expect("it is open");
}

async fn receive(ws: &mut WebSocket) -> Message {
    within("a message", ws.recv()).await.expect("it is open").expect("it is open")
}

async fn text(ws: &mut WebSocket) -> String {
    receive(ws).await.as_text().expect("a text").to_owned()
}

async fn ask(ws: &mut WebSocket, message: impl Into<Message>) -> Message {
    send(ws, message).await;
    receive(ws).await
}

/// The code and reason of the peer's close frame, which has to be the next thing that comes.
async fn end(ws: &mut WebSocket) -> (CloseCode, String) {
    let next = within("a close frame", ws.recv()).await;
    assert!(matches!(next, Ok(None)), "{next:?}");
    let closed = within("the end", ws.closed()).await;
    assert!(closed.clean, "{closed}");
    (closed.code, closed.reason.to_string())
}

/// The answer to a plain HTTP request, head and body.
async fn get(addr: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    within("the answer", async {
        let mut stream = TcpStream::connect(addr).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        stream.read_to_string(&mut answer).await.expect("it answers with text");
    })
    .await;
    answer
}
