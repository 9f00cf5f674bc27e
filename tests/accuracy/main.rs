mod laws;
mod polls;
#[test]
fn try_it() {
    use plimsoll::estimate::*;
    for policy in [
        polls::Policy::Fixed(5.0),
        polls::Policy::Backoff,
        polls::Policy::ByAge,
    ] {
        for law in &laws::LAWS {
            for works in [3000, 30000] {
                let run = polls::Run {
                    law,
                    policy,
                    works,
                    blocks: 40,
                    seed: 7,
                };
                let b = run.windows(None);
                let begin = std::time::Instant::now();
                let e = Estimate::of(&b, Family::Sojourn, 1).unwrap();
                println!(
                    "{} {} {works} gap {:e} in {:?} diff {}",
                    law.name,
                    policy.name(),
                    e.gap,
                    begin.elapsed(),
                    b.sum().different()
                );
                for (l, q) in LEVELS.iter().zip(&e.quantiles) {
                    println!("   {l} {q:?} truth {}", law.quantile(*l));
                }
                match e.bands {
                    Ok(b) => {
                        for p in &b.points {
                            let t = law.cdf(p.seconds);
                            println!(
                                "      {:8.3} cdf {:.4} [{:.4} {:.4}] truth {:.4} {}",
                                p.seconds,
                                p.cdf,
                                p.low,
                                p.high,
                                t,
                                if t < p.low || t > p.high { "OUT" } else { "" }
                            );
                        }
                    }
                    Err(x) => println!("{x:?}"),
                }
            }
        }
    }
}
