//! Between our words and those of the `redis` crate.

use bytes::Bytes;
use redis::{Cmd, Pipeline, RedisError, Value};
use threadmill_store::hot::{Cause, HotError};

use crate::wire::{Arg, Command, Fault, Outcome, Reply, fault};

pub(super) const NAME: &str = "redis";

pub(super) fn command(command: &Command) -> Cmd {
    let mut cmd = Cmd::new();
    for arg in &command.args {
        match arg {
            Arg::Text(text) => cmd.arg(text),
            Arg::Data(bytes) => cmd.arg(&bytes[..]),
        };
    }
    cmd
}

pub(super) fn pipeline(commands: &[Command]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for one in commands {
        pipeline.add_command(command(one));
    }
    pipeline
}

pub(super) fn outcome(value: Value) -> Outcome {
    Ok(match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Int(number),
        Value::Boolean(truth) => Reply::Int(i64::from(truth)),
        Value::BulkString(bytes) => Reply::Bytes(bytes.into()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Reply::Bytes(text.into()),
        Value::Okay => Reply::Bytes(Bytes::from_static(b"OK")),
        Value::Double(number) => Reply::Bytes(number.to_string().into()),
        Value::Array(values) | Value::Set(values) => list(values)?,
        Value::Map(pairs) => list(pairs.into_iter().flat_map(|(key, value)| [key, value]))?,
        Value::Attribute { data, .. } => outcome(*data)?,
        Value::ServerError(error) => return Err(fault(NAME, error.code(), error.details().unwrap_or_default())),
        // Big numbers and messages that come unasked answer nothing that is sent here.
        _ => return Err(Fault::Error(HotError::unavailable(NAME, Cause::Answer, "an unknown kind of reply"))),
    })
}

fn list(values: impl IntoIterator<Item = Value>) -> Result<Reply, Fault> {
    values.into_iter().map(outcome).collect::<Result<_, _>>().map(Reply::List)
}

/// What an error of the crate is: a server's, by its code, or trouble on the way.
pub(super) fn error(error: &RedisError) -> Fault {
    if error.is_timeout() || error.is_io_error() || error.is_connection_dropped() {
        return Fault::Error(HotError::unavailable(NAME, Cause::Connection, short(error)));
    }
    if let Some(code) = error.code() {
        return fault(NAME, code, error.detail().unwrap_or_default());
    }
    let cause = match error.kind() {
        redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => Cause::Denied,
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => Cause::Answer,
        _ => Cause::Connection,
    };
    Fault::Error(HotError::unavailable(NAME, cause, short(error)))
}

/// The crate's errors name addresses and codes; a server's own words may follow and are cut.
fn short(error: &RedisError) -> String {
    error.to_string().chars().take(120).collect()
}
