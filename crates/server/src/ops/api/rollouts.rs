//! Rollouts, for operators: how they stand, what was found, who changed what, and the changes themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Map, Value, json};
use threadmill_engine::flags::plan::{DAY, GATES, Gate, Need, Plan, Reach, Stage, Unit};
use threadmill_engine::flags::report::Span;
use threadmill_engine::flags::rollout::{Move, Rollout};
use threadmill_engine::flags::{Metric, Standing, Verdict};
use threadmill_proto::{ErrorCode, Millis};

use super::actions::{Wish, act};
use super::shapes::{From, address};
use crate::app::App;
use crate::ops::access::MayAct;
use crate::ops::audit::Entry;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::fields::Fields;
use crate::request::query::Query;

type Answer<T> = Result<T, ApiProblem>;

/// Stages that a request may name.
const STAGES: usize = 16;

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest, detail)
}

/// `GET /ops/api/rollouts`.
pub(super) async fn list(State(app): State<App>) -> Answer<Json<Value>> {
    let rollouts = app.engine.rollouts().list().await?;
    let rollouts: Vec<_> = rollouts.iter().map(|(flag, rollout)| Value::Object(short(flag, rollout))).collect();
    Ok(Json(json!({"rollouts": rollouts, "write": app.guard().ops.may_write()})))
}

/// `GET /ops/api/rollouts/{flag}`.
pub(super) async fn show(State(app): State<App>, Path(flag): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(standing(&flag, &app.engine.rollouts().show(&flag).await?)))
}

/// `GET /ops/api/rollouts/{flag}/report?span=week1|month1`.
pub(super) async fn report(State(app): State<App>, Path(flag): Path<String>, query: Query) -> Answer<Json<Value>> {
    let (span, name) = match query.text("span") {
        None | Some("week1") => (Span::Week1, "week1"),
        Some("month1") => (Span::Month1, "month1"),
        Some(_) => return Err(ApiProblem::new(ErrorCode::InvalidParameter, "`span` must be week1 or month1.")),
    };
    let (rollout, days, lines) = app.engine.rollouts().report(&flag, span).await?;
    let mut answer = short(&flag, &rollout);
    answer.insert("span".into(), name.into());
    answer.insert("days".into(), span.days().into());
    answer.insert("daysWithData".into(), days.into());
    answer.insert("lines".into(), json!(lines));
    Ok(Json(Value::Object(answer)))
}

