//! The facts of a request that stay the same from the application's decision to the open connection.

/// Writes the getters that a request has before and after it was accepted, for a type with the fields `request` and
/// `params`. This is the one list of them.
macro_rules! request_getters {
    () => {
        /// The URI that the client asks for.
        pub fn uri(&self) -> &http::Uri {
            self.request.uri()
        }

        /// The path that the client asks for.
        pub fn path(&self) -> &str {
            self.request.uri().path()
        }

        /// The part of the path in the place of this name in the [route](crate::Server::at), percent-decoded. For the
        /// route `/rooms/{room}` and the path `/rooms/a%2Fb`, the parameter `room` is `a/b`. It is the client's text,
        /// and may contain `/` and `..`.
        pub fn param(&self, name: &str) -> Option<&str> {
            self.params.get(name)
        }

        /// The names and values of all parameters, in the order of the path.
        pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
            self.params.iter()
        }

        /// The request's headers.
        pub fn headers(&self) -> &http::HeaderMap {
            self.request.headers()
        }

        /// The host that the client asks for. It includes what [trusted proxies](crate::ServerBuilder::trusted_proxies)
        /// say.
        pub fn destination(&self) -> Option<ropeway_proto::handshake::Destination> {
            ropeway_proto::handshake::Destination::of(&self.request)
        }
    };
}

pub(super) use request_getters;
