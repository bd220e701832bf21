//! Topics with names, which can span machines.

mod arrivals;
mod deliveries;
mod envelope;
mod events;
mod form;
mod member;
mod members;
mod named;
mod outbox;
mod presence;
mod registry;
mod relay;
mod retained;
mod roster;
mod sequence;
mod uplink;

use std::fmt;
use std::sync::Arc;

use ropeway_proto::Message;
use tokio::sync::oneshot;

pub use events::{Events, TopicsEvent};
use form::Form;
pub use form::Publication;
pub use member::{Member, MemberEvent};
pub use members::{MemberEvents, MemberList, Members, Membership};
pub use outbox::OutboxLimits;
use registry::{ByName, Choice, Registry};
use relay::Relay;
use uplink::{Status, Uplink};

use crate::engine::{Engine, EngineError, EngineFault, History, Name, NameError};
use crate::overflow::TopicSettings;
use crate::topic::Topic;

/// Topics with names. A topic is made when its name is first used, and is forgotten when no handle to it is left, nobody
/// hears it, and it keeps no messages.
///
/// Several servers of a process can share them. With an [`Engine`], servers on several machines do: a message that is
/// published on one of them is heard on all. The crates `ropeway-nats` and `ropeway-redis` have engines. A clone is another
/// handle to the same topics.
///
/// ```
/// use ropeway::{Server, Topics};
///
/// # fn example(server: &Server) {
/// let topics = Topics::new();
/// server.on_connection(move |ws, handshake| {
///     let Ok(room) = topics.topic(handshake.path().trim_start_matches('/')) else {
///         return ws.terminate();
///     };
///     ws.subscribe(&room);
///     ws.on_message(move |_, message| {
///         let _ = room.publish(message);
///     });
/// });
/// # }
/// ```
///
/// **The contract.** Without history, each subscriber gets a message at most once, and messages of one publisher on one
/// topic in order. With an engine, the guide's page
/// [What happens when…](crate::guide) says what happens if something fails.
pub struct Topics {
    registry: Arc<Registry>,
}

impl Topics {
    /// Topics in this process alone, without history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to choose settings.
    pub fn builder() -> TopicsBuilder {
        TopicsBuilder::default()
    }

    /// The topic of this name. Any text of at most 255 bytes is a name.
    pub fn topic(&self, name: impl Into<bytestring::ByteString>) -> Result<Topic, NameError> {
        Ok(self.registry.topic(&Name::new(name)?))
    }

    /// The members of the topic of this name.
    pub fn members(&self, name: impl Into<bytestring::ByteString>) -> Result<Members, NameError> {
        let name = Name::new(name)?;
        let (topic, named) = self.registry.topic_and_named(&name);
        Ok(Members::new(topic, named))
    }

    /// The number of topics that are not forgotten.
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether there are no topics.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the engine is up. `true` without an engine.
    pub fn is_up(&self) -> bool {
        self.registry.uplink.as_ref().is_none_or(|uplink| matches!(uplink.status(), Status::Up(_)))
    }

    /// The number of publications that the engine never got, because too much waited for it, or because it refused them.
    pub fn dropped(&self) -> u64 {
        self.registry.uplink.as_ref().map_or(0, |uplink| uplink.outbox().dropped())
    }

    /// Waits until the engine has all that was published before, such as the last words of a program that ends. Returns
    /// `false` if the engine is down and messages wait for it. Cancel safe.
    pub async fn flush(&self) -> bool {
        let Some(uplink) = &self.registry.uplink else { return true };
        uplink
            .wait_for(|| match uplink.status() {
                Status::Down => Some(uplink.outbox().is_empty()),
                Status::Starting | Status::Up(_) => uplink.outbox().is_empty().then_some(true),
            })
            .await
    }

