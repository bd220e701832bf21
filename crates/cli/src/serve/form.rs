//! The form of the messages on `/chat`, `/broadcast` and `/topics`. Without history it is the message as it was
//! published. With history it is JSON, so that clients learn the position of each message.

use std::num::NonZero;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ropeway::{Message, Position, Publication, Recovery, TopicsBuilder};
use serde_json::{Map, Value};

/// The notice that messages may be missing.
const GAP: &str = "* Messages of other servers may be missing here";

/// The form of messages.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The number of messages that are kept. `None` without history.
    history: Option<NonZero<u32>>,
}

impl Form {
    pub(super) fn new(history: Option<NonZero<u32>>) -> Self {
        Self { history }
    }

    pub(super) fn has_history(self) -> bool {
        self.history.is_some()
    }

    /// Has publications sent in this form.
    pub(super) fn set(self, builder: TopicsBuilder) -> TopicsBuilder {
        let builder = builder.gap_message(move |_| Some(self.gap()));
        if self.has_history() { builder.encode(publication) } else { builder }
    }

    /// A line that is sent to one client, or by one server to its own clients.
    pub(super) fn notice(self, text: &str) -> Message {
        if self.has_history() { object([("text", text.into())]) } else { text.into() }
    }

    fn gap(self) -> Message {
        if self.has_history() { object([("text", GAP.into()), ("gap", true.into())]) } else { GAP.into() }
    }

    /// The first message of a client, if there is history.
    pub(super) fn greeting(self) -> Option<Message> {
        Some(object([("history", self.history?.get().into())]))
    }
}

/// The message that says from which position on a client hears all messages.
pub(super) fn begin(position: Option<Position>) -> Message {
    object([("position", position.map_or(Value::Null, |position| position.to_string().into()))])
}

/// The message behind those that a client has missed.
pub(super) fn recovered(recovery: &Recovery) -> Message {
    let position = recovery.position.map_or(Value::Null, |position| position.to_string().into());
    object([("recovered", recovery.recovered.into()), ("replayed", recovery.replayed.into()), ("position", position)])
}

/// A publication with its position. While the broker is down it has none.
fn publication(publication: &Publication<'_>) -> Message {
    let mut fields = Map::new();
    if let Some(position) = publication.position {
        fields.insert("position".to_owned(), position.to_string().into());
    }
    match publication.message {
        Message::Text(text) => fields.insert("text".to_owned(), Value::from(&**text)),
        Message::Binary(bytes) => fields.insert("base64".to_owned(), BASE64_STANDARD.encode(bytes).into()),
    };
    Message::from(Value::Object(fields).to_string())
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Message {
    let fields: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Message::from(Value::Object(fields).to_string())
}
