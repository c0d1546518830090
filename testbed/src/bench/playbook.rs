//! The two playbooks of the bench. Hosts of the fleet do nothing for a phase but wait, so what stands in `run` is never
//! run; everything else is as in a real one.

/// One phase on all hosts at once.
pub(super) const ORDER_ALL: &str = "bench-order-all";
/// Three phases a host, in four waves.
pub(super) const WAVES: &str = "bench-waves";

/// One wave of all hosts, one phase each.
pub(super) fn order_all(hosts: usize) -> String {
    format!(
        "name: {ORDER_ALL}
version: 1
hosts: {{ selector: \"fleet=testbed\" }}
machine:
  initial: absent
  states:
    absent: {{ traffic: none }}
    up: {{ traffic: full }}
  phases:
    - {{ name: ping, from: [absent, up], to: up, sets: release, run: {{ argv: [\"true\"] }}, timeout: 1m, read_only: true }}
  operations:
    deploy: {{ to: up, release: target }}
stages:
  - name: roll
    deploy:
      operation: deploy
      waves:
        - {{ name: all, size: 100% }}
      max_unavailable: 100%
      max_parallel: {hosts}
"
    )
}

/// `1, 10 %, 50 %, 100 %` in each lane, three phases a host, no bake, no gate.
pub(super) fn waves(max_parallel: usize) -> String {
    format!(
        "name: {WAVES}
version: 1
hosts: {{ selector: \"fleet=testbed\" }}
machine:
  initial: absent
  states:
    absent: {{ traffic: none }}
    down: {{ traffic: none }}
    fresh: {{ traffic: none }}
    up: {{ traffic: full }}
  phases:
    - {{ name: stop, from: [absent, up], to: down, run: {{ argv: [\"true\"] }}, timeout: 1m, read_only: true }}
    - {{ name: install, from: down, to: fresh, sets: release, run: {{ argv: [\"true\"] }}, timeout: 1m, read_only: true }}
    - {{ name: start, from: fresh, to: up, run: {{ argv: [\"true\"] }}, timeout: 1m, read_only: true }}
  operations:
    deploy: {{ to: up, release: target }}
stages:
  - name: roll
    deploy:
      operation: deploy
      waves:
        - {{ name: canary, size: 1 }}
        - {{ name: early, size: 10% }}
        - {{ name: half, size: 50% }}
        - {{ name: rest, size: 100% }}
      max_unavailable: 100%
      max_parallel: {max_parallel}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playbooks_have_no_faults() {
        for text in [order_all(2000), waves(50)] {
            let read = echelon_playbooks::read(&text);
            assert!(
                read.is_ok(),
                "{}",
                read.err().map(|faults| faults.to_string()).unwrap_or_default()
            );
        }
    }
}
