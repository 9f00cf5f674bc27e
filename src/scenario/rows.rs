//! `[submit.corpus]` read and held against the templates and the load.

use std::collections::BTreeSet;

use super::cursor::Cursor;
use super::mistake::Mistakes;
use super::payload::{Corpus, CorpusOrder, Template};
use super::resolve::ReadFile;
use super::{Arrivals, Stage};

/// Reads the corpus, if there is one.
pub(super) fn corpus(
    submit: &Cursor<'_>,
    templates: &[&Template],
    load: &[Stage],
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Corpus> {
    let fields: BTreeSet<&str> = templates.iter().flat_map(|text| text.fields()).collect();
    let Some(at) = submit.maybe("corpus") else {
        if let Some(field) = fields.first() {
            let hint = Some("add corpus = { file = \"rows.csv\" } to [submit]".to_owned());
            let found = format!("{{{{corpus.{field}}}}} without a corpus");
            let body = submit.at("body");
            mistakes.add(body.path(), body.place(), found, "a corpus for it", hint);
        }
        return None;
    };
    let file = at.at("file");
    let name = file.own_text()?;
    let order = match at.text("order") {
        "once" => CorpusOrder::Once,
        _ => CorpusOrder::Loop,
    };
    let fields: Vec<&str> = fields.into_iter().collect();
    match read(name).and_then(|bytes| Corpus::read(name, &bytes, order, &fields)) {
        Ok(corpus) => {
            enough(&at, &corpus, load, mistakes);
            Some(corpus)
        }
        Err(why) => {
            let found = format!("\"{name}\": {why}");
            let expected = "a CSV or JSONL file with the fields that are used";
            mistakes.add(file.path(), file.place(), found, expected, None);
            None
        }
    }
}

/// With `once` the rows must last: for all arrivals, and six standard deviations of a Poisson count
/// beyond (a chance below 1e-8 to need more; the row of such an arrival would be the first again).
#[expect(clippy::cast_precision_loss, reason = "rows are far fewer than 2^53")]
fn enough(at: &Cursor<'_>, corpus: &Corpus, load: &[Stage], mistakes: &mut Mistakes<'_>) {
    if corpus.order() != CorpusOrder::Once {
        return;
    }
    let expected: f64 = load.iter().map(Stage::expected_arrivals).sum();
    let variance: f64 = load
        .iter()
        .filter(|stage| matches!(stage.arrivals, Arrivals::Poisson(_)))
        .map(Stage::expected_arrivals)
        .sum();
    let needed = (expected + 6.0 * variance.sqrt()).ceil();
    if (corpus.rows() as f64) < needed {
        let hint = "order = \"loop\" begins again, or shorten the load".to_owned();
        let found = format!("{} rows", corpus.rows());
        let order = at.at("order");
        let expected = format!("at least {needed} rows, as the load may have that many arrivals");
        mistakes.add(order.path(), order.place(), found, expected, Some(hint));
    }
}
