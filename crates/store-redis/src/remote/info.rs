//! What a server says of itself.

use std::collections::HashMap;

use threadmill_store::hot::{HotInfo, HotResult, HotRole};

use super::Remote;
use crate::wire::Wire;

/// The fields of an `INFO`.
fn fields(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

/// Name and version. Valkey says `server_name:valkey`, and a Redis version beside its own for old clients.
fn software(fields: &HashMap<&str, &str>) -> (String, String) {
    match (fields.get("valkey_version"), fields.get("redis_version"), fields.get("upstash_version")) {
        (_, _, Some(version)) => ("upstash".to_owned(), (*version).to_owned()),
        (Some(version), _, None) => ("valkey".to_owned(), (*version).to_owned()),
        (None, Some(version), None) => ("redis".to_owned(), (*version).to_owned()),
        (None, None, None) => ("unknown".to_owned(), "unknown".to_owned()),
    }
}

pub(super) async fn read<W: Wire>(remote: &Remote<W>) -> HotResult<HotInfo> {
    let texts = remote.wire.info().await?;
    let servers: Vec<_> = texts.iter().map(|text| fields(text)).collect();
    let Some(first) = servers.first() else { return Err(remote.nonsense("INFO")) };
    let sum = |name| {
        let numbers: Vec<u64> = servers.iter().filter_map(|fields| fields.get(name)?.parse().ok()).collect();
        (!numbers.is_empty()).then(|| numbers.iter().sum())
    };
    let replica = servers.iter().any(|fields| fields.get("role") == Some(&"slave"));
    let (software, version) = software(first);
    Ok(HotInfo {
        software,
        version,
        mode: remote.wire.mode(),
        role: if replica { HotRole::Replica } else { HotRole::Primary },
        used_bytes: sum("used_memory"),
        max_bytes: sum("maxmemory").filter(|bytes| *bytes > 0),
        unverified: remote.doubts.count(),
    })
}
