//! A sweep as text: a table, a plot, and what to make of them.

use std::fmt::Write as _;

use anstyle::Style;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Count, Counted, Span};
use std::time::Duration;

use super::Sweep;
use super::key::{Key, Value};
use super::outcome::Row;
use crate::report::style::Palette;
use crate::scanners::AROUND;

/// Returns the page.
pub(super) fn page(sweep: &Sweep, palette: &Palette, width: usize) -> String {
    let mut page = Page { sweep, palette, text: String::new() };
    page.title();
    page.table();
    page.plot(width);
    page.conclusion();
    page.text
}

/// The table's lines with equal numbers are one, as long as only the last key's value changes.
struct Fold<'a> {
    first: &'a Row,
    last: &'a Row,
    is_today: bool,
}

/// A column of numbers.
struct Column {
    title: &'static str,
    cell: fn(&Row) -> String,
    style: fn(&Row, &Palette) -> Style,
}

const fn unstyled(_: &Row, _: &Palette) -> Style {
    Style::new()
}

const COLUMNS: [Column; 5] = [
    Column {
        title: "honest",
        cell: |row| Count(row.honest).to_string(),
        style: |row, palette| if row.honest > 0 { palette.good } else { palette.faint },
    },
    Column {
        title: "accidental",
        cell: |row| Count(row.accidental).to_string(),
        style: |row, palette| if row.accidental > 0 { palette.bad } else { palette.faint },
    },
    Column {
        title: "lost",
        cell: |row| Count(row.lost).to_string(),
        style: |row, palette| if row.lost > 0 { palette.bad } else { palette.faint },
    },
    Column {
        title: "timed out",
        cell: |row| Count(row.counts.timeouts).to_string(),
        style: unstyled,
    },
    Column { title: "failed", cell: |row| Count(row.counts.resets).to_string(), style: unstyled },
];

const LOCKED_OUT: Column = Column {
    title: "locked out",
    cell: |row| Count(row.counts.lockouts).to_string(),
    style: unstyled,
};

const COOLING: Column = Column {
    title: "suppressed",
    cell: |row| Count(row.counts.suppressed).to_string(),
    style: unstyled,
};

const OPEN_FOR: Column = Column {
    title: "open for",
    cell: |row| Span(Duration::from_nanos(row.counts.open_ns)).to_string(),
    style: unstyled,
};

struct Page<'a> {
    sweep: &'a Sweep,
    palette: &'a Palette,
    text: String,
}

impl<'a> Page<'a> {
    fn keys(&self) -> impl Iterator<Item = Key> {
        self.sweep.axes.iter().map(|axis| axis.key)
    }

    fn title(&mut self) {
        let Self { sweep, palette, text } = self;
        let strong = palette.strong;
        let _ = write!(text, "{strong}{}{strong:#}: ", Escaped(&sweep.door().name));
        for (index, axis) in sweep.axes.iter().enumerate() {
            let (values, key) = (axis.values.len() as u64, axis.key.name());
            let joint = if index == 0 { "" } else { " by " };
            let _ = write!(text, "{joint}{} of {key}", Counted(values, "value"));
        }
        let today = sweep.axes.iter().map(|axis| axis.key.value(sweep.door()).to_string());
        let today: Vec<String> = today.collect();
        let _ = writeln!(text, "; today {}\n", today.join(" and "));
    }

