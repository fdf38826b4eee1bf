//! What a read cost, as the server counts it: so that a test can assert it rather than time it.

use std::ops::AddAssign;

use tokio_postgres::Row;

/// What the server counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowCost {
    /// Rows that came out of all steps of all plans.
    pub rows: u64,
    /// Pages looked at, in memory or not.
    pub buffers: u64,
    /// Scans that no index bounds.
    pub full_scans: u64,
    /// Statements.
    pub statements: u64,
}

impl AddAssign for WindowCost {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.buffers += other.buffers;
        self.full_scans += other.full_scans;
        self.statements += other.statements;
    }
}

/// The number after a word on a line of a plan.
fn after(line: &str, word: &str) -> Option<u64> {
    let rest = line.split_once(word)?.1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Adds up a plan, as `EXPLAIN (ANALYZE, BUFFERS)` prints it. A step's pages are in the sum of the step above.
pub(crate) fn read(plan: &[Row]) -> Result<WindowCost, tokio_postgres::Error> {
    let mut cost = WindowCost { statements: 1, ..WindowCost::default() };
    let mut counted = false;
    for row in plan {
        let line: String = row.try_get(0)?;
        add(&mut cost, &line, &mut counted);
        if line.starts_with("Planning") {
            break;
        }
    }
    Ok(cost)
}

fn add(cost: &mut WindowCost, line: &str, counted: &mut bool) {
    if let Some((_, actual)) = line.split_once("(actual") {
        let loops = after(actual, "loops=").unwrap_or(1);
        cost.rows += after(actual, "rows=").unwrap_or(0) * loops;
        cost.full_scans += u64::from(line.contains("Seq Scan on"));
    }
    if !*counted && line.trim_start().starts_with("Buffers:") {
        *counted = true;
        cost.buffers += after(line, "hit=").unwrap_or(0) + after(line, "read=").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_added_up() {
        let plan = "\
Sort  (cost=8.17..8.18 rows=1 width=4) (actual time=0.02..0.02 rows=3 loops=1)
  Sort Key: a
  Buffers: shared hit=7 read=2
  ->  Seq Scan on threads  (cost=0.15..8.17 rows=1 width=4) (actual time=0.01..0.01 rows=2 loops=4)
        Buffers: shared hit=4";
        let (mut cost, mut counted) = (WindowCost::default(), false);
        plan.lines().for_each(|line| add(&mut cost, line, &mut counted));
        assert_eq!((cost.rows, cost.buffers, cost.full_scans), (11, 9, 1));
    }
}
