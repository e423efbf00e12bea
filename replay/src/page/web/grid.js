// The list: a row for each source and door, and below it one for each of its attempts. Of a hundred
// thousand rows only those in sight exist; the focus stays on the grid, which names the row that is
// active, so that scrolling never takes it away.

const grid = {
  // Pairs in order, with their shown records.
  groups: [],
  // The place of each group's first row, and behind them the number of rows.
  places: [0],
  // Pairs that are open.
  open: new Set(),
  active: 0,
};

const FEW = 60;

function arrange() {
  const members = new Map();
  for (const record of shown) {
    const pair = pairs.of[record];
    const its = members.get(pair);
    if (its === undefined) members.set(pair, [record]);
    else its.push(record);
  }
  grid.groups = [...members].map(([pair, its]) => ({ pair, records: its }));
  const order = byId("order").value;
  const source = (group) => data.sources[pairs.all[group.pair].source];
  if (order === "number") grid.groups.sort((a, b) => b.records.length - a.records.length);
  if (order === "source")
    grid.groups.sort((a, b) => source(a).localeCompare(source(b), "en", { numeric: true }));
}

function lay() {
  grid.places = [0];
  for (const group of grid.groups) {
    const rows = grid.open.has(group.pair) ? group.records.length : 0;
    grid.places.push(grid.places.at(-1) + 1 + rows);
  }
  const number = grid.places.at(-1);
  grid.active = Math.min(grid.active, Math.max(0, number - 1));
  byId("grid").setAttribute("aria-rowcount", String(number + 1));
  byId("rows").style.height = `${number * rowHeight()}px`;
}

function rowHeight() {
  const style = getComputedStyle(document.documentElement);
  return parseFloat(style.getPropertyValue("--row")) * parseFloat(style.fontSize);
}

// What stands in a row: its group, and its record unless it is the group's own.
function rowAt(index) {
  let [low, high] = [0, grid.groups.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (grid.places[middle] <= index) low = middle;
    else high = middle - 1;
  }
  const group = grid.groups[low];
  const within = index - grid.places[low];
  return {
    group,
    place: grid.places[low],
    record: within === 0 ? null : group.records[within - 1],
  };
}

function paint() {
  const box = byId("grid");
  const height = rowHeight();
  const number = grid.places.at(-1);
  const first = Math.max(0, Math.floor(box.scrollTop / height) - 4);
  const last = Math.min(number, Math.ceil((box.scrollTop + box.clientHeight) / height) + 4);
  const rows = [];
  for (let index = first; index < last; index++) rows.push(rowElement(index, height));
  if (number === 0)
    rows.push(element("p", { class: "empty" }, "Nothing is shown: the filter leaves no attempt."));
  byId("rows").replaceChildren(...rows);
  if (number === 0) box.removeAttribute("aria-activedescendant");
  else box.setAttribute("aria-activedescendant", `row-${grid.active}`);
}

function rowElement(index, height) {
  const { group, record } = rowAt(index);
  const isGroup = record === null;
  const cells = isGroup ? groupCells(group) : attemptCells(record);
  const row = element(
    "div",
    {
      id: `row-${index}`,
      role: "row",
      class: `row ${isGroup ? "group" : "attempt"}${index === grid.active ? " active" : ""}`,
      "aria-level": isGroup ? "1" : "2",
      "aria-rowindex": String(index + 2),
      "aria-selected": String(index === grid.active),
    },
    ...cells.map((cell) => furnish(cell, { role: "gridcell" }, [])),
  );
  if (isGroup) row.setAttribute("aria-expanded", String(grid.open.has(group.pair)));
  row.style.transform = `translateY(${index * height}px)`;
  row.addEventListener("click", () => {
    grid.active = index;
    act(index);
  });
  return row;
}

function groupCells(group) {
  const numbers = {};
  for (const record of group.records) {
    const tone = tones[records.outcome[record]];
    numbers[tone] = (numbers[tone] ?? 0) + 1;
  }
  const opened = numbers.good ?? 0;
  const name = nameOf(group.pair);
  const told = activityTones
    .filter((tone) => numbers[tone])
    .map((tone) => `${count(numbers[tone])} ${toneNames.get(tone)}`);
  const twist = element(
    "span",
    { class: "twist", "aria-hidden": "true" },
    grid.open.has(group.pair) ? "▾" : "▸",
  );
  return [
    element("span", { title: name }, twist, name),
    element("span", {}, groupStrip(group)),
    element(
      "span",
      { class: `word ${opened > 0 ? "good" : "none"}` },
      opened > 0 ? `${count(opened)} opened` : "not opened",
    ),
    element("span", {}, `${counted(group.records.length, "attempt")}: ${told.join(", ")}`),
  ];
}

// How wide a mark is, in thousandths of the strip.
const MARK = 6;

