// The beginning: what stands at the top, and then everything else.

// On paper the list is a plain table, of the attempts that are shown.
const MOST_PRINTED = 400;

function fillPrinted() {
  const rows = [...shown.subarray(0, MOST_PRINTED)].map((record) =>
    element(
      "tr",
      {},
      element("td", { class: "time" }, clock(records.at[record])),
      element("td", { class: "name" }, nameOf(pairs.of[record])),
      element("td", { class: "time" }, word(record)),
      element("td", { class: "said" }, data.said[records.said[record]]),
    ),
  );
  const names = ["When, UTC", "Source and door", "Outcome", "What happened"];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const more = shown.length - MOST_PRINTED;
  byId("printed").replaceChildren(
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
    ...(more > 0
      ? [
          element(
            "p",
            { class: "lead" },
            `and ${counted(more, "more attempt")}: choose fewer with the filter before printing`,
          ),
        ]
      : []),
  );
}

function showAbout() {
  const traces =
    data.traces.length > 3
      ? `${data.traces.slice(0, 3).join(", ")} and ${counted(data.traces.length - 3, "more trace")}`
      : data.traces.join(", ");
  byId("about").textContent =
    `${traces}, judged by ${data.config ?? "the config in the recording"}. All times in UTC${isOneDay && data.first !== null ? `, ${iso(extent.from).slice(0, 10)}` : ""}.`;
  const sum = (name) => data.doors.reduce((all, door) => all + door[name], 0);
  const facts = [
    ["packets read", count(data.packets)],
    ["attempts", count(sum("attempts"))],
    ["opened", count(sum("opens"))],
    ["near misses", count(data.near.all)],
    ["sources", count(data.sources.length)],
    ["time covered", data.first === null ? "none" : span(data.last - data.first)],
  ];
  byId("facts").append(
    ...facts.map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, text)),
    ),
  );
  const omitted = data.omitted.map(
    ([door, outcome, number]) =>
      `${data.doors[door].name}: ${counted(number, "more attempt")} (${data.outcomes[outcome]}) only counted`,
  );
  byId("notes").append(...[...data.notes, ...omitted].map((note) => element("li", {}, note)));
  const tonesUsed = activityTones.filter((tone) =>
    records.outcome.some((outcome) => tones[outcome] === tone),
  );
  byId("legend").append(
    ...tonesUsed.map((tone) => element("span", { class: `word ${tone}` }, toneNames.get(tone))),
    element("span", {}, element("span", { class: "swatch" }), "door open"),
  );
}

showAbout();
setUpFilter();
setUpNear();
setUpActivity();
setUpGrid();
followers.push(showDoors, showSpans);
window.addEventListener("beforeprint", fillPrinted);
refresh();
