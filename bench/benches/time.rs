//! Takes the time of each benchmark: `cargo bench -p bench --bench time [NAME]`. Nothing is compared with it, since times
//! on a machine that does something else too say little.

fn main() {
    divan::main();
}

#[divan::bench(args = bench::NAMES)]
fn run(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.bench_local(bench::job(name));
}
