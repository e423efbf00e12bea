// What is shown: by door, source, outcome and time.

const filter = { door: -1, source: "", outcomes: null, from: -Infinity, to: Infinity };

// The records that are shown, in the order in which they began.
let shown = new Uint32Array(0);

// Whoever has to follow a change.
const followers = [];

function select() {
  const text = filter.source.trim().toLowerCase();
  const isSource = data.sources.map((source) => source.includes(text));
  const kept = new Uint32Array(records.number);
  let number = 0;
  for (let record = 0; record < records.number; record++) {
    if (
      (filter.door < 0 || records.door[record] === filter.door) &&
      isSource[records.source[record]] &&
      (filter.outcomes === null || filter.outcomes.has(records.outcome[record])) &&
      records.at[record] <= filter.to &&
      records.at[record] + records.span[record] >= filter.from
    ) {
      kept[number++] = record;
    }
  }
  shown = kept.subarray(0, number);
}

// The time that is shown.
function range() {
  const from = Math.max(extent.from, filter.from);
  const to = Math.min(extent.to, filter.to);
  return { from, to: Math.max(to, from + 1) };
}

function refresh() {
  select();
  let none = 0;
  for (const record of shown) none += tones[records.outcome[record]] === "none" ? 1 : 0;
  const strays =
    none === 0
      ? ""
      : `, and ${none === 1 ? "once" : `${count(none)} times`} packets that began none`;
  const all =
    shown.length === records.number ? "All" : `${count(shown.length)} of ${count(records.number)}`;
  byId("count").textContent =
    `${all} shown${describeFilter()}: ${counted(shown.length - none, "attempt")}${strays}.`;
  for (const follow of followers) follow();
}

// Says what the filter keeps; on paper nothing else does.
function describeFilter() {
  const parts = [];
  if (filter.door >= 0) parts.push(`door ${data.doors[filter.door].name}`);
  if (filter.source.trim() !== "") parts.push(`source ${filter.source.trim()}`);
  if (filter.outcomes !== null) {
    const names = data.outcomes.filter((_, outcome) => filter.outcomes.has(outcome));
    parts.push(names.length > 0 ? `outcome ${names.join(", ")}` : "no outcome");
  }
  if (filter.from > -Infinity) parts.push(`from ${clock(filter.from)}`);
  if (filter.to < Infinity) parts.push(`to ${clock(filter.to)}`);
  return parts.length > 0 ? ` (${parts.join("; ")})` : "";
}

function setTime(from, to) {
  filter.from = from;
  filter.to = to;
  byId("filter-from").value = from > -Infinity ? iso(from).slice(0, 23) : "";
  byId("filter-to").value = to < Infinity ? iso(to).slice(0, 23) : "";
}

function readTime(id, otherwise, more) {
  const text = byId(id).value;
  const at = text === "" ? NaN : Date.parse(`${text}Z`);
  return Number.isNaN(at) ? otherwise : (at - data.base_ms) * 1000 + more;
}

function setUpFilter() {
  const doors = byId("filter-door");
  doors.append(new Option("all doors", "-1"));
  data.doors.forEach((door, index) => doors.append(new Option(door.name, String(index))));
  // A list of a hundred thousand is no help.
  const sources = data.sources.slice(0, 200).map((source) => element("option", { value: source }));
  byId("sources").append(...sources);
  const numbers = new Array(data.outcomes.length).fill(0);
  for (let record = 0; record < records.number; record++) numbers[records.outcome[record]]++;
  const boxes = [];
  data.outcomes.forEach((name, outcome) => {
    if (numbers[outcome] === 0) return;
    const box = element("input", { type: "checkbox", value: String(outcome), checked: "" });
    boxes.push(box);
    const number = element("span", { class: "number" }, count(numbers[outcome]));
    const label = element("span", { class: `word ${tones[outcome]}` }, name);
    byId("filter-outcome").append(element("label", {}, box, label, number));
  });
  const form = byId("filter");
  const read = () => {
    filter.door = Number(doors.value);
    filter.source = byId("filter-source").value;
    const checked = boxes.filter((box) => box.checked);
    filter.outcomes =
      checked.length === boxes.length ? null : new Set(checked.map((box) => Number(box.value)));
    filter.from = readTime("filter-from", -Infinity, 0);
    // The field has milliseconds: all of the last one belongs to it.
    filter.to = readTime("filter-to", Infinity, 999);
    refresh();
  };
  form.addEventListener("input", read);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(read));
}
