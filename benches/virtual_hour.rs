//! An hour at 1,000 works/s in virtual time: the whole engine and the simulated service, 3.6
//! million works and some five polls each. `cargo bench --bench virtual_hour`; `MINUTES=5` for a
//! shorter one.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use std::sync::Arc;

use plimsoll::record::ledger::Count;
use plimsoll::scenario::resolve;
use plimsoll::sim::world::{self, Network, Unwatched};

#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures what the wall clock says"
)]
#[expect(clippy::print_stdout, reason = "what a bench is for")]
fn main() {
    let minutes = std::env::var("MINUTES").unwrap_or_else(|_| "60".to_owned());
    let text = format!(
        "name = \"hour\"\n[target]\nbase_url = \"simulator\"\n\
         [simulator]\nservice_time = \"lognormal(3.3s, 0.6)\"\naccept_delay = \"fixed(5ms)\"\n\
         poll_delay = \"fixed(2ms)\"\n\
         [[load]]\nrate = \"1000/s\"\nduration = \"{minutes}m\"\n\
         [poll]\nbudget = \"20000/s\"\n"
    );
    let plan = Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap());
    let begin = std::time::Instant::now();
    let run = world::run(&plan, &Network::IDEAL, Vec::new(), &mut Unwatched);
    let wall = begin.elapsed().as_secs_f64();
    run.snapshot.check_books(true).unwrap();
    let counts = &run.snapshot.counts;
    let (works, polls) = (counts.get(Count::Sent), counts.get(Count::Polls));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (per_second, ahead) = (works as f64 / wall, run.end.seconds() / wall);
    println!(
        "{works} works, {polls} polls in {wall:.1} s of wall time: {per_second:.0} works/s, \
         {ahead:.0} times as fast as real time"
    );
}
