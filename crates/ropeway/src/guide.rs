// Pages link to items of the feature `axum`.
#![cfg_attr(not(feature = "axum"), allow(rustdoc::broken_intra_doc_links))]
// The definitions by which rustdoc finds other pages. They are put before each page, and the first definition of a link
// counts (CommonMark section 4.7). Each page has definitions of its own at its end, for readers of the files.
#![cfg_attr(not(doctest), doc = include_str!("../guide/rustdoc.links"))]
#![doc = include_str!("../guide/README.md")]

/// Pages of the guide as modules. Their code needs these features, so it is tested only if they are on.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[cfg(any(not(doctest), all(feature = "axum", feature = "tls")))]
        #[cfg_attr(not(doctest), doc = include_str!("../guide/rustdoc.links"))]
        #[doc = include_str!($file)]
        pub mod $name {}
    )*};
}

pages! {
    start "../guide/start.md"
    events_and_pull "../guide/events-and-pull.md"
    messages "../guide/messages.md"
    topics "../guide/topics.md"
    more_than_one_server "../guide/more-than-one-server.md"
    what_happens_when "../guide/what-happens-when.md"
    clients "../guide/clients.md"
    axum "../guide/axum.md"
    authentication "../guide/authentication.md"
    backpressure "../guide/backpressure.md"
    keepalive "../guide/keepalive.md"
    memory "../guide/memory.md"
    compression "../guide/compression.md"
    security "../guide/security.md"
    proxies "../guide/proxies.md"
    shutdown "../guide/shutdown.md"
    testing "../guide/testing.md"
    errors "../guide/errors.md"
    watching "../guide/watching.md"
    performance "../guide/performance.md"
    from_ws "../guide/from-ws.md"
    from_axum "../guide/from-axum.md"
    from_tokio_tungstenite "../guide/from-tokio-tungstenite.md"
    from_fastwebsockets "../guide/from-fastwebsockets.md"
}