    fn folds(&self) -> Vec<Fold<'a>> {
        let mut folds: Vec<Fold<'a>> = Vec::new();
        for row in &self.sweep.outcome.rows {
            if let Some(fold) = folds.last_mut()
                && is_one(fold.last, row)
                && !fold.last.is_extra
                && !row.is_extra
            {
                fold.last = row;
                fold.is_today |= row.is_today;
                continue;
            }
            folds.push(Fold { first: row, last: row, is_today: row.is_today });
        }
        folds
    }

    fn columns(&self) -> Vec<Column> {
        let any =
            |number: fn(&Row) -> u64| self.sweep.outcome.rows.iter().any(|row| number(row) > 0);
        let mut columns = Vec::from(COLUMNS);
        columns.extend(any(|row| row.counts.lockouts).then_some(LOCKED_OUT));
        columns.extend(any(|row| row.counts.suppressed).then_some(COOLING));
        columns.extend(self.keys().any(|key| key == Key::CmdTimeout).then_some(OPEN_FOR));
        columns
    }

    fn table(&mut self) {
        let (columns, folds) = (self.columns(), self.folds());
        let mut keys: Vec<Vec<String>> =
            self.keys().map(|key| vec![key.name().to_owned()]).collect();
        for fold in &folds {
            for (index, cells) in keys.iter_mut().enumerate() {
                let (first, last) = (fold.first.settings[index], fold.last.settings[index]);
                cells.push(if first == last {
                    first.to_string()
                } else {
                    format!("{first} to {last}")
                });
            }
        }
        let width_of =
            |cells: &[String]| cells.iter().map(|it| it.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = keys.iter().map(|cells| width_of(cells)).collect();
        let Self { palette, text, .. } = self;
        let faint = palette.faint;
        let _ = write!(text, "{faint}");
        for (cells, width) in keys.iter().zip(&widths) {
            let _ = write!(text, "{:width$}  ", cells[0]);
        }
        let titles: Vec<String> =
            columns.iter().map(|it| format!("{:>1$}", it.title, column_width(it))).collect();
        let _ = writeln!(text, "{}{faint:#}", titles.join("  "));
        for (line, fold) in folds.iter().enumerate() {
            for (cells, width) in keys.iter().zip(&widths) {
                let _ = write!(text, "{:width$}  ", cells[line + 1]);
            }
            for (index, column) in columns.iter().enumerate() {
                let joint = if index == 0 { "" } else { "  " };
                let style = (column.style)(fold.first, palette);
                let (cell, width) = ((column.cell)(fold.first), column_width(column));
                let _ = write!(text, "{joint}{style}{cell:>width$}{style:#}");
            }
            if fold.is_today {
                let _ = write!(text, "  {}today{:#}", palette.strong, palette.strong);
            }
            text.push('\n');
        }
    }

    /// Draws honest and accidental openings along the last key.
    fn plot(&mut self, width: usize) {
        let rows = self.sweep.outcome.rows.iter().filter(|row| !row.is_extra);
        let rows: Vec<Row> = rows.cloned().collect();
        let others = self.sweep.axes.len() - 1;
        let groups = rows.chunk_by(|a, b| a.settings[..others] == b.settings[..others]);
        // Of one value there is nothing to see.
        let groups: Vec<&[Row]> = groups.filter(|group| group.len() > 1).collect();
        if others == 0 {
            groups.into_iter().for_each(|group| self.plot_line(group, width));
        } else if !groups.is_empty() {
            self.plot_grid(&groups, width);
        }
    }

    /// Draws both below each other.
    fn plot_line(&mut self, rows: &[Row], width: usize) {
        const LABEL: usize = 10;
        let columns = width.saturating_sub(LABEL + 14).clamp(10, 100);
        self.text.push('\n');
        let tops = self.tops();
        for (number, top, style) in
            [(HONEST, tops[0], self.palette.good), (ACCIDENTAL, tops[1], self.palette.bad)]
        {
            let bars = bars(rows, columns, top, number);
            let (name, top) = (number.name, Count(top));
            let _ = writeln!(self.text, "{name:LABEL$}  {style}{bars}{style:#}  of {top}");
        }
        let drawn = rows.len().min(columns);
        let _ = writeln!(self.text, "{:LABEL$}  {}", "", ruler(rows, drawn));
    }

    /// Draws both beside each other, a line for every combination of the other keys.
    fn plot_grid(&mut self, groups: &[&[Row]], width: usize) {
        const SHOWN: usize = 40;
        let keys: Vec<Key> = self.keys().collect();
        let Some((last, others)) = keys.split_last() else { return };
        let label = |values: &[Value]| {
            let values = others.iter().zip(values).map(|(_, value)| value.to_string());
            values.collect::<Vec<_>>().join(" with ")
        };
        let title = others.iter().map(|key| key.name()).collect::<Vec<_>>().join(" with ");
        let labels: Vec<String> = groups.iter().map(|group| label(&group[0].settings)).collect();
        let label_width = labels.iter().chain([&title]).map(|it| it.chars().count()).max();
        let label_width = label_width.unwrap_or(0);
        let columns = (width.saturating_sub(label_width + 6) / 2).clamp(10, 60);
        let tops = self.tops();
        let heads = [(HONEST, tops[0]), (ACCIDENTAL, tops[1])]
            .map(|(number, top)| format!("{}, of {}", number.name, Count(top)));
        let longest = groups.iter().map(|group| group.len().min(columns)).max().unwrap_or(0);
        let first_width = longest.max(heads[0].len());
        let (faint, good, bad) = (self.palette.faint, self.palette.good, self.palette.bad);
        let text = &mut self.text;
        let [honest, accidental] = &heads;
        let _ = writeln!(
            text,
            "\n{faint}{title:label_width$}  {honest:first_width$}  {accidental}{faint:#}"
        );
        for (group, label) in groups.iter().zip(&labels).take(SHOWN) {
            let honest = bars(group, columns, tops[0], HONEST);
            let accidental = bars(group, columns, tops[1], ACCIDENTAL);
            let _ = writeln!(
                text,
                "{label:label_width$}  {good}{honest:first_width$}{good:#}  {bad}{accidental}{bad:#}"
            );
        }
        if groups.len() > SHOWN {
            let _ = writeln!(text, "and {} more lines", groups.len() - SHOWN);
        }
        let ends = groups.first().and_then(|group| group.first().zip(group.last()));
        let end = |row: &Row| row.settings.last().map(ToString::to_string).unwrap_or_default();
        if let Some((first, end_row)) = ends {
            let (first, end) = (end(first), end(end_row));
            let _ = writeln!(text, "from left to right: {} {first} to {end}", last.name());
        }
    }

    /// Returns the most honest and the most accidental openings of any run.
    fn tops(&self) -> [u64; 2] {
        [HONEST, ACCIDENTAL]
            .map(|number| self.sweep.outcome.rows.iter().map(number.of).max().unwrap_or(0))
    }

    fn conclusion(&mut self) {
        let outcome = &self.sweep.outcome;
        self.text.push('\n');
        if outcome.honest_today == 0 {
            self.text.push_str("no honest knock opens this door today: there is none to keep\n");
        } else {
            self.smallest();
        }
        let any = outcome.rows.iter().any(|row| row.accidental > 0);
        if any {
            let (ports, around) = (self.sweep.scanner, Span(AROUND));
            let _ = writeln!(
                self.text,
                "accidental: its source hit {ports} or more other ports, at most {around} before \
                 or after"
            );
        }
        if self.keys().all(|key| key == Key::CmdTimeout) {
            self.text
                .push_str("cmd_timeout decides how long the door stays open, not what opens\n");
        }
        if !self.sweep.is_complete {
            self.text.push_str("not all of the traces could be read\n");
        }
    }

    fn smallest(&mut self) {
        const SHOWN: usize = 10;
        let keys: Vec<Key> = self.keys().collect();
        let Self { sweep, text, .. } = self;
        let outcome = &sweep.outcome;
        let honest = match outcome.honest_today {
            1 => "the honest knock that opens today".to_owned(),
            number => format!("all {} honest knocks that open today", Count(number)),
        };
        let written = |settings: &[Value]| {
            let each = keys.iter().zip(settings);
            let each = each.map(|(key, value)| format!("{} {value}", key.name()));
            each.collect::<Vec<_>>().join(" with ")
        };
        let smallest: Vec<String> = outcome.smallest.iter().map(|it| written(it)).collect();
        let all_keep = outcome.rows.iter().all(|row| row.lost == 0);
        let every = if all_keep { " (every value does)" } else { "" };
        match smallest.as_slice() {
            [one] => {
                let _ = writeln!(text, "smallest that keeps {honest}: {one}{every}");
            }
            several => {
                let _ = writeln!(text, "smallest that keep {honest}:");
                for one in several.iter().take(SHOWN) {
                    let _ = writeln!(text, "  {one}");
                }
                if several.len() > SHOWN {
                    let _ = writeln!(text, "  and {} more", several.len() - SHOWN);
                }
            }
        }
        // A longer time can break a knock, more strays can keep a stale attempt alive.
        if let [one] = outcome.smallest.as_slice() {
            let is_above =
                |row: &&Row| row.lost > 0 && row.settings.iter().zip(one).all(|(a, b)| a >= b);
            let worse: Vec<String> =
                outcome.rows.iter().filter(is_above).map(|row| written(&row.settings)).collect();
            if let Some(first) = worse.first() {
                let number = Counted(worse.len() as u64, "larger value");
                let what = if worse.len() == 1 { "loses" } else { "lose" };
                let _ = writeln!(text, "but {number} {what} some of them, the first at {first}");
            }
        }
    }
}

