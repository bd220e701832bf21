//! The prompt, on a terminal that the test controls.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use ropeway::CloseCode;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use crate::server::{echo, start};
use crate::soon::{TOO_LONG, soon};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";

/// A terminal with the program running on it, and its user. Dropping it kills the program.
struct Terminal {
    keys: File,
    screen: Receiver<Vec<u8>>,
    /// Output that no test has looked at yet.
    shown: String,
    program: std::process::Child,
    /// The program's end of the terminal, and the mode that it had before.
    tty: OwnedFd,
    mode: Termios,
}

impl Terminal {
    fn start(state: &str, args: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let mode = tcgetattr(&pty.slave).unwrap();
        let tty = || Stdio::from(pty.slave.try_clone().unwrap());
        let program = Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .arg("connect")
            .args(args)
            .env("XDG_STATE_HOME", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(state))
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(tty())
            .stdout(tty())
            .stderr(tty())
            .spawn()
            .unwrap();
        let keys = File::from(pty.master);
        let mut output = keys.try_clone().unwrap();
        let (show, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = output.read(&mut buffer) {
                if count == 0 || show.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keys, screen, shown: String::new(), program, tty: pty.slave, mode }
    }

    /// Makes the terminal this wide, and notifies the program as a terminal does.
    fn resize(&mut self, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.keys, size).unwrap();
        // The kernel notifies only processes whose controlling terminal it is.
        kill(Pid::from_raw(self.program.id().try_into().unwrap()), Signal::SIGWINCH).unwrap();
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this text is shown.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        loop {
            if let Some(index) = self.shown.find(text) {
                self.shown.drain(..index + text.len());
                return;
            }
            match self.screen.recv_timeout(TOO_LONG) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{error}: {text:?} is not shown, but {:?}", self.shown),
            }
        }
    }

    /// Waits for a text and for the prompt after it. Before the prompt is there, the terminal handles keys in its own
    /// mode, in which Ctrl-D is not a key.
    #[track_caller]
    fn expect_and_prompt(&mut self, text: &str) {
        self.expect(text);
        self.expect("> ");
    }

    #[track_caller]
    fn exit_code(mut self) -> Option<i32> {
        let (tell, told) = channel();
        let id = self.program.id().try_into().unwrap();
        thread::spawn(move || tell.send(self.program.wait()));
        let status = told.recv_timeout(TOO_LONG).unwrap_or_else(|_| {
            kill(Pid::from_raw(id), Signal::SIGKILL).unwrap();
            panic!("the program should have ended");
        });
        status.unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Runs a test on a thread where it may block on the terminal while servers go on.
async fn on_terminal(test: impl FnOnce() + Send + 'static) {
    spawn_blocking(test).await.unwrap();
}

#[tokio::test]
async fn lines_are_sent_and_replies_shown_until_ctrl_d() {
    let url = echo().await;
    on_terminal(move || {
        let mut terminal = Terminal::start("lines", &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press("hello\r");
        terminal.expect_and_prompt("< hello\r\n");
        terminal.press("//one\r");
        terminal.expect_and_prompt("< /one\r\n");
        terminal.press("/binary 00ff\r");
        terminal.expect_and_prompt("< binary, 2 bytes: 00ff\r\n");
        terminal.press("/ping\r");
        terminal.expect_and_prompt("pong ");
        terminal.press(CTRL_D);
        terminal.expect("closed: 1000 (normal closure)\r\n");
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn commands_are_obeyed_and_mistakes_explained() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let url = start(move |mut ws, _| {
        let tell = tell.clone();
        async move {
            assert_eq!(ws.recv().await.unwrap(), None);
            tell.send(ws.outcome().unwrap()).unwrap();
        }
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("commands", &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press("/ping are you there\r");
        terminal.expect_and_prompt("pong \"are you there\" after ");
        terminal.press("/help\r");
        terminal.expect_and_prompt("/close [CODE [REASON]]");
        terminal.press("/nick me\r");
        terminal.expect_and_prompt("error: there is no command /nick");
        terminal.press("/close 1005\r");
        terminal.expect_and_prompt("error: close code 1005 cannot be sent");
        terminal.press("/close 4000 good bye\r");
        terminal.expect("closed: 4000 (private use) \"good bye\"");
        // It is the code that the user asked for.
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
    let closed = soon("the server's word of the end", told.recv()).await.unwrap();
    assert_eq!((closed.code, &*closed.reason), (CloseCode::from(4000), "good bye"));
}

#[tokio::test]
async fn ctrl_c_takes_a_line_away_and_then_ends() {
    let url = echo().await;
    on_terminal(move || {
        let mut terminal = Terminal::start("ctrl-c", &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press("never sent");
        terminal.press(CTRL_C);
        terminal.press("sent\r");
        terminal.expect_and_prompt("< sent\r\n");
        terminal.press(CTRL_C);
        terminal.expect("closed: 1001 (going away)");
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn the_servers_close_ends_a_line_that_is_being_edited() {
    let now = Arc::new(Notify::new());
    let close = Arc::clone(&now);
    let url = start(move |mut ws, _| {
        let close = Arc::clone(&close);
        async move {
            close.notified().await;
            ws.close(1000, "").await.unwrap();
        }
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("close", &[&url]);
        let (tty, mode) = (terminal.tty.try_clone().unwrap(), terminal.mode.clone());
        terminal.expect_and_prompt("connected to ");
        terminal.press("unfinished");
        terminal.expect("unfinished");
        assert_ne!(tcgetattr(&tty).unwrap(), mode);
        now.notify_one();
        terminal.expect("not sent: unfinished\r\n");
        terminal.expect("closed: 1000");
        assert_eq!(terminal.exit_code(), Some(0));
        assert_eq!(tcgetattr(&tty).unwrap(), mode);
    })
    .await;
}

#[tokio::test]
async fn the_last_words_of_a_server_that_closes_are_shown() {
    let url = start(|mut ws, _| async move {
        for number in 0..100 {
            ws.send(format!("word {number}")).await.unwrap();
        }
        ws.close(4001, "enough").await.unwrap();
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("words", &[&url]);
        for number in 0..100 {
            terminal.expect(&format!("< word {number}\r\n"));
        }
        terminal.expect("error: closed: 4001 (private use) \"enough\"");
        assert_eq!(terminal.exit_code(), Some(6));
    })
    .await;
}

#[tokio::test]
async fn a_message_cannot_play_with_the_terminal() {
    let url = start(|mut ws, _| async move {
        ws.send("\x1b]0;owned\x07\nsecond line").await.unwrap();
        ws.recv().await.unwrap();
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("escapes", &[&url]);
        terminal.expect("< \\x1b]0;owned\\x07\r\n  second line\r\n");
        // Before the prompt is there, Ctrl-C has no effect.
        terminal.expect("> ");
        terminal.press(CTRL_D);
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_message_cannot_change_how_other_text_is_read() {
    let url = start(|mut ws, _| async move {
        ws.send("to \u{202e}ecila\u{202c} pay\u{200b}pal").await.unwrap();
        ws.recv().await.unwrap();
        ws.close(4000, "\u{202e}dab\u{3164}").await.unwrap();
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("bidi", &[&url]);
        terminal.expect_and_prompt("< to \\u{202e}ecila\\u{202c} pay\\u{200b}pal\r\n");
        terminal.press("end\r");
        terminal.expect("closed: 4000 (private use) \"\\u{202e}dab\\u{3164}\"\r\n");
        assert_eq!(terminal.exit_code(), Some(6));
    })
    .await;
}

#[tokio::test]
async fn only_the_beginning_of_a_long_message_is_shown_by_default() {
    let url = start(|mut ws, _| async move {
        ws.send("x".repeat(4096) + "tail").await.unwrap();
        ws.send(vec![0xab; 401]).await.unwrap();
        ws.recv().await.unwrap();
    });
    let url = url.await;
    on_terminal(move || {
        let mut terminal = Terminal::start("long", &[&url]);
        terminal.expect("xxx\r\n  and 4 bytes more: -v shows whole messages\r\n");
        terminal.expect("< binary, 401 bytes: abab");
        terminal.expect_and_prompt("abab\r\n  and 1 byte more: -v shows whole messages\r\n");
        terminal.press(CTRL_D);
        assert_eq!(terminal.exit_code(), Some(0));

        let mut terminal = Terminal::start("long", &["-v", &url]);
        terminal.expect("xxxtail\r\n");
        terminal.expect_and_prompt("ababab\r\n");
        terminal.press(CTRL_D);
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

/// A terminal that becomes wider joins the two rows of the line. The editor then clears two rows, counted from the
/// lower one up. So there must be another row below, or a row of other text would be cleared.
#[tokio::test]
async fn a_terminal_that_is_widened_keeps_what_is_above_the_line() {
    let url = echo().await;
    on_terminal(move || {
        let mut terminal = Terminal::start("wider", &[&url]);
        terminal.expect_and_prompt("connected to ");
        let line = "y".repeat(99) + "z";
        terminal.press(&line);
        terminal.expect("z");
        terminal.resize(120);
        // One row down, then the editor's output: each of its two rows is cleared, from below, and the line is drawn
        // again.
        terminal.expect("\n");
        terminal.expect(&format!("\r\x1b[K\x1b[A\r\x1b[K> {line}"));
        terminal.press("\r");
        terminal.expect_and_prompt(&format!("< {line}\r\n"));
        terminal.press(CTRL_D);
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn lines_that_are_not_to_be_kept_are_not_written_anywhere() {
    let url = echo().await;
    on_terminal(move || {
        for (state, args, line) in
            [("no-history", &["--no-history", &*url][..], "secret"), ("blank", &[&*url], " secret")]
        {
            let state = format!("{state}-{}", std::process::id());
            let mut terminal = Terminal::start(&state, args);
            terminal.expect_and_prompt("connected to ");
            terminal.press(&format!("{line}\r"));
            terminal.expect_and_prompt(&format!("< {line}\r\n"));
            terminal.press(CTRL_D);
            assert_eq!(terminal.exit_code(), Some(0));
            let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(state).join("ropeway/history");
            assert!(!std::fs::read_to_string(file).is_ok_and(|kept| kept.contains("secret")), "{args:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unfinished_line_is_in_the_history() {
    let url = start(|mut ws, _| async move {
        ws.recv().await.unwrap();
        ws.close(1000, "").await.unwrap();
    });
    let url = url.await;
    on_terminal(move || {
        let state = format!("unfinished-{}", std::process::id());
        let mut terminal = Terminal::start(&state, &[&url]);
        terminal.expect_and_prompt("connected to ");
        // Both are typed before the server closes.
        terminal.press("over\rhalf of a li");
        terminal.expect("not sent: half of a li\r\n");
        assert_eq!(terminal.exit_code(), Some(0));

        let mut terminal = Terminal::start(&state, &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press(UP);
        terminal.expect("half of a li");
        terminal.press("ne\r");
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn lines_are_remembered_for_the_next_time() {
    let url = echo().await;
    on_terminal(move || {
        let state = format!("history-{}", std::process::id());
        let mut terminal = Terminal::start(&state, &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press("remember me\r");
        terminal.expect_and_prompt("< remember me\r\n");
        terminal.press("/quit\r");
        assert_eq!(terminal.exit_code(), Some(0));

        let mut terminal = Terminal::start(&state, &[&url]);
        terminal.expect_and_prompt("connected to ");
        terminal.press(UP);
        terminal.expect("/quit");
        terminal.press(UP);
        terminal.expect("remember me");
        terminal.press("\r");
        terminal.expect_and_prompt("< remember me\r\n");
        terminal.press(CTRL_D);
        assert_eq!(terminal.exit_code(), Some(0));
    })
    .await;
}
