//! The checks, in the order in which they are done. What an earlier one establishes, later ones need.

use futures_util::FutureExt as _;

use super::scene::Scene;
use super::{deep, drawn, health, locks, page, reach, stream, timing, tls, windows, writes};
use crate::checks::{Check, Needs, Run};

use Needs::{Caller, Nothing, Server};

type One = Check<Scene>;

const fn check(id: &'static str, needs: Needs, [title, does, todo]: [&'static str; 3], run: Run<Scene>) -> One {
    Check { id, title, does, todo, needs, gives: Nothing, run }
}

/// Every check of a deployment but those of `--deep`.
pub(super) static CHECKS: &[One] = &[
    check(
        "cert-expiry",
        Nothing,
        [
            "The certificate is trusted and holds for a while yet",
            "Shakes hands with each https node, has the system's authorities judge the chain, and reads until when each certificate of it holds",
            "Renew the certificate, or serve the whole chain; for an authority of your own set SSL_CERT_FILE",
        ],
        |scene| tls::cert_expiry(scene).boxed_local(),
    ),
    Check {
        gives: Server,
        ..check(
            "reachable",
            Nothing,
            [
                "Every node answers",
                "Asks each node for /livez",
                "Check the address, the process (`systemctl status threadmill`), the firewall and the load balancer's target",
            ],
            |scene| reach::reachable(scene).boxed_local(),
        )
    },
    check(
        "not-ready",
        Server,
        [
            "Every node takes requests",
            "Asks each node for /readyz",
            "The status says why: the store does not answer, refuses writes, or the node is being stopped. See its log",
        ],
        |scene| reach::not_ready(scene).boxed_local(),
    ),
    check(
        "degraded",
        Server,
        [
            "No node has fallen back on the durable tier",
            "Reads the mode of each node's /readyz",
            "The hot tier does not answer: look at the vendor's status page, then at its address, password and latency",
        ],
        |scene| reach::degraded(scene).boxed_local(),
    ),
    check(
        "read-only",
        Server,
        [
            "Every node takes writes",
            "Reads the mode of each node's /readyz",
            "The durable tier refuses writes: make room on the disk; if there is room, see the log and restart the node",
        ],
        |scene| reach::read_only(scene).boxed_local(),
    ),
    check(
        "clock-skew",
        Server,
        [
            "The clocks agree",
            "Compares the Date of each node's answer with this machine's clock, and with each other",
            "Run chrony or systemd-timesyncd on every node; tokens are refused by a clock that is behind or ahead",
        ],
        |scene| reach::clock_skew(scene).boxed_local(),
    ),
    Check {
        gives: Caller,
        ..check(
            "identity",
            Server,
            [
                "The caller is known, and as the same user everywhere",
                "Asks each node for /v1/info as the checks' user",
                "Give a token in THREADMILL_TOKEN, or the deployment's secret by --auth-secret-file or THREADMILL_AUTH_SECRET; every node must have the same secret",
            ],
            |scene| reach::identity(scene).boxed_local(),
        )
    },
    check(
        "anonymous-refused",
        Server,
        [
            "Who shows no credentials gets nothing",
            "Asks each node for a list of threads without credentials",
            "Start the nodes with --auth token; --auth dev is for this machine alone, and no proxy may add credentials of its own",
        ],
        |scene| reach::anonymous_refused(scene).boxed_local(),
    ),
    check(
        "foreign-host",
        Caller,
        [
            "A request for another host is refused",
            "Names another Host in a request",
            "The proxy before the nodes must pass the Host on as it came, and not set it to one that is allowed",
        ],
        |scene| reach::foreign_host(scene).boxed_local(),
    ),
    check(
        "foreign-origin",
        Caller,
        [
            "A page of another origin is refused",
            "Names another Origin in a request",
            "Take it out of --allow-origin; a proxy must not add Access-Control headers or remove Origin",
        ],
        |scene| reach::foreign_origin(scene).boxed_local(),
    ),
    check(
        "version-skew",
        Caller,
        [
            "All nodes run the same release",
            "Compares the versions that the nodes name",
            "Finish the upgrade; neighbouring releases run together, for as long as an upgrade takes",
        ],
        |scene| reach::version_skew(scene).boxed_local(),
    ),
    check(
        "live-connection",
        Caller,
        [
            "A live connection stands",
            "Opens the live protocol at each node, as a WebSocket or, where those do not get through, by requests",
            "The proxy must pass Upgrade on, or at least not buffer answers to POST /v1/sync",
        ],
        |scene| reach::live_connection(scene).boxed_local(),
    ),
    check(
        "page-secrets",
        Server,
        [
            "No key is in what every visitor gets",
            "Fetches the page and every file that it names, and looks for the forms of keys, for private keys and for the names of secret variables",
            "Take the key back at once and make a new one: it was public. Rename variables that begin with VITE_, which a bundler puts into the page",
        ],
        |scene| page::page_secrets(scene).boxed_local(),
    ),
    check(
        "page-renders",
        Caller,
        [
            "The page shows its chat in a browser",
            "Opens the long thread in the Chromium of --browser, as the checks' own user, and looks whether its newest message is drawn",
            "Open the page and look at the browser's console; a content policy of a proxy may forbid its scripts",
        ],
        |scene| drawn::renders(scene).boxed_local(),
    ),
    check(
        "page-load-time",
        Caller,
        [
            "A long thread opens in time in a browser",
            "Loads the page of the long thread seven times in the Chromium of --browser, until its rows are painted",
            "If load-time passes it is the page: see what its files take to come, and whether a proxy compresses and caches them",
        ],
        |scene| drawn::load(scene).boxed_local(),
    ),
    check(
        "page-switch-time",
        Caller,
        [
            "Switching between threads is quick in a browser",
            "Clicks to and fro between two threads of the list in the Chromium of --browser, twenty times, until rows are painted",
            "As for page-load-time",
        ],
        |scene| drawn::switch(scene).boxed_local(),
    ),
    check(
        "page-frame-time",
        Caller,
        [
            "Scrolling holds its frames in a browser",
            "Scrolls the long thread by sixty frames in the Chromium of --browser, and takes what each needs until it is painted",
            "A machine without a graphics card may need longer: raise --max-frame-ms. Else report it with the version and the machine",
        ],
        |scene| drawn::frame(scene).boxed_local(),
    ),
    check(
        "page-scroll-time",
        Caller,
        [
            "Older messages come in time in a browser",
            "Scrolls to the top of what is loaded in the Chromium of --browser, twenty times, until older messages are painted",
            "As for page-load-time",
        ],
        |scene| drawn::scroll(scene).boxed_local(),
    ),
    check(
        "private-cache",
        Caller,
        [
            "No cache keeps what is private",
            "Reads the Cache-Control of a window and of the list, and the content policy of the page",
            "The proxy or delivery network must leave Cache-Control and Content-Security-Policy as they come",
        ],
        |scene| page::private_cache(scene).boxed_local(),
    ),
    check(
        "append",
        Caller,
        [
            "A message is acknowledged",
            "Makes a thread, appends a message and reads the acknowledgement",
            "See the log of the node for the request; /readyz says whether writes pass",
        ],
        |scene| writes::append(scene).boxed_local(),
    ),
    check(
        "read-your-writes",
        Caller,
        [
            "What was acknowledged is in the next reading, at every node",
            "Appends ten messages at the nodes by turns, and reads each back at every node with the position of its acknowledgement",
            "A cache or a standby before the nodes answers in their place; nodes must share one database",
        ],
        |scene| writes::read_your_writes(scene).boxed_local(),
    ),
    check(
        "idempotent-retry",
        Caller,
        [
            "A write that is repeated has one effect",
            "Sends one write three times with one Idempotency-Key, at several nodes if there are",
            "The proxy must pass Idempotency-Key on; nodes must share one database",
        ],
        |scene| writes::idempotent_retry(scene).boxed_local(),
    ),
    check(
        "branch",
        Caller,
        [
            "An edit forks, and what was there stays",
            "Edits a message that others follow, and reads both branches",
            "Report it with the version: the store did not keep a branch",
        ],
        |scene| writes::branch(scene).boxed_local(),
    ),
    check(
        "seed",
        Caller,
        [
            "A thread of 1,000 messages is brought in",
            "Imports a thread in three requests and counts its messages",
            "See the log for the import; a proxy must let bodies of 2 MiB pass",
        ],
        |scene| windows::seed(scene).boxed_local(),
    ),
    check(
        "viewport-first",
        Caller,
        [
            "The newest window has exactly the newest 50 messages",
            "Opens the long thread at its tip at every node and compares each message with what was written",
            "Report it with the version; if one node alone differs, restart it, and look for a cache before it",
        ],
        |scene| windows::first(scene).boxed_local(),
    ),
    check(
        "viewport-page",
        Caller,
        [
            "A page has exactly 25 messages, and begins where the last one ended",
            "Pages the long thread four times backwards and once forwards",
            "As for viewport-first",
        ],
        |scene| windows::page(scene).boxed_local(),
    ),
    check(
        "viewport-anywhere",
        Caller,
        [
            "A window opens anywhere",
            "Opens the long thread at its beginning, around a message and from a time on",
            "As for viewport-first",
        ],
        |scene| windows::anywhere(scene).boxed_local(),
    ),
    check(
        "viewport-live",
        Caller,
        [
            "A live view opens with 50 rows and grows by 25",
            "Opens the long thread in the engine that the page runs, and scrolls",
            "As for live-connection",
        ],
        |scene| windows::live(scene).boxed_local(),
    ),
    check(
        "thread-memory",
        Caller,
        [
            "A thread that is scrolled holds less than 10 MB",
            "Scrolls the long thread in the engine that the page runs, and counts the rows and bytes it holds",
            "Report it with the version: the window is not given up at its far end",
        ],
        |scene| windows::thread_memory(scene).boxed_local(),
    ),
    check(
        "compression",
        Caller,
        [
            "Windows are sent compressed",
            "Reads one window with and without Accept-Encoding",
            "The proxy must pass Accept-Encoding on; it need not compress by itself",
        ],
        |scene| page::compression(scene).boxed_local(),
    ),
    check(
        "two-readers",
        Caller,
        [
            "Two readers see the same",
            "Opens one thread twice, at two nodes if there are, writes to it and compares both views with what is stored",
            "As for live-connection; between nodes, the database's notifications or the hot tier do not arrive: see docs/nodes.md",
        ],
        |scene| writes::two_readers(scene).boxed_local(),
    ),
    check(
        "cross-node",
        Caller,
        [
            "What is written at one node is seen at every other",
            "Writes at each node and waits for it in a live view at each other one",
            "The nodes must share one database (`store.url`); a pooler that swallows NOTIFY makes them slow, not wrong: see docs/nodes.md",
        ],
        |scene| writes::cross_node(scene).boxed_local(),
    ),
    check(
        "presence",
        Caller,
        [
            "Who is there is seen",
            "Says that a device is in a thread, and asks who is",
            "Between nodes presence goes by the hot tier: see degraded",
        ],
        |scene| writes::presence(scene).boxed_local(),
    ),
    check(
        "lock-exclusive",
        Caller,
        [
            "Of twenty who ask at once, one is granted the lock",
            "Asks twenty times for one lock without waiting, over all nodes",
            "Stop what relies on locks: nodes that grant one lock twice do not share one database, or something answers in their place",
        ],
        |scene| locks::exclusive(scene).boxed_local(),
    ),
    check(
        "lock-tokens",
        Caller,
        [
            "Tokens of a lock only grow",
            "Takes and gives back a lock six times, at the nodes by turns",
            "As for lock-exclusive",
        ],
        |scene| locks::tokens(scene).boxed_local(),
    ),
    check(
        "lock-fence",
        Caller,
        [
            "A write with a stale token is refused",
            "Writes under a lock with the newest token and with the one before it",
            "The proxy must pass Threadmill-Fence on; else as for lock-exclusive",
        ],
        |scene| locks::fence(scene).boxed_local(),
    ),
    check(
        "lock-expiry",
        Caller,
        [
            "A lock that nobody gives back passes on",
            "Takes a lock for 1.5 s, keeps it, and asks for it again",
            "See clock-skew of the database's machine",
        ],
        |scene| locks::expiry(scene).boxed_local(),
    ),
    check(
        "lock-failures",
        Caller,
        [
            "Those who wait for a lock get it",
            "Reads how many went without, as the nodes counted",
            "Hold locks for shorter, or split them; GET /v1/locks says whether holders are slow or die",
        ],
        |scene| locks::failures(scene).boxed_local(),
    ),
    check(
        "stream",
        Caller,
        [
            "An answer comes in pieces, as it is made",
            "Asks a provider (`--provider`, else `replay`, else the first) to count to thirty, and follows its answer",
            "The error's words are the provider's; if all came in one piece, something on the way holds answers back: proxies must not buffer text/event-stream",
        ],
        |scene| stream::stream(scene).boxed_local(),
    ),
    check(
        "stream-order",
        Caller,
        [
            "Every piece of an answer comes once and in order",
            "Looks at the offsets and numbers of all that was followed",
            "Something between the nodes and the reader repeats or drops data; without a proxy, report it with the version",
        ],
        |scene| stream::order(scene).boxed_local(),
    ),
    check(
        "stream-stored",
        Caller,
        [
            "What was shown is what is kept",
            "Compares the text that came live with the stored message at every node",
            "As for stream-order",
        ],
        |scene| stream::stored(scene).boxed_local(),
    ),
    check(
        "stream-resume",
        Caller,
        [
            "A reader that goes away in the middle of an answer resumes it",
            "Drops the connection after two pieces, comes back with the last cursor, and compares with who stayed",
            "The proxy must pass Last-Event-ID on",
        ],
        |scene| stream::resume(scene).boxed_local(),
    ),
    check(
        "stop",
        Caller,
        [
            "A stop stops, from any node",
            "Asks for a long answer, stops it at another node if there is one, and waits for its end",
            "Look at the writing node's log and at cross-node; a provider that ignores a closed connection still costs money",
        ],
        |scene| stream::stop(scene).boxed_local(),
    ),
    check(
        "hot-tier",
        Server,
        [
            "The hot tier is there at every node, and used",
            "Reads windows and looks whether each node's counts of the hot tier grow",
            "Give every node the same THREADMILL_HOT_URL and a ttl of at least some minutes; unverified replies mean that somebody else writes there",
        ],
        |scene| health::hot_tier(scene).boxed_local(),
    ),
    check(
        "hot-hit-rate",
        Server,
        [
            "Four of five windows come from the hot tier",
            "Reads the counts of each node's hot tier",
            "Give it more memory or a longer `hot.ttl_seconds`; look for evictions",
        ],
        |scene| health::hot_hit_rate(scene).boxed_local(),
    ),
    check(
        "fallback-share",
        Server,
        [
            "Fewer than one in a hundred pieces fall back on the durable tier",
            "Reads the counts of each node's hot tier",
            "The hot tier is slow or drops: look at its latency, and at degraded",
        ],
        |scene| health::fallback_share(scene).boxed_local(),
    ),
    check(
        "load-time",
        Caller,
        [
            "A long thread opens in time",
            "Connects and opens the long thread, twenty times",
            "See whether the machine, the disk or the network is slow: `threadmill bench window` measures each",
        ],
        |scene| timing::load(scene).boxed_local(),
    ),
    check(
        "switch-time",
        Caller,
        ["Switching between threads is quick", "Goes to and fro between two threads, twenty times", "As for load-time"],
        |scene| timing::switch(scene).boxed_local(),
    ),
    check(
        "frame-time",
        Caller,
        [
            "A window is taken into a view within a frame",
            "Takes one window into the engine that the page runs, twenty times; what a browser adds is not in it",
            "Report it with the version and the machine",
        ],
        |scene| timing::frame(scene).boxed_local(),
    ),
    check(
        "scroll-time",
        Caller,
        ["Scrolling brings the next page in time", "Scrolls the long thread by twenty pages", "As for load-time"],
        |scene| timing::scroll(scene).boxed_local(),
    ),
    concern("backup-age", "The last backup is recent", |scene| health::concern(scene, "backup-age").boxed_local()),
    concern("budget", "No budget is used up", |scene| health::concern(scene, "budget").boxed_local()),
    concern("commit-slow", "Commits are synced quickly", |scene| health::concern(scene, "commit-slow").boxed_local()),
    concern("disk-low", "The disk lasts for days yet", |scene| health::concern(scene, "disk-low").boxed_local()),
    concern("durable-failures", "The durable tier answers", |scene| {
        health::concern(scene, "durable-failures").boxed_local()
    }),
    concern("errors", "Few requests fail", |scene| health::concern(scene, "errors").boxed_local()),
    concern("hot-slow", "The hot tier answers quickly", |scene| health::concern(scene, "hot-slow").boxed_local()),
    concern("hot-unverified", "Nobody else writes into the hot tier", |scene| {
        health::concern(scene, "hot-unverified").boxed_local()
    }),
    concern("hot-uptime", "The hot tier was there", |scene| health::concern(scene, "hot-uptime").boxed_local()),
    concern("invariant", "No promise was seen broken", |scene| health::concern(scene, "invariant").boxed_local()),
    concern("lock-hogged", "No lock is kept from those who wait", |scene| {
        health::concern(scene, "lock-hogged").boxed_local()
    }),
    concern("node-asleep", "No node is asleep", |scene| health::concern(scene, "node-asleep").boxed_local()),
    concern("node-stalls", "No node stands still", |scene| health::concern(scene, "node-stalls").boxed_local()),
    concern("page-slow", "The page feels quick to those who use it", |scene| {
        health::concern(scene, "page-slow").boxed_local()
    }),
    concern("queue-resets", "Readers keep up", |scene| health::concern(scene, "queue-resets").boxed_local()),
    concern("refusals", "Few requests are refused", |scene| health::concern(scene, "refusals").boxed_local()),
    concern("run-failures", "Few answers fail", |scene| health::concern(scene, "run-failures").boxed_local()),
    concern("run-stuck", "No answer is stuck", |scene| health::concern(scene, "run-stuck").boxed_local()),
    concern("slow-delivery", "What is written is delivered at once", |scene| {
        health::concern(scene, "slow-delivery").boxed_local()
    }),
    concern("task-panics", "No task of a node panics", |scene| health::concern(scene, "task-panics").boxed_local()),
    concern("webhook-backlog", "Webhooks are delivered", |scene| {
        health::concern(scene, "webhook-backlog").boxed_local()
    }),
];

