// One attempt, with every packet.

let opened = null;

function showDetail(record) {
  const dialog = byId("detail");
  const here = shown.indexOf(record);
  const step = (by, name) => {
    const next = here < 0 ? undefined : shown[here + by];
    const button = element("button", { type: "button" }, name);
    button.disabled = next === undefined;
    button.addEventListener("click", () => {
      showDetail(next);
      const again = [...dialog.querySelectorAll("button")].find((it) => it.textContent === name);
      (again.disabled ? dialog.querySelector(".close") : again).focus();
    });
    return button;
  };
  const close = element("button", { type: "button", class: "close", autofocus: "" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const rows = rowsOf(record);
  const said = data.said[records.said[record]];
  dialog.replaceChildren(
    element(
      "div",
      { class: "head" },
      element("h2", { id: "detail-title" }, nameOf(pairs.of[record])),
      element("div", { class: "buttons" }, step(-1, "Previous"), step(1, "Next"), close),
    ),
    element(
      "p",
      {},
      word(record),
      ` from ${iso(records.at[record]).replace("T", " ").replace("Z", "")} UTC, for ${span(records.span[record])}`,
    ),
    element("p", { class: "sentence" }, `${said}.`),
    ...windowChart(record, rows),
    rowTable(record, rows),
  );
  opened = record;
  if (!dialog.open) dialog.showModal();
}

// The window of the attempt with its packets, and when the door was open.
function windowChart(record, rows) {
  const knocks = rows.filter((row) => row.isKnock && row.left !== null);
  if (knocks.length === 0) return [];
  const start = records.at[record];
  const end = Math.max(start + records.span[record], ...knocks.map((row) => row.at + row.left));
  const wide = Math.max(1, end - start);
  const last = knocks.at(-1);
  const limit = last.at + last.left;
  const place = (at) => percent((at - start) / wide);
  const chart = drawing(
    "svg",
    {
      height: "62",
      role: "img",
      "aria-label": `The last of ${counted(knocks.length, "matching knock")} came with ${span(last.left)} of the window left.`,
    },
    drawing("rect", {
      class: "track",
      x: "0",
      y: "14",
      width: place(limit),
      height: "20",
      rx: "3",
    }),
  );
  // About how many pixels the chart has: labels that don't fit beside each other are left out.
  const room = Math.min(860, window.innerWidth - 110);
  let free = -1;
  const lastLabel = (limit - start) / wide - 100 / room;
  for (const row of rows) {
    const tone = row.isKnock ? tones[records.outcome[record]] : "none";
    chart.append(
      drawing("rect", {
        class: `mark ${tone}`,
        x: place(row.at),
        y: row.isKnock ? "10" : "18",
        width: "3",
        height: row.isKnock ? "28" : "12",
      }),
    );
    const part = (row.at - start) / wide;
    if (row.isKnock && part > free && part < lastLabel) {
      const stage = /(\d+\/\d+)/.exec(row.words);
      chart.append(drawing("text", { x: place(row.at), y: "52" }, stage ? stage[1] : ""));
      free = part + 36 / room;
    }
  }
  chart.append(
    drawing("line", { class: "ahead", x1: place(limit), x2: place(limit), y1: "4", y2: "40" }),
    drawing("text", { x: place(limit), y: "52", "text-anchor": "end" }, "window ends"),
  );
  return [element("div", { class: "chart" }, chart)];
}

function rowTable(record, rows) {
  const heads = [
    ["Time, UTC"],
    ["Gap", "number"],
    ["Packet"],
    ["Verdict"],
    ["Left", "number"],
    [data.traces.length > 1 ? "Trace: frame" : "Frame", "number"],
  ];
  const head = element(
    "tr",
    {},
    ...heads.map(([name, kind]) => element("th", { scope: "col", class: kind ?? "" }, name)),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      element("td", { class: "time" }, clock(row.at)),
      element("td", { class: "number" }, row.gap === null ? "" : span(row.gap)),
      element("td", { class: "mono packet" }, row.kind ?? (row.frame === 0 ? "deadline" : "")),
      element("td", {}, row.words),
      element("td", { class: "number" }, row.left === null ? "" : span(row.left)),
      element(
        "td",
        { class: "number" },
        row.frame === 0
          ? ""
          : data.traces.length > 1
            ? `${row.trace + 1}: ${row.frame}`
            : String(row.frame),
      ),
    ),
  );
  const unlisted = records.unlisted.get(record);
  if (unlisted !== undefined) {
    body.push(
      element(
        "tr",
        {},
        element(
          "td",
          { colspan: "6", class: "empty" },
          `and ${counted(unlisted, "more row")}, which the page does not have`,
        ),
      ),
    );
  }
  return element(
    "div",
    { class: "scroll", role: "region", "aria-label": "Packets", tabindex: "0" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}
