// The doors, and when they were open.

// The times at which a door was open for any source that is shown, joined.
function openTimes(door, shownPairs) {
  const { from, to } = range();
  const times = [];
  for (const pair of shownPairs) {
    if (pairs.all[pair].door !== door) continue;
    for (const lease of pairs.all[pair].leases) {
      const start = data.leases.from[lease];
      const length = data.leases.span[lease];
      times.push([start, length === null ? Infinity : start + length]);
    }
  }
  times.sort((a, b) => a[0] - b[0]);
  const joined = [];
  for (const [start, end] of times) {
    const last = joined.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([start, end]);
  }
  return joined.filter(([start, end]) => end >= from && start <= to);
}

// Bars for times in their order; those that nobody could tell apart are one.
function leaseBars(times, { from, to }, height) {
  const wide = to - from;
  const drawn = [];
  for (const [start, end] of times) {
    const left = Math.max(0, (start - from) / wide);
    const right = Math.max(Math.min(1, (end - from) / wide), left + 0.0015);
    const last = drawn.at(-1);
    if (last && left - last[1] < 0.001) last[1] = Math.max(last[1], right);
    else drawn.push([left, right]);
  }
  return drawn.map(([left, right]) =>
    drawing("rect", {
      class: "lease",
      x: percent(left),
      y: "0",
      width: percent(right - left),
      height: String(height),
      rx: "2",
    }),
  );
}

// The table of a door's open times, which is made when somebody asks for it.
function openList(times) {
  const list = element("details", {}, element("summary", {}, "When it was open"));
  const fill = () => {
    const rows = times
      .slice(0, 200)
      .map(([start, end]) =>
        element(
          "tr",
          {},
          element("td", { class: "time" }, clock(start)),
          element("td", { class: "time" }, end === Infinity ? "nothing closes it" : clock(end)),
          element("td", { class: "number" }, end === Infinity ? "" : span(end - start)),
        ),
      );
    const names = [["Opened, UTC"], ["Closed, UTC"], ["Open for", "number"]];
    const head = element(
      "tr",
      {},
      ...names.map(([name, kind]) => element("th", { scope: "col", class: kind ?? "" }, name)),
    );
    const more =
      times.length > 200
        ? [
            element(
              "p",
              { class: "hint" },
              `and ${count(times.length - 200)} more: choose a shorter time`,
            ),
          ]
        : [];
    list.append(
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
      ...more,
    );
  };
  list.addEventListener("toggle", fill, { once: true });
  return list;
}

function showDoors() {
  const time = range();
  const shownPairs = new Set();
  for (const record of shown) shownPairs.add(pairs.of[record]);
  const parts = data.doors.flatMap((door, index) => {
    if (filter.door >= 0 && filter.door !== index) return [];
    if (data.doors.length > 16 && door.attempts === 0) return [];
    return [doorPart(door, openTimes(index, shownPairs), time)];
  });
  byId("doors").replaceChildren(...parts);
}

function doorPart(door, times, time) {
  const total = times.reduce(
    (sum, [start, end]) => sum + (Math.min(end, time.to) - Math.max(start, time.from)),
    0,
  );
  const label =
    times.length === 0
      ? "It was open for nobody who is shown."
      : `Open ${times.length === 1 ? "once" : `${count(times.length)} times`}, ${span(total)} of ${span(time.to - time.from)} in all.`;
  const numbers = [
    [door.attempts, "attempts"],
    [door.opens, "opened"],
    [door.timeouts, "timed out"],
    [door.resets, "broken"],
    [door.renewals, "renewed"],
    [door.suppressed, "suppressed"],
    [door.refused, "refused"],
    [door.evicted, "evicted"],
    [door.lockouts, "locked out"],
  ].filter(([number], place) => place < 4 || number > 0);
  const facts = numbers.map(([number, name]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, count(number))),
  );
  const chart = drawing(
    "svg",
    { height: "18", role: "img", "aria-label": label },
    drawing("rect", { class: "track", width: "100%", height: "18", rx: "2" }),
    ...leaseBars(times, time, 18),
  );
  const list = times.length === 0 ? [] : [openList(times)];
  const commands = [
    ["start_command", door.start],
    ["stop_command", door.stop],
  ].flatMap(([name, text]) =>
    text === null ? [] : [element("p", {}, `${name} `, element("code", {}, text))],
  );
  return element(
    "figure",
    { class: "door" },
    element(
      "figcaption",
      {},
      element("h3", {}, door.name),
      element(
        "p",
        { class: "lead" },
        `${door.sequence} within ${span(door.window)}. ${label}${door.disabled ? " Its one-time sequences are used up." : ""}`,
      ),
    ),
    chart,
    element("dl", { class: "facts" }, ...facts),
    ...commands,
    ...list,
  );
}