/// Tells whether two lines of the table that follow each other are one: only the last key's value
/// differs.
fn is_one(a: &Row, b: &Row) -> bool {
    let others = a.settings.len().saturating_sub(1);
    a.settings[..others] == b.settings[..others]
        && (a.honest, a.accidental, a.lost, a.counts) == (b.honest, b.accidental, b.lost, b.counts)
}

fn column_width(column: &Column) -> usize {
    column.title.len().max(6)
}

/// A number that is drawn.
#[derive(Clone, Copy)]
struct Number {
    name: &'static str,
    of: fn(&Row) -> u64,
    /// What stands for several rows: the worst of them.
    worst: fn(u64, u64) -> u64,
}

const HONEST: Number = Number { name: "honest", of: |row| row.honest, worst: Ord::min };

const ACCIDENTAL: Number = Number { name: "accidental", of: |row| row.accidental, worst: Ord::max };

/// Returns a bar for each row, or for each bunch of rows where there are more than columns.
fn bars(rows: &[Row], columns: usize, top: u64, number: Number) -> String {
    let columns = columns.min(rows.len());
    let bunch = |column: usize| {
        let (from, to) = (column * rows.len() / columns, (column + 1) * rows.len() / columns);
        rows[from..to].iter().map(number.of).reduce(number.worst).unwrap_or(0)
    };
    (0..columns).map(|column| bar(bunch(column), top)).collect()
}

