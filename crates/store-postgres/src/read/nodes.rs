//! Which nodes are connected to the database, as the server sees them: by the names of their connections, so that it takes
//! no table and no write. A pooler that gives its own name to connections hides them.

use threadmill_store::{NodeSeen, NodesSeen};

use crate::codec::uint;
use crate::db::{Db, get};
use crate::fail::Done;

/// What a node's connections are called: the program, its release, the node.
pub(crate) fn connection_name(node: &str) -> String {
    format!("threadmill {} {}", env!("CARGO_PKG_VERSION"), node.replace('-', ""))
}

/// The nodes that are connected now. The one that listens asks nothing by itself, and does not count.
pub(crate) async fn nodes(db: &Db<'_>) -> Done<NodesSeen> {
    const SQL: &str = "SELECT split_part(application_name, ' ', 2), split_part(application_name, ' ', 3),
             (extract(epoch FROM min(backend_start)) * 1000)::bigint,
             (extract(epoch FROM clock_timestamp() - max(greatest(query_start, state_change))) * 1000)::bigint
         FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'threadmill % %'
             AND application_name NOT LIKE '% hints'
         GROUP BY 1, 2 ORDER BY 3, 2";
    let now = db.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[]).await?;
    let now = match now {
        Some(row) => uint(get(&row, 0)?)?,
        None => 0,
    };
    let mut seen = NodesSeen { now, nodes: Vec::new() };
    for row in db.all(SQL, &[]).await? {
        let quiet: Option<i64> = get(&row, 3)?;
        seen.nodes.push(NodeSeen {
            version: get(&row, 0)?,
            name: get(&row, 1)?,
            since: uint(get(&row, 2)?)?,
            quiet: uint(quiet.unwrap_or_default().max(0))?,
        });
    }
    Ok(seen)
}
