mod coverage;
mod laws;
mod polls;
#[test]
fn try_it() {
    let runs = std::env::var("RUNS").map_or(100, |t| t.parse().unwrap());
    let mut all = 0;
    for c in coverage::cells(runs) {
        println!(
            "{:50} {:30} {:?} {:?} of {:?} {:e}",
            c.law.name,
            c.policy.name(),
            c.bands,
            c.quantiles,
            c.told,
            c.gap
        );
        all += c.bands.iter().sum::<u64>();
    }
    println!("{}", all as f64 / (36.0 * runs as f64));
}
