//! Outputs in the shapes of the TypeScript host. The numbers are those of `outputs.ts`, `view-patches.ts` and
//! `list-patches.ts` in `packages/client/src/core`.

use alloc::string::String;
use threadmill_core::engine::{Fetch, Output};
use threadmill_core::list::{ListHead, ListPatch};
use threadmill_core::outbox::Stage;
use threadmill_core::session::{Status, Transport};
use threadmill_core::tabs::Role as TabRole;
use threadmill_core::window::{Head, Patch, Phase, Row, Side};
use threadmill_proto::{
    Fork, ForkOption, JsonText, MessageStatus, Part, Problem, Role, RunStatus, Summary, ToolPart, Writer,
};

/// The key under which an object's further members come.
const MORE: &str = "...";

pub(crate) fn output(out: &mut Writer, output: &Output) {
    match output {
        Output::Connect(transport) => {
            tagged(out, 2, 0);
            out.text(match transport {
                Transport::Socket => "socket",
                Transport::Events => "events",
                Transport::Poll => "poll",
            });
        }
        Output::Disconnect => tagged(out, 1, 1),
        Output::Send(frame) => {
            tagged(out, 2, 2);
            out.bytes(frame);
        }
        Output::Fetch(request, fetch) => {
            let tag = match fetch {
                Fetch::Window(_) => 3,
                Fetch::List(_) => 4,
            };
            tagged(out, 3, tag);
            out.uint(u64::from(*request));
            out.text(&fetch.path());
        }
        Output::View(view, change) => {
            tagged(out, 3, 5);
            out.uint(u64::from(*view));
            patch(out, change);
        }
        Output::List(list, change) => {
            tagged(out, 3, 6);
            out.uint(u64::from(*list));
            list_patch(out, change);
        }
        Output::Status(now) => {
            tagged(out, 2, 7);
            status(out, now);
        }
        Output::Post(message) => {
            tagged(out, 2, 9);
            out.bytes(message);
        }
        Output::Role(role, epoch) => {
            tagged(out, 3, 10);
            out.text(match role {
                TabRole::Solo => "solo",
                TabRole::Follower => "follower",
                TabRole::Leader => "leader",
            });
            out.uint(*epoch);
        }
        Output::Renew => tagged(out, 1, 11),
        Output::Flags => tagged(out, 1, 12),
        Output::Dropped(view) => {
            tagged(out, 2, 13);
            out.uint(u64::from(*view));
        }
        Output::Write(number) => {
            tagged(out, 2, 14);
            out.uint(u64::from(*number));
        }
        Output::Writing(number, stage) => {
            tagged(out, 3, 15);
            out.uint(u64::from(*number));
            out.text(match stage {
                Stage::Waiting => "pending",
                Stage::Sending => "sending",
                Stage::Failed => "failed",
                Stage::Done => "done",
                Stage::Dropped => "dropped",
            });
        }
        Output::Steal => tagged(out, 1, 16),
        Output::Wait(until) => {
            tagged(out, 2, 8);
            match until {
                Some(until) => out.uint(*until),
                None => out.null(),
            }
        }
    }
}

fn tagged(out: &mut Writer, len: usize, tag: u64) {
    out.array(len);
    out.uint(tag);
}

fn status(out: &mut Writer, status: &Status) {
    out.map();
    let word = match status {
        Status::Connecting => "connecting",
        Status::Live(mode) => {
            out.key_text("mode", mode.name());
            "live"
        }
        Status::Reconnecting => "reconnecting",
        Status::Offline => "offline",
        Status::Refused(error) => {
            out.text("error");
            problem(out, error);
            "refused"
        }
    };
    out.key_text("connection", word);
    out.end();
}

fn maybe<T>(out: &mut Writer, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
    match value {
        Some(value) => write(out, value),
        None => out.null(),
    }
}

fn problem(out: &mut Writer, problem: &Problem) {
    out.map();
    out.key_text("code", problem.code.as_str());
    out.key_text("detail", &problem.detail);
    key_some(out, "hint", problem.hint.as_ref());
    out.key_uint("status", u64::from(problem.code.status()));
    if let Some(after) = problem.retry_after {
        out.key_uint("retryAfterMs", u64::from(after));
    }
    out.end();
}

