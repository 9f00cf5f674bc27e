use super::super::csv::{IntervalWriter, WorkWriter};
use super::super::fixture::{Run, at_most, facts, limits, run};
use super::super::{Code, Report, hlog::Coarse, seen::SeenWriter};
use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

struct Directory {
    intervals: Vec<u8>,
    windows: Vec<u8>,
    histograms: Vec<u8>,
    works: Vec<u8>,
}

impl Directory {
    fn rebuild(&self, summary: Option<&[u8]>) -> Rebuilt {
        self.rebuild_as(planned(), summary)
    }

    fn rebuild_as(&self, facts: Facts, summary: Option<&[u8]>) -> Rebuilt {
        let files = Files {
            intervals: &self.intervals,
            windows: &self.windows,
            histograms: &self.histograms,
            works: &mut self.works.as_slice(),
            callbacks: &mut io::empty(),
            summary,
        };
        rebuild(facts, files).unwrap()
    }
}

/// Written once for all the cuts.
static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| directory(&run()));

fn directory(run: &Run) -> Directory {
    written(run, None)
}

fn written(run: &Run, simulated: Option<&str>) -> Directory {
    let (mut intervals, mut histograms, mut works) = (Vec::new(), Vec::new(), Vec::new());
    let mut writer = IntervalWriter::new(&mut intervals).unwrap();
    hlog::write_head(&mut histograms, "0.1.0", facts().started_at, simulated).unwrap();
    let mut coarse = Coarse::new(facts().load_planned);
    let mut windows = Vec::new();
    let mut seen = SeenWriter::new(&mut windows, facts().load_planned).unwrap();
    for interval in &run.intervals {
        writer.write(interval).unwrap();
        coarse.write(&mut histograms, interval).unwrap();
        seen.write(interval).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    coarse.finish(&mut histograms).unwrap();
    seen.finish().unwrap();
    seen.flush().unwrap();
    drop(seen);
    let mut writer = WorkWriter::new(&mut works).unwrap();
    for settled in &run.rows {
        writer.write(&settled.row).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    Directory {
        intervals,
        windows,
        histograms,
        works,
    }
}

fn planned() -> Facts {
    Facts {
        load: Span::ZERO,
        duration: Span::ZERO,
        started_at: 0,
        ..facts()
    }
}

fn summary_of(facts: Facts, snapshot: Snapshot) -> Vec<u8> {
    let slo = [at_most("accept_latency", 0.9, 0.25)];
    summary::write(&Report::judge(&slo, limits(), facts, snapshot, Vec::new()))
}

#[test]
fn a_whole_run_comes_back_byte_for_byte() {
    let run = run();
    let files = directory(&run);
    // The run ends between two microseconds, and the file has whole ones.
    let lasted = Facts {
        duration: Span(5_500_000_700),
        ..facts()
    };
    let before = summary_of(lasted, run.snapshot);
    let after = files.rebuild(Some(&before));
    assert_eq!(
        String::from_utf8(summary_of(after.facts, after.snapshot)).unwrap(),
        String::from_utf8(before.clone()).unwrap()
    );
    // Without a summary it is a run that was killed after its last interval.
    let killed = files.rebuild(None);
    assert_eq!(killed.facts.ended_by, EndedBy::Killed);
    assert_eq!(killed.facts.started_at, facts().started_at);
    assert_eq!(
        (killed.facts.load, killed.facts.duration),
        (facts().load, facts().duration)
    );
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let (before, after) = (
        read(&before),
        read(&summary_of(killed.facts, killed.snapshot)),
    );
    for key in [
        "metrics",
        "ledger",
        "requests",
        "ratios",
        "stuck",
        "anomalies",
        "slo",
    ] {
        assert_eq!(before[key], after[key], "{key}");
    }
}

/// A CSV file with this much more, in seconds, in one cell.
fn with_more(file: &[u8], row: usize, column: &str, more: f64) -> Vec<u8> {
    let mut reader = ReaderBuilder::new().from_reader(file);
    let headers = reader.headers().unwrap().clone();
    let place = headers.iter().position(|name| name == column).unwrap();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&headers).unwrap();
    for (index, record) in reader.records().map(Result::unwrap).enumerate() {
        let mut cells: Vec<String> = record.iter().map(str::to_owned).collect();
        if index == row {
            let value: f64 = cells[place].parse().unwrap();
            cells[place] = format!("{:.6}", value + more);
        }
        writer.write_record(&cells).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn rows_and_gauge_that_differ_are_found_in_the_files() {
    let whole = directory(&run());
    let summary = summary_of(facts(), run().snapshot);
    let check = |intervals: &[u8], works: &[u8], window: Option<&str>| {
        let files = Directory {
            intervals: intervals.to_vec(),
            windows: whole.windows.clone(),
            histograms: whole.histograms.clone(),
            works: works.to_vec(),
        };
        let reasons = files.rebuild(Some(&summary)).reasons;
        let found = reasons.iter().map(|reason| (reason.code, &*reason.text));
        let found: Vec<_> = found.collect();
        let said = window.map(|window| format!("the books do not balance: backlog {window}: "));
        match (&found[..], said) {
            ([], None) => {}
            ([(Code::Books, text)], Some(said)) => assert!(text.starts_with(&said), "{text}"),
            (found, said) => panic!("{found:?}, and not {said:?}"),
        }
    };
    let (intervals, works) = (&whole.intervals, &whole.works);
    check(intervals, works, None);
    // The gauge was one too high for a second.
    let high = with_more(intervals, 2, "backlog_work_s", 1.0);
    check(&high, works, Some("from 2.000000 s to 3.000000 s"));
    // The first work, which left at 1 s, did so a little later; and one was accepted earlier.
    let late = with_more(works, 0, "settled_s", 0.01);
    check(intervals, &late, Some("from 1.000000 s to 2.000000 s"));
    let early = with_more(works, 80, "accepted_s", -0.001);
    check(intervals, &early, Some("from 2.000000 s to 3.000000 s"));
    // A row is gone: one whose work was there from the first second on.
    let lost = &works[..tail(works, 1)];
    check(intervals, lost, Some("from 1.000000 s to 2.000000 s"));
}

#[test]
fn without_rows_the_summary_says_what_is_stuck() {
    let run = run();
    let mut files = directory(&run);
    let head = files.works.iter().position(|byte| *byte == b'\n').unwrap();
    files.works.truncate(head + 1);
    let before = summary_of(facts(), run.snapshot.clone());
    let planned = Facts {
        has_rows: false,
        ..planned()
    };
    let after = files.rebuild_as(planned.clone(), Some(&before));
    assert_eq!(after.snapshot.stuck, run.snapshot.stuck);
    // The backlog is compared with no rows.
    assert_eq!(after.reasons, []);
    assert_eq!(summary_of(after.facts, after.snapshot), before);
    // Of a run that was killed nobody knows.
    let works = run.snapshot.stuck.values().sum();
    let killed = files.rebuild_as(planned, None).snapshot.stuck;
    assert_eq!(killed, BTreeMap::from([(NOT_RECORDED.into(), works)]));
}

#[test]
fn a_virtual_run_stays_one_whether_it_was_killed_or_not() {
    let run = run();
    let how = "simulated: a test";
    let files = written(&run, Some(how));
    let facts = facts().in_virtual_time(how);
    let before = summary_of(facts.clone(), run.snapshot);
    let after = files.rebuild(Some(&before));
    assert_eq!(after.facts, facts);
    assert_eq!(summary_of(after.facts, after.snapshot), before);
    let killed = files.rebuild(None).facts;
    assert!(killed.simulated && killed.client.is_none());
    assert_eq!(killed.notes[0], how);
}

#[test]
fn damage_in_the_middle_names_file_line_and_cell() {
    let files = directory(&run());
    let text = String::from_utf8(files.intervals.clone()).unwrap();
    let damaged = text.replacen("\n1.000000,1.000000,0,", "\n1.000000,1.000000,x,", 1);
    let error = rebuild(
        planned(),
        Files {
            intervals: damaged.as_bytes(),
            windows: &files.windows,
            histograms: &files.histograms,
            works: &mut files.works.as_slice(),
            callbacks: &mut io::empty(),
            summary: None,
        },
    )
    .unwrap_err();
    assert_eq!(error.file, "intervals.csv");
    assert_eq!(
        error.what,
        "line 3: found `x` in `stage`, expected a number"
    );
}

#[test]
fn files_that_were_never_written_are_an_empty_run() {
    let nothing = Files {
        intervals: b"",
        windows: b"",
        histograms: b"",
        works: &mut &b"seq,sta"[..],
        callbacks: &mut io::empty(),
        summary: None,
    };
    let empty = rebuild(planned(), nothing).unwrap();
    assert_eq!(empty.snapshot.counts.get(Count::Scheduled), 0);
    assert_eq!(empty.snapshot.check_books(false), Ok(()));
    assert!(
        empty
            .facts
            .notes
            .iter()
            .any(|note| note.contains("works.csv"))
    );
}

#[test]
fn works_after_the_last_whole_interval_are_none_of_the_report() {
    let files = directory(&run());
    let text = String::from_utf8(files.histograms.clone()).unwrap();
    let end = "#[IntervalEnd: 1.000000]\n";
    let first = text.find(end).map(|at| &text[..at + end.len()]).unwrap();
    let until = |histograms: &str| {
        let files = Files {
            intervals: &files.intervals,
            windows: &files.windows,
            histograms: histograms.as_bytes(),
            works: &mut files.works.as_slice(),
            callbacks: &mut io::empty(),
            summary: None,
        };
        rebuild(planned(), files).unwrap().snapshot
    };
    let nothing = until("");
    assert_eq!((nothing.end, nothing.stuck.len()), (Tick::ZERO, 0));
    // In the first second 33 works were accepted. None has ended, and none is among the stuck rows.
    let second = until(first);
    assert_eq!(second.gauges.backlog, 33);
    let stuck: Vec<_> = second
        .stuck
        .iter()
        .map(|(word, works)| (&**word, *works))
        .collect();
    assert_eq!(stuck, [(NOT_RECORDED, 33)]);
    assert_eq!(second.check_books(true), Ok(()));
}

/// Where the last `lines` lines of a file begin.
fn tail(bytes: &[u8], lines: usize) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.rev().nth(lines).map_or(0, |(at, _)| at + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_run_cut_off_anywhere_is_read_and_its_books_balance(
        i in 0.0_f64..=1.0, h in 0.0_f64..=1.0, w in 0.0_f64..=1.0
    ) {
        let files = &*DIRECTORY;
        let cut = |bytes: &[u8], lines: usize, share: f64| {
            let from = tail(bytes, lines);
            let left = super::super::binomial::float((bytes.len() - from) as u64) * share;
            from + usize::try_from(super::super::binomial::whole(left)).unwrap()
        };
        let (i, h, w) = (
            cut(&files.intervals, 3, i), cut(&files.histograms, 25, h), cut(&files.works, 5, w),
        );
        let read = rebuild(planned(), Files {
            intervals: &files.intervals[..i],
            windows: &files.windows,
            histograms: &files.histograms[..h],
            works: &mut &files.works[..w],
            callbacks: &mut io::empty(),
            summary: None,
        });
        let read = read.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read.snapshot.check_books(false), Ok(()));
        prop_assert!(read.snapshot.counts.get(Count::Scheduled) >= 67);
        let is_short = [
            i < files.intervals.len(),
            h < files.histograms.len(),
            w < files.works.len(),
        ];
        let cut_off = is_short.contains(&true);
        prop_assert_eq!(cut_off, read.facts.notes.len() > 1);
    }
}
