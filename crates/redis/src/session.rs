//! A session: the servers, and what a node asks of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use redis::{Cmd, Pipeline, Value};
use ropeway::engine::{
    EngineError, EngineFault, EngineFuture, History, Name, Outgoing, Position, Presence, Replay, Session, Wanted,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::end::End;
use crate::fault::{self, Refusal};
use crate::frame;
use crate::mailbox::Mailbox;
use crate::names::{Key, Names};
use crate::scripts::{self, Invocation, Script};
use crate::server::{Line, Server, silent};
use crate::slots::Slots;

/// Subscribing is done in parts, so that each is answered well before the deadline.
const PART: usize = 1000;

/// While a cluster moves a slot, a call is repeated after this time.
const MOVING: Duration = Duration::from_millis(50);

/// Histories are renewed at most this often.
const RENEWAL: Duration = Duration::from_secs(1);

/// A connection to Redis, or to all primaries of a cluster.
#[derive(Debug)]
pub(crate) struct RedisSession {
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) slots: Slots,
    pub(crate) is_cluster: bool,
    pub(crate) names: Names,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) end: Arc<End>,
    /// It is closed when nothing more is passed on.
    pub(crate) passing_on: watch::Receiver<()>,
    /// The deadline of a call.
    pub(crate) limit: Duration,
    /// The end of a history is known for this time longer than its messages.
    pub(crate) memory: Duration,
    /// The histories of topics that are subscribed.
    pub(crate) histories: Mutex<HashMap<Name, History>>,
    /// They are ended with the session.
    pub(crate) _tasks: JoinSet<()>,
}

/// A command for a server.
struct Job {
    form: Form,
    what: &'static str,
}

enum Form {
    Command(Cmd),
    Script(Invocation, bool),
}

impl Job {
    /// The command. If it is not to be repeated, a message in it is not copied.
    fn command(&mut self, may_repeat: bool) -> Cmd {
        match &mut self.form {
            Form::Command(command) if !may_repeat => std::mem::take(command),
            Form::Command(command) => command.clone(),
            Form::Script(invocation, false) => invocation.by_hash(),
            Form::Script(invocation, true) => invocation.by_text(),
        }
    }
}

impl RedisSession {
    fn lost(&self, reason: &str) -> EngineError {
        self.end.report(reason);
        self.end.error().unwrap_or_else(|| EngineError::new(EngineFault::Lost, reason))
    }

    /// Fails if the session has ended.
    fn go_on(&self) -> Result<(), EngineError> {
        self.end.error().map_or(Ok(()), Err)
    }

    /// Sends commands over a connection, and returns a reply for each.
    async fn call(&self, server: &Server, line: &Line, commands: &Pipeline) -> Result<Vec<Value>, EngineError> {
        let answered = line.call(commands, self.limit).await;
        // Replies count only in a session that goes on: an unexpected push may have taken the place of one.
        self.go_on()?;
        match answered {
            Some(Ok(replies)) => Ok(replies),
            Some(Err(error)) => Err(self.lost(&format!("the connection to {} was lost: {error}", server.address))),
            None => Err(self.lost(&silent(&server.address, self.limit).to_string())),
        }
    }

