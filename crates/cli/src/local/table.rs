//! The checks of this machine: those before a deployment, and those of the doctor.

use std::future::ready;

use futures_util::FutureExt as _;

use super::machine::Machine;
use super::{services, settings, system};
use crate::checks::{Check, Needs, Run};

const fn check(id: &'static str, [title, does, todo]: [&'static str; 3], run: Run<Machine>) -> Check<Machine> {
    Check { id, title, does, todo, needs: Needs::Nothing, gives: Needs::Nothing, run }
}

const CONFIG: Check<Machine> = check(
    "config",
    [
        "The configuration can be used",
        "Reads the file, the variables and the flags of features, as `serve` does",
        "`threadmill config check` names the key; docs/configuration.md has every key",
    ],
    |machine| ready(settings::config(machine)).boxed_local(),
);
const SECRETS: Check<Machine> = check(
    "secrets",
    [
        "No secret is named so that a bundler publishes it",
        "Looks for variables with the prefixes VITE_, NEXT_PUBLIC_ and REACT_APP_ that hold secrets, and for keys in the configuration file",
        "Rename the variable and change the secret: it may be in pages already. Keys of providers go by key_env or key_file",
    ],
    |machine| ready(settings::secrets(machine)).boxed_local(),
);
const AUTH: Check<Machine> = check(
    "auth",
    [
        "Callers are known, or this machine's own",
        "Reads how callers are identified, where the node listens, and the secret",
        "Use auth = \"token\" with a secret of at least 32 bytes for what others reach: `head -c 48 /dev/urandom | base64 > secret`",
    ],
    |machine| ready(settings::auth(machine)).boxed_local(),
);
const PROVIDERS: Check<Machine> = check(
    "providers",
    [
        "Somebody answers",
        "Reads the providers and their keys; asks none of them",
        "Add [[providers]] to the configuration, and set the variable that key_env names",
    ],
    |machine| ready(settings::providers(machine)).boxed_local(),
);
const DURABILITY: Check<Machine> = check(
    "durability",
    [
        "What an acknowledged write survives is known",
        "Reads the settings of the database that decide",
        "Set fsync = on and synchronous_commit = on; a synchronous standby makes it `replicated`",
    ],
    |machine| services::durability(machine).boxed_local(),
);
const STORE: Check<Machine> = check(
    "store",
    [
        "The database is there, takes writes and has a layout that this release knows",
        "Connects to `store.url` and looks; changes nothing",
        "Check the URL (THREADMILL_STORE_URL), the password, sslmode and pg_hba.conf; of two releases start the newer one",
    ],
    |machine| services::store(machine).boxed_local(),
);
const HOT: Check<Machine> = check(
    "hot",
    [
        "The hot tier answers",
        "Connects to `hot.url` and says PING",
        "Check the URL (THREADMILL_HOT_URL), the password and TLS; the permissions it wants are in docs/nodes.md",
    ],
    |machine| services::hot_tier(machine).boxed_local(),
);
const HOT_TTL: Check<Machine> = check(
    "hot-ttl",
    ["The hot tier keeps things long enough to be of use", "Reads `hot.ttl_seconds`", "Set hot.ttl_seconds to 3600"],
    |machine| ready(settings::hot_ttl(machine)).boxed_local(),
);
const FALLBACK: Check<Machine> = check(
    "fallback",
    [
        "It is known what happens without the hot tier",
        "Reads which tiers are configured",
        "Take hot.url out, or name a PostgreSQL as store.url",
    ],
    |machine| ready(settings::fallback(machine)).boxed_local(),
);
const DRAIN: Check<Machine> = check(
    "drain",
    [
        "A stop leaves answers time to end",
        "Reads `drain_seconds`",
        "Set drain_seconds to 20, and TimeoutStopSec or terminationGracePeriodSeconds to 30",
    ],
    |machine| ready(settings::drain(machine)).boxed_local(),
);
const PORT: Check<Machine> = check(
    "port",
    [
        "The address is free",
        "Listens on it for a moment",
        "`ss -ltnp` says who has it; choose another one with --listen",
    ],
    |machine| ready(system::port(machine)).boxed_local(),
);
const DIRECTORY: Check<Machine> = check(
    "directory",
    [
        "The data directory can be written, by this user and not by everybody",
        "Makes, syncs and removes a file there, and reads the directory's permissions",
        "`chown` it to the user of the service, and `chmod 700` it",
    ],
    |machine| ready(system::directory(machine)).boxed_local(),
);
const DISK: Check<Machine> = check(
    "disk",
    [
        "The disk has room",
        "Asks for the free bytes and files of the data directory's disk",
        "Make room, or move the data: a full disk makes the node read-only",
    ],
    |machine| ready(system::disk(machine)).boxed_local(),
);
const DESCRIPTORS: Check<Machine> = check(
    "descriptors",
    [
        "A process may open enough files",
        "Reads the hard limit of open files",
        "Set LimitNOFILE=65536 in the unit, or `ulimit -Hn`; each connection takes one",
    ],
    |machine| ready(system::descriptors(machine)).boxed_local(),
);
const CLOCK: Check<Machine> = check(
    "clock",
    [
        "The clock is right",
        "Compares it with the time of this release, and looks for a time service",
        "Run chrony or systemd-timesyncd",
    ],
    |machine| ready(system::clock(machine)).boxed_local(),
);
const KERNEL: Check<Machine> = check(
    "kernel",
    ["The kernel is one that is known to work", "Asks for its name and version", "Upgrade the system"],
    |machine| ready(system::kernel(machine)).boxed_local(),
);
const SYNC_TIME: Check<Machine> = check(
    "sync-time",
    [
        "The disk syncs quickly",
        "Writes and syncs 4 KiB nine times and takes the median",
        "Use a local disk: network file systems and spinning disks make every write wait this long",
    ],
    |machine| ready(system::sync_time(machine)).boxed_local(),
);
const INTEGRITY: Check<Machine> = check(
    "integrity",
    [
        "The store's file is whole",
        "Reads every page of it once with SQLite's quick check; a server may have it open",
        "Stop the node, keep a copy of the directory, and `threadmill restore` the last backup",
    ],
    |machine| system::integrity(machine).boxed_local(),
);

/// Before deploying.
pub(crate) static PRE: &[Check<Machine>] = &[
    CONFIG,
    SECRETS,
    AUTH,
    PROVIDERS,
    PORT,
    DIRECTORY,
    DISK,
    DESCRIPTORS,
    STORE,
    DURABILITY,
    HOT,
    HOT_TTL,
    FALLBACK,
    DRAIN,
    CLOCK,
];

/// Of a machine that has a node already.
pub(crate) static DOCTOR: &[Check<Machine>] = &[
    CONFIG,
    SECRETS,
    AUTH,
    DIRECTORY,
    DISK,
    SYNC_TIME,
    INTEGRITY,
    DESCRIPTORS,
    PORT,
    CLOCK,
    KERNEL,
    STORE,
    DURABILITY,
    HOT,
    HOT_TTL,
];
