// Charts: attempts over time, and how gaps and margins are spread.

// Draws stacked bars. `bins` are objects from tone to number.
function bars(bins, tonesUsed, height) {
  const most = Math.max(
    1,
    ...bins.map((bin) => tonesUsed.reduce((sum, tone) => sum + (bin[tone] ?? 0), 0)),
  );
  const width = 100 / bins.length;
  const drawn = [];
  bins.forEach((bin, index) => {
    let y = height;
    for (const tone of tonesUsed) {
      if (!bin[tone]) continue;
      // What is there is seen, however little it is.
      const tall = Math.max(1.5, (bin[tone] / most) * (height - 4));
      y -= tall;
      drawn.push(
        drawing("rect", {
          class: `mark ${tone}`,
          x: `${(index * width).toFixed(3)}%`,
          y: y.toFixed(2),
          width: `${(width * 0.86).toFixed(3)}%`,
          height: tall.toFixed(2),
        }),
      );
    }
  });
  return { drawn, most };
}

const activityTones = ["good", "late", "bad", "odd", "none"];

function showActivity() {
  const { from, to } = range();
  const number = 96;
  const bins = Array.from({ length: number }, () => ({}));
  const sums = {};
  for (const record of shown) {
    const place = Math.floor(((records.at[record] - from) / (to - from)) * number);
    const tone = tones[records.outcome[record]];
    const bin = bins[Math.min(number - 1, Math.max(0, place))];
    bin[tone] = (bin[tone] ?? 0) + 1;
    sums[tone] = (sums[tone] ?? 0) + 1;
  }
  const height = 110;
  const { drawn, most } = bars(bins, activityTones, height);
  const told = activityTones
    .filter((tone) => sums[tone])
    .map((tone) => `${count(sums[tone])} ${toneNames.get(tone)}`);
  const label = `Attempts from ${clock(from)} to ${clock(to)} UTC: ${told.join(", ") || "none"}`;
  const chart = drawing(
    "svg",
    { height: String(height + 1), role: "img", "aria-label": label },
    drawing("rect", { class: "brush", x: "0", y: "0", width: "0", height: String(height) }),
    ...drawn,
    drawing("line", { class: "axis", x1: "0", x2: "100%", y1: String(height), y2: String(height) }),
  );
  // Where the clock stepped back, or a door's last one-time sequence was used.
  for (const [at] of data.marks.slice(0, 200)) {
    if (at < from || at > to) continue;
    const x = percent((at - from) / (to - from));
    chart.append(drawing("line", { class: "ahead", x1: x, x2: x, y1: "0", y2: String(height) }));
  }
  const scale = `each bar ${span(Math.round((to - from) / number))}, the tallest ${counted(most, "attempt")}`;
  const below = [clock(from), scale, clock(to)].map((text) => element("span", {}, text));
  byId("activity").replaceChildren(chart, element("p", { class: "below" }, ...below));
}

// A time is chosen by dragging across the chart.
function setUpActivity() {
  const box = byId("activity");
  let start = null;
  const place = (event) => {
    const area = box.firstElementChild.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - area.left) / area.width));
  };
  const brush = () => box.querySelector(".brush");
  box.addEventListener("pointerdown", (event) => {
    start = place(event);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const here = place(event);
    brush().setAttribute("x", percent(Math.min(start, here)));
    brush().setAttribute("width", percent(Math.abs(start - here)));
  });
  box.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const ends = [start, place(event)].sort((a, b) => a - b);
    start = null;
    const { from, to } = range();
    const wide = to - from;
    if (ends[1] - ends[0] > 0.005) {
      setTime(Math.floor(from + ends[0] * wide), Math.ceil(from + ends[1] * wide));
      refresh();
    } else {
      brush().setAttribute("width", "0");
    }
  });
  followers.push(showActivity);
}

function percentile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)];
}

