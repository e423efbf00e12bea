"use strict";

// The data, decoded once: columns of what docs/REPORT.md describes. All text in it is a stranger's:
// it gets into the document by textContent and by attributes that are no code, and in no other way.
const data = JSON.parse(document.getElementById("data").textContent);

const records = (() => {
  const columns = data.records;
  const number = columns.source.length;
  const at = new Float64Array(number);
  const first = new Uint32Array(number + 1);
  let time = 0;
  for (let record = 0; record < number; record++) {
    time += columns.after[record];
    at[record] = time;
    first[record + 1] = first[record] + columns.rows[record];
  }
  const unlisted = new Map(columns.unlisted);
  return { ...columns, number, at, first, unlisted };
})();

// What an outcome means to the reader; a class of the style sheet.
const tones = data.outcomes.map((name) => {
  if (name === "open" || name === "renew") return "good";
  if (name === "timeout") return "late";
  if (name === "no attempt") return "none";
  if (name.startsWith("reset") || name === "evicted" || name === "clock_step") return "bad";
  return "odd";
});

const toneNames = new Map([
  ["good", "opened"],
  ["late", "timed out"],
  ["bad", "broken"],
  ["odd", "other"],
  ["none", "no attempt"],
]);

// Whether a verdict says that a knock matched: only these have a gap.
const matches = data.words.map((words) => /^(stage|restart)\b/.test(words));

// The rows of a record, each with the gap to the matching knock before it.
function rowsOf(record) {
  const rows = [];
  let at = records.at[record];
  let matched = null;
  for (let row = records.first[record]; row < records.first[record + 1]; row++) {
    at += data.rows.after[row];
    const words = data.rows.words[row];
    const kind = data.rows.kind[row];
    const left = data.rows.left[row];
    const gap = matches[words] && matched !== null ? at - matched : null;
    if (matches[words]) matched = at;
    rows.push({
      at,
      words: data.words[words],
      isKnock: matches[words],
      kind: kind === 0 ? null : data.kinds[kind - 1],
      left: left === 0 ? null : left - 1,
      gap,
      frame: data.rows.frame[row],
      trace: data.rows.trace.length > 0 ? data.rows.trace[row] : 0,
    });
  }
  return rows;
}

// The pairs of a source and a door, and whose each record is.
const pairs = (() => {
  const numbers = new Map();
  const all = [];
  const of = new Uint32Array(records.number);
  for (let record = 0; record < records.number; record++) {
    const key = records.source[record] * data.doors.length + records.door[record];
    let pair = numbers.get(key);
    if (pair === undefined) {
      pair = all.length;
      numbers.set(key, pair);
      all.push({ source: records.source[record], door: records.door[record], leases: [] });
    }
    of[record] = pair;
  }
  const leases = data.leases;
  for (let lease = 0; lease < leases.source.length; lease++) {
    const pair = numbers.get(leases.source[lease] * data.doors.length + leases.door[lease]);
    if (pair !== undefined) all[pair].leases.push(lease);
  }
  return { all, of };
})();

// The time that the page is about.
const extent = (() => {
  let from = data.first ?? 0;
  let to = data.last ?? 1;
  for (let record = 0; record < records.number; record++) {
    from = Math.min(from, records.at[record]);
    to = Math.max(to, records.at[record] + records.span[record]);
  }
  return { from, to: Math.max(to, from + 1) };
})();
