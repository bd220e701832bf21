//! `ropeway serve`: a server to try things with. Its paths are in [`echo`], [`broadcast`] and [`chat`]. The topics
//! behind them are in [`rooms`], and [`engine`] has the broker by which they span several servers. [`page`] answers plain
//! HTTP requests, [`names`] checks the name by which a page reached the server, and [`tls`] has its certificate.

mod broadcast;
mod chat;
mod echo;
mod engine;
mod failure;
mod form;
mod guests;
mod listen;
mod log;
mod names;
mod notices;
mod page;
mod rooms;
mod tls;

use std::convert::Infallible;
use std::future::ready;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use http::HeaderName;
use ropeway::{Accept, Server, Topics, UpgradeRequest, deflate};
use rustls::ServerConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::compression::Compression;
use crate::exit::{INTERRUPTED, USAGE};
use crate::seconds::{positive_seconds, seconds};
use crate::signals::Signals;
use crate::style::complain;
use failure::Failure;
use log::Log;
use names::Names;
use rooms::Rooms;

/// How long to wait for a thread whose connections are closed, if something blocks it.
const ENDING: Duration = Duration::from_secs(1);

/// How long to wait for the broker to have the last messages, such as those that say who has left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serve a page to try WebSockets with, and paths that echo, broadcast and chat
///
/// GET / is the page. WebSockets: / and /echo answer each message with the same message. /broadcast sends it to
/// everyone there. /topics/NAME does so for each name. /chat does so with names of guests (?name=Ada). /deflate echoes
/// with compression, if the client offers it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8005", value_name = "ADDRESS:PORT", value_parser = listen::address)]
    listen: String,

    /// Threads, each with a runtime of its own
    #[arg(long, value_name = "N", default_value_t = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))]
    threads: NonZero<usize>,

    /// Compression on all paths but /deflate, which always accepts it: none, each message by itself, or with context
    /// takeover
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    deflate: Compression,

    /// A web origin whose pages may connect, besides this server's own; can be given more than once
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// A name by which web pages may reach this server, besides its addresses and localhost; can be given more than
    /// once
    #[arg(long, value_name = "NAME", value_parser = names::name)]
    allow_host: Vec<String>,

    /// Let pages of every origin connect
    #[arg(long, conflicts_with = "allow_origin")]
    allow_any_origin: bool,

    /// The most bytes that a message may have
    #[arg(long, default_value_t = 16 << 20, value_name = "BYTES")]
    max_payload: usize,

    /// How long an opening handshake may take
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = positive_seconds)]
    handshake_timeout: Duration,

    /// A subprotocol to agree to if the client offers it. It changes nothing else; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = subprotocol)]
    subprotocol: Vec<String>,

    /// How long connections have to close after Ctrl-C or SIGTERM. A second Ctrl-C ends the server at once, with 130
    // Containers are killed 10 seconds after SIGTERM (`docker stop`). The rest of the shutdown takes at most 3.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    drain: Duration,

    #[command(flatten)]
    certificate: tls::Certificate,

    #[command(flatten)]
    engine: engine::Options,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let log = Log::start();
    // Every connection is an open file, and many systems allow a program only 1024 at first.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let tls = match tls::config(&args.certificate) {
        Ok(tls) => tls,
        Err(error) => {
            complain(&error);
            return ExitCode::from(USAGE);
        }
    };
    match conduct(args, tls) {
        Ok(End::Interrupted) => return ExitCode::from(INTERRUPTED),
        Ok(End::Drained) => {}
        Err(error) => {
            log.finish();
            return error.report();
        }
    }
    log.finish();
    ExitCode::SUCCESS
}

/// How serving ended.
enum End {
    /// All connections are closed, or had their time to close.
    Drained,
    /// By a second Ctrl-C.
    Interrupted,
}