/// What the nodes watch themselves.
const fn concern(id: &'static str, title: &'static str, run: Run<Scene>) -> One {
    const DOES: &str =
        "Asks each node's /ops/api/summary what it watches; skipped where that is not served or wants a token";
    const TODO: &str =
        "The insight of this name on the ops page says who is affected and what to do; see docs/runbook.md";
    check(id, Server, [title, DOES, TODO], run)
}

/// What `--deep` adds.
pub(super) static DEEP: &[One] = &[
    check(
        "library",
        Caller,
        [
            "The whole library is the same however it is read",
            "Reads up to 1,000 threads of the caller by export and by windows, and compares messages, revisions and, between nodes, digests",
            "Report the thread that is named; do not write to it. `threadmill export` keeps what is there",
        ],
        |scene| deep::library(scene).boxed_local(),
    ),
    check(
        "fan-out",
        Caller,
        [
            "Many readers hear everything in order",
            "Has 24 readers follow one thread over all nodes while twenty messages are written",
            "As for cross-node",
        ],
        |scene| deep::fan_out(scene).boxed_local(),
    ),
    check(
        "rolling-restart",
        Caller,
        [
            "A restart of the nodes, one after the other, loses and doubles nothing",
            "Writes and reads for the seconds of --watch over as many connections as it takes; restart the nodes meanwhile",
            "Give nodes 30 s to stop (`drain_seconds`), and have the load balancer ask /readyz",
        ],
        |scene| deep::rolling(scene).boxed_local(),
    ),
];
