// Where rustdoc finds the pages that a page links to. It stands before each page, and the first definition of a link counts
// (CommonMark section 4.7). Each page has definitions of its own at its end, for readers of the files.
#![doc = include_str!("../guide/rustdoc.links")]
#![doc = include_str!("../guide/README.md")]

/// Pages of the guide as modules. Their code needs these features, so it is tested where they are on.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[cfg(any(not(doctest), all(feature = "axum", feature = "tls")))]
        #[doc = include_str!("../guide/rustdoc.links")]
        #[doc = include_str!($file)]
        pub mod $name {}
    )*};
}

pages! {
    events_and_pull "../guide/events-and-pull.md"
    messages "../guide/messages.md"
    topics "../guide/topics.md"
    backpressure "../guide/backpressure.md"
    keepalive "../guide/keepalive.md"
    memory "../guide/memory.md"
    compression "../guide/compression.md"
    security "../guide/security.md"
    proxies "../guide/proxies.md"
    testing "../guide/testing.md"
    errors "../guide/errors.md"
    watching "../guide/watching.md"
    performance "../guide/performance.md"
}
