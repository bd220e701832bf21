//! WebSockets at a shell: `ropeway serve` and `ropeway connect`.

mod connect;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// WebSockets at a shell.
#[derive(Parser)]
#[command(name = "ropeway", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Connect(connect::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Connect(args) => connect::run(args),
    }
}
