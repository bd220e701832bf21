//! A server with its two connections: one for commands, and one for subscriptions and their messages. So replies are
//! not held up behind messages, and the server's limit for slow subscribers does not count replies.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisResult, Value};
use ropeway::engine::{EngineError, EngineFault};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::address::Address;
use crate::dial::{Trust, dial};
use crate::end::End;
use crate::fault;
use crate::frame;
use crate::mailbox::Mailbox;
use crate::reply::{self, text};

/// Redis cuts subscribers that have more than this to read, if its settings cannot be read (`client-output-buffer-limit
/// pubsub 32mb`), and so no message should be as long.
const BUFFER_LIMIT: usize = 32 << 20;

/// The longest argument of a command, if the settings cannot be read (`proto-max-bulk-len 512mb`).
const ARGUMENT_LIMIT: usize = 512 << 20;

/// How connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Dialling {
    pub(crate) trust: Trust,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) limit: Duration,
    pub(crate) is_cluster: bool,
    pub(crate) is_durable: bool,
}

/// A server that takes publications.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) commands: Line,
    pub(crate) pushes: Line,
    /// The identity of the server's process, if the user may read it. A history holds only within one run: a server that
    /// starts again with older data would give offsets a second time. It is always the same if the server is durable.
    pub(crate) run: Option<String>,
    /// The longest message.
    pub(crate) max_message: usize,
}

impl Server {
    /// Connects twice, and checks that the server can do what is asked of it.
    pub(crate) async fn open(
        address: Address,
        dialling: &Dialling,
        mailbox: Arc<Mailbox>,
        end: &Arc<End>,
    ) -> Result<Self, EngineError> {
        let commands = Line::open(&address, dialling, None, end).await?;
        let mut asked = Pipeline::new();
        asked.cmd("HELLO");
        // A server that is not ready yet says so to this, and not to the others.
        asked.cmd("PING");
        asked.cmd("INFO").arg("server");
        asked.cmd("CONFIG").arg("GET").arg("proto-max-bulk-len");
        asked.cmd("CONFIG").arg("GET").arg("client-output-buffer-limit");
        // For CLIENT LIST. Before Redis 7.2 there is no such thing.
        asked.cmd("CLIENT").arg("SETINFO").arg("LIB-NAME").arg("ropeway");
        let answered = commands.call(&asked, dialling.limit).await.ok_or_else(|| silent(&address, dialling.limit))?;
        let answers = answered.map_err(|error| fault::greeting(&address, &error))?;
        let [hello, ping, info, argument_limit, buffer_limit, _] = <[Value; 6]>::try_from(answers).map_err(|_| {
            EngineError::new(EngineFault::WrongBroker, format!("{address} does not answer as Redis does"))
        })?;
        check(&address, &hello, dialling.is_cluster)?;
        if let Value::ServerError(error) = ping
            && ["LOADING", "MASTERDOWN", "BUSY"].contains(&error.code())
        {
            return Err(fault::greeting(&address, &error.into()));
        }
        let pushes = Line::open(&address, dialling, Some(mailbox), end).await?;
        let argument_limit =
            reply::setting(argument_limit).and_then(|text| text.parse().ok()).unwrap_or(ARGUMENT_LIMIT);
        let buffer_limit = reply::setting(buffer_limit).map_or(BUFFER_LIMIT, |text| pubsub_limit(&text));
        // The server counts the memory of its allocator, which rounds up by up to a quarter.
        let max_message = argument_limit.min(buffer_limit / 4 * 3).saturating_sub(frame::OVERHEAD);
        let run = reply::run(&info);
        check_same(&address, &pushes, dialling, run.as_ref()).await?;
        let run = if dialling.is_durable { Some("durable".to_owned()) } else { run };
        Ok(Self { address, commands, pushes, run, max_message })
    }

