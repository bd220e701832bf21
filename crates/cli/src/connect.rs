//! `ropeway connect`: a client for people, and a filter for pipes. From the options to a connection; what happens on it is
//! [`session`]'s.

mod args;
mod command;
mod events;
mod exit;
mod failure;
mod lines;
mod pings;
mod prompt;
mod render;
mod screen;
mod session;
mod signals;

use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;

use ropeway::{Client, Config};
use tokio::runtime;

pub(crate) use args::Args;
use exit::Exit;
use prompt::Prompt;
use screen::Screen;
use session::Session;

use crate::style::complain;

/// Talks to a server until the end, and says by its exit code why it ended.
pub(crate) fn run(args: &Args) -> ExitCode {
    // The session may wait for a slow reader of its output; meanwhile the connection has a thread of its own, and pings are
    // answered.
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("no thread or event queue to be had: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(talk(args));
    // A read of stdin cannot be called off, so it is not waited for.
    runtime.shutdown_background();
    exit.into()
}

async fn talk(args: &Args) -> Exit {
    let client = match client(args) {
        Ok(client) => client,
        Err(error) => {
            complain(&error);
            return Exit::Usage;
        }
    };
    let (inbox, events) = events::channel();
    let give = inbox.give();
    let sender = match client.connect_with(&args.dial.url.given, inbox).await {
        Ok(sender) => sender,
        Err(error) => return failure::report(&error, args.verbose),
    };
    signals::watch(&give);
    if let Some(interval) = args.ping {
        tokio::spawn(pings::remind(interval, give.clone()));
    }
    let screen = if stdin().is_terminal() && stdout().is_terminal() {
        match Prompt::start(give) {
            Ok(prompt) => Screen::terminal(prompt, args.binary),
            Err(error) => {
                complain(&format!("the terminal cannot be used: {error}"));
                return Exit::Failed;
            }
        }
    } else {
        tokio::spawn(lines::send(sender.clone(), give));
        Screen::pipe(args.binary)
    };
    Session::new(args, sender, events, screen).run().await
}

fn client(args: &Args) -> Result<Client, String> {
    let config = Config { close_timeout: args.timeout, ..Config::client() };
    let client = args.dial.client(&args.trust)?.config(config).handshake_timeout(args.timeout);
    Ok(if args.no_deflate { client.per_message_deflate(None) } else { client })
}
