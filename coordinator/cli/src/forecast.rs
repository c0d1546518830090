//! The forecast of a rehearsal for the eye: when each datacenter is through, how far each pool goes down, how many hosts
//! fetch at once. Everything is counted from the start, because the day is not known.

use echelon_proto::Span;
use echelon_rehearsal::{Approval, Forecast, PoolForecast};

use crate::{
    line::{Line, Style, counted},
    table, when,
};

/// From the lowest that a pool comes to up to nearly all of it. All of it has a glyph of its own, so that a single host
/// out can be seen.
const SOME: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];
const ALL: char = '█';

/// All of it.
#[must_use]
pub(crate) fn lines(forecast: &Forecast, approvals: &[Approval]) -> Vec<Line> {
    let mut lines = vec![
        Line::new()
            .push(Style::Bold, "forecast")
            .plain(format!("  {}", after(forecast.total_ms))),
    ];
    let lanes = forecast.lanes.iter().map(|lane| {
        let finish = lane.finish_ms.map_or_else(|| "open".into(), after);
        vec![lane.datacenter.to_string(), finish, lane.end.unwrap_or_default().into()]
    });
    lines.extend(block(&["DC", "FINISH", "END"], lanes.collect()));
    let header = format!("OVER TIME, {} EACH, ▁ LOWEST █ ALL", after(forecast.point_ms));
    let pools = forecast.pools.iter().map(pool);
    lines.extend(block(&["POOL", "LOWEST IN SERVICE", "AFTER", &header], pools.collect()));
    let sources = forecast.sources.iter().map(|source| {
        let at_once = counted(source.hosts_at_once as usize, "host");
        vec![source.origin.clone(), at_once, after(source.at_ms)]
    });
    lines.extend(block(&["ARTIFACTS FROM", "MOST AT ONCE", "AFTER"], sources.collect()));
    lines.extend(approvals.iter().map(assumed));
    lines
}

/// `4m12s`, and below a second its milliseconds: a point of a short rehearsal.
#[must_use]
pub(crate) fn after(span: Span) -> String {
    if (1..1000).contains(&span.0) {
        return span.to_string();
    }
    let end = jiff::Timestamp::from_second(i64::try_from(span.0 / 1000).unwrap_or(0));
    end.map_or_else(|_| span.to_string(), |end| when::took(jiff::Timestamp::UNIX_EPOCH, end))
}

fn block(header: &[&str], rows: Vec<Vec<String>>) -> Vec<Line> {
    if rows.is_empty() {
        return Vec::new();
    }
    let text = table::plain(header, rows);
    let lines = text.lines().enumerate().map(|(at, line)| {
        let style = if at == 0 { Style::Dim } else { Style::Plain };
        Line::new().plain("  ").push(style, line)
    });
    lines.collect()
}

fn pool(pool: &PoolForecast) -> Vec<String> {
    let percent = u64::from(pool.lowest) * 100 / u64::from(pool.hosts.max(1));
    vec![
        format!("{}/{}", pool.datacenter, pool.pool),
        format!("{} of {} ({percent}%)", pool.lowest, pool.hosts),
        after(pool.lowest_ms),
        pool.series.iter().map(|serving| bar(*serving, pool)).collect(),
    ]
}

/// A column as high as what serves stands between the lowest and all; rounded down, so that it never looks better.
fn bar(serving: u32, pool: &PoolForecast) -> char {
    let above = |count: u32| u64::from(count.saturating_sub(pool.lowest));
    if serving >= pool.hosts {
        return ALL;
    }
    let level = above(serving) * SOME.len() as u64 / above(pool.hosts).max(1);
    let level = usize::try_from(level).unwrap_or(0);
    SOME[level.min(SOME.len() - 1)]
}

fn assumed(approval: &Approval) -> Line {
    let who = if approval.approvers == 1 {
        "somebody approves".to_owned()
    } else {
        format!("{} people approve", approval.approvers)
    };
    Line::new().push(Style::Warn, "  ⚠ assumed: ").plain(format!(
        "{who} {} after {} in {}, {} in, when it has waited {}",
        approval.gate,
        approval.wave,
        approval.datacenter,
        after(approval.given_ms),
        after(approval.given_ms - approval.asked_ms)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_pool_is_a_full_column_and_only_its_lowest_an_empty_one() {
        let bars = |lowest, hosts, counts: &[u32]| {
            let pool = PoolForecast {
                datacenter: "dc1".parse().unwrap(),
                pool: "front".parse().unwrap(),
                hosts,
                at_start: hosts,
                lowest,
                lowest_ms: Span::ZERO,
                series: Vec::new(),
            };
            counts.iter().map(|serving| bar(*serving, &pool)).collect::<String>()
        };
        assert_eq!(bars(900, 1000, &[900, 915, 950, 999, 1000]), "▁▂▄▇█");
        assert_eq!(bars(0, 3, &[0, 1, 2, 3]), "▁▃▅█");
        assert_eq!(bars(2, 3, &[2]), "▁");
        assert_eq!(bars(3, 3, &[3]), "█");
    }

    #[test]
    fn a_length_of_time_is_short_and_never_nothing() {
        assert_eq!(
            [0, 250, 61_000, 7_200_000].map(|ms| after(Span(ms))),
            ["0s", "250ms", "1m01s", "2h00m"]
        );
    }
}
