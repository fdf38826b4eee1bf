//! What users think of answers.

use axum::extract::State;
use axum::http::StatusCode;
use threadmill_engine::flags::Metric;
use threadmill_engine::{Opinion, Report};
use threadmill_proto::ErrorCode;

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::Fields;

fn invalid(detail: &str) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest, detail)
}

/// `POST /v1/feedback`: a thumb on a message, or a problem. Complaints count for the side of each rollout that the user is on.
pub(crate) async fn give(
    State(app): State<App>,
    Caller(scope): Caller,
    mut fields: Fields,
) -> Result<StatusCode, ApiProblem> {
    let opinion = fields.text("kind")?.as_deref().and_then(Opinion::named);
    let opinion = opinion.ok_or_else(|| invalid("`kind` must be up, down or problem."))?;
    let (thread, message) = (fields.thread_id("thread")?, fields.message_id("message")?);
    let (text, consent) = (fields.text("text")?, fields.flag("consent")?.unwrap_or(false));
    fields.finish()?;
    match (&thread, &message, opinion) {
        // Of a message that the user sees: nobody complains of what they cannot read.
        (Some(thread), Some(message), _) => {
            app.engine.threads().message(&scope, thread, message, None).await?;
        }
        (None, None, Opinion::Problem) => {}
        _ => return Err(invalid("A thumb is on a message: give `thread` and `message`.")),
    }
    if let Some(text) = text {
        if !consent {
            return Err(invalid("A text is taken with `consent: true` alone, and is kept for the operator to read."));
        }
        // As many as clients may report of themselves: whoever sends more pushes out what others said.
        app.limiter.report(&scope)?;
        app.engine.feedback().keep(Report { at: app.engine.node().now(), text }).await?;
    }
    if opinion.is_complaint() {
        app.engine.rollouts().record(&scope, Metric::Complaints, 1.0);
    }
    Ok(StatusCode::ACCEPTED)
}
