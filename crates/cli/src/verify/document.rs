//! The pages of the checks, made from their tables. A test holds each page to what is made here.

use std::fmt::Write as _;

use expect_test::expect_file;

use super::table::{CHECKS, DEEP};
use crate::checks::Check;
use crate::local::{DOCTOR, PRE};

const VERIFY: &str = "# Proving a deployment

`threadmill verify --url URL` looks at a deployment from outside, as those who use it meet it: over the native client, with
nothing of the server's own. Several `--url` name its nodes, which are then compared. Each check below says what it did, what it
saw and what to do. This page is made from the code (`threadmill verify --list`).

```
threadmill verify --url https://chat.example.org --auth-secret-file secret
threadmill verify --url http://10.0.0.1:7430 --url http://10.0.0.2:7430 --deep --watch 120
threadmill verify --pre --config threadmill.toml        # before deploying
threadmill verify --only reachable,not-ready,degraded --format prometheus > /var/lib/node_exporter/threadmill.prom
```

| exit code | means |
|---|---|
| 0 | nothing failed; warnings may be there |
| 1 | a check failed |
| 2 | it could not be run, or nothing could be looked at |

A check is `passed`, `warned` (nothing is broken yet), `failed` or `skipped`, with the reason: what was not done is never called
passed. `--format` is `text`, `json`, `junit` or `prometheus`; colour and progress are for terminals alone.

**It is safe in production.** It makes a few threads of its own (`verify-…`, one of 1,000 short messages), locks named
`threadmill-verify-0` to `-63`, and asks for two short answers, one of which it stops; a provider may charge for them
(`--provider none` asks nobody). Everything runs one after the other, as one user, and is removed at the end, on Ctrl-C too
(but the rows of a few locks, which keep their tokens).
Where the server believes its callers it is user `threadmill-verify`; with the deployment's secret (`--auth-secret-file` or
`THREADMILL_AUTH_SECRET`) the same user of a tenant of its own, `threadmill-verify`; with `THREADMILL_TOKEN` whoever that is.
`THREADMILL_OPS_TOKEN` opens `/ops/api`, without which the last checks are skipped. For an authority of your own set
`SSL_CERT_FILE`.

Times are the 95th percentile of twenty readings, and the best of up to three rounds counts, so that a machine that is busy for
a moment raises no alarm. With `--browser PATH`, a Chromium loads the page and the same thresholds hold for it: script, layout and
paint are in those times, and without a browser they are skipped. The thresholds are flags: `--max-load-ms 500`, `--max-switch-ms 200`, `--max-frame-ms 16`,
`--max-scroll-ms 300`, `--max-stop-ms 500`, `--max-lag-ms 2000`, `--max-skew-ms 3000`, `--min-cert-days 30`.

";

const DOCTOR_HEAD: &str = "# The doctor

`threadmill doctor` looks at the machine that a node runs on, changes nothing, and may run beside the node. Formats and exit codes
are those of [verify](verify.md). This page is made from the code (`threadmill doctor --list`).

```
threadmill doctor --config /etc/threadmill.toml
threadmill doctor --data /var/lib/threadmill --skip port
```

";

#[test]
fn the_pages_say_what_the_checks_do() {
    let verify = format!(
        "{VERIFY}## Checks\n\n{}## With `--deep`\n\n{}## With `--pre`\n\n{}",
        sections(&CHECKS.iter().collect::<Vec<_>>()),
        sections(&DEEP.iter().collect::<Vec<_>>()),
        sections(&PRE.iter().collect::<Vec<_>>())
    );
    expect_file!["../../../../docs/verify.md"].assert_eq(&format!("{}\n", verify.trim_end()));
    let doctor = format!("{DOCTOR_HEAD}## Checks\n\n{}", sections(&DOCTOR.iter().collect::<Vec<_>>()));
    expect_file!["../../../../docs/doctor.md"].assert_eq(&format!("{}\n", doctor.trim_end()));
}

/// A heading for each check, with what it does and what to do.
fn sections<S>(checks: &[&Check<S>]) -> String {
    let mut out = String::new();
    for Check { id, title, does, todo, .. } in checks {
        let _ = write!(out, "### {id}\n\n{title}.\n\n- **Does:** {does}.\n- **If it fails:** {todo}.\n\n");
    }
    out
}
