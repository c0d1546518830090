//! Tables of touched and hit hosts, and how likely as many of the touched are hit when it is chance who is: the hypergeometric
//! distribution of each table, and of several the sum's, exactly (Fisher 1935; Gart 1970 for strata). Deliberately no normal
//! approximation: what matters are a few hits among a few hosts.

use statrs::function::factorial::ln_binomial;

/// Hosts, by whether a rollout touched them and whether they are hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Table {
    touched: u64,
    touched_hit: u64,
    others: u64,
    others_hit: u64,
}

impl Table {
    pub(super) fn add(&mut self, is_touched: bool, is_hit: bool) {
        let (hosts, hit) = if is_touched {
            (&mut self.touched, &mut self.touched_hit)
        } else {
            (&mut self.others, &mut self.others_hit)
        };
        *hosts += 1;
        *hit += u64::from(is_hit);
    }

    /// The chance of each number of hits among the touched, from the least that can be; and that least one.
    fn chances(&self) -> (u64, Vec<f64>) {
        let hits = self.touched_hit + self.others_hit;
        let (least, most) = (hits.saturating_sub(self.others), hits.min(self.touched));
        let all = ln_binomial(self.touched + self.others, hits);
        let chance = |hit: u64| (ln_binomial(self.touched, hit) + ln_binomial(self.others, hits - hit) - all).exp();
        (least, (least..=most).map(chance).collect())
    }
}

/// How likely it is that as many of the touched are hit, or more, with each table's margins as they are.
pub(super) fn tail(tables: &[Table]) -> f64 {
    let mut chances = vec![1.0];
    let mut least = 0;
    for table in tables {
        let (from, of_table) = table.chances();
        least += from;
        // Most strata say nothing: all of their hosts are touched, or none is hit.
        if of_table.len() > 1 {
            chances = together(&chances, &of_table);
        }
    }
    let hit: u64 = tables.iter().map(|table| table.touched_hit).sum();
    let below = usize::try_from(hit - least).unwrap_or(usize::MAX);
    chances.iter().skip(below).sum::<f64>().min(1.0)
}

fn together(one: &[f64], other: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; one.len() + other.len() - 1];
    for (at, first) in one.iter().enumerate() {
        for (further, second) in other.iter().enumerate() {
            sum[at + further] += first * second;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(touched: (u64, u64), others: (u64, u64)) -> Table {
        Table {
            touched: touched.0,
            touched_hit: touched.1,
            others: others.0,
            others_hit: others.1,
        }
    }

    #[test]
    fn one_table_is_fishers_exact_test() {
        // The lady tasting tea: 4 of 4, and 3 of 4, of 8 cups.
        assert!((tail(&[table((4, 4), (4, 0))]) - 1.0 / 70.0).abs() < 1e-12);
        assert!((tail(&[table((4, 3), (4, 1))]) - 17.0 / 70.0).abs() < 1e-12);
        assert!((tail(&[table((10, 8), (6, 1))]) - 280.0 / 11440.0).abs() < 1e-12);
    }

    #[test]
    fn several_tables_add_up_and_those_that_say_nothing_do_not_count() {
        let (one, other) = (table((2, 1), (2, 1)), table((1, 1), (1, 0)));
        // 0, 1 and 2 of the one are 1/6, 4/6, 1/6, and of the other 0 and 1 a half each: two or three together are 6/12.
        assert!((tail(&[one, other]) - 0.5).abs() < 1e-12);
        let nothing = [table((5, 5), (0, 0)), table((0, 0), (9, 3)), table((4, 0), (4, 0))];
        let all = [&[one, other], &nothing[..]].concat();
        assert!((tail(&all) - 0.5).abs() < 1e-12);
        assert_eq!(tail(&nothing), 1.0);
    }

    #[test]
    fn thousands_of_hosts_do_not_overflow() {
        let chance = tail(&[table((1000, 400), (1000, 10))]);
        assert!(chance > 0.0 && chance < 1e-80, "{chance}");
    }
}
