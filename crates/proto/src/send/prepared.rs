//! A message for many connections, and the bytes that they write for it, each form of which is made once. The encoder
//! decides which form a connection writes.

use std::iter;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::queue::SHARE_FROM;
use crate::deflate::{self, Shape};
use crate::frame::{Header, Opcode};
use crate::message::{Message, Payload};

/// A longer message for many connections is not compressed: the first connection to send it would compress all of it in
/// one turn.
pub(super) const MAX_COMPRESSED: usize = 64 * 1024;

/// A message for many connections, which is compressed and framed once for all of them. Cloning it is cheap: clones
/// share everything.
///
/// ```
/// # use ropeway_proto::Prepared;
/// let news = Prepared::from("it rains");
/// assert_eq!(news.message().as_text(), Some("it rains"));
/// ```
///
/// It is compressed when the first connection with compression sends it, and once more for each other window, level or
/// memory level that connections compress with. Since all of them send the same bytes, these do not refer to earlier
/// messages of a connection: context takeover does not make the message shorter. A message of more than 64 KiB is not
/// compressed.
#[derive(Clone, Debug)]
pub struct Prepared {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    message: Message,
    first: OnceLock<Box<Form>>,
}

/// The bytes that connections write for the message: one form is uncompressed, and there is one for each shape of
/// codec.
///
/// The forms are a list that only grows. Reading one takes no lock. A thread that needs a form while another thread
/// makes it waits for that, which takes no longer than making it itself.
#[derive(Debug)]
pub(crate) struct Form {
    /// The shape of the codec that it is compressed with. `None` if it is not compressed.
    shape: Option<Shape>,
    /// The header as servers send it, without a mask, and the payload. If the payload is too long to be copied, the
    /// payload alone.
    bytes: Bytes,
    /// The length of the header in `bytes`, or 0.
    header: usize,
    next: OnceLock<Box<Form>>,
}

impl Prepared {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.shared.message
    }

    /// How many times the message has been compressed so far.
    pub fn compressions(&self) -> usize {
        let forms = iter::successors(self.shared.first.get(), |form| form.next.get());
        forms.filter(|form| form.shape.is_some()).count()
    }

    pub(crate) fn opcode(&self) -> Opcode {
        if self.message().is_text() { Opcode::Text } else { Opcode::Binary }
    }

    /// Returns the form that is compressed with a codec of this shape, or the uncompressed one.
    pub(crate) fn form(&self, shape: Option<Shape>) -> &Form {
        let mut place = &self.shared.first;
        loop {
            let form = place.get_or_init(|| Box::new(self.make(shape)));
            if form.shape == shape {
                return form;
            }
            place = &form.next;
        }
    }

    fn make(&self, shape: Option<Shape>) -> Form {
        let payload = match shape {
            Some(shape) => deflate::compress_alone(shape, self.message().as_bytes()).into(),
            None => self.message().clone().into_bytes(),
        };
        if payload.len() >= SHARE_FROM {
            return Form { shape, bytes: payload, header: 0, next: OnceLock::new() };
        }
        let (opcode, length) = (self.opcode(), payload.len() as u64);
        let mut bytes = Vec::new();
        Header { fin: true, compressed: shape.is_some(), opcode, mask: None, length }.write(&mut bytes);
        let header = bytes.len();
        bytes.extend_from_slice(&payload);
        Form { shape, bytes: bytes.into(), header, next: OnceLock::new() }
    }
}

impl Form {
    /// Returns the whole frame that a server sends. `None` if the payload is long enough to be written without a copy.
    pub(crate) fn frame(&self) -> Option<&[u8]> {
        (self.header > 0).then_some(&self.bytes)
    }

    /// Returns the payload. It is lent if it will be copied anyway: cloning `Bytes` would change a reference count that
    /// all threads share.
    pub(crate) fn payload(&self) -> Payload<'_> {
        if self.header > 0 { Payload::Lent(&self.bytes[self.header..]) } else { Payload::Owned(self.bytes.clone()) }
    }
}

impl<T> From<T> for Prepared
where
    Message: From<T>,
{
    fn from(message: T) -> Self {
        Self { shared: Arc::new(Shared { message: message.into(), first: OnceLock::new() }) }
    }
}