// Puts a histogram into a figure; `edges` are the bins' lower ends, and their names are told.
function histogram(figure, { title, what, values, edges, name, summary }) {
  const bins = edges.map(() => 0);
  for (const value of values) {
    let bin = edges.length - 1;
    while (bin > 0 && value < edges[bin]) bin--;
    bins[bin]++;
  }
  const used = bins.flatMap((number, bin) => (number > 0 ? [bin] : []));
  const [first, last] =
    used.length > 0
      ? [Math.max(0, used[0] - 1), Math.min(bins.length - 1, used.at(-1) + 1)]
      : [0, 0];
  const slice = bins.slice(first, last + 1);
  const caption = element(
    "figcaption",
    {},
    element("h3", {}, title),
    element("p", { class: "lead" }, summary),
  );
  if (values.length === 0) {
    figure.replaceChildren(caption);
    return;
  }
  const height = 130;
  const most = Math.max(...slice);
  const width = 100 / slice.length;
  const step = Math.ceil(slice.length / 7);
  const chart = drawing("svg", {
    height: String(height + 22),
    role: "img",
    "aria-label": `${title}: ${summary}`,
  });
  slice.forEach((number, index) => {
    const tall = number === 0 ? 0 : Math.max(1.5, (number / most) * (height - 18));
    const x = `${(index * width + width * 0.06).toFixed(3)}%`;
    const middle = `${(index * width + width / 2).toFixed(3)}%`;
    chart.append(
      drawing("rect", {
        class: "bar",
        x,
        y: (height - tall).toFixed(2),
        width: `${(width * 0.88).toFixed(3)}%`,
        height: tall.toFixed(2),
      }),
    );
    if (number === most)
      chart.append(
        drawing(
          "text",
          { x: middle, y: (height - tall - 5).toFixed(2), "text-anchor": "middle" },
          count(number),
        ),
      );
    if (index % step === 0)
      chart.append(
        drawing(
          "text",
          { x: `${(index * width).toFixed(3)}%`, y: String(height + 16) },
          name(first + index, true),
        ),
      );
  });
  chart.append(
    drawing("line", { class: "axis", x1: "0", x2: "100%", y1: String(height), y2: String(height) }),
  );
  const rows = slice.map((number, index) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name(first + index, false)),
      element("td", { class: "number" }, count(number)),
    ),
  );
  const head = element(
    "thead",
    {},
    element(
      "tr",
      {},
      element("th", { scope: "col" }, what[0]),
      element("th", { scope: "col", class: "number" }, what[1]),
    ),
  );
  const table = element(
    "details",
    {},
    element("summary", {}, "The same as a table"),
    element("table", {}, head, element("tbody", {}, ...rows)),
  );
  figure.replaceChildren(caption, chart, table);
}

// 1, 2 and 5 in every decade, from a tenth of a millisecond to a day.
const gapEdges = [
  0,
  ...[...Array(10).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 100 * 10 ** power)),
];

function showSpans() {
  const gaps = [];
  const margins = [];
  for (const record of shown) {
    let at = 0;
    let matched = -1;
    let knocks = 0;
    const window = data.doors[records.door[record]].window;
    for (let row = records.first[record]; row < records.first[record + 1]; row++) {
      at += data.rows.after[row];
      if (!matches[data.rows.words[row]]) continue;
      if (matched >= 0) gaps.push(at - matched);
      matched = at;
      knocks++;
      if (opens[data.rows.words[row]] && knocks > 1)
        margins.push(Math.min(1, (data.rows.left[row] - 1) / window));
    }
  }
  gaps.sort((a, b) => a - b);
  margins.sort((a, b) => a - b);
  const figures = (values, text) =>
    `half below ${text(percentile(values, 0.5))}, 90 % below ${text(percentile(values, 0.9))}, 99 % below ${text(percentile(values, 0.99))}`;
  histogram(byId("gaps"), {
    title: "Gaps between knocks",
    what: ["Gap", "Knocks"],
    values: gaps,
    edges: gapEdges,
    name: (bin, isShort) => (isShort ? span(gapEdges[bin]) : `from ${span(gapEdges[bin])}`),
    summary:
      gaps.length === 0
        ? "No attempt that is shown got as far as a second knock."
        : `${counted(gaps.length, "gap")}: ${figures(gaps, span)}; the longest ${span(gaps.at(-1))}.`,
  });
  const share = (value) => `${Math.round(value * 100)} %`;
  histogram(byId("margins"), {
    title: "Left of the window at the last knock",
    what: ["Left of seq_timeout", "Openings"],
    values: margins,
    edges: marginEdges,
    name: (bin, isShort) => (isShort ? share(marginEdges[bin]) : `from ${share(marginEdges[bin])}`),
    summary:
      margins.length === 0
        ? "No attempt that is shown opened a door."
        : `${counted(margins.length, "opening")}: the least left was ${share(margins[0])}; half had more than ${share(percentile(margins, 0.5))}.`,
  });
}

const marginEdges = [...Array(20).keys()].map((step) => step / 20);

// Whether a verdict says that the door opened.
const opens = data.words.map((words) => words.split(", ").includes("open"));
