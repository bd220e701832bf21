//! Bodies of the answers that go out through another HTTP server.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use ropeway_proto::Bytes;

/// The body of an answer to an opening handshake: empty for a 101, otherwise the text of a refusal. It is in memory as
/// a whole.
///
/// It is an [`http_body::Body`](HttpBody), so hyper can send it and axum can return it;
/// [`into_bytes`](Body::into_bytes) returns the bytes, for other frameworks.
#[derive(Clone, Debug, Default)]
pub struct Body {
    bytes: Bytes,
    /// Set if this is the body of a 101.
    seen: Option<Seen>,
}

/// The sign that the body of a 101 was looked at: hyper asks it for its end right before it writes the head. A body
/// that was never looked at may have been thrown away with its 101, and another answer sent. Or a layer has changed the
/// body, so it proves nothing alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<AtomicBool>);

pin_project! {
    /// The body of an answer behind a [`Layer`](crate::Layer): the server's own, or that of the service below.
    #[derive(Clone)]
    pub struct AttachedBody<R> {
        #[pin]
        of: Of<R>,
    }
}

pin_project! {
    #[project = OfProjection]
    #[derive(Clone)]
    enum Of<R> {
        Server { body: Body },
        Inner { #[pin] body: R },
    }
}

impl Body {
    /// The body of a 101.
    pub(super) fn of_101(seen: Seen) -> Self {
        Self { bytes: Bytes::new(), seen: Some(seen) }
    }

    /// Returns the bytes of the whole body.
    pub fn into_bytes(self) -> Bytes {
        self.see();
        self.bytes
    }

    fn take(&mut self) -> Option<Bytes> {
        self.see();
        Some(std::mem::take(&mut self.bytes)).filter(|bytes| !bytes.is_empty())
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn see(&self) {
        if let Some(Seen(seen)) = &self.seen {
            seen.store(true, Ordering::Release);
        }
    }
}

impl Seen {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, seen: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.see();
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

impl<R> AttachedBody<R> {
    pub(super) fn server(body: Body) -> Self {
        Self { of: Of::Server { body } }
    }

    pub(super) fn inner(body: R) -> Self {
        Self { of: Of::Inner { body } }
    }
}

impl<R: HttpBody> HttpBody for AttachedBody<R>
where
    R::Data: From<Bytes>,
{
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        match self.project().of.project() {
            OfProjection::Server { body } => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes.into())))),
            OfProjection::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.of {
            Of::Server { body } => body.is_end_stream(),
            Of::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.of {
            Of::Server { body } => body.size_hint(),
            Of::Inner { body } => body.size_hint(),
        }
    }
}

/// An empty body. Layers around this one answer with it, such as those for timeouts and CORS.
impl<R> Default for AttachedBody<R> {
    fn default() -> Self {
        Self::server(Body::default())
    }
}

impl<R> fmt::Debug for AttachedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedBody").finish_non_exhaustive()
    }
}
