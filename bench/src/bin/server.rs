//! An echo through each of ropeway's APIs, and with the settings that cost something. Their costs are compared from
//! outside, with `ropeway bench`. The README of this crate says how.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::thread;

use axum::Router;
use axum::routing::get;
use clap::{Parser, ValueEnum};
use ropeway::{Connection, Handler, Handshake, MessageRef, Server, WebSocket, deflate};
use tokio::runtime;

/// Answers each message with the same message, on / and on every other path.
#[derive(Parser)]
struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8005", value_name = "ADDRESS:PORT")]
    listen: String,

    /// Number of threads, each with a runtime of its own, as in `ropeway serve`.
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZero<usize>,

    /// The API that the echo is written with.
    #[arg(long, value_enum, default_value_t = Api::Handler)]
    api: Api,

    /// Whether messages are compressed: each by itself, or with context takeover.
    #[arg(long, value_enum, default_value_t = Deflate::Off)]
    deflate: Deflate,

    /// The most window bits that either side compresses with; ropeway's defaults if not given.
    #[arg(long, value_name = "8..15")]
    window_bits: Option<u8>,

    /// How hard to compress.
    #[arg(long, value_name = "0..9", default_value = "6")]
    level: u8,

    /// Settings that a user may change for speed: no pings, and up to 16 MiB that wait for a slow reader.
    #[arg(long)]
    tuned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Api {
    /// One handler for all connections, on a port of the server's own.
    Handler,
    /// Listeners of each connection.
    Listeners,
    /// A task for each connection, that awaits its messages.
    Pull,
    /// The handler on axum's port.
    AxumLayer,
    /// The tasks on axum's port.
    AxumPull,
}

#[derive(Clone, Copy, ValueEnum)]
enum Deflate {
    Off,
    On,
    Takeover,
}

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_message(&self, ws: &mut Connection<'_>, (): &mut (), message: MessageRef<'_>) {
        // It fails once the connection closes, and then nobody waits for the answer.
        let _ = ws.send(message);
    }
}

async fn echo(mut ws: WebSocket) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(&args.listen)?;
    listener.set_nonblocking(true)?;
    let server = server(&args);
    println!("listening on ws://{}/", listener.local_addr()?);
    // The main thread is the first: so its memory lies where that of `ropeway serve --threads 1` does.
    for _ in 1..args.threads.get() {
        let (api, server, listener) = (args.api, server.clone(), listener.try_clone()?);
        thread::spawn(move || serve(api, &server, listener));
    }
    serve(args.api, &server, listener)
}

fn server(args: &Args) -> Server {
    let mut builder = Server::builder().per_message_deflate(compression(args));
    if args.tuned {
        builder = builder.ping_interval(None).max_buffered(16 << 20);
    }
    let server = builder.build();
    match args.api {
        Api::Handler | Api::AxumLayer => server.handle_with(Echo),
        Api::Pull | Api::AxumPull => server.spawn_each(|ws, _| echo(ws)),
        Api::Listeners => server.on_connection(|ws, _| {
            ws.on_message(|ws, message| {
                let _ = ws.send(message);
            });
        }),
    }
    server
}

fn compression(args: &Args) -> Option<deflate::Options> {
    let options = match args.deflate {
        Deflate::Off => return None,
        Deflate::On => deflate::Options::no_context_takeover(),
        Deflate::Takeover => deflate::Options::context_takeover(),
    };
    let options = options.level(args.level);
    Some(match args.window_bits {
        None => options,
        Some(bits) => options.window_bits(bits).server_max_window_bits(bits).client_max_window_bits(bits),
    })
}

fn serve(api: Api, server: &Server, listener: TcpListener) -> io::Result<()> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if matches!(api, Api::AxumLayer | Api::AxumPull) {
            let app = Router::new().route("/hello", get(|| async { "hello" })).layer(server.layer());
            axum::serve(listener, app).await
        } else {
            server.serve(listener).await;
            Ok(())
        }
    })
}
