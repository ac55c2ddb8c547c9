//! What the system says of this process: memory, processor time, files, threads. Read from /proc when asked; what cannot
//! be read is left out.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::render::{render_process, samples};
use super::schema::metrics::{Process, Used};
use crate::clock::now_ms;

/// Appends the process's own metrics.
pub(super) fn render(text: &mut String) {
    for process in Process::ALL {
        if let Some(value) = measured(*process) {
            render_process(text, *process, value);
        }
    }
    samples(text, &Used::ProcessorTime.metric(), std::iter::once((0, processor_time().as_secs_f64())));
}

/// Processor time that this process has taken.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn measured(process: Process) -> Option<f64> {
    match process {
        Process::BuildInfo => Some(1.0),
        Process::ResidentMemory => Some(field(&status()?, "VmRSS:")? * 1024.0),
        Process::Threads => field(&status()?, "Threads:"),
        Process::OpenFiles => Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64),
        Process::OpenFilesMax => field(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files"),
        Process::StartTime => Some(started_ms()? / 1e3),
    }
}

fn status() -> Option<String> {
    fs::read_to_string("/proc/self/status").ok()
}

/// The first number behind a name, in a file of one name a line.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Wall clock time at which the process began: now, less the system's uptime, plus the uptime at its beginning.
fn started_ms() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in brackets and may hold spaces; the time is the twentieth field behind it.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime_s: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let since_boot_ms = ticks * 1e3 / rustix::param::clock_ticks_per_second() as f64;
    Some(now_ms() as f64 - uptime_s * 1e3 + since_boot_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_about_this_process_can_be_read() {
        for process in Process::ALL {
            assert!(measured(*process).is_some_and(|value| value > 0.0), "{process:?}");
        }
        assert!(processor_time() > Duration::ZERO);
    }

    #[test]
    fn it_began_before_now_and_not_long_ago() {
        let age_ms = now_ms() as f64 - measured(Process::StartTime).unwrap() * 1e3;
        // The system counts in hundredths of a second.
        assert!((-50.0..86_400_000.0).contains(&age_ms), "{age_ms}");
    }

    #[test]
    fn a_name_that_is_not_there_gives_nothing() {
        assert_eq!(field("VmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234.0));
        assert_eq!(field("VmRSS:\t  1234 kB\n", "VmSwap:"), None);
        assert_eq!(field("Max open files  unlimited\n", "Max open files"), None);
    }
}
