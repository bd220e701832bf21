//! Bytes lent by the driver: a cursor over what it read, from which pieces are handed out for good.

/// What the driver read from the network, lent to the connection to be unmasked in place.
///
/// Pieces that were taken outlive the cursor's borrow by the connection, so an event can be held while the connection is
/// used. What is left after an event is there for the next [`handle_input`](crate::Connection::handle_input).
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a mut [u8],
    /// Whether nobody has looked at it.
    is_new: bool,
}

impl<'a> Input<'a> {
    /// Lends `bytes`.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes, is_new: true }
    }

    /// What has not been taken yet.
    pub const fn remaining(&self) -> &[u8] {
        self.rest
    }

    /// Whether all was taken.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether this is the first time that somebody asks.
    #[inline]
    pub(crate) fn take_newness(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    /// Takes the next `length` bytes, which must be there.
    pub(crate) fn take(&mut self, length: usize) -> &'a mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(length);
        self.rest = rest;
        taken
    }

    /// Takes all that is left.
    pub(crate) fn take_all(&mut self) -> &'a mut [u8] {
        std::mem::take(&mut self.rest)
    }
}
