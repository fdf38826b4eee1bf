//! What the system says of this process and of its disk, and the runtime of its workers. Of the system Linux alone: elsewhere
//! there is nothing of it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use threadmill_engine::telemetry::family::{Families, Kind, number};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How old a reading may be: whoever scrapes twice in it gets the same.
const FRESH: Duration = Duration::from_secs(5);

/// Clock ticks a second, which Linux has had fixed for user space since 2.6.
const TICKS: f64 = 100.0;
/// What `/proc/self/status` counts memory in.
const KIB: u64 = 1024;

fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
}

fn resident() -> Option<u64> {
    status("VmRSS").map(|kib| kib * KIB)
}

fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything but ends with the last parenthesis.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(number(user + system) / TICKS)
}

fn open_files() -> Option<u64> {
    std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64)
}

fn most_files() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    text.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

/// The share of a directory's file system that is free for this process.
pub(crate) fn free_share(directory: &Path) -> Option<f64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    (found.f_blocks > 0).then(|| number(found.f_bavail) / number(found.f_blocks))
}

/// What is read of the process at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    cpu_seconds: Option<f64>,
    /// Bytes of memory that are in use.
    pub(crate) resident: Option<u64>,
    open_files: Option<u64>,
    most_files: Option<u64>,
    threads: Option<u64>,
}

impl Reading {
    /// Reads it. With twenty thousand sockets the list of open files takes some milliseconds.
    fn take() -> Self {
        Self {
            cpu_seconds: cpu_seconds(),
            resident: resident(),
            open_files: open_files(),
            most_files: most_files(),
            threads: status("Threads"),
        }
    }
}

/// How busy the runtime's workers were between the last two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Busy {
    /// Of all of them, the share of their time.
    all: f64,
    /// Of the busiest: near 1, something blocks it, or there is work for more.
    busiest: f64,
}

/// What was read last, so that however many ask, the system is asked once in [`FRESH`] and by a thread that may wait for it.
#[derive(Debug, Default)]
pub(crate) struct Sampled(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    at: Option<Instant>,
    reading: Reading,
    /// How long each worker was busy since the start, at the last reading.
    workers: Vec<Duration>,
    busy: Option<Busy>,
}

impl Sampled {
    /// What is known of the process, at most [`FRESH`] old, or as old as the reading that is under way.
    pub(crate) async fn read(&self) -> Reading {
        self.read_by(Reading::take, workers).await
    }

    async fn read_by(
        &self,
        take: impl FnOnce() -> Reading + Send + 'static,
        workers: impl FnOnce() -> Vec<Duration>,
    ) -> Reading {
        {
            let mut known = self.known();
            if known.at.is_some_and(|at| at.elapsed() < FRESH) {
                return known.reading;
            }
            known.look_at(workers(), Instant::now());
        }
        let reading = tokio::task::spawn_blocking(take).await.unwrap_or_default();
        self.known().reading = reading;
        reading
    }

