//! The task that talks to the engine.
//!
//! ```text
//!             connected            all that is heard is subscribed
//!  ┌─ Down ──────────────► Resubscribing ──────────────► Up ─┐
//!  │   ▲ ▲                     │                             │
//!  │   │ └─ the session ends ──┴─────────────────────────────┘
//!  └───┘ no connection: wait, longer each time
//! ```
//!
//! While the engine is down, publications wait in the outbox. When it is up again, each topic that is heard is told of a
//! gap, unless its history proves that nothing was missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::deliveries::Deliveries;
use super::envelope::{Content, Envelope};
use super::events::TopicsEvent;
use super::members::LIFETIME;
use super::named::{CALL, NamedTopic};
use super::outbox::{Kind, Unheard, Waiting};
use super::registry::Registry;
use super::uplink::{Status, Uplink};
use crate::engine::{Arrival, Engine, EngineError, EngineFault, Inlet, Name, Outgoing, Session, Wanted};
use crate::log::guarded;
use crate::topic::{Table, Topic};

/// The longest wait for a connection with the broker, names and TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// The delays between attempts: at most twice the first after one failure, twice that after the next, and at most the last. The delay is random
/// below that, so that the nodes of a broker that was restarted do not all come at once.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(5);

/// The time for which a topic without an audience stays subscribed: a room that empties and fills, as a page is reloaded,
/// costs the broker nothing.
const LINGER: Duration = Duration::from_secs(5);

/// The most topics that one call subscribes.
const TOPICS_AT_ONCE: usize = 512;

/// The most members that one call stores.
const MEMBERS_AT_ONCE: usize = 512;

/// Arrivals that may wait for the node. If there are more, the engine keeps them or drops them, and says
/// [`Arrival::Missed`].
const ARRIVALS: usize = 1024;

/// The task that talks to the engine.
pub(super) struct Relay {
    registry: Arc<Registry>,
    uplink: Arc<Uplink>,
    engine: Arc<dyn Engine>,
    /// The topics that the session delivers.
    subscribed: HashMap<Name, Subscribed>,
    /// Whether the engine was up or was found down before, so that topics may have missed messages.
    has_promised: bool,
    /// When the members of this node are renewed next, and those of others are looked at.
    next_renewal: Instant,
}

/// A topic that the session delivers.
struct Subscribed {
    /// It keeps the topic while it lingers.
    _topic: Topic,
    table: Arc<Table>,
    named: Arc<NamedTopic>,
    /// If nobody hears the topic: when it is to be unsubscribed.
    until: Option<Instant>,
}

/// The end of a session.
enum End {
    Lost(EngineError),
    /// Neither the application nor a connection can use a topic any more.
    Over,
}

impl Relay {
    pub(super) fn new(registry: Arc<Registry>, uplink: Arc<Uplink>, engine: Arc<dyn Engine>) -> Self {
        Self { registry, uplink, engine, subscribed: HashMap::new(), has_promised: false, next_renewal: Instant::now() }
    }

    /// Connects again and again until neither the application nor a connection can use a topic any more. The result of
    /// the first attempt goes to `first`; if nobody waits for a failure there, it goes on.
    pub(super) async fn run(mut self, first: oneshot::Sender<Result<(), EngineError>>) {
        let mut first = Some(first);
        let mut failures = 0;
        loop {
            let (inlet, arrivals) = Inlet::new(ARRIVALS);
            let error = match self.connect(inlet).await {
                Err(error) => {
                    if let Some(first) = first.take()
                        && !first.is_closed()
                    {
                        let _ = first.send(Err(error));
                        return;
                    }
                    error
                }
                Ok(session) => match self.serve(&session, arrivals, &mut first, &mut failures).await {
                    End::Over => return,
                    End::Lost(error) => error,
                },
            };
            first = None;
            if self.go_down(&error) {
                return;
            }
            failures += 1;
            if self.wait(failures).await {
                return;
            }
        }
    }

    async fn connect(&self, inlet: Inlet) -> Result<Arc<dyn Session>, EngineError> {
        let connecting = timeout(CONNECT, self.engine.connect(inlet));
        connecting.await.unwrap_or_else(|_elapsed| {
            let address = self.engine.address();
            let seconds = CONNECT.as_secs();
            Err(EngineError::new(
                EngineFault::Unreachable,
                format!("{address} did not answer within {seconds} s; check the address, and that the broker runs"),
            ))
        })
    }

