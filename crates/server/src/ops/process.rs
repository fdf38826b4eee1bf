//! What the system says of this process and of its disk. Linux alone: elsewhere there is nothing of it.

use std::path::Path;

use threadmill_engine::telemetry::family::{Families, number};

/// Clock ticks a second, which Linux has had fixed for user space since 2.6.
const TICKS: f64 = 100.0;
/// What `/proc/self/status` counts memory in.
const KIB: u64 = 1024;

fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
}

/// Bytes of memory that are in use.
pub(crate) fn resident() -> Option<u64> {
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

/// Adds what the system and the runtime say.
pub(crate) fn export(out: &mut Families) {
    if let Some(seconds) = cpu_seconds() {
        let help = "Processor time of the process, in seconds.";
        out.begin("process_cpu_seconds_total", threadmill_engine::telemetry::family::Kind::Counter, help)
            .add(Vec::new(), seconds);
    }
    let gauges = [
        ("process_resident_memory_bytes", "Memory of the process that is in use.", resident()),
        ("process_open_fds", "Files and sockets that the process has open.", open_files()),
        ("process_max_fds", "How many it may have open.", most_files()),
        ("process_threads", "Threads of the process.", status("Threads")),
    ];
    for (name, help, value) in gauges {
        value.into_iter().for_each(|value| out.gauge(name, help, number(value)));
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let metrics = runtime.metrics();
    let (workers, tasks) = (metrics.num_workers(), metrics.num_alive_tasks());
    out.gauge("threadmill_runtime_workers", "Threads that run the node's tasks.", number(workers as u64));
    out.gauge("threadmill_runtime_tasks", "Tasks of the node that have not ended.", number(tasks as u64));
    let help = "Tasks that wait for any worker.";
    out.gauge("threadmill_runtime_queue", help, number(metrics.global_queue_depth() as u64));
    let busy: f64 = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64()).sum();
    let help = "Time that workers were busy, all together, in seconds.";
    out.begin("threadmill_runtime_busy_seconds_total", threadmill_engine::telemetry::family::Kind::Counter, help)
        .add(Vec::new(), busy);
}
