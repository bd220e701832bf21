#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod dial;
mod end;
mod engine;
mod fault;
mod frame;
mod mailbox;
mod names;
mod reply;
mod scripts;
mod server;
mod session;
mod slots;

pub use engine::Redis;
