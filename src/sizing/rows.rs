//! `size.csv`: a row for each choice at each peak.

use super::need::Callbacks;
use super::polling::Lag;
use super::result::{Row, Sizing};

/// The columns. Those of `virtual` are empty where virtual time has not played the choice.
const COLUMNS: [&str; 26] = [
    "peak_per_s",
    "choice",
    "mode",
    "recommended",
    "requests_per_s",
    "share_of_limit",
    "rejected_per_s",
    "polls_per_work",
    "lag_mean_s",
    "lag_p50_s",
    "lag_p99_s",
    "known",
    "bytes_per_s",
    "connections",
    "callbacks_per_s",
    "callbacks_peak_1s_per_s",
    "callbacks_at_once",
    "lost_without_sweep",
    "outage_lost",
    "outage_storm_per_s",
    "outage_storm_s",
    "virtual_requests_per_s",
    "virtual_rejected_per_s",
    "virtual_polls_per_work",
    "virtual_lag_mean_s",
    "largest_difference",
];

/// The bytes of the file.
pub fn write(sizing: &Sizing) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut put = |record: &[String]| writer.write_record(record).expect("a Vec takes everything");
    put(&COLUMNS.map(str::to_owned));
    for peak in &sizing.peaks {
        let decision = peak.advice.as_ref().map(|advice| &advice.decision);
        let recommended = decision.and_then(|decision| decision.choice.as_deref());
        for (choice, row) in sizing.choices.iter().zip(&peak.rows) {
            let mut record = vec![
                number(peak.rate.per_second()),
                choice.name.clone(),
                choice.plan.observe.mode.word().to_owned(),
                u8::from(recommended == Some(&choice.name)).to_string(),
            ];
            record.extend(cells(row));
            put(&record);
        }
    }
    writer.into_inner().expect("a Vec takes everything")
}

fn cells(row: &Row) -> Vec<String> {
    let need = &row.need;
    let callbacks = |of: fn(&Callbacks) -> f64| need.callbacks.as_ref().map(of);
    let lag = |of: fn(&Lag) -> f64| need.lag.as_ref().map(of);
    let played = row.played.as_ref();
    let values = [
        Some(need.requests_per_s),
        need.share,
        Some(need.excess_per_s),
        Some(need.polls),
        lag(|lag| lag.mean),
        lag(|lag| lag.p50),
        lag(|lag| lag.p99),
        Some(need.known),
        Some(need.bytes_per_s),
        Some(need.connections),
        callbacks(|of| of.per_s),
        callbacks(|of| of.peak_per_s[1]),
        callbacks(|of| of.at_once),
        callbacks(|of| of.lost),
        callbacks(|of| of.outage.lost),
        callbacks(|of| of.outage.storm_per_s),
        (need.callbacks.as_ref()).and_then(|of| of.outage.storm_s),
        played.map(|played| played.requests_per_s.value),
        played.map(|played| played.rejected_per_s),
        played.map(|played| played.polls.value),
        played.and_then(|played| Some(played.lag?.mean)),
        row.difference().map(|apart| apart.largest()),
    ];
    let cell = |value: Option<f64>| value.map_or_else(String::new, number);
    values.map(cell).to_vec()
}

/// With six decimals, as every file has them.
fn number(value: f64) -> String {
    format!("{value:.6}")
}