fn patch(out: &mut Writer, patch: &Patch) {
    match patch {
        Patch::Head(now) => {
            tagged(out, 2, 0);
            head(out, now);
        }
        Patch::Reset(all) => {
            tagged(out, 2, 1);
            rows(out, all);
        }
        Patch::Prepend(more) => {
            tagged(out, 2, 2);
            rows(out, more);
        }
        Patch::Append(more) => {
            tagged(out, 2, 3);
            rows(out, more);
        }
        Patch::DropFirst(count) => {
            tagged(out, 2, 4);
            out.uint(*count as u64);
        }
        Patch::DropLast(count) => {
            tagged(out, 2, 5);
            out.uint(*count as u64);
        }
        Patch::Update(now) => {
            tagged(out, 2, 6);
            row(out, now);
        }
        Patch::Remove(message) => {
            tagged(out, 2, 7);
            out.text(message.as_str());
        }
        Patch::Text { message, part, delta } => {
            tagged(out, 4, 8);
            out.text(message.as_str());
            out.uint(*part as u64);
            out.text(delta);
        }
        Patch::Part { message, part: at, value } => {
            tagged(out, 4, 9);
            out.text(message.as_str());
            out.uint(*at as u64);
            part(out, value);
        }
        Patch::Loaded { side, added, problem: why } => {
            tagged(out, 4, 10);
            out.text(match side {
                Side::Older => "older",
                Side::Newer => "newer",
            });
            out.uint(*added as u64);
            maybe(out, why.as_ref(), problem);
        }
        Patch::Stayed(why) => {
            tagged(out, 2, 11);
            problem(out, why);
        }
    }
}

fn head(out: &mut Writer, head: &Head) {
    out.map();
    out.key_text(
        "status",
        match head.phase {
            Phase::Loading => "loading",
            Phase::Ready => "ready",
            Phase::Failed => "error",
            Phase::Deleted => "deleted",
        },
    );
    if let Some(why) = &head.problem {
        out.text("error");
        problem(out, why);
    }
    out.key_uint("total", head.total);
    out.key_flag("hasOlder", head.from > 0);
    out.key_flag("hasNewer", head.to < head.total);
    out.key_flag("loadingOlder", head.loading_older);
    out.key_flag("loadingNewer", head.loading_newer);
    if let Some(branch) = &head.branch {
        out.key_text("branch", branch.as_str());
    }
    if let Some(branch) = &head.default_branch {
        out.key_text("defaultBranch", branch.as_str());
    }
    if let Some(title) = &head.title {
        out.key_text("title", title);
    }
    if let Some(run) = &head.run {
        out.text("run");
        out.map();
        out.key_text("id", run.id.as_str());
        out.key_text("message", run.message.as_str());
        out.key_text("status", if run.status == RunStatus::Stopping { "stopping" } else { "live" });
        out.end();
    }
    out.end();
}

fn rows(out: &mut Writer, rows: &[Row]) {
    out.array(rows.len());
    for one in rows {
        row(out, one);
    }
}

fn row(out: &mut Writer, row: &Row) {
    let message = &row.message;
    out.map();
    out.key_text("id", message.id.as_str());
    out.key_text(
        "role",
        match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        },
    );
    out.text("parts");
    out.array(message.parts.len());
    message.parts.iter().for_each(|one| part(out, one));
    out.key_text("status", status_word(message.status));
    out.key_uint("depth", message.depth);
    out.key_text("branch", message.branch.as_str());
    out.key_uint("rev", message.rev);
    out.key_uint("createdAt", message.created_at);
    key_json(out, "metadata", message.metadata.as_ref());
    if let Some(siblings) = &row.fork {
        out.text("fork");
        fork(out, siblings);
    }
    if let Some(run) = &row.run {
        out.key_text("run", run.as_str());
    }
    if !message.previews.is_empty() {
        out.text("previews");
        out.array(message.previews.len());
        for preview in &message.previews {
            out.map();
            out.key_uint("part", u64::from(preview.part));
            out.key_uint("bytes", preview.bytes);
            out.end();
        }
    }
    out.end();
}

fn status_word(status: MessageStatus) -> &'static str {
    match status {
        MessageStatus::Complete => "complete",
        MessageStatus::Streaming => "streaming",
        MessageStatus::Stopped => "stopped",
        MessageStatus::Interrupted => "interrupted",
        MessageStatus::Failed => "failed",
        MessageStatus::Removed => "removed",
    }
}

