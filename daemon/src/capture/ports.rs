//! Sets of destination ports, as a capture filter can name them.

use std::fmt::Write;

/// A set of ports: ranges in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// Makes a set of ranges, first and last port each, which may overlap and stand in any order.
    pub(super) fn new(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Makes the set of all ports.
    pub(super) fn all() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the ranges, in order.
    pub(super) fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Returns the ports that are not in the set.
    pub(super) fn complement(&self) -> Self {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for (first, last) in &self.0 {
            if let (Some(from), Some(to)) = (next, first.checked_sub(1)) {
                rest.push((from, to));
            }
            next = last.checked_add(1);
        }
        rest.extend(next.map(|from| (from, u16::MAX)));
        Self::new(rest)
    }

    /// Adds the ports between ranges, the smallest gaps first, until so many ranges are left.
    pub(super) fn widen(&mut self, max_ranges: usize) {
        let excess = self.0.len().saturating_sub(max_ranges.max(1));
        if excess == 0 {
            return;
        }
        let gap = |at: usize| self.0[at].0 - self.0[at - 1].1;
        let mut closest: Vec<usize> = (1..self.0.len()).collect();
        closest.sort_by_key(|at| gap(*at));
        closest.truncate(excess);
        let between = closest.iter().map(|at| (self.0[at - 1].1, self.0[*at].0));
        *self = Self::new(between.chain(self.0.iter().copied()).collect());
    }

    /// Writes the set for a capture filter, from the name of the protocol on:
    /// `tcp dst port (22 or 80)`. The text can stand behind `and` as it is.
    ///
    /// It never lets a packet pass that has no ports, such as a later fragment.
    pub(super) fn text(&self, protocol: &str) -> String {
        let others = self.complement();
        if others.is_empty() {
            return format!("{protocol} dst portrange 0-65535");
        }
        if others.0.len() < self.0.len() {
            return format!(
                "{protocol} dst portrange 0-65535 and not {}",
                others.positive(protocol)
            );
        }
        self.positive(protocol)
    }

    fn positive(&self, protocol: &str) -> String {
        let single = self.0.iter().filter(|(first, last)| first == last);
        let single: Vec<String> = single.map(|(port, _)| port.to_string()).collect();
        let ranges = self.0.iter().filter(|(first, last)| first != last);
        let ranges: Vec<String> = ranges.map(|(first, last)| format!("{first}-{last}")).collect();
        let mut text = String::new();
        for (kind, list) in [("port", &single), ("portrange", &ranges)] {
            if list.is_empty() {
                continue;
            }
            let separator = if text.is_empty() { "" } else { " or " };
            let list = match list.as_slice() {
                [one] => one.clone(),
                many => format!("({})", many.join(" or ")),
            };
            let _ = write!(text, "{separator}{protocol} dst {kind} {list}");
        }
        if single.is_empty() || ranges.is_empty() { text } else { format!("({text})") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn contains(ports: &Ports, port: u16) -> bool {
        ports.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
        let near_the_ends = prop_oneof![0..40_u16, 65_500..=u16::MAX, any::<u16>()];
        let range = (near_the_ends, 0..20_u16);
        vec(range.prop_map(|(first, more)| (first, first.saturating_add(more))), 0..30)
    }

    proptest! {
        #[test]
        fn sets_hold_what_was_put_in(ranges in ranges(), port in any::<u16>()) {
            let ports = Ports::new(ranges.clone());
            let listed = |port| ranges.iter().any(|(first, last)| (*first..=*last).contains(&port));
            let near = ranges.iter().flat_map(|(first, last)| {
                [first.saturating_sub(1), *first, *last, last.saturating_add(1)]
            });
            for port in near.chain([0, port, u16::MAX]) {
                prop_assert_eq!(contains(&ports, port), listed(port));
                prop_assert_eq!(contains(&ports.complement(), port), !listed(port));
            }
            prop_assert_eq!(ports.complement().complement(), ports);
        }

        #[test]
        fn a_widened_set_holds_all_it_did_in_fewer_ranges(ranges in ranges(), max in 1..10_usize) {
            let ports = Ports::new(ranges);
            let mut wide = ports.clone();
            wide.widen(max);
            prop_assert!(wide.0.len() <= max);
            prop_assert_eq!(Ports::new([wide.0.clone(), ports.0.clone()].concat()), wide.clone());
            if ports.0.len() <= max {
                prop_assert_eq!(wide, ports);
            }
        }
    }

    #[test]
    fn the_smallest_gaps_are_closed_first() {
        let mut ports = Ports::new(vec![(10, 10), (20, 20), (22, 25), (1000, 1000), (1005, 1005)]);
        ports.widen(3);
        assert_eq!(ports.ranges(), [(10, 10), (20, 25), (1000, 1005)]);
    }

    #[test]
    fn a_set_is_written_in_the_shorter_way() {
        let text = |ranges: &[(u16, u16)]| Ports::new(ranges.to_vec()).text("udp");
        assert_eq!(text(&[(7000, 7000)]), "udp dst port 7000");
        assert_eq!(text(&[(7000, 7000), (9000, 9000)]), "udp dst port (7000 or 9000)");
        assert_eq!(text(&[(7000, 7002)]), "udp dst portrange 7000-7002");
        assert_eq!(
            text(&[(1, 2), (7, 7), (9, 9), (11, 12)]),
            "(udp dst port (7 or 9) or udp dst portrange (1-2 or 11-12))"
        );
        assert_eq!(text(&[(0, u16::MAX)]), "udp dst portrange 0-65535");
        assert_eq!(
            text(&[(0, 52), (54, u16::MAX)]),
            "udp dst portrange 0-65535 and not udp dst port 53"
        );
    }
}
