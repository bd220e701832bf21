//! Random failures of brokers, links and nodes, while messages are published: what every subscriber heard is checked
//! against the contract of topics by a model.
//!
//! `chaos --seed N --minutes M [--engine nats|redis]` runs rounds with the seeds N, N+1 and so on until the time is over.
//! With one seed the schedule is always the same; the order of what happens at the same time is not.
//! `chaos --stopped SECONDS [--engine nats|redis]` publishes at full speed into a broker that is stopped.

mod model;
mod node;
mod record;
mod round;
mod stopped;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ropeway_nats::Nats;
use ropeway_redis::Redis;
use testkit::broker;

const USAGE: &str = "usage: chaos --seed N --minutes M [--engine nats|redis] | --stopped SECONDS [--engine nats|redis]";

/// The most violations of a round that are printed in full.
const PRINTED: usize = 5;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nats,
    Redis,
}

impl Kind {
    pub(crate) fn broker(self) -> broker::Kind {
        match self {
            Self::Nats => broker::NATS,
            Self::Redis => broker::REDIS,
        }
    }
}

/// The engines notice soon that a broker or a link does not answer, so that a round has many failures.
pub(crate) fn nats(address: &str) -> Nats {
    Nats::connect_to(format!("nats://{address}")).timeout(Duration::from_secs(1)).ping_interval(Duration::from_secs(1))
}

pub(crate) fn redis(address: &str) -> Redis {
    Redis::connect_to(format!("redis://{address}")).timeout(Duration::from_secs(1))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(wanted) = Wanted::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut failures = 0;
    for kind in wanted.kinds {
        failures += match wanted.stopped {
            Some(seconds) => stopped::run(kind, Duration::from_secs(seconds)).await,
            None => rounds(kind, wanted.seed, wanted.minutes).await,
        };
    }
    println!("{failures} violations");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn rounds(kind: Kind, seed: u64, minutes: u64) -> usize {
    let began = Instant::now();
    let mut failures = 0;
    // The first one has no failures, so that gaps without a cause are found.
    for round in 0.. {
        let (seed, is_calm) = (seed.wrapping_add(round), round == 0);
        let (summary, violations) = round::run(kind, seed, is_calm).await;
        println!("{kind:?} seed {seed}{}: {summary}", if is_calm { " (calm)" } else { "" });
        for violation in violations.iter().take(PRINTED) {
            println!("{violation}");
        }
        failures += violations.len();
        if round > 0 && began.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
    failures
}

struct Wanted {
    seed: u64,
    minutes: u64,
    stopped: Option<u64>,
    kinds: Vec<Kind>,
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut wanted = Self { seed: 1, minutes: 1, stopped: None, kinds: vec![Kind::Nats, Kind::Redis] };
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match option.as_str() {
                "--seed" => wanted.seed = value.parse().ok()?,
                "--minutes" => wanted.minutes = value.parse().ok()?,
                "--stopped" => wanted.stopped = Some(value.parse().ok()?),
                "--engine" if value == "nats" => wanted.kinds = vec![Kind::Nats],
                "--engine" if value == "redis" => wanted.kinds = vec![Kind::Redis],
                _ => return None,
            }
        }
        Some(wanted)
    }
}
