//! `ropeway serve`: a server to try things with. What happens at its paths is [`echo`]'s, [`broadcast`]'s and [`chat`]'s; what
//! plain HTTP requests get is [`page`]'s, whom a server on loopback answers is [`rebinding`]'s, and its certificate [`tls`]'s.

mod address;
mod broadcast;
mod chat;
mod echo;
mod guests;
mod notices;
mod page;
mod rebinding;
mod tls;

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use ropeway::{Server, deflate};
use rustls::ServerConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::USAGE;
use crate::style::complain;

/// How long connections have to close after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(10);

/// Serve a page to try WebSockets with, and paths that echo, broadcast and chat.
///
/// GET / is the page. WebSockets: / and /echo answer each message with itself, /broadcast sends it to everyone there, /chat does
/// so with names (?name=Ada), /deflate echoes with compression if the client offers it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8005", value_name = "ADDRESS:PORT", value_parser = address::address)]
    listen: String,

    /// Threads, each with a runtime of its own.
    #[arg(long, value_name = "N", default_value_t = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))]
    threads: NonZero<usize>,

    /// Compression on all paths but /deflate, which always offers it: none, each message by itself, or with context takeover.
    #[arg(long, value_enum, default_value_t = Deflate::Off, value_name = "MODE")]
    deflate: Deflate,

    /// A web origin whose pages may connect, besides this server's own; can be given more than once.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Let pages of every origin connect.
    #[arg(long, conflicts_with = "allow_origin")]
    allow_any_origin: bool,

    /// The most bytes a message may have.
    #[arg(long, default_value_t = 16 << 20, value_name = "BYTES")]
    max_payload: usize,

    /// How long an opening handshake may take.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    handshake_timeout: f64,

    #[command(flatten)]
    certificate: tls::Certificate,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deflate {
    Off,
    On,
    Takeover,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let to_terminal = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(to_terminal)
        .with_writer(io::stderr)
        .init();
    // Every connection is an open file, and many systems start a program with 1024 of them.
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
    match listen(args, tls) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot listen on {}: {error}", args.listen));
            ExitCode::FAILURE
        }
    }
}

fn listen(args: &Args, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    let listener = bind(&args.listen)?;
    let addr = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = server(args, tls, scheme, addr);
    let (drained, wait) = watch::channel(());

    let mut threads = Vec::new();
    for _ in 1..args.threads.get() {
        let (server, listener, mut wait) = (server.clone(), listener.try_clone()?, wait.clone());
        let runtime = runtime()?;
        threads.push(thread::spawn(move || {
            runtime.block_on(async {
                serve(&server, listener).await;
                // The runtime carries its connections until all are closed. The channel closes then, and has no other news.
                let _ = wait.changed().await;
            });
        }));
    }
    runtime()?.block_on(async {
        let serving = tokio::spawn({
            let server = server.clone();
            async move { serve(&server, listener).await }
        });
        // Heard from before the announcement on: whoever waits for that may interrupt at once.
        let interrupted = interrupted()?;
        announce(scheme, addr)?;
        interrupted.await;
        tracing::info!("closing {} connections", server.clients().len());
        server.shutdown(DRAIN).await;
        serving.abort();
        io::Result::Ok(())
    })?;
    drop(drained);
    for thread in threads {
        // A thread that panicked has said so.
        let _ = thread.join();
    }
    Ok(())
}

/// Binds the first address that can be bound, ready for any runtime.
fn bind(listen: &str) -> io::Result<TcpListener> {
    let addrs: Vec<SocketAddr> = listen.to_socket_addrs()?.collect();
    let listener = TcpListener::bind(&*addrs)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
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

fn server(args: &Args, tls: Option<Arc<ServerConfig>>, scheme: &str, addr: SocketAddr) -> Server {
    let per_message = deflate::Options::no_context_takeover();
    let everywhere = match args.deflate {
        Deflate::Off => None,
        Deflate::On => Some(per_message.clone()),
        Deflate::Takeover => Some(deflate::Options::context_takeover()),
    };
    let mut builder = Server::builder()
        .path("/")
        .max_payload(args.max_payload)
        .handshake_timeout(Duration::from_secs_f64(args.handshake_timeout))
        .per_message_deflate(everywhere);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    if args.allow_any_origin {
        builder = builder.allow_any_origin();
    } else if !args.allow_origin.is_empty() {
        let own = [format!("{scheme}://{addr}"), format!("{scheme}://localhost:{}", addr.port())];
        builder = builder.allow_origins(own.into_iter().chain(args.allow_origin.iter().cloned()));
    }
    let server = builder.build();
    if addr.ip().is_loopback() && !args.allow_any_origin && args.allow_origin.is_empty() {
        server.on_upgrade(rebinding::check);
    }
    server.handler(echo::Echo);
    server.at("/echo").handler(echo::Echo);
    server.at("/deflate").per_message_deflate(per_message).handler(echo::Echo);
    server.at("/broadcast").handler(broadcast::Broadcast::default());
    server.at("/chat").handler(chat::Chat::default());
    server.on_http(page::answer);
    server
}

/// The one line on standard output: programs that start this one wait for it.
fn announce(scheme: &str, addr: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ropeway is listening on {scheme}://{addr}/")?;
    stdout.flush()
}

/// Listens for Ctrl-C, and for what a service manager sends; the future waits for either.
#[cfg(unix)]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(std::future::poll_fn(move |cx| match (terminate.poll_recv(cx), interrupt.poll_recv(cx)) {
        (Poll::Pending, Poll::Pending) => Poll::Pending,
        _ => Poll::Ready(()),
    }))
}

#[cfg(windows)]
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupt.recv().await) })
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds between 0.001 and 86400".to_owned()),
    }
}
