//! Works that end like those of an earlier run: the service's own books against the law that the
//! run's curve was made from.

use std::fmt::Write as _;
use std::sync::Arc;

use plimsoll::scenario::resolve;
use plimsoll::sim::world::{self, Network, Unwatched};
use plimsoll::sim::{Like, State, TruthRow};

use super::{close, float};

const WORKS: usize = 20_000;

/// The file of a run whose works complete by a Weibull law of shape 2 and scale 3 s, or fail by
/// an exponential one of mean 1 s; 5 in 100 were not seen to end.
fn file() -> String {
    let mut file = "t_s,cdf,low,high,completed,failed\n".to_owned();
    let mut seconds = 0.0;
    while seconds < 30.0 {
        let (completed, failed) = (0.75 * weibull(seconds), 0.2 * exponential(seconds));
        let ended = completed + failed;
        writeln!(
            file,
            "{seconds:.6},{ended:.9},0,1,{completed:.9},{failed:.9}"
        )
        .unwrap();
        seconds = if seconds < 0.01 {
            seconds + 0.001
        } else {
            1.02 * seconds
        };
    }
    file
}

fn weibull(seconds: f64) -> f64 {
    1.0 - (-(seconds / 3.0).powi(2)).exp()
}

fn exponential(seconds: f64) -> f64 {
    1.0 - (-seconds).exp()
}

/// The largest distance between the samples' distribution function and the law's, times the root
/// of their number. Kolmogorov, Giornale dell'Istituto Italiano degli Attuari 4 (1933), 83-91: in
/// the limit it is above 1.95 once in a thousand times.
fn kolmogorov(mut seconds: Vec<f64>, law: fn(f64) -> f64) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let n = float(seconds.len());
    let distance = (seconds.iter().enumerate())
        .map(|(rank, &seconds)| {
            let law = law(seconds);
            (law - float(rank) / n).max(float(rank + 1) / n - law)
        })
        .fold(0.0, f64::max);
    distance * n.sqrt()
}

#[test]
fn works_end_when_and_as_often_as_those_of_the_earlier_run() {
    let text = "name = \"known\"\nseed = 11\n[target]\nbase_url = \"simulator\"\n\
         [simulator]\nworkers = 3\nfail_ratio = 0.9\n\
         [[load]]\narrivals = \"constant\"\nrate = \"1000/s\"\nduration = \"20s\"\n\
         [poll]\ninterval = \"1s\"\ngive_up_after = \"40s\"\n";
    let mut plan = resolve::read(text, &[], &|_| Err(String::new())).unwrap();
    plan.simulator = Like::read(file().as_bytes())
        .unwrap()
        .in_place_of(&plan.simulator);
    let run = world::run(&Arc::new(plan), &Network::IDEAL, Vec::new(), &mut Unwatched);
    let rows: Vec<TruthRow> = run.truth.rows().collect();
    assert_eq!(rows.len(), WORKS);
    let times = |state: State| -> Vec<f64> {
        let of_state = rows.iter().filter(|row| row.state == state);
        of_state
            .map(|row| row.terminal.unwrap().since(row.accepted).seconds())
            .collect()
    };
    let check = |state: State, share: f64, law: fn(f64) -> f64| {
        let times = times(state);
        let ended = times.len();
        let expected = share * float(WORKS);
        // Binomial: four deviations.
        let apart = (float(ended) - expected).abs();
        assert!(apart < 4.0 * (expected * (1.0 - share)).sqrt(), "{state:?}");
        let found = kolmogorov(times, law);
        assert!(found < 1.95, "{state:?}: {found}");
        ended
    };
    let ended = check(State::Completed, 0.75, weibull) + check(State::Failed, 0.2, exponential);
    let endless = float(WORKS - ended);
    assert!(
        (endless - 1_000.0).abs() < 4.0 * 950_f64.sqrt(),
        "{endless}"
    );
}

#[test]
fn the_distance_tells_laws_apart() {
    // The middles of a thousand equal shares of the exponential law.
    let shares = (0..1_000).map(|rank| (float(rank) + 0.5) / 1_000.0);
    let times: Vec<f64> = shares.map(|share| -(1.0 - share).ln()).collect();
    close(
        "half a step",
        kolmogorov(times.clone(), exponential),
        0.5e-3 * 1_000_f64.sqrt(),
        1e-9,
    );
    assert!(kolmogorov(times, weibull) > 5.0);
}
