//! Takes the time of each benchmark: `cargo bench -p bench --bench time [NAME]`. The times are not compared with
//! anything, because they change with the other work of the machine.

fn main() {
    divan::main();
}

#[divan::bench(args = bench::NAMES)]
fn run(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.bench_local(bench::job(name));
}
