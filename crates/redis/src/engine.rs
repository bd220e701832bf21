//! The engine: settings, and how a session begins.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::future::try_join_all;
use ropeway::engine::{Engine, EngineError, EngineFault, EngineFuture, Features, Inlet, Session};
#[cfg(feature = "tls")]
use ropeway::rustls::{ClientConfig, pki_types::CertificateDer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::address::Address;
use crate::dial::Trust;
use crate::end::End;
use crate::mailbox::Mailbox;
use crate::names::Names;
use crate::server::{Dialling, Server, cluster_slots};
use crate::session::{RedisSession, renew};
use crate::slots::Slots;

/// An engine on Redis or Valkey.
///
/// Making one is cheap, and never fails: settings that cannot be used are an error when ropeway connects
/// ([`EngineFault::Settings`]).
///
/// ```
/// use std::time::Duration;
/// use ropeway_redis::Redis;
///
/// let engine = Redis::connect_to("redis://127.0.0.1:6379").prefix("shop").timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct Redis {
    addresses: Vec<Result<Address, String>>,
    names: Result<Names, String>,
    dialling: Dialling,
    max_waiting: usize,
    memory: Duration,
}

impl Redis {
    /// An engine on one server: `redis://host:port`, with TLS `rediss://host:port`. `valkey://` and `valkeys://` are the
    /// same. Credentials and the number of a database can be in the URL: `redis://user:password@host/0`. Port 6379 can be
    /// left out.
    pub fn connect_to(url: impl AsRef<str>) -> Self {
        Self::with(vec![Address::read(url.as_ref())], false)
    }

    /// An engine on a cluster of Redis 7 or newer, or of Valkey, with sharded publish/subscribe. The URLs are those of
    /// some of its nodes. The others are found by the first that answers. All nodes have the same credentials and TLS.
    pub fn cluster(urls: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::with(urls.into_iter().map(|url| Address::read(url.as_ref())).collect(), true)
    }

    fn with(addresses: Vec<Result<Address, String>>, is_cluster: bool) -> Self {
        let (trust, limit) = (Trust::default(), Duration::from_secs(5));
        Self {
            addresses,
            names: Names::new("rw"),
            dialling: Dialling { trust, credentials: None, limit, is_cluster, is_durable: false },
            max_waiting: 32 << 20,
            memory: Duration::from_secs(3600),
        }
    }

