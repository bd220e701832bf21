//! The broker that carries messages between servers (`--engine`), and the topics of a server without one.

#[cfg(not(all(feature = "nats", feature = "redis")))]
use std::future::{Ready, ready};
use std::path::PathBuf;

#[cfg(any(feature = "nats", feature = "redis"))]
use ropeway::engine::{Engine, EngineError, EngineFault};
use ropeway::{History, Topics, TopicsBuilder};

use super::failure::Failure;
use super::form::Form;
use crate::tls;

/// The scheme of each engine's URLs, and what it stands for.
const SCHEMES: &str = "nats:// or tls:// for NATS; redis:// or rediss:// (with TLS) for Redis and Valkey";

/// The help of `--engine`: a text, since rustdoc would take its examples for links.
const ENGINE: &str = "Share /chat, /broadcast and /topics with all servers that use the same broker: nats://HOST:4222, or \
                      redis://HOST:6379; tls:// and rediss:// with TLS. A user and a password can be in the URL, which is then \
                      safer in the environment";

/// The options for the broker.
#[derive(clap::Args)]
#[command(next_help_heading = "More than one server")]
pub(super) struct Options {
    // Other users of a machine see command lines, but not the environment.
    #[arg(long, value_name = "URL", help = ENGINE, env = "ROPEWAY_ENGINE", hide_env_values = true)]
    engine: Option<String>,

    /// Trust the authorities in this PEM file for the broker's certificate, instead of the system's
    #[arg(long, value_name = "FILE", requires = "engine")]
    engine_cacert: Option<PathBuf>,

    /// The word before all names at the broker. Servers hear each other if they have the same
    #[arg(long, value_name = "WORD", requires = "engine", default_value = "ropeway-serve")]
    engine_prefix: String,

    /// Keep the last messages of each topic for five minutes, for clients that come back. Messages are then JSON with
    /// their positions, and ?after=POSITION gets what came since
    #[arg(long, value_name = "N")]
    history: Option<std::num::NonZero<u32>>,
}

impl Options {
    pub(super) fn has_engine(&self) -> bool {
        self.engine.is_some()
    }

    pub(super) fn form(&self) -> Form {
        Form::new(self.history)
    }

    /// Makes the topics, once the broker is connected.
    pub(super) async fn topics(&self) -> Result<Topics, Failure> {
        let mut builder = Topics::builder();
        if let Some(count) = self.history {
            builder = builder.history(History::last(count.get()));
        }
        let builder = self.form().set(builder);
        let Some(url) = &self.engine else { return Ok(builder.build()) };
        let authorities = self.engine_cacert.as_deref().map(tls::certificates).transpose().map_err(Failure::Usage)?;
        let (scheme, _) = url.split_once("://").ok_or_else(|| {
            Failure::Usage(format!("--engine is a URL with a scheme: {SCHEMES}; such as nats://127.0.0.1:4222"))
        })?;
        match scheme {
            "nats" | "tls" => self.nats(builder, url, authorities).await,
            "redis" | "rediss" | "valkey" | "valkeys" => self.redis(builder, url, authorities).await,
            _ => Err(Failure::Usage(format!("--engine does not know URLs that begin with {scheme}://; use {SCHEMES}"))),
        }
    }

    #[cfg(feature = "nats")]
    async fn nats(&self, builder: TopicsBuilder, url: &str, authorities: Authorities) -> Result<Topics, Failure> {
        let engine = ropeway_nats::Nats::connect_to(url).prefix(&self.engine_prefix);
        let engine = match authorities {
            Some(authorities) => engine.trust(authorities),
            None => match tls::system() {
                Some(tls) => engine.tls(tls),
                None => engine,
            },
        };
        connect(builder, engine).await
    }

    #[cfg(not(feature = "nats"))]
    fn nats(&self, _: TopicsBuilder, _: &str, _: Authorities) -> Ready<Result<Topics, Failure>> {
        ready(Err(left_out("NATS", "nats")))
    }

    #[cfg(feature = "redis")]
    async fn redis(&self, builder: TopicsBuilder, url: &str, authorities: Authorities) -> Result<Topics, Failure> {
        let engine = ropeway_redis::Redis::connect_to(url).prefix(&self.engine_prefix);
        let engine = match authorities {
            Some(authorities) => engine.trust(authorities),
            None => match tls::system() {
                Some(tls) => engine.tls(tls),
                None => engine,
            },
        };
        connect(builder, engine).await
    }

    #[cfg(not(feature = "redis"))]
    fn redis(&self, _: TopicsBuilder, _: &str, _: Authorities) -> Ready<Result<Topics, Failure>> {
        ready(Err(left_out("Redis", "redis")))
    }
}

type Authorities = Option<Vec<rustls::pki_types::CertificateDer<'static>>>;

#[cfg(any(feature = "nats", feature = "redis"))]
async fn connect(builder: TopicsBuilder, engine: impl Engine) -> Result<Topics, Failure> {
    builder.connect(engine).await.map_err(|error| explain(&error))
}

/// An engine names the settings of its library. Here they are options.
#[cfg(any(feature = "nats", feature = "redis"))]
fn explain(error: &EngineError) -> Failure {
    let mut text = error.to_string();
    for setting in ["`Nats::trust`", "`trust`"] {
        text = text.replace(setting, "--engine-cacert");
    }
    if error.fault() == EngineFault::Settings {
        return Failure::Usage(format!("--engine cannot be used: {text}"));
    }
    // Otherwise the servers would not hear each other, and nobody would know.
    Failure::Other(format!("{text}. Without --engine this server works by itself"))
}

#[cfg(not(all(feature = "nats", feature = "redis")))]
fn left_out(broker: &str, feature: &str) -> Failure {
    Failure::Usage(format!("this ropeway was built without {broker}; build it with the feature `{feature}`"))
}
