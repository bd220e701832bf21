//! The example, as a program, on a real redis-server.
#![cfg(unix)]

use std::process::Command;

use testkit::broker::{Broker, REDIS};

#[test]
fn redis_nodes_prints_on_one_node_that_which_the_other_has_published() {
    let broker = Broker::start(REDIS);
    let test = std::env::current_exe().expect("the test program has a path");
    let folder = test.ancestors().nth(2).expect("it is in the folder `deps` of a profile").join("examples");
    let output = Command::new(folder.join("redis_nodes")).arg(format!("redis://{}", broker.address())).output();
    let output = output.expect("`cargo test` builds the examples, `cargo test --test example` does not");
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[0].starts_with("Hello (at ") && lines[0].ends_with("-1)"), "{printed}");
    assert!(lines[1].starts_with("from the other node (at ") && lines[1].ends_with("-2)"), "{printed}");
}
