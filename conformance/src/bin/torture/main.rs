//! Attacks a server and measures its other clients. `torture ROPEWAY` starts that program anew for each attack, prints
//! a row for it, and fails if the attack costs another client more than it may, or if the server's memory grows.
//!
//! Attackers, good clients and the server share the machine, so a row has a meaning only on two cores or more.

mod attack;
mod good;
mod server;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use attack::Attack;
use good::Good;
use server::Server;

/// How long each attack lasts.
const LASTS: Duration = Duration::from_secs(8);

/// The most memory that a server may have used.
const MOST_MEMORY: usize = 100 << 20;

/// The most that publishing may cost another client, at the 99th percentile of its round trips.
const PUBLISHING: Duration = Duration::from_millis(100);

/// The same for large compressed messages, whose sender takes its share of the machine too.
const COMPRESSING: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let Some(ropeway) = std::env::args().nth(1) else {
        eprintln!("usage: torture ROPEWAY");
        return ExitCode::from(2);
    };
    let mut failures = 0;
    for (threads, attack) in attacks() {
        let (limit, memory) = match attack {
            Attack::Publish { .. } => (PUBLISHING, MOST_MEMORY),
            // The messages themselves need memory: each client has one of 16 MiB, which is held both inflated and
            // compressed.
            Attack::Compress { clients } => (COMPRESSING, MOST_MEMORY + clients * (40 << 20)),
        };
        let outcome = run(&ropeway, threads, &attack);
        let is_right = outcome.p99 <= limit && outcome.memory <= memory;
        failures += usize::from(!is_right);
        println!(
            "{} {attack}, {threads} thread{}: p99 {:.1} ms (at most {}), slowest {:.1} ms of {} round trips, first answer \
             afterwards {:.1} ms, memory {:.1} MB (at most {}), {:.1} MB sent",
            if is_right { "ok    " } else { "FAILED" },
            if threads == 1 { "" } else { "s" },
            millis(outcome.p99),
            limit.as_millis(),
            millis(outcome.slowest),
            outcome.count,
            millis(outcome.afterwards),
            megabytes(outcome.memory),
            megabytes(memory),
            megabytes(outcome.sent),
        );
    }
    println!("{} passed, {failures} failed", attacks().len() - failures);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each attack, with the number of the server's threads.
fn attacks() -> Vec<(usize, Attack)> {
    let mut attacks = Vec::new();
    for threads in [1, 2] {
        for subscribers in [100, 1000] {
            for size in [0, 100, 1000] {
                attacks.push((threads, Attack::Publish { subscribers, size }));
            }
        }
        attacks.push((threads, Attack::Compress { clients: 16 }));
    }
    attacks
}

/// The result of an attack.
struct Outcome {
    p99: Duration,
    slowest: Duration,
    count: usize,
    afterwards: Duration,
    memory: usize,
    sent: usize,
}

fn run(ropeway: &str, threads: usize, attack: &Attack) -> Outcome {
    let server = Server::start(ropeway, threads);
    let good = Good::start(server.address());
    let sent = attack.run(&Arc::new(server.address().to_owned()), LASTS);
    let mut trips = good.stop();
    let afterwards = good::one_trip(server.address());
    trips.sort_unstable();
    let p99 = trips.get(trips.len() * 99 / 100).copied().unwrap_or(Duration::MAX);
    Outcome {
        p99,
        slowest: trips.last().copied().unwrap_or(Duration::MAX),
        count: trips.len(),
        afterwards,
        memory: server.most_memory(),
        sent,
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "it is printed with one digit behind the point")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