    /// Notes that the engine is down. Returns whether nothing is left to do.
    fn go_down(&mut self, error: &EngineError) -> bool {
        let was_down = matches!(self.uplink.status(), Status::Down);
        self.uplink.set_status(Status::Down);
        {
            // Under the lock, so that messages which are published from now on are heard later than these.
            let mut outbox = self.uplink.outbox();
            self.hear_offline(outbox.go_down());
        }
        for topic in self.subscribed.values() {
            topic.named.set_subscribed(false);
        }
        self.subscribed.clear();
        self.has_promised = true;
        if !was_down {
            self.uplink.tell(&TopicsEvent::Down(error.to_string().into()));
            let engine = self.engine.address();
            guarded(|| tracing::warn!(engine, %error, "the engine of topics is down; it is tried again and again"));
        }
        self.is_over()
    }

    /// Whether nothing is left to do while the engine is down: messages that wait keep no topic that nobody can use.
    fn is_over(&self) -> bool {
        if self.registry.is_released() {
            let topics = self.uplink.outbox().let_go();
            drop(topics);
        }
        self.registry.is_over()
    }

    /// Delivers messages on this node that will not come back from the engine, or not soon.
    fn hear_offline(&self, messages: Vec<(u64, Unheard)>) {
        for (number, unheard) in messages {
            if let Some((_, named)) = unheard.table.named().and_then(|named| self.registry.find(named.name())) {
                named.hear_offline(number, &unheard);
            }
        }
    }

    /// Waits before the next attempt. Returns whether nothing is left to do.
    async fn wait(&self, failures: u32) -> bool {
        let most = FIRST_DELAY.saturating_mul(1 << failures.min(16)).min(LAST_DELAY);
        let random = u32::from_be_bytes(crate::random::bytes());
        let delay = sleep(most.mul_f64(f64::from(random) / f64::from(u32::MAX)));
        tokio::pin!(delay);
        loop {
            tokio::select! {
                () = &mut delay => return false,
                // Chores are done when the engine is up.
                () = self.uplink.rung() => if self.is_over() { return true },
            }
        }
    }

    /// Serves a session until it ends.
    async fn serve(
        &mut self,
        session: &Arc<dyn Session>,
        arrivals: mpsc::Receiver<Arrival>,
        first: &mut Option<oneshot::Sender<Result<(), EngineError>>>,
        failures: &mut u32,
    ) -> End {
        let heard = self.registry.heard();
        if let Err(error) = self.subscribe(&**session, heard).await {
            return End::Lost(error);
        }
        // Not earlier: each topic is told of its gap before the first message that comes behind it.
        let deliveries = Deliveries::start(Arc::clone(&self.registry), Arc::clone(&self.uplink), arrivals);
        let end = self.serve_until_lost(session, first, failures).await;
        deliveries.stop().await;
        end
    }

