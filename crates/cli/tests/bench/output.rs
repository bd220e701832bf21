//! Output, written files and exit codes.

use std::path::Path;

use crate::program::{eventually, run};
use crate::server;

#[tokio::test]
async fn people_get_a_table_and_a_histogram_no_wider_than_80_columns() {
    let (url, _) = server::echo().await;
    let text = run(&["echo", &url, "--conns", "4", "-n", "200"]).await.output();
    assert!(text.starts_with(&format!("echo {url}\n4 connections, 1 in flight, 64 bytes binary, ")), "{text}");
    for word in ["messages", "200", "p99.99", "drops", "errors", "█"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[tokio::test]
async fn assertions_decide_the_exit_code() {
    let (url, _) = server::echo().await;
    let run = async |assertions: &[&str]| {
        let asserts = assertions.iter().flat_map(|assertion| ["--assert", assertion]).collect::<Vec<_>>();
        run(&[&["echo", &url, "--conns", "2", "-n", "20", "--json"], &*asserts].concat()).await
    };
    let good = run(&["errors<1", "drops<=0", "p99.9<1000s", "rate>0"]).await;
    assert!(good.json()["assertions"].as_array().unwrap().iter().all(|assertion| assertion["holds"] == true));
    good.output();

    let bad = run(&["errors<1", "max > 1000 s", "rate<=0"]).await;
    let holds: Vec<_> = bad.json()["assertions"].as_array().unwrap().iter().map(|it| it["holds"].clone()).collect();
    assert_eq!(holds, [true, false, false]);
    let said = bad.failure(1);
    assert!(said.contains("max > 1000 s does not hold: max is ") && said.contains("rate<=0 does not hold"), "{said}");
}

#[tokio::test]
async fn an_assertion_that_is_not_understood_is_2_before_anything_is_sent() {
    let (url, seen) = server::echo().await;
    let said = run(&["echo", &url, "--assert", "p95<5ms"]).await.failure(2);
    assert!(said.contains("no metric \"p95\"") && said.contains("p99<5ms"), "{said}");
    assert_eq!(seen.opened.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_histogram_is_written_as_svg() {
    let (url, _) = server::echo().await;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("echo.svg");
    run(&["echo", &url, "--conns", "2", "-n", "50", "--svg", file.to_str().unwrap()]).await.output();
    let text = std::fs::read_to_string(&file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");

    let said = run(&["echo", &url, "--conns", "1", "-n", "1", "--svg", "/does/not/exist.svg"]).await.failure(1);
    assert!(said.contains("/does/not/exist.svg cannot be written"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_a_run_early_and_the_result_is_printed() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::sync::atomic::Ordering;

    let (url, seen) = server::echo().await;
    let args = ["echo", &url, "--conns", "2", "--secs", "100", "--warmup", "0", "--json"];
    let child = crate::program::command(&args).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    eventually("a run that is under way", || seen.messages.load(Ordering::Relaxed) >= 100).await;
    kill(pid, Signal::SIGINT).unwrap();
    let outcome = crate::program::finish(child.wait_with_output()).await;
    let result = outcome.json();
    assert_eq!((outcome.code, &result["interrupted"]), (Some(0), &true.into()), "{outcome:?}");
    assert!(result["count"].as_u64().unwrap() > 0, "{result}");
    assert_eq!(result["drops"], 0);
    assert_eq!(seen.closed.load(Ordering::Relaxed), 2);
}