    fn busy(&self) -> Option<Busy> {
        self.known().busy
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn look_at(&mut self, workers: Vec<Duration>, now: Instant) {
        let before = std::mem::replace(&mut self.workers, workers);
        let since = self.at.replace(now).map(|at| now.saturating_duration_since(at).as_secs_f64());
        let Some(seconds) = since.filter(|seconds| *seconds > 0.0 && before.len() == self.workers.len()) else {
            return;
        };
        let share = |(now, before): (&Duration, &Duration)| now.saturating_sub(*before).as_secs_f64() / seconds;
        let shares: Vec<f64> = self.workers.iter().zip(&before).map(share).map(|share| share.min(1.0)).collect();
        self.busy = Some(Busy {
            all: shares.iter().sum::<f64>() / number(shares.len().max(1) as u64),
            busiest: shares.into_iter().fold(0.0, f64::max),
        });
    }
}

/// How long each of the runtime's workers was busy since the start.
fn workers() -> Vec<Duration> {
    let Ok(runtime) = Handle::try_current() else { return Vec::new() };
    let metrics = runtime.metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect()
}

/// Adds what the system and the runtime say. What blocking threads do and how long polls take the runtime counts only where it
/// is built for that, which is not stable; the lag of its timer (`threadmill_runtime_late_seconds`) says the latter.
pub(crate) async fn export(out: &mut Families, sampled: &Sampled) {
    let reading = sampled.read().await;
    if let Some(seconds) = reading.cpu_seconds {
        let help = "Processor time of the process, in seconds.";
        out.begin("process_cpu_seconds_total", Kind::Counter, help).add(Vec::new(), seconds);
    }
    let gauges = [
        ("process_resident_memory_bytes", "Memory of the process that is in use.", reading.resident),
        ("process_open_fds", "Files and sockets that the process has open.", reading.open_files),
        ("process_max_fds", "How many it may have open.", reading.most_files),
        ("process_threads", "Threads of the process.", reading.threads),
    ];
    for (name, help, value) in gauges {
        value.into_iter().for_each(|value| out.gauge(name, help, number(value)));
    }
    if let Some(Busy { all, busiest }) = sampled.busy() {
        let help = "Share of their time that workers were busy, between the last two looks.";
        out.gauge("threadmill_runtime_busy_share", help, all);
        let help = "The same of the busiest worker alone: near 1, a task blocks it or there is work for more of them.";
        out.gauge("threadmill_runtime_busiest_share", help, busiest);
    }
    let Ok(runtime) = Handle::try_current() else { return };
    let metrics = runtime.metrics();
    let (workers, tasks) = (metrics.num_workers(), metrics.num_alive_tasks());
    out.gauge("threadmill_runtime_workers", "Threads that run the node's tasks.", number(workers as u64));
    out.gauge("threadmill_runtime_tasks", "Tasks of the node that have not ended.", number(tasks as u64));
    let help = "Tasks that wait for any worker.";
    out.gauge("threadmill_runtime_queue", help, number(metrics.global_queue_depth() as u64));
    let busy: f64 = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64()).sum();
    let help = "Time that workers were busy, all together, in seconds.";
    out.begin("threadmill_runtime_busy_seconds_total", Kind::Counter, help).add(Vec::new(), busy);
    let parks = (0..workers).map(|worker| metrics.worker_park_count(worker)).sum();
    out.count("threadmill_runtime_parks_total", "How often workers had nothing to do and slept.", parks);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_system_is_asked_once_in_a_while_however_many_ask() {
        let (sampled, asked) = (Sampled::default(), Arc::<AtomicUsize>::default());
        let read = async |busy: [u64; 2]| {
            let asked = Arc::clone(&asked);
            let take = move || {
                let times = asked.fetch_add(1, SeqCst) as u64 + 1;
                Reading { resident: Some(times), ..Reading::default() }
            };
            sampled.read_by(take, || busy.map(Duration::from_secs).to_vec()).await.resident
        };
        assert_eq!((read([0, 0]).await, read([9, 9]).await, asked.load(SeqCst)), (Some(1), Some(1), 1));
        assert_eq!(sampled.busy(), None, "of one look there is no share");
        tokio::time::advance(FRESH).await;
        assert_eq!((read([1, 4]).await, asked.load(SeqCst)), (Some(2), 2));
        assert_eq!(sampled.busy(), Some(Busy { all: 0.5, busiest: 0.8 }));
    }

    #[tokio::test]
    async fn this_process_is_read_where_the_system_says_something_of_it() {
        let reading = Sampled::default().read().await;
        if Path::new("/proc/self/stat").exists() {
            assert!(reading.resident.is_some_and(|bytes| bytes > 1 << 20));
            assert!(reading.open_files.is_some_and(|files| files > 0) && reading.most_files > reading.open_files);
            assert!(reading.threads.is_some_and(|threads| threads > 0) && reading.cpu_seconds.is_some());
        }
    }
}
