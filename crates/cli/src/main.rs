//! The program `ropeway`, with its commands `serve`, `connect` and `bench`.

mod bench;
mod compression;
mod connect;
mod dial;
mod exit;
mod seconds;
mod serve;
mod signals;
mod style;
mod tls;
mod visible;

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
    Serve(Box<serve::Args>),
    Connect(Box<connect::Args>),
    Bench(Box<bench::Args>),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If it cannot be printed, the exit code stays the same.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Connect(args) => connect::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}
