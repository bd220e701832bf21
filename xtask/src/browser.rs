//! The browser: the page of `ropeway serve` and the examples that have one, in headless Chromium. The tests are in
//! `conformance/browser`. playwright-core drives the browser over its own protocol, without a mouse or a screen.

use std::path::PathBuf;

use anyhow::Result;

use crate::interop::{node_tests, under_test};
use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The page that `ropeway serve` answers `GET /` with.
pub(crate) fn page() -> Step {
    Step::new("browser page", "the page of `ropeway serve` in headless Chromium", |workspace| {
        let screens = workspace.state("screens")?;
        let tests = in_browser(workspace, &["page.test.mjs", "page-looks.test.mjs", "nodes.test.mjs"])?
            .env("SCREENS", &screens)
            .env("ROPEWAY_NATS_SERVER", setup::brokers(workspace)?.nats_server);
        under_test(tests, workspace, "browser-page.log")?.run()?;
        Ok(format!("screenshots in {}", screens.display()))
    })
}

/// The examples that have a page: a chat, and two axum apps, one with listeners and one with the pull API.
pub(crate) fn examples() -> Step {
    Step::new("browser examples", "the examples with a page in headless Chromium", |workspace| {
        let tests = in_browser(workspace, &["examples.test.mjs"])?;
        let examples = ["chat", "axum_listeners", "axum_pull"];
        for example in examples {
            let selection = ["--package", "ropeway", "--features", "axum", "--example", example];
            workspace.build(&selection, &format!("examples/{example}"))?;
        }
        let directory: PathBuf = workspace.profile_directory().join("examples");
        let tests = tests.env("EXAMPLES", directory);
        under_test(tests, workspace, "browser-examples.log")?.run()?;
        Ok(examples.join(", "))
    })
}

/// Tests of `conformance/browser`, with a browser for them.
pub(crate) fn in_browser(workspace: &Workspace, files: &[&str]) -> Result<Program> {
    setup::node(workspace)?;
    let chromium = setup::chromium(workspace)?;
    let directory = workspace.conformance().join("browser");
    let files: Vec<_> = files.iter().map(|file| directory.join(file)).collect();
    Ok(node_tests(&files).env("CHROMIUM", chromium))
}
