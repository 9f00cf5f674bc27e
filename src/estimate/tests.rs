use super::*;
use crate::random::{Purpose, stream, unit};
use crate::record::windows::Edge;

fn edge(number: usize) -> Edge {
    Edge::numbered(number).unwrap()
}

/// `(from, to, works)` by the numbers of edges; a `to` of 0 is none.
fn windows(all: &[(usize, usize, f64)]) -> Vec<Weighted> {
    let window = |(from, to, works): &(usize, usize, f64)| {
        (edge(*from), (*to > 0).then(|| edge(*to)), *works)
    };
    all.iter().map(window).collect()
}

fn npmle(all: &[(usize, usize, f64)]) -> Npmle {
    Npmle::of(windows(all).into_iter()).unwrap()
}

/// Points in the cell before an edge, and works censored at edges, as a seed has them.
fn points_and_censored(seed: u64, works: usize, edges: usize) -> Vec<(usize, usize, f64)> {
    let mut random = stream(seed, Purpose::named("test points"), 0);
    let mut draw = |most: usize| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let drawn = (unit(&mut random) * most as f64) as usize;
        drawn
    };
    let one = |_| {
        let at = 1 + draw(edges);
        match draw(3) {
            0 => (at, 0, 1.0),
            _ => (at - 1, at, 1.0),
        }
    };
    (0..works).map(one).collect()
}

#[test]
fn points_and_censored_works_give_the_product_of_kaplan_and_meier() {
    for seed in 0..20 {
        let all = points_and_censored(seed, 400, 60);
        let found = npmle(&all);
        let mut survival = 1.0;
        for at in 1..=60 {
            let ended = |it: &&(usize, usize, f64)| it.1 == at;
            // At risk: not ended before, not censored before; one censored at the edge before the
            // cell is not in it.
            let at_risk =
                |it: &&(usize, usize, f64)| if it.1 == 0 { it.0 >= at } else { it.1 >= at };
            let count = |of: usize| f64::from(u32::try_from(of).unwrap());
            let deaths = count(all.iter().filter(ended).count());
            let risk = count(all.iter().filter(at_risk).count());
            if risk > 0.0 {
                survival *= 1.0 - deaths / risk;
            }
            let cdf = found.cdf(edge(at));
            assert!(
                (cdf - (1.0 - survival)).abs() < 1e-9,
                "seed {seed}, edge {at}: {cdf} and {}, gap {:e}",
                1.0 - survival,
                found.gap()
            );
        }
    }
}
