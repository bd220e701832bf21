//! The compressed forms of a message that many connections send, each made once. Which of them a connection takes is its
//! compressor's to say.

use std::iter;
use std::sync::OnceLock;

use bytes::Bytes;

use super::compress::compress;
use super::pool::Shape;

/// The payloads that carry one message, which stands for itself: one for each shape of codec that was asked for.
///
/// They are a list that only grows. Taking one from it takes no lock; whoever comes while it is being made waits for it, which
/// is not longer than making it.
#[derive(Debug, Default)]
pub(crate) struct Precompressed {
    first: OnceLock<Box<Form>>,
}

#[derive(Debug)]
struct Form {
    shape: Shape,
    payload: Bytes,
    next: OnceLock<Box<Form>>,
}

impl Precompressed {
    /// What a codec of this shape makes of the message, which is always the same one.
    pub(super) fn get(&self, shape: Shape, message: &[u8]) -> &Bytes {
        let mut place = &self.first;
        loop {
            let form = place.get_or_init(|| Box::new(Form::new(shape, message)));
            if form.shape == shape {
                return &form.payload;
            }
            place = &form.next;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        iter::successors(self.first.get(), |form| form.next.get()).count()
    }
}

impl Form {
    fn new(shape: Shape, message: &[u8]) -> Self {
        let mut payload = Vec::new();
        compress(shape, &[], message, &mut payload);
        payload.shrink_to_fit();
        Self { shape, payload: payload.into(), next: OnceLock::new() }
    }
}