fn fork(out: &mut Writer, fork: &Fork) {
    out.map();
    out.key_uint("index", fork.index);
    out.key_uint("total", fork.total);
    for (key, option) in [("previous", &fork.previous), ("next", &fork.next)] {
        if let Some(ForkOption { branch, message }) = option {
            out.text(key);
            out.map();
            out.key_text("branch", branch.as_str());
            out.key_text("message", message.as_str());
            out.end();
        }
    }
    out.end();
}

fn key_json(out: &mut Writer, key: &str, json: Option<&JsonText>) {
    if let Some(json) = json {
        out.text(key);
        out.json(&json.0);
    }
}

fn key_some(out: &mut Writer, key: &str, text: Option<&String>) {
    if let Some(text) = text {
        out.key_text(key, text);
    }
}

fn key_joined(out: &mut Writer, key: &str, prefix: &str, name: &str) {
    out.text(key);
    out.text(&(String::from(prefix) + name));
}

fn part(out: &mut Writer, part: &Part) {
    if let Part::Other { json, .. } = part {
        out.json(&json.0);
        return;
    }
    out.map();
    match part {
        Part::Text { text, extra } => prose(out, "text", text, extra.as_ref()),
        Part::Reasoning { text, extra } => prose(out, "reasoning", text, extra.as_ref()),
        Part::Tool(call) => tool(out, call),
        Part::File { media_type, url, filename } => {
            out.key_text("type", "file");
            out.key_text("mediaType", media_type);
            out.key_text("url", url);
            key_some(out, "filename", filename.as_ref());
        }
        Part::SourceUrl { source_id, url, title } => {
            out.key_text("type", "source-url");
            out.key_text("sourceId", source_id);
            out.key_text("url", url);
            key_some(out, "title", title.as_ref());
        }
        Part::Data { name, id, data } => {
            key_joined(out, "type", "data-", name);
            key_some(out, "id", id.as_ref());
            key_json(out, "data", Some(data));
        }
        Part::StepStart | Part::Other { .. } => out.key_text("type", "step-start"),
    }
    out.end();
}

fn prose(out: &mut Writer, kind: &str, text: &str, extra: Option<&JsonText>) {
    out.key_text("type", kind);
    out.key_text("text", text);
    key_json(out, MORE, extra);
}

fn tool(out: &mut Writer, tool: &ToolPart) {
    if tool.dynamic {
        out.key_text("type", "dynamic-tool");
        out.key_text("toolName", &tool.name);
    } else {
        key_joined(out, "type", "tool-", &tool.name);
    }
    out.key_text("toolCallId", &tool.call_id);
    out.key_text("state", &tool.state);
    key_json(out, "input", tool.input.as_ref());
    key_json(out, "output", tool.output.as_ref());
    key_some(out, "errorText", tool.error.as_ref());
    key_json(out, MORE, tool.extra.as_ref());
}

fn list_patch(out: &mut Writer, patch: &ListPatch) {
    match patch {
        ListPatch::Head(now) => {
            tagged(out, 2, 0);
            list_head(out, now);
        }
        ListPatch::Put { index, entry: now } => {
            tagged(out, 3, 1);
            out.uint(*index as u64);
            entry(out, now);
        }
        ListPatch::Remove(thread) => {
            tagged(out, 2, 2);
            out.text(thread.as_str());
        }
    }
}

fn list_head(out: &mut Writer, head: &ListHead) {
    out.map();
    out.key_text(
        "status",
        match (head.ready, &head.problem) {
            (true, _) => "ready",
            (false, Some(_)) => "error",
            (false, None) => "loading",
        },
    );
    out.key_flag("hasMore", head.has_more);
    out.key_flag("loadingMore", head.loading);
    if let Some(why) = &head.problem {
        out.text("error");
        problem(out, why);
    }
    out.end();
}

fn entry(out: &mut Writer, entry: &Summary) {
    out.map();
    out.key_text("id", entry.thread.as_str());
    out.key_text("title", &entry.title);
    out.key_text("snippet", &entry.snippet);
    out.key_flag("running", entry.running);
    out.key_flag("archived", entry.archived);
    out.key_uint("updatedAt", entry.updated_at);
    out.end();
}
