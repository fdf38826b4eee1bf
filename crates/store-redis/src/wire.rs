//! What is sent and what comes back, whatever the wire.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use threadmill_store::hot::{Cause, HintStream, HotError, HotMode, HotResult, Partition, Told};

use crate::script::Script;

/// A word of a command.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    /// Text: names, numbers.
    Text(String),
    /// Bytes that a wire for text must encode.
    Data(Bytes),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Bytes> for Arg {
    fn from(bytes: Bytes) -> Self {
        Self::Data(bytes)
    }
}

/// A command, or a call of a script, which goes as `EVALSHA` first and as `EVAL` if the server does not know it.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) args: Vec<Arg>,
    pub(crate) script: Option<&'static Script>,
}

impl Command {
    pub(crate) fn new(name: &str) -> Self {
        Self { args: vec![name.into()], script: None }
    }

    pub(crate) fn script(script: &'static Script, keys: &[&str]) -> Self {
        let mut args = vec!["EVALSHA".into(), script.hash().into(), (keys.len() as u64).into()];
        args.extend(keys.iter().map(|key| Arg::from(*key)));
        Self { args, script: Some(script) }
    }

    pub(crate) fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<Arg>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Bytes of its words.
    pub(crate) fn bytes(&self) -> usize {
        let word = |arg: &Arg| match arg {
            Arg::Text(text) => text.len(),
            Arg::Data(bytes) => bytes.len(),
        };
        self.args.iter().map(word).sum()
    }

    /// The key or channel of a plain command.
    pub(crate) fn key(&self) -> Option<&str> {
        match self.args.get(1)? {
            Arg::Text(key) => Some(key),
            Arg::Data(_) => None,
        }
    }

    /// The same call with the script's text.
    pub(crate) fn in_full(mut self) -> Self {
        if let Some(script) = self.script {
            self.args[0] = "EVAL".into();
            self.args[1] = script.text().into();
        }
        self
    }
}

/// What comes back for one command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    Bytes(Bytes),
    List(Vec<Self>),
}

impl Reply {
    /// Text or a number, as text.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            Self::Int(number) => Some(number.to_string()),
            Self::Nil | Self::List(_) => None,
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        self.text()?.parse().ok()
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            Self::Nil | Self::Int(_) | Self::Bytes(_) => None,
        }
    }
}

/// Why one command of several failed.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The script is not known there.
    NoScript,
    /// The key holds something that is not ours.
    WrongType,
    /// Anything else.
    Error(HotError),
}

/// The outcome of one command.
pub(crate) type Outcome = Result<Reply, Fault>;

/// What a fault is, by the code a server's error begins with. Only codes and short texts are kept: an error may
/// quote the command.
pub(crate) fn fault(store: &'static str, code: &str, detail: &str) -> Fault {
    let cause = match code {
        "NOSCRIPT" => return Fault::NoScript,
        "WRONGTYPE" => return Fault::WrongType,
        "LOADING" | "MASTERDOWN" => Cause::Loading,
        "BUSY" => Cause::Busy,
        "READONLY" => Cause::ReadOnly,
        "OOM" | "MISCONF" => Cause::Full,
        "NOREPLICAS" => Cause::Replicas,
        "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT" => Cause::Moving,
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Cause::Denied,
        "ERR" if detail.contains("max number of clients") => Cause::Busy,
        "ERR" if detail.contains("max requests limit exceeded") => Cause::Quota,
        _ => Cause::Answer,
    };
    let short: String = detail.chars().take(60).collect();
    Fault::Error(HotError::unavailable(store, cause, format!("{code} {short}")))
}

/// A way to a server.
#[async_trait]
pub(crate) trait Wire: Send + Sync + 'static {
    /// The backend's name in errors.
    fn name(&self) -> &'static str;

    /// How it is laid out.
    fn mode(&self) -> HotMode;

    /// Which partitions' commands may be sent together: those of one place.
    fn place(&self, partition: Partition) -> u8;

    /// How an append is told of.
    fn told(&self) -> Told;

    /// Sends commands that all concern keys of one place, in order; an outcome for each.
    async fn send(&self, commands: Vec<Command>) -> HotResult<Vec<Outcome>>;

    /// The `INFO` of every server that takes writes.
    async fn info(&self) -> HotResult<Vec<String>>;

    /// What was given as [`Arg::Data`], from a reply.
    fn data(&self, bytes: &Bytes) -> Option<Bytes>;

    /// The command that announces hints on a partition, and what must go with it. Nothing where word does not go this
    /// way.
    fn announce(&self, partition: Partition, payload: Bytes) -> Vec<Command>;

    /// Whether what is announced is heard.
    fn is_pushed(&self) -> bool;

    /// Listens.
    fn listen(&self, partitions: Vec<Partition>) -> HintStream;

    /// Commands that listening has taken, which [`Wire::send`] knows nothing of.
    fn beside(&self) -> u64 {
        0
    }

    /// A call is late: nothing may be expected of the connection it went over.
    fn late(&self);

    /// A duration in a command.
    fn millis(duration: Duration) -> u64
    where
        Self: Sized,
    {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_server_has_a_cause() {
        let cause = |code, detail| match fault("redis", code, detail) {
            Fault::Error(error) => error.cause(),
            Fault::NoScript | Fault::WrongType => None,
        };
        for (code, detail, wanted) in [
            ("READONLY", "You can't write against a read only replica.", Cause::ReadOnly),
            ("LOADING", "Redis is loading the dataset in memory", Cause::Loading),
            ("BUSY", "Redis is busy running a script.", Cause::Busy),
            ("OOM", "command not allowed when used memory > 'maxmemory'.", Cause::Full),
            ("NOREPLICAS", "Not enough good replicas to write.", Cause::Replicas),
            ("NOPERM", "this user has no permissions", Cause::Denied),
            ("WRONGPASS", "invalid username-password pair", Cause::Denied),
            ("MOVED", "3999 127.0.0.1:6381", Cause::Moving),
            ("ASK", "3999 127.0.0.1:6381", Cause::Moving),
            ("CLUSTERDOWN", "Hash slot not served", Cause::Moving),
            ("ERR", "max number of clients reached", Cause::Busy),
            ("ERR", "unknown command", Cause::Answer),
        ] {
            assert_eq!(cause(code, detail), Some(wanted), "{code}");
        }
        assert!(matches!(fault("redis", "NOSCRIPT", ""), Fault::NoScript));
        assert!(matches!(fault("redis", "WRONGTYPE", ""), Fault::WrongType));
    }
}