    /// News of the engine from now on. Without an engine there are none.
    pub fn events(&self) -> Events {
        match &self.registry.uplink {
            Some(uplink) => uplink.readers.add(),
            None => events::Readers::default().add(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl Clone for Topics {
    fn clone(&self) -> Self {
        Self::of(&self.registry)
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        self.registry.release();
    }
}

impl Topics {
    fn of(registry: &Arc<Registry>) -> Self {
        registry.hold();
        Self { registry: Arc::clone(registry) }
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("topics", &self.len()).finish_non_exhaustive()
    }
}

/// Settings for [`Topics`].
#[must_use = "call `build`, or `connect` with an engine"]
#[derive(Default)]
pub struct TopicsBuilder {
    form: Form,
    settings: TopicSettings,
    history: Option<History>,
    settings_by_name: Option<ByName<TopicSettings>>,
    history_by_name: Option<ByName<Option<History>>>,
    outbox: OutboxLimits,
}

impl TopicsBuilder {
    /// The settings of all topics.
    pub fn settings(mut self, settings: TopicSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps messages of all topics for subscribers that come back.
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// Chooses the settings of each topic by its name, in place of [`TopicsBuilder::settings`].
    pub fn settings_by_name(mut self, choose: impl Fn(&Name) -> TopicSettings + Send + Sync + 'static) -> Self {
        self.settings_by_name = Some(Box::new(choose));
        self
    }

    /// Chooses how much of each topic is kept by its name, in place of [`TopicsBuilder::history`]. All nodes must choose
    /// the same for a name. It is an error of the application if it chooses history and the engine has none: subscribers
    /// are then told of a gap, and the refusal is an event.
    pub fn history_by_name(mut self, choose: impl Fn(&Name) -> Option<History> + Send + Sync + 'static) -> Self {
        self.history_by_name = Some(Box::new(choose));
        self
    }

    /// Makes the message that subscribers get. It is called once for each publication and node, and so can put the position
    /// into an application's own JSON. It must be quick, and cannot publish.
    pub fn encode(mut self, encode: impl Fn(&Publication<'_>) -> Message + Send + Sync + 'static) -> Self {
        self.form.encode = Some(Box::new(encode));
        self
    }

    /// Makes the message that tells subscribers of a topic that they may have missed messages. It is sent in order with the
    /// topic's other messages. Without it they are not told, and the program learns it from [`Topics::events`] and
    /// [`Topic::listen`].
    pub fn gap_message(mut self, gap: impl Fn(&Name) -> Option<Message> + Send + Sync + 'static) -> Self {
        self.form.gap = Some(Box::new(gap));
        self
    }

    /// The bounds of the messages that are kept while the engine is down.
    pub fn outbox(mut self, limits: OutboxLimits) -> Self {
        self.outbox = limits;
        self
    }

    /// Topics in this process alone.
    pub fn build(self) -> Topics {
        let (registry, _) = self.registry(false);
        Topics::of(&registry)
    }

    /// Topics that span all nodes which use the same engine, once it is connected. It fails if the first attempt to connect
    /// fails. Later the engine may go down and come back, see [`Topics::events`].
    ///
    /// Cancel safe: if it is dropped, nothing is left.
    pub async fn connect(self, engine: impl Engine) -> Result<Topics, EngineError> {
        let (topics, first) = self.begin(Arc::new(engine))?;
        match first.await {
            Ok(connected) => connected.map(|()| topics),
            // The runtime ends.
            Err(_gone) => Err(EngineError::new(EngineFault::Lost, "the runtime has ended")),
        }
    }

    /// As [`TopicsBuilder::connect`], but does not wait: until the engine is connected, publications are
    /// [`Delivery::Offline`](crate::Delivery). Waits for a subscription or [`Topics::flush`] last until the first attempt is
    /// over. It fails only if
    /// the engine lacks something that the settings ask for.
    ///
    /// # Panics
    /// If it is called outside of a tokio runtime.
    pub fn start(self, engine: impl Engine) -> Result<Topics, EngineError> {
        self.begin(Arc::new(engine)).map(|(topics, _)| topics)
    }

    fn begin(
        self,
        engine: Arc<dyn Engine>,
    ) -> Result<(Topics, oneshot::Receiver<Result<(), EngineError>>), EngineError> {
        if self.history.is_some() && !engine.features().history {
            return Err(EngineError::unsupported("history"));
        }
        let (registry, uplink) = self.registry(true);
        let (first, connected) = oneshot::channel();
        let topics = Topics::of(&registry);
        if let Some(uplink) = uplink {
            tokio::spawn(Relay::new(registry, uplink, engine).run(first));
        }
        Ok((topics, connected))
    }

    fn registry(self, has_engine: bool) -> (Arc<Registry>, Option<Arc<Uplink>>) {
        let uplink = has_engine.then(|| Arc::new(Uplink::new(self.outbox)));
        let (settings, history) = (self.settings, self.history);
        let choice = Choice {
            settings: self.settings_by_name.unwrap_or_else(|| Box::new(move |_| settings)),
            history: self.history_by_name.unwrap_or_else(|| Box::new(move |_| history)),
        };
        (Registry::new(self.form, choice, uplink.clone()), uplink)
    }
}

impl fmt::Debug for TopicsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicsBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