/// `POST /ops/api/rollouts/{flag}/{step}`: `start`, `advance`, `pause`, `resume`, `rollback`, `kill` or `end`, with `who` and `why`.
pub(super) async fn step(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    Path((flag, step)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let text = |fields: &mut Fields, name: &str| {
        fields
            .text(name)?
            .ok_or_else(|| invalid(format!("`{name}` is missing: every change says who made it and why.")))
    };
    let (who, why) = (text(&mut fields, "who")?, text(&mut fields, "why")?);
    let (subject, said) = (format!("{flag}/{step} by {who}"), Some(why.clone()));
    act(&app, &ops, may, Wish { what: "rollout_move", subject, why: said, from: address(&from) })?;
    let rollouts = app.engine.rollouts();
    let rollout = if step == "start" {
        let plan = plan(&mut fields)?;
        fields.finish()?;
        rollouts.start(&flag, plan, &who, &why).await?
    } else {
        let step = Move::of(&step);
        let step =
            step.ok_or_else(|| ApiProblem::new(ErrorCode::RouteNotFound, "There is no such move of a rollout."))?;
        fields.finish()?;
        rollouts.step(&flag, step, &who, &why).await?
    };
    Ok(Json(Value::Object(short(&flag, &rollout))))
}

/// `GET /ops/api/feedback`: the texts that users gave with consent, the newest last.
pub(super) async fn feedback(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    from: From,
) -> Answer<Json<Value>> {
    let (at, subject) = (app.engine.node().now(), "all that is kept".to_owned());
    ops.audit.look(&Entry { at, what: "feedback_text", subject, why: None, from: address(&from), allowed: true });
    Ok(Json(json!({"reports": app.engine.feedback().reports().await?})))
}

/// A plan: the checklist's, but for what a request says otherwise.
fn plan(fields: &mut Fields) -> Answer<Plan> {
    let mut plan = Plan::checklist(texts(fields, "internal")?.unwrap_or_default().into_iter().collect());
    if let Some(stages) = texts(fields, "stages")? {
        plan.stages = stages.iter().map(|stage| parse_stage(stage)).collect::<Answer<_>>()?;
    }
    plan.unit = match fields.text("unit")?.as_deref() {
        None | Some("user") => Unit::User,
        Some("tenant") => Unit::Tenant,
        Some(_) => return Err(invalid("`unit` must be user or tenant.")),
    };
    plan.salt = fields.text("salt")?.unwrap_or_default();
    plan.starts_at = fields.count("startsAt")?;
    plan.least = fields.number("least", plan.least, 10, 1_000_000)?;
    if let Some(gates) = texts(fields, "gates")? {
        plan.gates = gates.iter().map(|gate| parse_gate(gate)).collect::<Answer<_>>()?;
    } else if !plan.has_baseline() {
        // The rest of the checklist's gates needs none.
        plan.gates.retain(|gate| !gate.needs_baseline());
    }
    Ok(plan)
}

fn texts(fields: &mut Fields, name: &str) -> Answer<Option<Vec<String>>> {
    let Some(items) = fields.list(name, 1_000)? else { return Ok(None) };
    let text = |item: Value| match item {
        Value::String(text) => Ok(text),
        _ => Err(invalid(format!("`{name}` must be a list of strings."))),
    };
    items.into_iter().map(text).collect::<Answer<_>>().map(Some)
}

/// `off`, `internal` or a percentage such as `25%`, and perhaps a dwell: `25%:90m`, `off:24h`, `5%:7d`.
fn parse_stage(text: &str) -> Answer<Stage> {
    let wrong = || {
        invalid(format!("`stages`: {text:?} is no stage such as off:24h, internal, 5% or 25%:7d; at most {STAGES}."))
    };
    let (reach, dwell) = text.split_once(':').map_or((text, None), |(reach, dwell)| (reach, Some(dwell)));
    let reach = match reach {
        "off" => Reach::Off,
        "internal" => Reach::Internal,
        percent => {
            Reach::Percent(percent.strip_suffix('%').and_then(|percent| percent.parse().ok()).ok_or_else(wrong)?)
        }
    };
    let dwell = dwell.map_or(Some(DAY), span).ok_or_else(wrong)?;
    Ok(Stage { reach, dwell })
}

/// A time such as `90m`.
fn span(text: &str) -> Option<Millis> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 60 * 60_000,
        "d" => DAY,
        _ => return None,
    };
    number.parse::<Millis>().ok()?.checked_mul(unit)
}

/// `errors`, `heap:when-present`, `cost:required`, with the checklist's numbers.
fn parse_gate(text: &str) -> Answer<Gate> {
    let wrong = || {
        let known: Vec<_> = GATES.iter().map(|gate| gate.metric.name()).collect();
        invalid(format!("`gates`: {text:?} is none of {}, perhaps with :required or :when-present.", known.join(", ")))
    };
    let (name, need) = text.split_once(':').map_or((text, None), |(name, need)| (name, Some(need)));
    let metric = Metric::named(name).ok_or_else(wrong)?;
    let gate = GATES.into_iter().find(|gate| gate.metric == metric).ok_or_else(wrong)?;
    match need {
        None => Ok(gate),
        Some("required") => Ok(Gate { need: Need::Required, ..gate }),
        Some("when-present") => Ok(Gate { need: Need::WhenPresent, ..gate }),
        Some(_) => Err(wrong()),
    }
}

/// A rollout in a line.
fn short(flag: &str, rollout: &Rollout) -> Map<String, Value> {
    let stage = |stage: &Stage| json!({"reach": stage.reach.to_string(), "dwellMs": stage.dwell});
    let stages: Vec<_> = rollout.plan.stages.iter().map(stage).collect();
    let value = json!({
        "flag": flag,
        "status": rollout.status.word(),
        "stage": rollout.stage().reach.to_string(),
        "at": rollout.stage,
        "since": rollout.since,
        "started": rollout.started,
        "round": rollout.round,
        "why": rollout.why,
        "unit": rollout.plan.unit,
        "internal": rollout.plan.internal.len(),
        "startsAt": rollout.plan.starts_at,
        "stages": stages,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A rollout with what was found.
fn standing(flag: &str, standing: &Standing) -> Value {
    let mut answer = short(flag, &standing.rollout);
    let (next, why) = match &standing.judgement.verdict {
        Verdict::Wait(why) => ("wait", why),
        Verdict::Do(step, why) => (step.word(), why),
    };
    answer.insert("next".into(), json!({"move": next, "why": why}));
    answer.insert("gates".into(), json!(standing.judgement.readings));
    answer.insert("log".into(), json!(standing.log));
    Value::Object(answer)
}
