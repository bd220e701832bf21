//! Links in every order of two threads, tried by [`loom`]: no thread waits for an event that has happened already. A
//! lost wake-up shows as a deadlock. `cargo xtask loom` runs these models.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::thread;
use ropeway_proto::{CloseFrame, Message, Prepared, ReadyState, SendError};

use super::command::{Asked, Command};
use super::link::Link;
use crate::overflow::{Overflow, TopicSettings};
use crate::topic::{Member, Post};

/// A waker that a thread waits on.
struct Wait(Notify);

impl Wake for Wait {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn wait() -> (Arc<Wait>, Waker) {
    let wait = Arc::new(Wait(Notify::new()));
    (Arc::clone(&wait), Waker::from(wait))
}

/// A link whose connection is driven by this thread.
fn link(max_buffered: usize) -> (Arc<Link>, Arc<Wait>) {
    let link = Arc::new(Link::new(None, max_buffered, Overflow::Refuse));
    let (wait, waker) = wait();
    link.set_task(&waker);
    (link, wait)
}

/// Takes commands and parks, as a connection does, until `count` commands have come.
fn take(link: &Link, wait: &Wait, count: usize) -> Vec<Asked> {
    let mut taken = Vec::new();
    while taken.len() < count {
        if link.has_commands() {
            let mut commands = Vec::new();
            link.take_commands(u64::MAX, &mut commands);
            taken.append(&mut commands);
        } else if link.park(0, ReadyState::Open, false, false) {
            wait.0.wait();
        }
    }
    taken
}

#[test]
fn a_message_wakes_a_connection_that_parks_meanwhile() {
    loom::model(|| {
        let (link, wait) = link(100);
        let handle = Arc::clone(&link);
        let thread = thread::spawn(move || handle.send(Message::from("news")).expect("it is open"));
        assert_eq!(take(&link, &wait, 1).len(), 1);
        thread.join().expect("no panic");
    });
}

#[test]
fn a_close_behind_a_message_comes_behind_it() {
    loom::model(|| {
        let (link, wait) = link(100);
        let handle = Arc::clone(&link);
        let thread = thread::spawn(move || {
            handle.send(Message::from("last")).expect("it is open");
            handle.close(Some(CloseFrame::new(1000, "")));
        });
        let commands: Vec<_> = take(&link, &wait, 2).into_iter().map(|asked| asked.command).collect();
        assert!(matches!(commands[..], [Command::Message(_), Command::Close(Some(_))]), "{commands:?}");
        thread.join().expect("no panic");
    });
}

#[test]
fn a_connection_that_parks_while_it_is_resumed_reads_on() {
    loom::model(|| {
        let (link, wait) = link(100);
        link.pause(true);
        let handle = Arc::clone(&link);
        let thread = thread::spawn(move || handle.pause(false));
        loop {
            let was_unread = link.is_paused();
            if !was_unread {
                break;
            }
            if link.park(0, ReadyState::Open, was_unread, false) {
                wait.0.wait();
            }
        }
        thread.join().expect("no panic");
    });
}

#[test]
fn one_of_two_reasons_not_to_read_does_not_hide_the_other() {
    // Three threads have too many orders to try all of them. This tries those in which at most two of the threads are
    // interrupted.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (link, wait) = link(100);
        link.pause(true);
        link.hold(true);
        let threads = [
            thread::spawn({
                let link = Arc::clone(&link);
                move || link.pause(false)
            }),
            thread::spawn({
                let link = Arc::clone(&link);
                move || link.hold(false)
            }),
        ];
        while link.is_paused() || link.is_held() {
            if link.park(0, ReadyState::Open, true, false) {
                wait.0.wait();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn a_sender_that_waits_for_room_gets_it_though_it_is_made_meanwhile() {
    loom::model(|| {
        let (link, _wait) = link(1);
        link.report(1, ReadyState::Open);
        let handle = Arc::clone(&link);
        let thread = thread::spawn(move || {
            let (wait, waker) = wait();
            let mut message = Some(Message::from("waits"));
            while handle.poll_send(&Context::from_waker(&waker), &mut message).is_pending() {
                wait.0.wait();
            }
            assert!(message.is_none());
        });
        link.report(0, ReadyState::Open);
        thread.join().expect("no panic");
    });
}

/// The queue was full when the connection last reported it, and is written meanwhile.
#[test]
fn a_message_that_begins_to_wait_while_the_connection_parks_is_sent() {
    loom::model(|| {
        let (link, wait) = link(1);
        link.report(1, ReadyState::Open);
        let member = Arc::clone(&link);
        let thread = thread::spawn(move || {
            let settings = TopicSettings::default().overflow(Overflow::DropOldest);
            member.publish(&Post { message: &Prepared::from("news"), key: None, topic: 0, settings })
        });
        loop {
            if link.has_commands() {
                link.take_commands(u64::MAX, &mut Vec::new());
                break;
            }
            if link.has_waiting() && link.take_waiting().is_some() {
                break;
            }
            if link.park(0, ReadyState::Open, false, false) {
                wait.0.wait();
            }
        }
        thread.join().expect("no panic");
    });
}

#[test]
fn tasks_that_await_the_end_or_a_flush_are_told_of_the_end() {
    loom::model(|| {
        let (link, _wait) = link(100);
        link.report(1, ReadyState::Open);
        let handle = Arc::clone(&link);
        let thread = thread::spawn(move || {
            let (wait, waker) = wait();
            let cx = Context::from_waker(&waker);
            let flushed = loop {
                match handle.poll_flushed(&cx) {
                    Poll::Ready(flushed) => break flushed,
                    Poll::Pending => wait.0.wait(),
                }
            };
            assert_eq!(flushed, Err(SendError::NotOpen(ReadyState::Closed)));
            assert!(handle.poll_closed(&cx).is_ready());
        });
        link.end();
        thread.join().expect("no panic");
    });
}
