//! The example is started as a program, with a real nats-server.
#![cfg(unix)]

use std::process::Command;

use testkit::broker::{Broker, NATS};

#[test]
fn two_nodes_hears_on_one_what_is_published_on_the_other() {
    let broker = Broker::start(NATS);
    let test = std::env::current_exe().expect("the test program has a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("it is in the folder `deps` of a profile");
    let output = Command::new(profile.join("examples/two_nodes"))
        .arg(format!("nats://{}", broker.address()))
        .output()
        .expect("`cargo test` builds the examples; `cargo test --test example` does not");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let heard: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("heard ")).collect();
    assert_eq!(heard.len(), 3, "{text}");
    for (number, line) in (1..).zip(heard) {
        assert!(line.contains(&format!("message {number}")) && line.contains(&format!("-{number}")), "{text}");
    }
}
