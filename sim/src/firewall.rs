//! The model of the kernel's firewall: the rules that commands add and delete.
//!
//! A table whose name begins with `c` counts its rules, as iptables does: two adds need two
//! deletes. One whose name begins with `s` is a set, as nft has it: an add of what is there
//! changes nothing.

use std::collections::BTreeMap;

/// The rules that are in place.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    rules: BTreeMap<(String, String), u32>,
    bells: u64,
}

impl Firewall {
    /// Runs a command and returns its exit status: `add TABLE ADDRESS`, `del TABLE ADDRESS`,
    /// `get TABLE ADDRESS`, or `bell ...`, which rings.
    pub fn run(&mut self, command: &str) -> i32 {
        let words: Vec<&str> = command.split(' ').collect();
        let [verb, table, address] = words[..] else { return 127 };
        let rule = (table.to_owned(), address.to_owned());
        match verb {
            "add" => {
                let count = self.rules.entry(rule).or_default();
                *count = if table.starts_with('s') { 1 } else { *count + 1 };
                0
            }
            "del" => match self.rules.get_mut(&rule) {
                Some(count) => {
                    *count -= 1;
                    if *count == 0 {
                        self.rules.remove(&rule);
                    }
                    0
                }
                None => 1,
            },
            "get" => i32::from(!self.rules.contains_key(&rule)),
            "bell" => {
                self.bells += 1;
                0
            }
            _ => 127,
        }
    }

    /// Forgets all rules, as a boot does, or somebody who flushes them.
    pub fn flush(&mut self) {
        self.rules.clear();
    }

    /// Returns the rules that are in place, with how often.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&str, &str, u32)> {
        self.rules.iter().map(|((table, address), count)| (&**table, &**address, *count))
    }

    /// Tells whether an address is let in.
    #[must_use]
    pub fn lets_in(&self, table: &str, address: &str) -> bool {
        self.rules.contains_key(&(table.to_owned(), address.to_owned()))
    }
}
