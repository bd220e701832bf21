//! The form in which subscribers get a publication: an application can put the position into it, and can tell its clients of
//! gaps.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ropeway_proto::{Message, Prepared};

use crate::engine::{Name, Position};

/// A publication, before it gets the form in which it is sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// The topic.
    pub topic: &'a Name,
    /// The message as it was published.
    pub message: &'a Message,
    /// Its position, if the topic has history and the engine is up.
    pub position: Option<Position>,
}

type Encode = Box<dyn Fn(&Publication<'_>) -> Message + Send + Sync>;
type Gap = Box<dyn Fn(&Name) -> Option<Message> + Send + Sync>;

/// The functions of the application.
#[derive(Default)]
pub(super) struct Form {
    pub(super) encode: Option<Encode>,
    pub(super) gap: Option<Gap>,
}

thread_local! {
    /// Whether a function of the application runs on this thread, under a lock of a topic.
    static IS_ENCODING: Cell<bool> = const { Cell::new(false) };
}

impl Form {
    /// The message as subscribers get it. If the application's function panics, that is the message as it was published.
    pub(super) fn encode(&self, topic: &Name, message: &Prepared, position: Option<Position>) -> Prepared {
        let Some(encode) = &self.encode else { return message.clone() };
        let publication = Publication { topic, message: message.message(), position };
        call(|| Prepared::from(encode(&publication))).unwrap_or_else(|| message.clone())
    }

    /// The message that tells subscribers of a gap, if the application has one.
    pub(super) fn gap(&self, topic: &Name) -> Option<Prepared> {
        let gap = self.gap.as_ref()?;
        call(|| gap(topic)).flatten().map(Prepared::from)
    }
}

/// Whether a function of the application runs on this thread.
pub(super) fn is_encoding() -> bool {
    IS_ENCODING.get()
}

/// Calls a function of the application. The panic hook has reported its panic.
fn call<T>(function: impl FnOnce() -> T) -> Option<T> {
    let was = IS_ENCODING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(function));
    IS_ENCODING.set(was);
    result.ok()
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("encode", &self.encode.is_some()).field("gap", &self.gap.is_some()).finish()
    }
}