    /// Asks both connections for a sign of life from time to time, and ends the session if there is none. It also ends
    /// it if the server has become a replica: that takes publications, and nobody hears them.
    pub(crate) async fn watch(self: Arc<Self>, dialling: Dialling, end: Arc<End>) {
        let address = &self.address;
        let mut hello = Pipeline::new();
        hello.cmd("HELLO");
        if dialling.is_cluster {
            hello.cmd("CLUSTER").arg("INFO");
        }
        loop {
            sleep(dialling.limit).await;
            let (commands, pushes) = (&self.commands, &self.pushes);
            let both = join(commands.call(&hello, dialling.limit), pushes.call(&hello, dialling.limit)).await;
            let (Some(answers), Some(others)) = both else {
                end.report(silent(address, dialling.limit).to_string());
                return;
            };
            // If a connection is lost, that is told by its driver.
            let (Ok(answers), Ok(others)) = (answers, others) else { return };
            let mut hellos = answers.first().into_iter().chain(others.first());
            if let Some(error) = hellos.find_map(|hello| check(address, hello, dialling.is_cluster).err()) {
                end.report(error.to_string());
                return;
            }
            if answers.get(1).is_some_and(|info| text(info).contains("cluster_state:fail")) {
                end.report(format!("{address} is cut off from its cluster, or the cluster is down"));
                return;
            }
        }
    }
}

/// Checks that the connection for pushes leads to the same server, which takes publications.
async fn check_same(
    address: &Address,
    pushes: &Line,
    dialling: &Dialling,
    run: Option<&String>,
) -> Result<(), EngineError> {
    let mut asked = Pipeline::new();
    asked.cmd("HELLO");
    asked.cmd("INFO").arg("server");
    let answered = pushes.call(&asked, dialling.limit).await.ok_or_else(|| silent(address, dialling.limit))?;
    let answers = answered.map_err(|error| fault::greeting(address, &error))?;
    if let [hello, info] = answers.as_slice() {
        check(address, hello, dialling.is_cluster)?;
        if reply::run(info).as_ref() != run {
            let text = format!(
                "two connections to {address} reached two servers; ropeway needs an address that leads to one, the primary"
            );
            return Err(EngineError::new(EngineFault::Unreachable, text));
        }
    }
    Ok(())
}

/// Asks a node of a cluster which node has which slot.
pub(crate) async fn cluster_slots(address: &Address, dialling: &Dialling) -> Result<Value, EngineError> {
    let line = Line::open(address, dialling, None, &Arc::new(End::new())).await?;
    let mut asked = Pipeline::new();
    asked.cmd("HELLO");
    asked.cmd("CLUSTER").arg("SLOTS");
    let answered = line.call(&asked, dialling.limit).await.ok_or_else(|| silent(address, dialling.limit))?;
    let answers = answered.map_err(|error| fault::greeting(address, &error))?;
    let mut answers = answers.into_iter();
    let hello = answers.next().unwrap_or_default();
    // Any node of the cluster can be asked, also a replica.
    match check(address, &hello, dialling.is_cluster) {
        Err(error) if !is_replica(&hello) => Err(error),
        _ => Ok(answers.next().unwrap_or_default()),
    }
}

/// A connection. It is closed when it is dropped.
pub(crate) struct Line {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    /// The number of pushes that have come. Each is a sign of life.
    heard: Arc<AtomicU64>,
}

impl Line {
    async fn open(
        address: &Address,
        dialling: &Dialling,
        mailbox: Option<Arc<Mailbox>>,
        end: &Arc<End>,
    ) -> Result<Self, EngineError> {
        let stream = dial(address, &dialling.trust, dialling.limit).await?;
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            // One reply alone is awaited, so that a server that refuses the connection and closes it is understood.
            .set_skip_set_lib_name()
            .set_db(address.database.into());
        let in_url =
            address.password.as_ref().map(|password| (address.user.clone().unwrap_or_default(), password.clone()));
        if let Some((user, password)) = dialling.credentials.clone().or(in_url) {
            settings = settings.set_password(password);
            if !user.is_empty() {
                settings = settings.set_username(user);
            }
        }
        // The deadlines are the session's.
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let heard = Arc::<AtomicU64>::default();
        if let Some(mailbox) = mailbox {
            let heard = Arc::clone(&heard);
            config = config.set_push_sender(move |push| {
                heard.fetch_add(1, Ordering::Relaxed);
                mailbox.take(push);
                Ok::<_, redis::aio::SendError>(())
            });
        }
        let connecting = MultiplexedConnection::new_with_config(&settings, stream, config);
        let connected = timeout(dialling.limit, connecting).await.map_err(|_| silent(address, dialling.limit))?;
        let (connection, driver) = connected.map_err(|error| fault::greeting(address, &error))?;
        let end = Arc::clone(end);
        let reason = format!(
            "{address} closed the connection: it has stopped, or has cut this client off, as it does if one reads too \
             slowly (client-output-buffer-limit pubsub)"
        );
        let driver = tokio::spawn(async move {
            driver.await;
            end.report(reason);
        });
        Ok(Self { connection, driver: driver.abort_handle(), heard })
    }

