//! Counts the instructions of one run of each benchmark under valgrind. `cargo xtask bench` runs it and compares.

#![allow(missing_docs, clippy::needless_pass_by_value, unused_qualifications)] // of what gungraun's macros expand to

use bench::Job;
use gungraun::Callgrind;
use gungraun::prelude::*;

macro_rules! harness {
    ($($name:ident: $make:expr;)*) => {
        #[library_benchmark]
        $(#[bench::$name(bench::job(stringify!($name)))])*
        fn run(mut job: Job) -> Job {
            job();
            // Dropping the job is not counted.
            job
        }
    };
}

bench::benchmarks!(harness);

library_benchmark_group!(name = proto, benchmarks = run);

// The caches that callgrind can simulate resemble no real machine's, and simulating them takes most of the time.
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = proto
);
