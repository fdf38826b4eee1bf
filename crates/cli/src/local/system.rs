//! The machine: its disk, its limits, its ports and its clock.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use threadmill_store_sqlite::inspect;

use super::machine::Machine;
use crate::checks::{NotDone, Verdict};
use crate::clock;

type Found = anyhow::Result<Verdict>;

const GIB: u64 = 1 << 30;
/// Less room than this, or a smaller share, is too little for a store that grows.
const ROOM: u64 = GIB;
const ROOM_PERCENT: u64 = 5;
/// What a node with its default limits can use.
const DESCRIPTORS: u64 = 16_384;
/// No clock of this release is before its release: 2026-01-01.
const RELEASED: u64 = 1_767_225_600;

/// The directory, or the nearest above it that is there: one that is to be made will be on its disk.
fn standing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let above = path.ancestors().find(|above| above.is_dir());
    above.unwrap_or_else(|| Path::new("/")).to_owned()
}

fn embedded(machine: &Machine) -> anyhow::Result<&Path> {
    let config = machine.config()?;
    if config.store.url.is_some() {
        return Err(NotDone("the store is PostgreSQL: nothing is kept here".into()).into());
    }
    Ok(&config.data)
}

/// The node must be able to make, write, rename and remove files there, and nobody else should read them.
pub(super) fn directory(machine: &Machine) -> Found {
    use std::os::unix::fs::PermissionsExt as _;
    let data = embedded(machine)?;
    let there = standing(data);
    let file = tempfile::NamedTempFile::new_in(&there);
    let file = file.with_context(|| format!("nothing can be written in {}", there.display()))?;
    file.as_file().sync_all().with_context(|| format!("a file in {} cannot be synced", there.display()))?;
    if !data.is_dir() {
        return Ok(Verdict::passed(format!("{} can be made", data.display())));
    }
    let mode = std::fs::metadata(data)?.permissions().mode();
    if mode & 0o002 != 0 {
        return Ok(Verdict::failed(format!(
            "everybody on this machine can write in {} (mode {:o})",
            data.display(),
            mode & 0o777
        )));
    }
    let database = data.join("threadmill.db");
    if database.exists() {
        let opened = std::fs::OpenOptions::new().read(true).write(true).open(&database);
        opened.with_context(|| format!("{} cannot be written by this user", database.display()))?;
    }
    if mode & 0o077 != 0 && is_readable(data) {
        return Ok(Verdict::warned(format!(
            "others on this machine can read what is in {} (mode {:o}): chmod -R go-rwx it",
            data.display(),
            mode & 0o777
        )));
    }
    Ok(Verdict::passed(format!("{} can be written", data.display())))
}

/// Whether others may read a file of the store, once they are let into its directory.
fn is_readable(data: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let files = ["threadmill.db", "threadmill.db-wal", "ops-audit.jsonl"].map(|name| data.join(name));
    let modes = files.iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.permissions().mode()));
    modes.into_iter().any(|mode| mode & 0o044 != 0)
}

pub(super) fn disk(machine: &Machine) -> Found {
    let there = standing(embedded(machine)?);
    let disk = rustix::fs::statvfs(&there).with_context(|| format!("the disk of {}", there.display()))?;
    let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    let percent = (free.saturating_mul(100)).checked_div(all).unwrap_or_default();
    let saw = format!(
        "{:.1} GiB of {:.1} are free ({percent} %), {} files more can be made",
        gib(free),
        gib(all),
        disk.f_favail
    );
    let no_files = disk.f_files > 0 && disk.f_favail < 1_000;
    Ok(if no_files || free < ROOM / 8 {
        Verdict::failed(saw)
    } else if free < ROOM || percent < ROOM_PERCENT {
        Verdict::warned(saw)
    } else {
        Verdict::passed(saw)
    })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

pub(super) fn descriptors(_: &Machine) -> Found {
    let (_, hard) = rlimit::Resource::NOFILE.get().context("the limit of open files")?;
    let saw = format!("a process may open {hard} files; a node raises its own limit as far");
    Ok(if hard >= DESCRIPTORS { Verdict::passed(saw) } else { Verdict::warned(saw) })
}

pub(super) fn port(machine: &Machine) -> Found {
    let address: SocketAddr = machine.config()?.listen;
    match TcpListener::bind(address) {
        Ok(_) => Ok(Verdict::passed(format!("{address} is free"))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(Verdict::failed(format!("{address} is taken by another program, perhaps a node that runs")))
        }
        Err(error) => Ok(Verdict::failed(format!("{address} cannot be listened on: {error}"))),
    }
}

pub(super) async fn integrity(machine: &Machine) -> Found {
    let data = embedded(machine)?.to_owned();
    if !data.join("threadmill.db").exists() {
        return Err(NotDone(format!("there is no store in {} yet", data.display())).into());
    }
    let found = tokio::task::spawn_blocking(move || inspect(&data)).await??;
    let (schema, newest) = (found.schema, found.newest);
    if let Some(fault) = found.faults.first() {
        return Ok(Verdict::failed(format!("the file is damaged: {fault} ({} faults in all)", found.faults.len())));
    }
    if let Some(why) = found.refused {
        return Ok(Verdict::failed(why));
    }
    let use_now = if found.in_use { "open in a server" } else { "open nowhere" };
    let (mib, log) = (found.bytes >> 20, found.log_bytes >> 20);
    Ok(Verdict::passed(format!("{mib} MiB whole, {log} MiB of log, layout {schema} of {newest}, {use_now}")))
}

pub(super) fn clock(_: &Machine) -> Found {
    let now = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ensure!(
        now.as_secs() > RELEASED,
        "this machine believes that it is {}",
        threadmill_proto::json::iso(clock::unix_millis())
    );
    // Chrony, timesyncd and ntpd tell the kernel, which keeps this file where it can.
    let synced = Path::new("/run/systemd/timesync/synchronized").exists() || Path::new("/run/chrony").exists();
    let saw = format!("it is {}", threadmill_proto::json::iso(clock::unix_millis()));
    Ok(if synced {
        Verdict::passed(format!("{saw}, kept by a time service"))
    } else {
        Verdict::passed(format!("{saw}; no sign of a time service (a container has its host's)"))
    })
}

/// The oldest kernel that the tests know to work.
const KERNEL: (u32, u32) = (4, 14);

pub(super) fn kernel(_: &Machine) -> Found {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let system = name.sysname().to_string_lossy().into_owned();
    let saw = format!("{system} {release} on {}, {} processors", name.machine().to_string_lossy(), cores());
    Ok(if system == "Linux" && version < KERNEL { Verdict::warned(saw) } else { Verdict::passed(saw) })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A file system on which a sync takes long makes every write wait.
pub(super) fn sync_time(machine: &Machine) -> Found {
    use std::io::Write as _;
    let there = standing(embedded(machine)?);
    let mut file =
        tempfile::tempfile_in(&there).with_context(|| format!("no file can be made in {}", there.display()))?;
    let mut times = Vec::new();
    for _ in 0..9 {
        file.write_all(&[0; 4096])?;
        let began = std::time::Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    let saw = format!("a sync of 4 KiB takes {:.2} ms", median.as_secs_f64() * 1e3);
    Ok(if median > Duration::from_millis(50) { Verdict::warned(saw) } else { Verdict::passed(saw) })
}