/// Serves on other threads until a signal comes. This thread serves no connection, so that it can react to signals and
/// deadlines while the others are busy.
fn conduct(args: &Args, tls: Option<Arc<ServerConfig>>) -> Result<End, Failure> {
    let (listener, addr) = listen::bind(&args.listen)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let cannot = |error: io::Error| format!("cannot serve with {} threads: {error}", args.threads);
    let conductor = runtime().map_err(cannot)?;
    // The conversation with the broker is on this thread, so it holds up no connection.
    let topics = conductor.block_on(args.engine.topics())?;
    let events = topics.events();
    let rooms = Rooms::new(topics.clone(), args.engine.form(), args.engine.has_engine());
    let server = server(args, tls, scheme, addr, &rooms);
    // Nothing is sent through these channels. One closes when the last thread stops serving, the other when the last
    // thread ends.
    let (serving, mut nobody_serves) = mpsc::channel::<Infallible>(1);
    let (running, nobody_runs) = channel::<Infallible>();
    for _ in 0..args.threads.get() {
        let (server, listener) = (server.clone(), listener.try_clone().map_err(cannot)?);
        let (serving, running) = (serving.clone(), running.clone());
        let runtime = runtime().map_err(cannot)?;
        thread::spawn(move || {
            // The runtime drives its connections until the shutdown is done.
            runtime.block_on(serve(&server, listener));
            drop(serving);
            drop(runtime);
            drop(running);
        });
    }
    drop((serving, running, listener));
    conductor.spawn(rooms.tell_news(events));
    let end = conductor.block_on(async {
        // Signals are watched before the address is printed: a program that waits for that line may interrupt at once.
        let mut signals = Signals::watch().map_err(cannot)?;
        announce(scheme, addr);
        tokio::select! {
            _ = signals.next() => {}
            _ = nobody_serves.recv() => return Err(Failure::Other("no thread is serving any more; the log says why".to_owned())),
        }
        tracing::info!("closing {} connections", server.clients().len());
        tokio::select! {
            // The library logs what is left.
            () = close(&server, args.drain, &topics) => Ok(End::Drained),
            () = signals.interrupt() => Ok(End::Interrupted),
        }
    })?;
    if matches!(end, End::Drained) && nobody_runs.recv_timeout(ENDING) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("a thread was still busy and was ended, with its connections");
    }
    Ok(end)
}

/// Closes all connections, and waits until the broker has the last messages.
async fn close(server: &Server, drain: Duration, topics: &Topics) {
    server.shutdown().timeout(drain).await;
    // If the broker does not answer in this time, other servers' guests do not hear who has left.
    let _ = tokio::time::timeout(LAST_WORDS, topics.flush()).await;
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn serve(server: &Server, listener: TcpListener) {
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => server.serve(listener).await,
        Err(error) => tracing::error!(%error, "a thread cannot serve"),
    }
}

fn server(args: &Args, tls: Option<Arc<ServerConfig>>, scheme: &str, addr: SocketAddr, rooms: &Rooms) -> Server {
    let mut builder = Server::builder()
        .path("/")
        .max_payload(args.max_payload)
        .subprotocols(&args.subprotocol)
        .handshake_timeout(args.handshake_timeout)
        .per_message_deflate(args.deflate.options());
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    if args.allow_any_origin {
        builder = builder.allow_any_origin();
    } else if !args.allow_origin.is_empty() {
        let names = args.allow_host.iter().map(String::as_str).chain(["localhost"]);
        let own = names.map(|name| format!("{scheme}://{name}:{}", addr.port()));
        let own = own.chain([format!("{scheme}://{addr}")]);
        builder = builder.allow_origins(own.chain(args.allow_origin.iter().cloned()));
    }
    let server = builder.build();
    // If origins are listed, a page of a stranger is refused by its origin, and the name need not be checked.
    let checks_names = !args.allow_any_origin && args.allow_origin.is_empty();
    let names = checks_names.then(|| Arc::new(Names::new(&args.allow_host)));
    let check = move |request: &UpgradeRequest| names.as_ref().map_or(Ok(()), |names| names.check(request.request()));
    let named = {
        let check = check.clone();
        move |request: UpgradeRequest| ready(check(&request).and_then(|()| broadcast::name(&request)).map(Accept::with))
    };
    let authorize = move |request: UpgradeRequest| ready(check(&request).map(|()| Accept::new()));
    let at = |path| server.at(path).authorize(authorize.clone());
    server.authorize(authorize.clone()).handle_with(echo::Echo);
    at("/echo").handle_with(echo::Echo);
    at("/deflate").per_message_deflate(deflate::Options::no_context_takeover()).handle_with(echo::Echo);
    at("/broadcast").handle_with(broadcast::Broadcast(rooms.clone()));
    at("/chat").handle_with(chat::Chat::new(rooms.clone()));
    server.at("/topics/{name}").authorize(named).handle_with(broadcast::Named(rooms.clone()));
    server.on_http(page::answer);
    server
}

/// Prints the only line on standard output. Programs that start this one wait for it. If stdout is closed, the server
/// goes on.
fn announce(scheme: &str, addr: SocketAddr) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "ropeway is listening on {scheme}://{addr}/").and_then(|()| stdout.flush());
    if let Err(error) = written {
        tracing::warn!(%error, "listening on {scheme}://{addr}/, but this line could not be written to stdout");
    }
}

/// RFC 6455 section 4.1: subprotocols are tokens, like names of headers.
fn subprotocol(text: &str) -> Result<String, String> {
    match text.parse::<HeaderName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("a subprotocol is a name of letters, digits and !#$%&'*+-.^_`|~ (RFC 6455 section 4.1)".to_owned())
        }
    }
}
