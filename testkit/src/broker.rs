//! A real broker for tests: a program on a free port in a folder of its own. It is ended when it is dropped.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A broker has this long to accept connections after its start. It takes some 50 ms on an idle machine.
const START: Duration = Duration::from_secs(20);

/// A program that can be a broker.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The name of the program.
    pub program: &'static str,
    /// The environment variable that names its path.
    pub variable: &'static str,
    /// The arguments, for a port and a folder that is empty at first and stays over restarts.
    pub arguments: fn(port: u16, folder: &Path) -> Vec<OsString>,
    /// Asks a broker that accepts whether it does its work, or is still reading its data.
    pub is_ready: fn(TcpStream) -> bool,
}

/// `nats-server` with JetStream. Its further settings are in the file `nats.conf` of the folder.
pub const NATS: Kind = Kind {
    program: "nats-server",
    variable: "ROPEWAY_NATS_SERVER",
    arguments: |port, folder| {
        let settings = folder.join("nats.conf");
        vec![
            "--addr".into(),
            "127.0.0.1".into(),
            "--port".into(),
            port.to_string().into(),
            "--jetstream".into(),
            "--store_dir".into(),
            folder.join("data").into(),
            "--config".into(),
            settings.into(),
        ]
    },
    is_ready: |_| true,
};

/// `redis-server` with an append-only file, so that what it has acknowledged is there after a kill. Its further settings
/// are in the file `redis.conf` of the folder.
pub const REDIS: Kind = Kind {
    program: "redis-server",
    variable: "ROPEWAY_REDIS_SERVER",
    arguments: |port, folder| {
        let mut arguments: Vec<OsString> = vec![folder.join("redis.conf").into()];
        let port = port.to_string();
        let rest = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes", "--dir"];
        arguments.extend(rest.map(OsString::from));
        arguments.push(folder.join("data").into());
        arguments
    },
    is_ready: |mut stream| {
        let mut answer = [0; 64];
        let asked = stream.set_read_timeout(Some(Duration::from_secs(1))).and_then(|()| stream.write_all(b"PING\r\n"));
        asked.is_ok() && stream.read(&mut answer).is_ok_and(|length| !answer[..length].starts_with(b"-LOADING"))
    },
};

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    program: PathBuf,
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker with no settings but the arguments of its kind.
    pub fn start(kind: Kind) -> Self {
        Self::with_settings(kind, "")
    }

    /// Starts a broker with the text of a settings file. `FOLDER` in the text becomes the path of its folder.
    pub fn with_settings(kind: Kind, settings: &str) -> Self {
        Self::with_files(kind, settings, &[])
    }

    /// Starts a broker with the text of a settings file, and with further files in its folder, such as certificates.
    pub fn with_files(kind: Kind, settings: &str, files: &[(&str, &str)]) -> Self {
        let program = find(kind);
        // Another program may take the port before the broker does. Then it ends at once, and another port is tried.
        for _ in 0..5 {
            let mut broker =
                Self { kind, program: program.clone(), folder: Folder::make(), port: free_port(), child: None };
            broker.write_files(settings, files);
            broker.spawn();
            if broker.accepts() {
                return broker;
            }
        }
        panic!("{} could not be started on any of five ports", kind.program);
    }

    /// Starts a broker on a port that was chosen before with [`free_port`], such as one of a cluster.
    pub fn on_port(kind: Kind, port: u16, settings: &str) -> Self {
        let mut broker = Self { kind, program: find(kind), folder: Folder::make(), port, child: None };
        broker.write_files(settings, &[]);
        broker.spawn();
        broker.expect_accepts();
        broker
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, such as `127.0.0.1:15000`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder of the broker's files.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.running().id()
    }

    /// Kills the broker (SIGKILL), and returns when it is gone. It can be restarted.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the broker can be killed");
            child.wait().expect("the killed broker can be waited for");
        }
    }

    /// Stops the broker as it stands (SIGSTOP). The system still accepts connections to it.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a stopped broker go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills the broker and starts it again on the same port with its data.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.expect_accepts();
    }

    /// Kills the broker and starts it again on the same port without its data.
    pub fn restart_empty(&mut self) {
        self.kill();
        fs::remove_dir_all(self.data()).expect("the broker's data can be removed");
        fs::create_dir(self.data()).expect("the broker's folder can be made");
        self.spawn();
        self.expect_accepts();
    }

    /// Replaces the settings, and restarts the broker with its data.
    pub fn restart_with_settings(&mut self, settings: &str) {
        self.kill();
        self.write_files(settings, &[]);
        self.spawn();
        self.expect_accepts();
    }

    /// The text of the broker's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    fn write_files(&self, settings: &str, files: &[(&str, &str)]) {
        let write = |name: &str, text: &str| {
            let path = self.folder.0.join(name);
            fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        };
        let name = format!("{}.conf", self.kind.program.trim_end_matches("-server"));
        write(&name, &settings.replace("FOLDER", &self.folder.0.to_string_lossy()));
        for (name, text) in files {
            write(name, text);
        }
        fs::create_dir_all(self.data()).expect("the broker's folder can be made");
    }

    fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.0.join("log"));
        let log = log.expect("the broker's log can be made");
        let child = Command::new(&self.program)
            .args((self.kind.arguments)(self.port, &self.folder.0))
            .current_dir(&self.folder.0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the broker's log can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        self.child = Some(child);
    }

    /// Waits until it accepts and is ready. Returns false if it has ended instead.
    fn accepts(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < START {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            if stream.is_ok_and(self.kind.is_ready) {
                return true;
            }
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().expect("the broker can be asked for").is_some() {
                self.child = None;
                return false;
            }
            // A server says nothing when it begins to listen.
            sleep(Duration::from_millis(5));
        }
        panic!("{} did not accept within {} s; its log:\n{}", self.kind.program, START.as_secs(), self.log());
    }

    fn expect_accepts(&mut self) {
        // A port is free only a moment after its server was killed.
        for _ in 0..20 {
            if self.accepts() {
                return;
            }
            sleep(Duration::from_millis(50));
            self.spawn();
        }
        panic!("{} ended at its start; its log:\n{}", self.kind.program, self.log());
    }

    fn running(&self) -> &Child {
        self.child.as_ref().expect("the broker runs: it was not killed, or was restarted")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id is a positive i32");
        kill(Pid::from_raw(pid), signal).expect("the broker can be signalled");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A test that panics must not abort here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port on 127.0.0.1 that nobody listens on.
pub fn free_port() -> u16 {
    // Ports below those that the system gives to clients: there no client takes the port of a broker that restarts.
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ports.
    let start = u16::try_from((u64::from(std::process::id()) * 97) % u64::from(COUNT)).expect("less than COUNT");
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT);
}

/// The path of a broker's program. If there is none, the test fails and says what to do.
fn find(kind: Kind) -> PathBuf {
    if let Some(path) = env::var_os(kind.variable) {
        return path.into();
    }
    // Test programs are somewhere below the target directory, where `cargo xtask brokers` installs.
    let test = env::current_exe().expect("the test program has a path");
    let installed = test.ancestors().map(|folder| folder.join("brokers/bin").join(kind.program));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(kind.program));
    installed.chain(on_path).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "this test needs {}: run `cargo xtask brokers`, which installs it, or name it in {}=PATH",
            kind.program, kind.variable
        )
    })
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("ropeway-broker-{}-{number}", std::process::id()));
        // A process of the same id may have been killed and have left it.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