    async fn serve_until_lost(
        &mut self,
        session: &Arc<dyn Session>,
        first: &mut Option<oneshot::Sender<Result<(), EngineError>>>,
        failures: &mut u32,
    ) -> End {
        *failures = 0;
        self.uplink.set_status(Status::Up(Arc::clone(session)));
        self.renew_members();
        self.uplink.outbox().go_up();
        if let Some(first) = first.take() {
            let _ = first.send(Ok(()));
        }
        let engine = self.engine.address();
        guarded(|| tracing::info!(engine, "the engine of topics is up"));
        self.uplink.tell(&TopicsEvent::Up);
        self.tell_losses(true);
        loop {
            if self.registry.is_over() && self.uplink.outbox().next_batch().is_empty() {
                return End::Over;
            }
            if self.next_renewal <= Instant::now() {
                self.renew_members();
            }
            if let Err(error) = self.work(&**session).await {
                return End::Lost(error);
            }
            let lingering = self.subscribed.values().filter_map(|topic| topic.until).min();
            let next = lingering.map_or(self.next_renewal, |until| until.min(self.next_renewal));
            tokio::select! {
                biased;
                error = session.ended() => {
                    let Err(error) = error;
                    return End::Lost(error);
                }
                () = self.uplink.rung() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Does all that there is to do at present.
    async fn work(&mut self, session: &dyn Session) -> Result<(), EngineError> {
        loop {
            let chores = self.uplink.take_chores();
            let mut heard = Vec::new();
            for name in chores.audience {
                let is_heard = self.registry.find(&name).is_some_and(|(table, _)| table.is_heard());
                match self.subscribed.get_mut(&name) {
                    Some(topic) if is_heard => topic.until = None,
                    Some(topic) => topic.until = topic.until.or_else(|| Some(Instant::now() + LINGER)),
                    None if is_heard => heard.push(name),
                    None => {}
                }
            }
            self.subscribe(session, heard).await?;
            self.unsubscribe_unheard(session).await?;
            for name in chores.heal {
                self.heal(session, &name).await?;
            }
            self.store_members(session).await?;
            for name in chores.members {
                self.look_at_members(session, &name).await?;
            }
            let batch = self.uplink.outbox().next_batch();
            if batch.is_empty() {
                return Ok(());
            }
            self.publish(session, &batch).await?;
        }
    }

    async fn publish(&mut self, session: &dyn Session, batch: &[Outgoing]) -> Result<(), EngineError> {
        match call(session, session.publish(batch)).await {
            Ok(()) => {
                self.uplink.outbox().sent();
                self.tell_losses(false);
                self.uplink.note_change();
            }
            Err(error) if error.fault() == EngineFault::Refused => {
                let mut outbox = self.uplink.outbox();
                self.hear_offline(outbox.refused());
                drop(outbox);
                self.tell_refused(&error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Subscribes to topics. If the engine was up before, they may have missed messages.
    async fn subscribe(&mut self, session: &dyn Session, names: Vec<Name>) -> Result<(), EngineError> {
        for names in names.chunks(TOPICS_AT_ONCE) {
            let is_refused = !self.subscribe_together(session, names).await?;
            if is_refused && names.len() > 1 {
                // One that is refused is no reason to go without the others.
                for name in names {
                    self.subscribe_together(session, std::slice::from_ref(name)).await?;
                }
            }
        }
        Ok(())
    }

    /// Subscribes to topics with one call. Returns `false` if the engine refuses.
    async fn subscribe_together(&mut self, session: &dyn Session, names: &[Name]) -> Result<bool, EngineError> {
        let is_late = self.has_promised && !matches!(self.uplink.status(), Status::Up(_));
        let found = names.iter().filter_map(|name| Some((name, self.registry.find(name)?)));
        let topics: Vec<_> = found.map(|(name, (table, named))| (self.registry.topic(name), table, named)).collect();
        let wanted: Vec<_> = topics.iter().map(|(_, _, named)| named.wanted()).collect();
        if wanted.is_empty() {
            return Ok(true);
        }
        if let Err(error) = call(session, session.subscribe(&wanted)).await {
            if error.fault() != EngineFault::Refused {
                return Err(error);
            }
            if let [(_, _, named)] = &topics[..] {
                named.set_refused();
                self.uplink.note_change();
                self.tell_refused(&error);
            }
            return Ok(false);
        }
        for (Wanted { topic: name, history }, (topic, table, named)) in wanted.into_iter().zip(topics) {
            let after = named.end();
            self.subscribed
                .insert(name.clone(), Subscribed { _topic: topic, table, named: Arc::clone(&named), until: None });
            if history.is_some() {
                self.heal(session, &name).await?;
            }
            let was_offline = named.take_told_offline();
            if (is_late || was_offline) && (history.is_none() || after.is_none()) {
                named.tell_gap(&self.subscribed[&name].table);
            }
            named.set_subscribed(true);
        }
        self.uplink.note_change();
        Ok(true)
    }

    async fn unsubscribe_unheard(&mut self, session: &dyn Session) -> Result<(), EngineError> {
        let now = Instant::now();
        let due = self.subscribed.iter().filter(|(_, topic)| topic.until.is_some_and(|until| until <= now));
        let due: Vec<Name> = due.map(|(name, _)| name.clone()).collect();
        let mut unheard = Vec::new();
        for name in due {
            let Some(topic) = self.subscribed.get_mut(&name) else { continue };
            // From now on a new subscriber waits until the topic is subscribed again.
            topic.named.set_subscribed(false);
            if topic.table.is_heard() {
                topic.named.set_subscribed(true);
                topic.until = None;
                self.uplink.note_change();
            } else {
                unheard.push(name);
            }
        }
        for names in unheard.chunks(TOPICS_AT_ONCE) {
            self.tolerate(call(session, session.unsubscribe(names)).await)?;
        }
        for name in unheard {
            self.subscribed.remove(&name);
        }
        Ok(())
    }

    /// Has the engine told of all members of this node again, and asked for those of topics that somebody watches.
    fn renew_members(&mut self) {
        self.next_renewal = Instant::now() + LIFETIME / 3;
        if !self.engine.features().presence {
            return;
        }
        self.uplink.renew_members();
        for (name, topic) in &self.subscribed {
            if topic.named.is_watched() {
                self.uplink.note_members(name);
            }
        }
    }

    /// Tells the engine of members of this node that have joined or left.
    async fn store_members(&mut self, session: &dyn Session) -> Result<(), EngineError> {
        if !self.engine.features().presence {
            return Ok(());
        }
        loop {
            let (joined, left) = self.uplink.take_members(MEMBERS_AT_ONCE);
            if joined.is_empty() && left.is_empty() {
                return Ok(());
            }
            if !joined.is_empty() {
                self.tolerate(call(session, session.join(&joined, LIFETIME)).await)?;
            }
            if !left.is_empty() {
                self.tolerate(call(session, session.leave(&left)).await)?;
            }
        }
    }

    async fn look_at_members(&mut self, session: &dyn Session, name: &Name) -> Result<(), EngineError> {
        if !self.engine.features().presence {
            return Ok(());
        }
        let Some((_, named)) = self.registry.find(name) else { return Ok(()) };
        match call(session, session.members(name)).await {
            Ok(members) => named.note_members(members),
            Err(error) => self.tolerate(Err(error))?,
        }
        Ok(())
    }

    /// Tells of a refusal, and goes on.
    fn tolerate(&self, result: Result<(), EngineError>) -> Result<(), EngineError> {
        match result {
            Err(error) if error.fault() == EngineFault::Refused => {
                self.tell_refused(&error);
                Ok(())
            }
            other => other,
        }
    }

    /// Asks for the messages that a topic with history has missed.
    async fn heal(&mut self, session: &dyn Session, name: &Name) -> Result<(), EngineError> {
        let Some(topic) = self.subscribed.get(name) else { return Ok(()) };
        let Some(history) = topic.named.history() else { return Ok(()) };
        match call(session, session.replay(name, history, topic.named.end())).await {
            Ok(replay) => topic.named.heal(&topic.table, replay),
            Err(error) if matches!(error.fault(), EngineFault::Refused | EngineFault::Unsupported) => {
                topic.named.tell_gap(&topic.table);
                self.tell_refused(&error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Tells other nodes that messages of this node were lost. While the engine is up, that need not wait for the next
    /// message on the topic, which may never come.
    fn tell_losses(&self, is_first: bool) {
        let lost = self.uplink.outbox().losses();
        for name in lost {
            self.tell_loss(&name, is_first);
        }
    }

    /// Tells other nodes that messages of this node on a topic were lost, unless the next message does.
    fn tell_loss(&self, topic: &Name, is_first: bool) {
        let mut outbox = self.uplink.outbox();
        if !outbox.take_loss(topic) {
            return;
        }
        let number = outbox.next_number();
        let envelope =
            Envelope { node: self.uplink.node, number, before: 0, is_after_loss: true, content: Content::Loss };
        // It has its place among the messages, for nodes that are away.
        let history = self.registry.find(topic).and_then(|(_, named)| named.history());
        if is_first && history.is_some() && !outbox.is_empty() {
            // The loss may be older than the messages that wait, or newer, so it is told on both sides of them. The number of
            // the first one says nothing of the messages behind it.
            let first = Envelope { number: 0, ..envelope.clone() };
            outbox.push_first(Waiting::news(Kind::Loss, topic, &first, history));
        }
        outbox.push(Waiting::news(Kind::Loss, topic, &envelope, history));
    }

    fn tell_refused(&self, error: &EngineError) {
        let engine = self.engine.address();
        guarded(|| tracing::warn!(engine, %error, "the engine of topics has refused a call"));
        self.uplink.tell(&TopicsEvent::Refused(error.to_string().into()));
    }
}

/// Calls the engine. The session is over if it does not answer in time.
async fn call<T>(
    session: &dyn Session,
    answer: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::select! {
        answer = timeout(CALL, answer) => answer.unwrap_or_else(|_elapsed| {
            let text = format!("the broker did not answer within {} s", CALL.as_secs());
            Err(EngineError::new(EngineFault::Lost, text))
        }),
        end = session.ended() => match end {
            Err(error) => Err(error),
        },
    }
}