    /// Does jobs on a server in this order, and returns their replies. Jobs of one topic must be one job if their order
    /// counts, since some may have to be repeated. All are done, also if one is refused.
    async fn work(&self, server: &Server, line: &Line, mut jobs: Vec<Job>) -> Result<Vec<Value>, EngineError> {
        self.go_on()?;
        let mut done = vec![Value::Nil; jobs.len()];
        let mut open: Vec<usize> = (0..jobs.len()).collect();
        let mut refused = None;
        // Less than the caller's deadline, so that this is an answer, and not the end of the session.
        let deadline = Instant::now() + self.limit / 2;
        while !open.is_empty() {
            let mut pipeline = Pipeline::with_capacity(open.len());
            for &place in &open {
                pipeline.add_command(jobs[place].command(self.is_cluster));
            }
            let replies = self.call(server, line, &pipeline).await?;
            let (mut again, mut is_moving) = (Vec::new(), false);
            for (place, reply) in open.into_iter().zip(replies) {
                let Value::ServerError(error) = reply else {
                    done[place] = reply;
                    continue;
                };
                let job = &mut jobs[place];
                match (fault::refusal(&server.address, job.what, &error), &mut job.form) {
                    (Refusal::UnknownScript, Form::Script(_, by_text @ false)) => {
                        *by_text = true;
                        again.push(place);
                    }
                    (Refusal::Moving, _) if self.is_cluster && Instant::now() < deadline => {
                        is_moving = true;
                        again.push(place);
                    }
                    (Refusal::Refused(error), _) => refused = refused.or(Some(error)),
                    (Refusal::Fatal(reason), _) => return Err(self.lost(&reason)),
                    (Refusal::UnknownScript | Refusal::Moving, _) => {
                        let text =
                            format!("{} refused {}: {error}; the cluster moves the slot", server.address, job.what);
                        refused = refused.or(Some(EngineError::new(EngineFault::Refused, text)));
                    }
                }
            }
            if is_moving {
                sleep(MOVING).await;
            }
            open = again;
        }
        refused.map_or(Ok(done), Err)
    }

    /// Does the jobs of each server. All are done, also if one is refused.
    async fn work_on_all(&self, jobs: Vec<Vec<Job>>) -> Result<(), EngineError> {
        let working = self.servers.iter().zip(jobs).filter(|(_, jobs)| !jobs.is_empty());
        let worked = join_all(working.map(|(server, jobs)| self.work(server, &server.commands, jobs))).await;
        first_error(worked.into_iter().filter_map(Result::err))
    }

    /// Calls a script for one topic.
    async fn run(&self, topic: &Name, what: &'static str, invocation: Invocation) -> Result<Value, EngineError> {
        let server = &self.servers[self.slots.owner(&self.names.channel(topic))];
        let jobs = vec![Job { form: Form::Script(invocation, false), what }];
        let replies = self.work(server, &server.commands, jobs).await?;
        Ok(replies.into_iter().next().unwrap_or_default())
    }

    /// A call of a history's script, with the arguments that all of them have.
    fn of_history(
        &self,
        server: &Server,
        script: &'static Script,
        topic: &Name,
        history: History,
    ) -> Result<Invocation, EngineError> {
        let Some(run) = &server.run else {
            let text = format!(
                "{} does not allow this user the command INFO, without which there is no history: a position must not be \
                 taken for one of another run of the server; allow it (ACL SETUSER name +info), or see `Redis::durable`",
                server.address
            );
            return Err(EngineError::new(EngineFault::Refused, text));
        };
        let epoch = getrandom::u64().map_err(|error| {
            let text = "the operating system has no random numbers, of which the number of a history is made";
            EngineError::new(EngineFault::Refused, text).with_source(error.to_string())
        })?;
        let mut keys = vec![self.names.key(topic, Key::Stream), self.names.key(topic, Key::History)];
        keys.push(self.names.channel(topic));
        let mut invocation = Invocation::new(script, keys);
        invocation.push(run.as_str());
        invocation.push(format!("{epoch:x}"));
        invocation.push(history.count().to_string());
        invocation.push(milliseconds(history.time()).to_string());
        invocation.push(self.milliseconds_to_remember(history).to_string());
        Ok(invocation)
    }

