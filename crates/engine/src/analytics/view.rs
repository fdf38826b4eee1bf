//! What is shown of the analytics: groups that are large enough, and sums of those alone, so that nothing of the others can
//! be had by taking one from the other. A group is a tenant's day; within it what compares those with the prefetcher and
//! those without is shown only if both are large enough.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ledger::{Group, Groups};
use super::measure::{Counted, Counts, MEASURES};

/// Visitors that a group has at least.
pub const LEAST: u64 = 10;

/// A tenant's day, large enough to be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The day, as `2026-11-29`, in UTC.
    pub day: String,
    /// The tenant.
    pub tenant: String,
    /// Different users.
    pub visitors: u64,
    /// What was counted.
    #[serde(skip)]
    pub counts: Counts,
}

/// All that is shown of some days.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Oldest first, each day's tenants by name.
    pub groups: Vec<Shown>,
    /// Groups that are too small.
    pub hidden: u64,
}

/// A day's name.
pub(super) fn name_of(day: u64) -> String {
    let seconds = i64::try_from(day.saturating_mul(86_400)).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d").to_string()
}

impl View {
    /// Takes in a day, of one tenant or of all.
    pub(super) fn take(&mut self, day: u64, groups: Groups, tenant: Option<&str>) {
        for (name, group) in groups {
            if tenant.is_some_and(|tenant| tenant != name) {
                continue;
            }
            match shown(group) {
                Some((visitors, counts)) => {
                    self.groups.push(Shown { day: name_of(day), tenant: name, visitors, counts });
                }
                None => self.hidden += 1,
            }
        }
    }

    /// The sums of what is shown.
    #[must_use]
    pub fn sums(&self) -> Counts {
        let mut all = Counts::default();
        self.groups.iter().for_each(|group| all.merge(&group.counts));
        all
    }

    /// As JSON, with what each number means.
    #[must_use]
    pub fn json(&self) -> Value {
        let measure = |measure: &super::measure::Measure| {
            let by = if measure.counted == Counted::Node { "node" } else { "page" };
            json!({"name": measure.name, "title": measure.title, "buckets": measure.buckets, "countedBy": by})
        };
        let group = |group: &Shown| json!({"day": group.day, "tenant": group.tenant, "visitors": group.visitors, "counts": rows(&group.counts)});
        json!({
            "leastVisitors": LEAST,
            "hiddenGroups": self.hidden,
            "measures": MEASURES.iter().map(measure).collect::<Vec<_>>(),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "sums": rows(&self.sums()),
        })
    }

    /// As lines of `day,tenant,visitors,measure,bucket,count`. Ids have no letter that CSV gives a meaning.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut out = String::from("day,tenant,visitors,measure,bucket,count\n");
        for Shown { day, tenant, visitors, counts } in &self.groups {
            for measure in &MEASURES {
                for (bucket, count) in measure.buckets.iter().zip(counts.row(measure)) {
                    let _ = writeln!(out, "{day},{tenant},{visitors},{},{bucket},{count}", measure.name);
                }
            }
        }
        out
    }
}

fn rows(counts: &Counts) -> Map<String, Value> {
    MEASURES.iter().map(|measure| (measure.name.to_owned(), json!(counts.row(measure)))).collect()
}

/// What is shown of a group, if it is large enough.
fn shown(group: Group) -> Option<(u64, Counts)> {
    let crowd = group.people.crowd();
    if crowd.all < LEAST {
        return None;
    }
    // A side that is empty hides nobody: the other one is the group.
    let enough = |side: u64| side == 0 || side >= LEAST;
    let counts = if enough(crowd.with) && enough(crowd.without) { group.counts } else { group.counts.without_sides() };
    Some((crowd.all, counts))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::People;
    use super::super::measure::named;
    use super::*;

    fn group(all: u64, with: u64, without: u64) -> Group {
        let mut group = Group { people: People::Number { all, with, without }, ..Group::default() };
        group.counts.report("visits", &[all]).expect("taken");
        group.counts.report("switchWith", &[0, 4]).expect("taken");
        group
    }

    #[test]
    fn small_groups_and_small_sides_are_not_shown_nor_summed() {
        let mut view = View::default();
        let day =
            |groups: &[(&str, Group)]| groups.iter().map(|(name, group)| ((*name).to_owned(), group.clone())).collect();
        view.take(0, day(&[("a", group(9, 9, 0)), ("b", group(10, 10, 0)), ("c", group(30, 25, 5))]), None);
        view.take(20_786, day(&[("b", group(40, 30, 10)), ("d", group(0, 0, 0))]), None);
        let row = |counts: &Counts, name| counts.row(named(name).expect("a measure")).iter().sum::<u64>();
        let shown: Vec<_> = view
            .groups
            .iter()
            .map(|group| (group.day.as_str(), group.tenant.as_str(), group.visitors, row(&group.counts, "switchWith")))
            .collect();
        assert_eq!(shown, [("1970-01-01", "b", 10, 4), ("1970-01-01", "c", 30, 0), ("2026-11-29", "b", 40, 4)]);
        assert_eq!((view.hidden, row(&view.sums(), "visits"), row(&view.sums(), "switchWith")), (2, 80, 8));
        let mut one = View::default();
        one.take(0, day(&[("a", group(9, 9, 0)), ("b", group(10, 10, 0))]), Some("b"));
        assert_eq!((one.groups.len(), one.hidden), (1, 0), "of another tenant nothing is said");
    }

    #[test]
    fn exports_have_every_bucket() {
        let mut view = View::default();
        view.take(20_786, [("b".to_owned(), group(12, 12, 0))].into(), None);
        let (csv, json) = (view.csv(), view.json());
        assert!(csv.contains("2026-11-29,b,12,visits,visits,12\n2026-11-29,b,12,reach,to 10 %,0\n"), "{csv}");
        let buckets: usize = MEASURES.iter().map(|measure| measure.buckets.len()).sum();
        assert_eq!(csv.lines().count(), buckets + 1);
        assert!(csv.lines().all(|line| line.split(',').count() == 6));
        assert_eq!(json["groups"][0]["counts"]["switchWith"][1], 4);
        assert_eq!(json["sums"]["visits"], json!([12]));
    }
}