// Where in the time that is shown the attempts lie, and when the door was open. Marks that would
// cover one another are one, and all of a kind are one path: a row of ten thousand attempts must
// scroll like any other.
function groupStrip(group) {
  const time = range();
  const scale = 1000 / (time.to - time.from);
  const place = (at) => Math.min(1000 - MARK, Math.max(0, Math.round((at - time.from) * scale)));
  const paths = new Map([
    ["lease", []],
    ["none", []],
    ["odd", []],
    ["good", []],
    ["late", []],
    ["bad", []],
  ]);
  let covered = -1;
  for (const lease of pairs.all[group.pair].leases) {
    const start = data.leases.from[lease];
    const end = start + (data.leases.span[lease] ?? Infinity);
    if (end < time.from || start > time.to) continue;
    const left = Math.max(place(start), covered);
    covered = Math.max(place(Math.min(end, time.to)) + MARK, left);
    if (covered > left)
      paths.get("lease").push(`M${left} 0h${covered - left}v20h-${covered - left}z`);
  }
  const seen = new Set();
  for (const record of group.records) {
    const tone = tones[records.outcome[record]];
    const x = place(records.at[record]);
    if (seen.has(`${x} ${tone}`)) continue;
    seen.add(`${x} ${tone}`);
    paths.get(tone).push(`M${x} 2h${MARK}v16h-${MARK}z`);
  }
  const drawn = [...paths].flatMap(([kind, parts]) =>
    parts.length === 0
      ? []
      : [
          drawing("path", {
            class: kind === "lease" ? "lease" : `mark ${kind}`,
            d: parts.join(""),
          }),
        ],
  );
  return drawing(
    "svg",
    { height: "20", viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("rect", { class: "track", y: "4", width: "1000", height: "12" }),
    ...drawn,
  );
}

function attemptCells(record) {
  const said = data.said[records.said[record]];
  return [
    element("span", {}, clock(records.at[record])),
    element("span", {}, attemptStrip(record)),
    word(record),
    element("span", { title: said }, said),
  ];
}

// The window of one attempt from its first knock on, and how much of it was used.
function attemptStrip(record) {
  const window = data.doors[records.door[record]].window;
  const wide = Math.max(window, records.span[record], 1);
  const tone = tones[records.outcome[record]];
  const strip = drawing(
    "svg",
    { height: "20", "aria-hidden": "true" },
    drawing("rect", {
      class: "track",
      y: "7",
      width: percent(window / wide),
      height: "6",
      rx: "2",
    }),
  );
  let at = 0;
  for (let row = records.first[record]; row < records.first[record + 1]; row++) {
    at += data.rows.after[row];
    const isKnock = matches[data.rows.words[row]];
    strip.append(
      drawing("rect", {
        class: `mark ${isKnock ? tone : "none"}`,
        x: percent(Math.min(0.994, at / wide)),
        y: isKnock ? "3" : "6",
        width: "3",
        height: isKnock ? "14" : "8",
      }),
    );
  }
  return strip;
}

// Opens or closes a group, or shows an attempt.
function act(index) {
  const { group, record } = rowAt(index);
  if (record !== null) {
    paint();
    showDetail(record);
    return;
  }
  if (!grid.open.delete(group.pair)) grid.open.add(group.pair);
  lay();
  paint();
}

function move(index) {
  const number = grid.places.at(-1);
  grid.active = Math.min(number - 1, Math.max(0, index));
  const box = byId("grid");
  const height = rowHeight();
  const head = box.firstElementChild.offsetHeight;
  const top = grid.active * height;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top + height + head > box.scrollTop + box.clientHeight)
    box.scrollTop = top + height + head - box.clientHeight;
  paint();
}

function onKey(event) {
  if (grid.groups.length === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  const { group, place, record } = rowAt(grid.active);
  const isOpen = grid.open.has(group.pair);
  const page = Math.max(1, Math.floor(byId("grid").clientHeight / rowHeight()) - 1);
  const keys = {
    ArrowDown: () => move(grid.active + 1),
    ArrowUp: () => move(grid.active - 1),
    PageDown: () => move(grid.active + page),
    PageUp: () => move(grid.active - page),
    Home: () => move(0),
    End: () => move(Infinity),
    Enter: () => act(grid.active),
    " ": () => act(grid.active),
    ArrowRight: () =>
      record === null && !isOpen
        ? act(grid.active)
        : record === null
          ? move(grid.active + 1)
          : undefined,
    ArrowLeft: () => (record !== null ? move(place) : isOpen ? act(grid.active) : undefined),
  };
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
}

function setUpGrid() {
  const box = byId("grid");
  box.addEventListener("keydown", onKey);
  let isDue = false;
  box.addEventListener("scroll", () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      paint();
    });
  });
  const again = () => {
    arrange();
    lay();
    paint();
  };
  window.addEventListener("resize", () => {
    lay();
    paint();
  });
  byId("order").addEventListener("change", again);
  // Few attempts are all shown at once.
  if (records.number <= FEW) pairs.all.forEach((_, pair) => grid.open.add(pair));
  followers.push(() => {
    grid.active = 0;
    box.scrollTop = 0;
    again();
  });
}