    async fn publish_all(&self, batch: &[Outgoing]) -> Result<(), EngineError> {
        self.go_on()?;
        let max = self.max_message().unwrap_or(usize::MAX);
        let publish = if self.is_cluster { "SPUBLISH" } else { "PUBLISH" };
        let mut refused = None;
        let mut jobs: Vec<Vec<Job>> = self.servers.iter().map(|_| Vec::new()).collect();
        // The call of each topic with history that the topic's next message joins.
        let mut calls: HashMap<&Name, (History, usize)> = HashMap::new();
        for Outgoing { topic, body, history } in batch {
            if body.len() > max {
                refused = refused.or(Some(too_long(body.len(), max)));
                continue;
            }
            let channel = self.names.channel(topic);
            let owner = self.slots.owner(&channel);
            let jobs = &mut jobs[owner];
            let Some(history) = *history else {
                calls.remove(topic);
                let mut command = redis::cmd(publish);
                command.arg(channel).arg(frame::plain(body));
                jobs.push(Job { form: Form::Command(command), what: "a publication" });
                continue;
            };
            let place = match calls.get(topic) {
                Some(&(same, place)) if same == history => place,
                _ => {
                    let mut invocation = self.of_history(&self.servers[owner], &scripts::PUBLISH, topic, history)?;
                    invocation.push(publish);
                    jobs.push(Job { form: Form::Script(invocation, false), what: "a publication with history" });
                    calls.insert(topic, (history, jobs.len() - 1));
                    jobs.len() - 1
                }
            };
            if let Form::Script(invocation, _) = &mut jobs[place].form {
                invocation.push(&**body);
            }
        }
        let worked = self.work_on_all(jobs).await;
        first_error(worked.err().into_iter().chain(refused))
    }

    /// Sends a command with a channel for each topic over the connections for subscriptions.
    async fn for_channels(
        &self,
        command: &'static str,
        what: &'static str,
        topics: impl Iterator<Item = &Name>,
    ) -> Result<(), EngineError> {
        self.go_on()?;
        let mut channels: Vec<Vec<String>> = self.servers.iter().map(|_| Vec::new()).collect();
        for topic in topics {
            let channel = self.names.channel(topic);
            channels[self.slots.owner(&channel)].push(channel);
        }
        let working = self.servers.iter().zip(channels).map(|(server, channels)| async move {
            let mut refused = None;
            for part in channels.chunks(PART) {
                let job = |channel: &String| {
                    let mut command = redis::cmd(command);
                    command.arg(channel);
                    Job { form: Form::Command(command), what }
                };
                match self.work(server, &server.pushes, part.iter().map(job).collect()).await {
                    Err(error) if error.fault() == EngineFault::Refused => refused = refused.or(Some(error)),
                    done => drop(done?),
                }
            }
            refused.map_or(Ok(()), Err)
        });
        first_error(join_all(working).await.into_iter().filter_map(Result::err))
    }

    /// Renews the time for which the ends of the histories are known that this node has subscribed to. Otherwise the first
    /// message after a long silence would begin another history, and its subscribers would be told of a gap.
    async fn renew_histories(&self) -> Result<(), EngineError> {
        let mut jobs: Vec<Vec<Job>> = self.servers.iter().map(|_| Vec::new()).collect();
        for (topic, history) in &*self.histories() {
            let mut command = redis::cmd("PEXPIRE");
            command.arg(self.names.key(topic, Key::History)).arg(self.milliseconds_to_remember(*history));
            let job = Job { form: Form::Command(command), what: "more time for the end of a history" };
            jobs[self.slots.owner(&self.names.channel(topic))].push(job);
        }
        for (server, mut jobs) in self.servers.iter().zip(jobs) {
            while !jobs.is_empty() {
                let rest = jobs.split_off(jobs.len().min(PART));
                self.work(server, &server.commands, jobs).await?;
                jobs = rest;
            }
        }
        Ok(())
    }

    fn milliseconds_to_remember(&self, history: History) -> u64 {
        milliseconds(history.time().saturating_add(self.memory))
    }

    fn forget_histories(&self, topics: &[Name]) {
        let mut histories = self.histories();
        for topic in topics {
            histories.remove(topic);
        }
    }

