//! A cursor over the bytes that the driver read and lends to the connection.

/// Bytes that the driver read from the network, lent to the connection to be unmasked in place.
///
/// An event may borrow from the input and be held while the connection is used. The bytes that are left after an event
/// are for the next call of [`handle_input`](crate::Connection::handle_input).
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a mut [u8],
    /// Whether no connection has looked at it yet.
    is_new: bool,
}

impl<'a> Input<'a> {
    /// Lends `bytes`.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes, is_new: true }
    }

    /// The bytes that have not been taken yet.
    pub const fn remaining(&self) -> &[u8] {
        self.rest
    }

    /// Whether all bytes were taken.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns whether this is the first call.
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
