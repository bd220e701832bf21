//! Takes the time of each benchmark: `cargo bench -p bench --bench time [NAME]`. The times are not compared with
//! anything, since on a machine that does other things too they say little.

fn main() {
    divan::main();
}

#[divan::bench(args = bench::NAMES)]
fn run(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.bench_local(bench::job(name));
}
