//! The topics of `/chat`, `/broadcast` and `/topics`, and their guests: who enters hears the messages, also those that
//! were missed, and is told if servers do not hear each other.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway::{Connection, Delivery, Events, Message, Name, Position, PublishError, Topic, Topics, TopicsEvent};
use tokio::runtime::Handle;

use super::form::{self, Form};

/// The notices of a server whose broker is down, and is back.
const DOWN: &str = "* The broker is down: guests of other servers do not hear this server, and it does not hear them";
const BACK: &str = "* The broker is back: this server and the others hear each other again";

/// The notice for a message that this server alone has heard.
const FULL: &str = "* Too much waits for the broker: guests of other servers do not hear this message";

/// The topics.
#[derive(Clone)]
pub(super) struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    topics: Topics,
    form: Form,
    /// The name of this server among others. `None` without a broker.
    server: Option<String>,
    /// The topics that have guests here, and the number of guests.
    visited: Mutex<HashMap<Name, (Topic, usize)>>,
}

/// A guest's place in a topic.
pub(super) struct Seat {
    topic: Topic,
    name: Name,
}

impl Rooms {
    pub(super) fn new(topics: Topics, form: Form, has_engine: bool) -> Self {
        // It is only a label, so a collision does no harm.
        let server = has_engine.then(|| format!("@{:04x}", RandomState::new().hash_one(0) as u16));
        Self { shared: Arc::new(Shared { topics, form, server, visited: Mutex::default() }) }
    }

    /// The name of this server among others, such as `@4f2a`. `None` without a broker.
    pub(super) fn server(&self) -> Option<&str> {
        self.shared.server.as_deref()
    }

    /// A line for one client, in the form of all lines.
    fn notice(&self, text: &str) -> Message {
        self.shared.form.notice(text)
    }

    /// The topic of this name.
    pub(super) fn topic(&self, name: &Name) -> Topic {
        self.shared.topics.topic(name.as_str()).expect("the name is not too long, since it is a name")
    }

    /// Lets a connection hear a topic, behind a line for it alone. With history, a query such as `after=5f3a-17` gets what
    /// came after that.
    pub(super) fn enter(&self, ws: &mut Connection<'_>, name: Name, query: Option<&str>, line: Option<&str>) -> Seat {
        let topic = self.topic(&name);
        self.visited().entry(name.clone()).or_insert_with(|| (topic.clone(), 0)).1 += 1;
        // Sending fails once the connection closes, and then nobody waits for it.
        for message in self.shared.form.greeting().into_iter().chain(line.map(|line| self.notice(line))) {
            let _ = ws.send(message);
        }
        if self.shared.form.has_history() {
            self.catch_up(ws, topic.clone(), query);
        } else {
            ws.subscribe(&topic);
        }
        // If the broker went down before this guest was counted, `tell_news` has not told the guest.
        if !self.shared.topics.is_up() {
            let _ = ws.send(self.notice(DOWN));
        }
        Seat { topic, name }
    }

    fn catch_up(&self, ws: &mut Connection<'_>, topic: Topic, query: Option<&str>) {
        let after = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("after=")));
        let after = after.map(str::parse::<Position>);
        let client = ws.handle();
        let Ok(runtime) = Handle::try_current() else { return };
        match after {
            Some(Ok(after)) => drop(runtime.spawn(async move {
                let recovery = client.subscribe_from(&topic, after).await;
                let _ = client.send(form::recovered(&recovery));
            })),
            mistaken_or_none => {
                if let Some(Err(error)) = mistaken_or_none {
                    let _ = ws.send(self.notice(&format!("* ?after= was not understood: {error}")));
                }
                let subscribing = ws.subscribe(&topic);
                runtime.spawn(async move {
                    subscribing.await;
                    let _ = client.send(form::begin(topic.position()));
                });
            }
        }
    }

    /// Publishes a connection's message. If it does not reach all servers, the connection is told.
    pub(super) fn publish(&self, ws: &mut Connection<'_>, seat: &Seat, message: impl Into<Message>) {
        let told = match seat.topic.publish(message.into()) {
            Ok(published) if published.engine == Some(Delivery::Full) => self.notice(FULL),
            Err(error @ PublishError::TooLarge { .. }) => self.notice(&format!("* {error}")),
            // There is room for it: a client that is ahead of the others is not read from. While the broker is down,
            // all have been told.
            _ => return,
        };
        let _ = ws.send(told);
    }

    /// Notes that a guest has left.
    pub(super) fn leave(&self, ws: &mut Connection<'_>, seat: &Seat) {
        ws.unsubscribe(&seat.topic);
        let mut visited = self.visited();
        if let Some((_, guests)) = visited.get_mut(&seat.name) {
            *guests -= 1;
            if *guests == 0 {
                visited.remove(&seat.name);
            }
        }
    }

    /// Tells all guests of a broker that goes down or comes back. It never ends while there are topics.
    pub(super) async fn tell_news(self, mut events: Events) {
        // A broker that was away for a moment is told too: each event counts, not only the state at present.
        while let Some(event) = events.next().await {
            let notice = match event {
                TopicsEvent::Up => BACK,
                TopicsEvent::Missing if self.shared.topics.is_up() => BACK,
                TopicsEvent::Down(_) | TopicsEvent::Missing => DOWN,
                // The topic itself tells its guests of a gap, and the library logs refusals.
                _ => continue,
            };
            let notice = self.notice(notice);
            let topics: Vec<Topic> = self.visited().values().map(|(topic, _)| topic.clone()).collect();
            for topic in topics {
                // Without room for this, subscribers are closed or their losses counted.
                let _ = topic.publish_here(notice.clone());
            }
        }
    }

    fn visited(&self) -> MutexGuard<'_, HashMap<Name, (Topic, usize)>> {
        self.shared.visited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