    fn histories(&self) -> MutexGuard<'_, HashMap<Name, History>> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_history(
        &self,
        topic: &Name,
        history: History,
        after: Option<Position>,
    ) -> Result<Replay, EngineError> {
        let server = &self.servers[self.slots.owner(&self.names.channel(topic))];
        let mut invocation = self.of_history(server, &scripts::REPLAY, topic, history)?;
        if let Some(after) = after {
            invocation.push(format!("{:x}", after.epoch));
            invocation.push(after.offset.to_string());
        }
        let reply = self.run(topic, "the history of a topic", invocation).await?;
        read_replay(reply, after).ok_or_else(|| unreadable(server))
    }

    /// Calls a script once for each topic of these members.
    async fn for_members(
        &self,
        members: &[Presence],
        call: impl Fn(&Name) -> Invocation,
        add: impl Fn(&mut Invocation, &Presence),
    ) -> Result<(), EngineError> {
        self.go_on()?;
        let mut calls: HashMap<&Name, Invocation> = HashMap::new();
        for member in members {
            add(calls.entry(&member.topic).or_insert_with(|| call(&member.topic)), member);
        }
        let mut jobs: Vec<Vec<Job>> = self.servers.iter().map(|_| Vec::new()).collect();
        for (topic, invocation) in calls {
            let form = Form::Script(invocation, false);
            jobs[self.slots.owner(&self.names.channel(topic))].push(Job { form, what: "the members of a topic" });
        }
        self.work_on_all(jobs).await
    }

    fn of_members(&self, script: &'static Script, topic: &Name) -> Invocation {
        let keys = vec![self.names.key(topic, Key::Members), self.names.key(topic, Key::Lifetimes)];
        Invocation::new(script, keys)
    }
}

/// Times are at most this many milliseconds (some 300 years), so that a date with one added is exact in Lua.
const LONGEST: u64 = 10_000_000_000_000;

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST)
}

/// Renews histories of a session from time to time, as long as there is one.
pub(crate) async fn renew(session: Weak<RedisSession>) {
    loop {
        let Some(third) = session.upgrade().map(|session| session.memory / 3) else { return };
        sleep(third.max(RENEWAL)).await;
        let Some(session) = session.upgrade() else { return };
        if let Err(error) = session.renew_histories().await {
            tracing::warn!(%error, "the ends of histories could not be given more time");
        }
    }
}

impl Session for RedisSession {
    fn publish<'a>(&'a self, batch: &'a [Outgoing]) -> EngineFuture<'a, ()> {
        Box::pin(self.publish_all(batch))
    }

    fn subscribe<'a>(&'a self, topics: &'a [Wanted]) -> EngineFuture<'a, ()> {
        Box::pin(async {
            let command = if self.is_cluster { "SSUBSCRIBE" } else { "SUBSCRIBE" };
            let names = topics.iter().map(|wanted| &wanted.topic);
            self.mailbox.expect_staying(names.clone().map(|topic| self.names.channel(topic)));
            self.for_channels(command, "a subscription", names).await?;
            let with_history = topics.iter().filter_map(|wanted| Some((wanted.topic.clone(), wanted.history?)));
            self.histories().extend(with_history);
            Ok(())
        })
    }

    fn unsubscribe<'a>(&'a self, topics: &'a [Name]) -> EngineFuture<'a, ()> {
        Box::pin(async {
            let command = if self.is_cluster { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" };
            if self.is_cluster {
                self.mailbox.expect_leaving(topics.iter().map(|topic| self.names.channel(topic)));
            }
            self.forget_histories(topics);
            self.for_channels(command, "the end of a subscription", topics.iter()).await
        })
    }

    fn ended(&self) -> EngineFuture<'_, Infallible> {
        Box::pin(async {
            self.end.wait().await;
            // It is an error as soon as the sender is gone.
            while self.passing_on.clone().changed().await.is_ok() {}
            Err(self.lost("the session has ended"))
        })
    }

    fn max_message(&self) -> Option<usize> {
        self.servers.iter().map(|server| server.max_message).min()
    }