    /// Sends commands, and returns a reply for each, or `None` if the server has said nothing for so long. Errors of the
    /// server are among the replies.
    ///
    /// Cancel safe: the commands may be done nevertheless.
    pub(crate) async fn call(&self, commands: &Pipeline, limit: Duration) -> Option<RedisResult<Vec<Value>>> {
        let mut connection = self.connection.clone();
        let mut replies = pin!(connection.send_packed_commands(commands, 0, commands.len()));
        loop {
            let heard = self.heard.load(Ordering::Relaxed);
            if let Ok(replies) = timeout(limit, &mut replies).await {
                return Some(replies);
            }
            // Replies may be a long way behind messages.
            if self.heard.load(Ordering::Relaxed) == heard {
                return None;
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

/// The server does not answer.
pub(crate) fn silent(address: &Address, limit: Duration) -> EngineError {
    let text = format!("{address} takes connections, but did not answer within {limit:?}; it hangs, or is not Redis");
    EngineError::new(EngineFault::Unreachable, text)
}

fn is_replica(hello: &Value) -> bool {
    let hello = reply::map(hello).unwrap_or_default();
    hello.get("mode").map(text).as_deref() == Some("cluster")
        && hello.get("role").map(text).as_deref() != Some("master")
}

/// Checks the answer to HELLO.
fn check(address: &Address, hello: &Value, is_cluster: bool) -> Result<(), EngineError> {
    let wrong = |text: String| Err(EngineError::new(EngineFault::WrongBroker, text));
    let Some(hello) = reply::map(hello) else {
        return wrong(format!("{address} does not answer HELLO as Redis does"));
    };
    let field = |name: &str| hello.get(name).map(text).unwrap_or_default();
    let major = field("version").split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    match (field("mode").as_str(), field("role").as_str()) {
        ("sentinel", _) => {
            wrong(format!("{address} is a Sentinel; give ropeway the address of the primary that it names"))
        }
        (_, "replica" | "slave") => wrong(format!(
            "{address} is a replica, which takes no publications; give ropeway the address of the primary"
        )),
        ("cluster", _) if !is_cluster => {
            wrong(format!("{address} is a node of a cluster; use `Redis::cluster` instead of `Redis::connect_to`"))
        }
        ("standalone", _) if is_cluster => {
            wrong(format!("{address} is not a node of a cluster; use `Redis::connect_to` instead of `Redis::cluster`"))
        }
        ("cluster", _) if major < 7 => {
            let version = field("version");
            wrong(format!(
                "{address} is Redis {version}, and sharded publish/subscribe came with Redis 7; update the cluster"
            ))
        }
        _ => Ok(()),
    }
}

/// The hard limit for subscribers in `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
fn pubsub_limit(text: &str) -> usize {
    let mut words = text.split_ascii_whitespace().skip_while(|&word| word != "pubsub").skip(1);
    let limit = words.next().and_then(|hard| hard.parse().ok()).unwrap_or(BUFFER_LIMIT);
    // 0 is no limit.
    if limit == 0 { usize::MAX } else { limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_for_subscribers_is_read() {
        let text = |hard| format!("normal 0 0 0 slave 268435456 67108864 60 pubsub {hard} 8388608 60");
        assert_eq!(pubsub_limit(&text("1048576")), 1 << 20);
        assert_eq!(pubsub_limit(&text("0")), usize::MAX);
        assert_eq!(pubsub_limit(""), BUFFER_LIMIT);
    }
}
