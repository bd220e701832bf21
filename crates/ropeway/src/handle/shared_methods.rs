//! The methods of a [`Handle`](crate::Handle) that other views of a connection have too.

/// Writes the methods of a [`Handle`](crate::Handle) that are the same in another view, for a type with a field
/// `handle`.
///
/// This is the one list of them. A macro writes them into each type: a trait would have to be imported by users, and
/// `Deref` would make a view look like a kind of handle.
macro_rules! shared_methods {
    () => {
        /// Queues a part of a message whose whole length need not be known, see
        /// [`Handle::send_fragment`](crate::Handle::send_fragment). Other messages wait for the `last` part.
        pub fn send_fragment(
            &self,
            part: impl Into<ropeway_proto::Message>,
            last: bool,
        ) -> Result<(), ropeway_proto::SendError> {
            self.handle.send_fragment(part, last)
        }

        /// Sends a ping of at most 125 bytes, at once. Await the result for the round-trip time, see
        /// [`Ping`](crate::Ping).
        pub fn ping(&self, payload: impl AsRef<[u8]>) -> crate::handle::Ping {
            self.handle.ping(payload)
        }

        /// Sends a pong of at most 125 bytes. Pings are answered automatically, unless `auto_pong` is off.
        pub fn pong(&self, payload: impl AsRef<[u8]>) -> Result<(), ropeway_proto::SendError> {
            self.handle.pong(payload)
        }

        /// Ends the connection at once, without a closing handshake. The queue is dropped.
        pub fn terminate(&self) {
            self.handle.terminate();
        }

        /// Subscribes the connection to a topic: it is sent all messages that are published there from now on, see
        /// [`Topic`](crate::Topic). Subscribing twice is the same as once. If the topic spans several nodes, await the
        /// result to know how far it reaches.
        pub fn subscribe(&self, topic: &crate::topic::Topic) -> crate::topic::Subscribing {
            self.handle.subscribe(topic)
        }

        /// Sends the connection all messages of a topic that came after a position, and subscribes it, see
        /// [`Handle::subscribe_from`](crate::Handle::subscribe_from).
        pub async fn subscribe_from(
            &self,
            topic: &crate::topic::Topic,
            position: crate::engine::Position,
        ) -> crate::topic::Recovery {
            self.handle.subscribe_from(topic, position).await
        }

        /// Ends the connection's subscription. It is still sent messages that were published before, and none after.
        pub fn unsubscribe(&self, topic: &crate::topic::Topic) {
            self.handle.unsubscribe(topic);
        }

        /// The ready state of the connection, see [`Handle::ready_state`](crate::Handle::ready_state).
        pub fn ready_state(&self) -> ropeway_proto::ReadyState {
            self.handle.ready_state()
        }

        /// The bytes that were sent but not yet accepted by the operating system, see
        /// [`Handle::buffered_amount`](crate::Handle::buffered_amount).
        pub fn buffered_amount(&self) -> usize {
            self.handle.buffered_amount()
        }

        /// The number of messages that the connection was not sent for lack of room, see
        /// [`Handle::dropped`](crate::Handle::dropped).
        pub fn dropped(&self) -> u64 {
            self.handle.dropped()
        }

        /// The address of the peer's end of the transport. If there are proxies, it is that of the last one. `None` if
        /// the transport has no such address.
        pub fn remote_addr(&self) -> Option<std::net::SocketAddr> {
            self.handle.remote_addr()
        }

        /// The number of the connection. No other connection has it.
        pub fn id(&self) -> crate::connection_id::ConnectionId {
            self.handle.id()
        }

        /// Returns a handle to keep, to clone and to send with from anywhere.
        pub fn handle(&self) -> crate::handle::Handle {
            self.handle.clone()
        }
    };
}

pub(crate) use shared_methods;
