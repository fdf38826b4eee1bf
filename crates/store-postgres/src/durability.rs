//! What a commit of this server survives.

use crate::db::{Db, get};
use crate::fail::{Done, damage, unavailable};

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The crash of the server and power loss. A failover may lose what the standby had not received yet.
    Local,
    /// The loss of the server as well: a standby confirms each commit.
    Replicated,
}

/// Reads the settings that decide.
///
/// A server that answers before it has synced is refused: no class could be promised.
pub(crate) async fn read(db: &Db<'_>) -> Done<Durability> {
    let row = db
        .one(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),
                    current_setting('synchronous_standby_names')",
            &[],
        )
        .await?;
    let row = row.ok_or_else(|| damage("one row of settings is none"))?;
    let (fsync, commit, standbys): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    class(fsync, commit, standbys).map_err(|why| unavailable(why).into())
}

fn class(fsync: &str, commit: &str, standbys: &str) -> Result<Durability, String> {
    if fsync != "on" {
        return Err(format!("the server runs with fsync={fsync}: it forgets commits when it crashes"));
    }
    match commit {
        "off" => Err("the server runs with synchronous_commit=off: it answers before a commit is on disk".into()),
        "local" => Ok(Durability::Local),
        _ if standbys.trim().is_empty() => Ok(Durability::Local),
        _ => Ok(Durability::Replicated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_give_a_class() {
        assert_eq!(class("on", "on", ""), Ok(Durability::Local));
        assert_eq!(class("on", "on", "ANY 1 (a, b)"), Ok(Durability::Replicated));
        assert_eq!(class("on", "remote_apply", "a"), Ok(Durability::Replicated));
        assert_eq!(class("on", "local", "a"), Ok(Durability::Local));
        assert!(class("on", "off", "a").is_err());
        assert!(class("off", "on", "a").is_err());
    }
}
