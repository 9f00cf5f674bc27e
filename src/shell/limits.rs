//! Limits of the process: file descriptors, core files, cores; the time on the processor and the
//! memory that it took.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::time::Span;

/// How many descriptors this process may have.
pub fn descriptors_now() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit of open files to what the system allows, and says what it is now.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it cannot be raised it stays, and the check that follows judges by what there is.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Forbids core files: the key is in memory.
pub fn forbid_core_files() {
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
}

/// How many cores this process may use; 1 where the system does not say.
pub fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// The release of the kernel; empty where the system does not say.
pub fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// The time that the calling thread has spent on a processor.
pub fn thread_cpu() -> Span {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Span(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The most memory that was resident in this process so far, in bytes; none where the system does
/// not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

/// Whether a system call failed because this process, or the machine, has no descriptor left.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let none_left = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| none_left.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_files_is_raised_to_its_ceiling() {
        let ceiling = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_descriptors(), ceiling);
    }

    #[test]
    fn memory_that_is_used_is_seen() {
        let before = peak_memory().unwrap();
        // Pages are resident once they are written to.
        let used = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = peak_memory().unwrap();
        assert!(
            after >= before && after >= used.len() as u64,
            "{before} {after}"
        );
    }

    #[test]
    fn time_on_the_processor_does_not_go_back() {
        let before = thread_cpu();
        assert!(thread_cpu() >= before);
    }
}
