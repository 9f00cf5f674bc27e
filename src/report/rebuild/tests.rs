use super::super::csv::{IntervalWriter, WorkWriter};
use super::super::fixture::{Run, at_most, facts, limits, run};
use super::super::{Report, hlog::Coarse};
use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

struct Directory {
    intervals: Vec<u8>,
    histograms: Vec<u8>,
    works: Vec<u8>,
}

impl Directory {
    fn rebuild(&self, summary: Option<&[u8]>) -> Rebuilt {
        let files = Files {
            intervals: &self.intervals,
            histograms: &self.histograms,
            works: &mut self.works.as_slice(),
            summary,
        };
        rebuild(planned(), files).unwrap()
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
    for interval in &run.intervals {
        writer.write(interval).unwrap();
        coarse.write(&mut histograms, interval).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    coarse.finish(&mut histograms).unwrap();
    let mut writer = WorkWriter::new(&mut works).unwrap();
    for settled in &run.rows {
        writer.write(&settled.row).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    Directory {
        intervals,
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

#[test]
fn without_rows_the_summary_says_what_is_stuck() {
    let run = run();
    let mut files = directory(&run);
    let head = files.works.iter().position(|byte| *byte == b'\n').unwrap();
    files.works.truncate(head + 1);
    let before = summary_of(facts(), run.snapshot.clone());
    let after = files.rebuild(Some(&before));
    assert_eq!(after.snapshot.stuck, run.snapshot.stuck);
    assert_eq!(summary_of(after.facts, after.snapshot), before);
    // Of a run that was killed nobody knows.
    let works = run.snapshot.stuck.values().sum();
    let killed = files.rebuild(None).snapshot.stuck;
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
            histograms: &files.histograms,
            works: &mut files.works.as_slice(),
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
        histograms: b"",
        works: &mut &b"seq,sta"[..],
        summary: None,
    };
    let empty = rebuild(planned(), nothing).unwrap();
    assert_eq!(empty.snapshot.counts.get(Count::Scheduled), 0);
    assert_eq!(empty.snapshot.check_books(), Ok(()));
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
            histograms: histograms.as_bytes(),
            works: &mut files.works.as_slice(),
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
    assert_eq!(second.check_books(), Ok(()));
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
            histograms: &files.histograms[..h],
            works: &mut &files.works[..w],
            summary: None,
        });
        let read = read.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read.snapshot.check_books(), Ok(()));
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
