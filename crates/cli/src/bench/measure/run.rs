//! The state that the threads of a run share: its clock, its phases, and the figures that are shown while it runs. The
//! threads' own measurements are in [`super::tally`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The phase of a run.
///
/// ```text
///   Opening ── all threads have opened their connections ──► Running ── time, all answered, or Ctrl-C ──► Ending
///      └──────────────────────── none could be opened, or Ctrl-C ──────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are opened, in the modes that open them before measuring.
    Opening,
    /// Messages go both ways.
    Running,
    /// Nothing new is begun. Messages that are under way are waited for, then connections are closed.
    Ending,
}

/// A report of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Milestone {
    /// Its connections are open, apart from those that could not be opened.
    Opened,
    /// It has nothing left to do but to close its connections.
    Answered,
    /// Its connections are closed.
    Closed,
}

/// A run of the load.
pub(crate) struct Run {
    epoch: Instant,
    /// When messages begin, in nanoseconds since the epoch, like all times of the run. The three are set before
    /// [`Phase::Running`]. The last is changed if the run is ended early.
    begin: AtomicU64,
    from: AtomicU64,
    until: AtomicU64,
    phase: watch::Sender<Phase>,
    /// For each milestone, the number of threads that have passed it.
    milestones: watch::Sender<[usize; 3]>,
    pub(crate) gauges: Box<[Gauge]>,
}

/// The figures of a thread that other threads read. Each has cache lines of its own, and only its thread writes it.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Gauge {
    /// Connections that are open.
    pub(crate) open: Count,
    /// Connections that were opened.
    pub(crate) opened: Count,
    /// Messages that were sent, or should have been, and for which an answer is expected.
    pub(crate) sent: Count,
    /// Messages that were answered.
    pub(crate) answered: Count,
    /// Messages that were answered within the measured time.
    pub(crate) counted: Count,
    /// Messages that can no longer be answered, because their connection is closed.
    pub(crate) lost: Count,
    pub(crate) errors: Count,
    /// Whether this side is closing its connections. Then their ends are not errors.
    pub(crate) is_closing: AtomicBool,
}

impl Gauge {
    /// Whether no message is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.answered.get() + self.lost.get() >= self.sent.get()
    }
}

/// A number that one thread writes and others read. It costs no more than a plain number.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

impl Run {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            epoch: Instant::now(),
            begin: AtomicU64::new(u64::MAX),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            phase: watch::Sender::new(Phase::Opening),
            milestones: watch::Sender::new([0; 3]),
            gauges: (0..threads).map(|_| Gauge::default()).collect(),
        }
    }

    /// Nanoseconds since the run was made.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn begin(&self) -> u64 {
        self.begin.load(Ordering::Relaxed)
    }

    /// When the measured time begins.
    #[inline]
    pub(crate) fn from(&self) -> u64 {
        self.from.load(Ordering::Relaxed)
    }

    /// When the measured time ends. From then on nothing new is begun.
    #[inline]
    pub(crate) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// Whether the run has no fixed time and ends when all is done.
    pub(crate) fn is_endless(&self) -> bool {
        self.until() == u64::MAX
    }

    /// Whether an event at this time is measured.
    #[inline]
    pub(crate) fn counts(&self, time: u64) -> bool {
        (self.from()..self.until()).contains(&time)
    }

    /// The sum of a figure over all threads.
    pub(crate) fn sum(&self, figure: impl Fn(&Gauge) -> &Count) -> u64 {
        self.gauges.iter().map(|gauge| figure(gauge).get()).sum()
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the run has reached this phase. Cancel safe.
    pub(crate) async fn wait_for(&self, phase: Phase) {
        // The channel lives as long as the run, so this does not fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Waits until all threads have passed a milestone. Cancel safe.
    pub(crate) async fn wait_for_all(&self, milestone: Milestone) {
        let all = self.gauges.len();
        let _ = self.milestones.subscribe().wait_for(|passed| passed[milestone as usize] == all).await;
    }

    /// Notes that a thread has passed a milestone.
    pub(crate) fn pass(&self, milestone: Milestone) {
        self.milestones.send_modify(|passed| passed[milestone as usize] += 1);
    }

    /// Lets messages begin. After the warm-up, `time` is measured.
    pub(crate) fn start(&self, warmup: Duration, time: Option<Duration>) {
        let begin = self.now();
        let from = begin + nanoseconds(warmup);
        let until = time.map_or(u64::MAX, |time| from + nanoseconds(time));
        self.begin.store(begin, Ordering::Relaxed);
        self.from.store(from, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        self.phase.send_replace(Phase::Running);
    }

    /// Measures `time` from now on.
    pub(crate) fn count_for(&self, time: Duration) {
        let from = self.now();
        self.from.store(from, Ordering::Relaxed);
        self.until.store(from + nanoseconds(time), Ordering::Relaxed);
    }

    /// Ends the run: nothing new is begun.
    pub(crate) fn end(&self) {
        self.until.fetch_min(self.now(), Ordering::Relaxed);
        self.phase.send_replace(Phase::Ending);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}
