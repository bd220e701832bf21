//! `ropeway connect`: a client for people, and a filter for pipes. This file goes from the options to a connection. The
//! rest is left to [`session`].

mod args;
mod command;
mod draft;
mod events;
mod exit;
mod failure;
mod lines;
mod mode;
mod output;
mod pings;
mod prompt;
mod render;
mod screen;
mod session;
mod stage;
mod wording;

use std::io::{self, IsTerminal, stdin, stdout};
use std::process::ExitCode;

use ropeway::Client;
use tokio::runtime;
use tokio::sync::mpsc::unbounded_channel;

pub(crate) use args::Args;
use args::Wait;
use exit::Exit;
use mode::Mode;
use prompt::Prompt;
use screen::Screen;
use session::Session;

use crate::signals::Signals;
use crate::style::complain;

/// Talks to a server until the end. The exit code says why it ended.
pub(crate) fn run(args: &Args) -> ExitCode {
    // The connection has a thread of its own, so that pings are answered while the session is busy.
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start a thread or its event queue: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(talk(args));
    // A read of stdin cannot be cancelled, so it is not waited for.
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
    let handle = match client.connect(&args.dial.url.given).handle_with(inbox).await {
        Ok(handle) => handle,
        Err(error) => return failure::report(&error, args.verbose),
    };
    let (stop, stops) = unbounded_channel();
    // If signals cannot be waited for, they end the program as before.
    if let Ok(mut signals) = Signals::watch() {
        let stop = stop.clone();
        tokio::spawn(async move { while stop.send(signals.next().await).is_ok() {} });
    }
    if let Some(interval) = args.ping {
        tokio::spawn(pings::remind(interval, give.clone()));
    }
    let screen = if stdin().is_terminal() && stdout().is_terminal() {
        let mode = Mode::now();
        let prompt = Prompt::start(give, stop, !args.no_history).map_err(io::Error::other);
        prompt.and_then(|prompt| Screen::terminal(prompt, mode, args.binary, args.verbose))
    } else {
        let are_replies_counted = matches!(args.wait(), Wait::AtMost(time) if !time.is_zero()) && !args.one;
        tokio::spawn(lines::send(handle.clone(), give, are_replies_counted));
        Screen::pipe(args.binary, args.verbose)
    };
    match screen {
        Ok(screen) => Session::new(args, handle, events, stops, screen).run().await,
        Err(error) => {
            complain(&format!("the terminal or the output cannot be used: {error}"));
            Exit::Failed
        }
    }
}

fn client(args: &Args) -> Result<Client, String> {
    let client = args.dial.client(&args.trust)?.config(args.config()).handshake_timeout(args.timeout);
    let client = client.head_limits(args.head_limits());
    Ok(if args.no_deflate { client.per_message_deflate(None) } else { client })
}
