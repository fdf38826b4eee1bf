//! What `verify` and `doctor` are made of: checks, what each found, and how that is told.
//!
//! A check has a stable id, which is also its heading in a document. It ends in one of four ways, and what was not done is
//! never called passed: `skipped` says why. Checks run one after the other, each within a time; what needs a server or a
//! caller is skipped when there is none, so that one fault is not told thirty times. What is checked lives in `verify` and
//! `local`.

mod check;
mod formats;
mod report;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

pub(crate) use check::{Check, Needs, NotDone, Outcome, Run, Verdict};
pub(crate) use formats::{Format, Printer, list};
pub(crate) use report::{Finding, Report};

/// What cannot be run ends with this, as what is asked for wrongly does.
const CANNOT: u8 = 2;

/// How a command ends: as its checks did, or unable to run them.
pub(crate) fn ended(command: &str, tried: anyhow::Result<ExitCode>) -> ExitCode {
    tried.unwrap_or_else(|error| {
        eprintln!("threadmill {command}: {}", crate::printed::text(&format!("{error:#}")));
        ExitCode::from(CANNOT)
    })
}

/// Which checks of a list are done.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Chosen {
    /// Do these alone, by their ids
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these out, by their ids
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    skip: Vec<String>,
}

impl Chosen {
    /// The checks that are wanted, in the order of the list.
    pub(crate) fn of<'a, S>(&self, all: &[&'a Check<S>]) -> anyhow::Result<Vec<&'a Check<S>>> {
        for named in self.only.iter().chain(&self.skip) {
            ensure!(
                all.iter().any(|check| check.id == named),
                "there is no check `{named}` here; --list names them all"
            );
        }
        let wanted = |check: &&&Check<S>| {
            let named = |list: &[String]| list.iter().any(|id| id == check.id);
            (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
        };
        let chosen: Vec<_> = all.iter().filter(wanted).copied().collect();
        ensure!(!chosen.is_empty(), "no check is left to do");
        Ok(chosen)
    }
}

/// Does one check after the other, and tells of each as it ends.
pub(crate) async fn run<S>(
    checks: &[&Check<S>],
    on: &S,
    within: Duration,
    mut tell: impl FnMut(&Finding),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lost: Option<(&'static str, Needs)> = None;
    for check in checks {
        let began = Instant::now();
        let verdict = match lost {
            Some((culprit, lost)) if check.needs >= lost => Verdict::skipped(format!("`{culprit}` did not pass")),
            Some(_) | None => one(check, on, within).await,
        };
        if verdict.outcome == Outcome::Failed && check.gives > Needs::Nothing {
            lost = Some(lost.filter(|(_, before)| *before <= check.gives).unwrap_or((check.id, check.gives)));
        }
        let finding = Finding::new(check, verdict, began.elapsed());
        tell(&finding);
        findings.push(finding);
    }
    findings
}

async fn one<S>(check: &Check<S>, on: &S, within: Duration) -> Verdict {
    let done = tokio::time::timeout(within, (check.run)(on)).await;
    let done = done.with_context(|| format!("it took longer than {within:?}")).and_then(|done| done);
    done.unwrap_or_else(|error| match error.downcast_ref::<NotDone>() {
        Some(NotDone(why)) => Verdict::skipped(why.clone()),
        None => Verdict::failed(format!("{error:#}")),
    })
}

/// Does checks and tells of them; `verify` and `doctor` alike.
pub(crate) async fn checked<S>(
    command: &'static str,
    page: &'static str,
    chosen: &[&Check<S>],
    on: &S,
    within: Duration,
    of: Vec<String>,
    format: Format,
) -> Report {
    let printer = Printer::new(format, chosen.iter().map(|check| check.id));
    let watched = format == Format::Text && std::io::stderr().is_terminal();
    let began = Instant::now();
    let mut done = 0;
    let say_next = |done: usize| {
        if let Some(next) = chosen.get(done).filter(|_| watched) {
            // Over itself, and away before the finding is told.
            eprint!("\r\x1b[K{}/{}  {} …", done + 1, chosen.len(), next.id);
        }
    };
    say_next(0);
    let tell = |finding: &Finding| {
        if watched {
            eprint!("\r\x1b[K");
        }
        printer.tell(finding, &format!("{page}#{}", finding.id));
        done += 1;
        say_next(done);
    };
    let findings = run(chosen, on, within, tell).await;
    let report = Report { command, page, of, findings, took: began.elapsed() };
    printer.finish(&report);
    report
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn check(id: &'static str, needs: Needs, gives: Needs, run: Run<()>) -> Check<()> {
        Check { id, title: "t", does: "d", todo: "o", needs, gives, run }
    }

    #[tokio::test]
    async fn what_was_not_done_is_never_called_passed() {
        let passes: Run<()> = |()| async { Ok(Verdict::passed("yes")) }.boxed_local();
        let checks = [
            check("first", Needs::Nothing, Needs::Nothing, passes),
            check("door", Needs::Server, Needs::Server, |()| async { anyhow::bail!("closed") }.boxed_local()),
            check("inside", Needs::Caller, Needs::Nothing, passes),
            check("outside", Needs::Nothing, Needs::Nothing, passes),
            check("absent", Needs::Nothing, Needs::Nothing, |()| {
                async { Err(NotDone("none".into()).into()) }.boxed_local()
            }),
            check("slow", Needs::Nothing, Needs::Nothing, |()| std::future::pending().boxed_local()),
        ];
        let all: Vec<_> = checks.iter().collect();
        let mut told = 0;
        let findings = run(&all, &(), Duration::from_millis(50), |_| told += 1).await;
        let outcomes: Vec<_> = findings.iter().map(|finding| finding.outcome).collect();
        use Outcome::{Failed, Passed, Skipped};
        assert_eq!(outcomes, [Passed, Failed, Skipped, Passed, Skipped, Failed]);
        assert_eq!(told, 6);
        assert!(findings[2].saw.contains("`door`") && findings[5].saw.contains("50ms"), "{findings:?}");
    }

    #[test]
    fn a_name_that_is_no_check_is_refused() {
        let passes: Run<()> = |()| async { Ok(Verdict::passed("yes")) }.boxed_local();
        let checks =
            [check("a", Needs::Nothing, Needs::Nothing, passes), check("b", Needs::Nothing, Needs::Nothing, passes)];
        let all: Vec<_> = checks.iter().collect();
        let of = |only: &[&str], skip: &[&str]| {
            let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
            let chosen = Chosen { only: words(only), skip: words(skip) }.of(&all);
            chosen.map(|chosen| chosen.iter().map(|check| check.id).collect::<Vec<_>>())
        };
        assert_eq!(of(&["b"], &[]).expect("known"), ["b"]);
        assert_eq!(of(&[], &["b"]).expect("known"), ["a"]);
        assert!(of(&["c"], &[]).is_err() && of(&[], &["c"]).is_err() && of(&["a"], &["a"]).is_err());
    }
}
