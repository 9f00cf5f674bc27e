//! Ctrl-C and SIGTERM: the first stops the load, the second the run, the third the process.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::orders::Orders;

/// What the operator is told at the first signal and at the second.
const NOTICES: [&str; 2] = [
    "interrupted: no more submits; Ctrl-C again: report now",
    "interrupted: report now; Ctrl-C again: quit without it",
];

/// The exit code of an interrupted run.
pub const INTERRUPTED: u8 = 130;

/// What waits for signals, and both of those that are waited for.
fn signals() -> io::Result<(Runtime, Signal, Signal)> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    drop(inside);
    Ok((runtime, interrupt, terminate))
}

/// Listens on a thread of its own for the life of the process; each signal is passed on as it
/// comes, and `tell` is given a sentence for the operator.
pub fn listen(orders: Orders, tell: impl Fn(&str) + Send + 'static) -> io::Result<()> {
    let (runtime, mut interrupt, mut terminate) = signals()?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                for step in 0_usize.. {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    let is_heard = match step {
                        0 => orders.stop_load(),
                        1 => orders.stop_run(),
                        _ => std::process::exit(INTERRUPTED.into()),
                    };
                    // Where the shards are gone already the report is being written: nothing to
                    // stop.
                    if is_heard {
                        NOTICES
                            .get(step)
                            .into_iter()
                            .for_each(|notice| tell(notice));
                    }
                }
            });
        })?;
    Ok(())
}

/// For a command that makes many runs, whose orders come one after the other: from the first signal
/// on each of them is stopped, and `interrupted` is told; the second signal ends the process.
pub fn stop_runs(
    mut runs: UnboundedReceiver<Orders>,
    interrupted: std::sync::mpsc::Sender<()>,
) -> io::Result<()> {
    let (runtime, mut interrupt, mut terminate) = signals()?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                let mut is_over = false;
                let mut last: Option<Orders> = None;
                loop {
                    tokio::select! {
                        Some(run) = runs.recv() => last = Some(run),
                        _ = interrupt.recv() => is_over = heard(is_over, &interrupted),
                        _ = terminate.recv() => is_over = heard(is_over, &interrupted),
                    }
                    if is_over {
                        // A run that is over has nobody left to hear it.
                        let _ = last.as_ref().map(Orders::stop_run);
                    }
                }
            });
        })?;
    Ok(())
}

/// The first signal is told, the second ends the process.
fn heard(again: bool, interrupted: &std::sync::mpsc::Sender<()>) -> bool {
    if again {
        std::process::exit(INTERRUPTED.into());
    }
    // Where the command is over already there is nothing to interrupt.
    let _ = interrupted.send(());
    true
}