    fn replay<'a>(&'a self, topic: &'a Name, history: History, after: Option<Position>) -> EngineFuture<'a, Replay> {
        Box::pin(self.read_history(topic, history, after))
    }

    fn join<'a>(&'a self, members: &'a [Presence], lifetime: Duration) -> EngineFuture<'a, ()> {
        let lifetime = milliseconds(lifetime).to_string();
        let call = move |topic: &Name| {
            let mut invocation = self.of_members(&scripts::JOIN, topic);
            invocation.push(lifetime.as_str());
            invocation
        };
        Box::pin(self.for_members(members, call, |invocation, member| {
            invocation.push(member.key.as_str());
            invocation.push(&*member.value);
        }))
    }

    fn leave<'a>(&'a self, members: &'a [Presence]) -> EngineFuture<'a, ()> {
        let call = |topic: &Name| self.of_members(&scripts::LEAVE, topic);
        Box::pin(self.for_members(members, call, |invocation, member| invocation.push(member.key.as_str())))
    }

    fn members<'a>(&'a self, topic: &'a Name) -> EngineFuture<'a, Vec<Presence>> {
        Box::pin(async {
            let invocation = self.of_members(&scripts::MEMBERS, topic);
            let reply = self.run(topic, "the members of a topic", invocation).await?;
            let server = &self.servers[self.slots.owner(&self.names.channel(topic))];
            read_members(reply, topic).ok_or_else(|| unreadable(server))
        })
    }
}

/// The first error. An end of the session goes before refusals.
fn first_error(errors: impl Iterator<Item = EngineError>) -> Result<(), EngineError> {
    errors.min_by_key(|error| error.fault() == EngineFault::Refused).map_or(Ok(()), Err)
}

fn too_long(length: usize, max: usize) -> EngineError {
    let text = format!(
        "a message of {length} bytes is longer than the {max} bytes that Redis takes and passes on; send less, or raise \
         proto-max-bulk-len and client-output-buffer-limit pubsub there"
    );
    EngineError::new(EngineFault::Refused, text)
}

fn unreadable(server: &Server) -> EngineError {
    let text =
        format!("{} answered a script as it never does; is there something between it and ropeway?", server.address);
    EngineError::new(EngineFault::Refused, text)
}

/// Reads the reply of `replay.lua`: epoch, last offset, whether it is complete, and the messages.
fn read_replay(reply: Value, after: Option<Position>) -> Option<Replay> {
    let Value::Array(reply) = reply else { return None };
    let mut reply = reply.into_iter();
    let (Value::BulkString(epoch), Value::BulkString(last)) = (reply.next()?, reply.next()?) else { return None };
    let epoch = u64::from_str_radix(std::str::from_utf8(&epoch).ok()?, 16).ok()?;
    let end = Position::new(epoch, std::str::from_utf8(&last).ok()?.parse().ok()?);
    let is_complete = reply.next()? == Value::Int(1);
    let mut messages = Vec::with_capacity(reply.len());
    for (body, before) in reply.zip(after.map_or(0, |after| after.offset)..) {
        let Value::BulkString(body) = body else { return None };
        messages.push((Position::new(epoch, before + 1), Bytes::from(body)));
    }
    Some(Replay { is_complete, messages, end })
}

/// Reads the reply of `members.lua`: keys and values.
fn read_members(reply: Value, topic: &Name) -> Option<Vec<Presence>> {
    let Value::Array(reply) = reply else { return None };
    let mut members = Vec::with_capacity(reply.len() / 2);
    let mut reply = reply.into_iter();
    while let (Some(key), Some(value)) = (reply.next(), reply.next()) {
        let (Value::BulkString(key), Value::BulkString(value)) = (key, value) else { return None };
        members.push(Presence { topic: topic.clone(), key: String::from_utf8(key).ok()?, value: value.into() });
    }
    Some(members)
}
