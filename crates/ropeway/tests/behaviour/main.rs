//! The behaviour of the tokio layer, one topic a file. All are one test program, so that it is linked once.

// Times of tests are constants, and the larger one comes first.
#![allow(clippy::unchecked_time_subtraction)]

/// How late a deadline may come. It is never late if a connection is a task of its own.
const LATE: std::time::Duration = std::time::Duration::ZERO;

mod abandoned;
#[cfg(feature = "axum")]
mod attach;
mod authorize;
mod broker;
mod client;
mod closing;
#[cfg(feature = "tls")]
mod connecting;
mod crowds;
mod event_loop;
mod eventually;
#[cfg(feature = "axum")]
mod extractor;
mod flood;
mod fragments;
mod half_close;
mod handshake;
mod handshake_rows;
mod houses;
mod keepalive;
mod logs;
mod members;
mod nodes;
mod panics;
mod paths;
mod pausing;
mod pings;
mod proxies;
mod publishing;
mod receiving;
mod recovery;
mod reentrance;
mod rows;
mod script;
mod sending;
mod settings;
mod shutdown;
mod slow_subscribers;
mod threads;
#[cfg(feature = "tls")]
mod tls;
mod topic_order;
mod topics;
mod turns;
mod wire;