    /// Sets what all channels and keys begin with, `rw` by default. Applications that share a server need one each.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.names = Names::new(prefix);
        self
    }

    /// Sets the user and the password, instead of those in the URL. The user `default` is the one that needs only a
    /// password.
    #[must_use]
    pub fn password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.dialling.credentials = Some((user.into(), password.into()));
        self
    }

    /// Trusts these certificates as authorities, instead of Mozilla's roots.
    ///
    /// ```no_run
    /// use ropeway::rustls::pki_types::{CertificateDer, pem::PemObject};
    /// use ropeway_redis::Redis;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = CertificateDer::from_pem_file("authority.pem")?;
    /// let engine = Redis::connect_to("rediss://redis.internal").trust([authority]);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn trust(mut self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.dialling.trust = Trust::Only(certificates.into_iter().collect());
        self
    }

    /// Sets all of TLS, such as a client's certificate. By default Mozilla's roots are trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, settings: ClientConfig) -> Self {
        self.dialling.trust = Trust::Custom(Arc::new(settings));
        self
    }

    /// Sets the time within which a server must answer, 5 seconds by default. Each step of connecting has that time, and
    /// each call. A server that has nothing to say is asked as often, so it is given up after at most twice that time.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.dialling.limit = time.max(Duration::from_millis(1));
        self
    }

    /// Sets the bytes of messages that may wait for this node, 32 MiB by default. If the node does not keep up, messages
    /// are dropped beyond that, and their topics are told.
    #[must_use]
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.max_waiting = bytes;
        self
    }

    /// Sets the time for which the end of a topic's history is known after its last message has expired, an hour by
    /// default. Within it, a subscriber that comes back and has missed nothing is told so. As long as a node has subscribed
    /// to the topic, the time is renewed. It costs some 200 bytes a topic at the server.
    #[must_use]
    pub fn remember_ends(mut self, time: Duration) -> Self {
        self.memory = time;
        self
    }

    /// Says that the server loses nothing that it has answered, so that histories go on when it starts again. That is so if
    /// it writes to disk before it answers (`appendonly yes`, `appendfsync always`), and if no replica that may be behind
    /// ever takes its place.
    ///
    /// Otherwise positions would be given a second time, to other messages, and a subscriber that comes back could miss
    /// some without being told. So by default, a history ends with the run of its server. All nodes must have the same
    /// setting, as each takes the histories of the other setting for lost.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.dialling.is_durable = true;
        self
    }

    /// Connects to the only server, or to the primaries of a cluster.
    async fn servers(&self, mailbox: &Arc<Mailbox>, end: &Arc<End>) -> Result<(Vec<Arc<Server>>, Slots), EngineError> {
        let mut failed = None;
        for address in &self.addresses {
            let address = address.clone().map_err(settings)?;
            match self.servers_by(address, mailbox, end).await {
                Ok(servers) => return Ok(servers),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| settings("there is no URL of any node; give at least one to `Redis::cluster`")))
    }

    async fn servers_by(
        &self,
        address: Address,
        mailbox: &Arc<Mailbox>,
        end: &Arc<End>,
    ) -> Result<(Vec<Arc<Server>>, Slots), EngineError> {
        let open = |address: Address| async move {
            Server::open(address, &self.dialling, Arc::clone(mailbox), end).await.map(Arc::new)
        };
        if !self.dialling.is_cluster {
            return Ok((vec![open(address).await?], Slots::of_one()));
        }
        let answer = cluster_slots(&address, &self.dialling).await?;
        let (servers, slots) = Slots::read(&answer, &address.host).map_err(|error| {
            EngineError::new(EngineFault::Unreachable, format!("the cluster of {address} is not whole: {error}"))
        })?;
        let servers = servers.into_iter().map(|(host, port)| open(address.at(host, port)));
        Ok((try_join_all(servers).await?, slots))
    }

    async fn begin(&self, inlet: Inlet) -> Result<Arc<dyn Session>, EngineError> {
        let names = self.names.clone().map_err(settings)?;
        let end = Arc::new(End::new());
        let (mailbox, forwarding) = Mailbox::new(names.clone(), self.max_waiting, Arc::clone(&end), inlet);
        let mailbox = Arc::new(mailbox);
        let (servers, slots) = self.servers(&mailbox, &end).await?;
        let mut tasks = JoinSet::new();
        let (open, passing_on) = watch::channel(());
        tasks.spawn(async move {
            forwarding.await;
            drop(open);
        });
        for server in &servers {
            tasks.spawn(Arc::clone(server).watch(self.dialling.clone(), Arc::clone(&end)));
        }
        let (is_cluster, limit, memory) = (self.dialling.is_cluster, self.dialling.limit, self.memory);
        Ok(Arc::new_cyclic(|session| {
            tasks.spawn(renew(Weak::clone(session)));
            let histories = Mutex::default();
            RedisSession {
                servers,
                slots,
                is_cluster,
                names,
                mailbox,
                end,
                passing_on,
                limit,
                memory,
                histories,
                _tasks: tasks,
            }
        }))
    }
}

impl Engine for Redis {
    fn address(&self) -> String {
        let addresses = self.addresses.iter().map(|address| match address {
            Ok(address) => address.to_string(),
            Err(_) => "(a URL that cannot be read)".to_owned(),
        });
        addresses.collect::<Vec<_>>().join(", ")
    }

    fn features(&self) -> Features {
        Features::NONE.with_history(true).with_presence(true)
    }

    fn connect(&self, inlet: Inlet) -> EngineFuture<'_, Arc<dyn Session>> {
        Box::pin(self.begin(inlet))
    }
}

fn settings(text: impl Into<String>) -> EngineError {
    EngineError::new(EngineFault::Settings, text)
}