/// Returns one of eight bars, or a dot for nothing.
fn bar(number: u64, most: u64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if number == 0 {
        return '·';
    }
    let eighths = (u128::from(number) * 8).div_ceil(u128::from(most.max(1)));
    let index = usize::try_from(eighths).unwrap_or(8).clamp(1, 8) - 1;
    BARS[index]
}

/// Returns the first and the last value, at the ends of a plot where there is room.
fn ruler(rows: &[Row], drawn: usize) -> String {
    let value = |row: Option<&Row>| {
        row.and_then(|row| row.settings.last()).map(ToString::to_string).unwrap_or_default()
    };
    let (first, last) = (value(rows.first()), value(rows.last()));
    let gap = drawn.saturating_sub(first.chars().count() + last.chars().count());
    if gap < 2 {
        return format!("{first} to {last}");
    }
    format!("{first}{:gap$}{last}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_empty_where_there_is_something_and_full_only_at_the_most() {
        let drawn: String = (0..=16).map(|number| bar(number, 16)).collect();
        assert_eq!(drawn, "·▁▁▂▂▃▃▄▄▅▅▆▆▇▇██");
        assert_eq!(bar(1, 1_000_000), '▁');
        assert_eq!(bar(u64::MAX, u64::MAX), '█');
        assert_eq!(bar(0, 0), '·');
    }
}
