// Near misses: a table, nearest first.

const nearShown = { number: 20 };

function showNear() {
  const isShown = new Uint8Array(records.number);
  for (const record of shown) isShown[record] = 1;
  const { record: all, near, said } = data.near;
  const kept = [];
  for (let index = 0; index < all.length; index++) if (isShown[all[index]]) kept.push(index);
  const rows = kept.slice(0, nearShown.number).map((index) => {
    const record = all[index];
    const open = element("button", { type: "button", class: "link" }, clock(records.at[record]));
    open.setAttribute("aria-label", `${clock(records.at[record])}, show this attempt`);
    const row = element(
      "tr",
      { class: "pick" },
      element(
        "td",
        { class: "time" },
        element(
          "span",
          { class: `word ${tones[records.outcome[record]]}` },
          data.nearness[near[index]],
        ),
      ),
      element("td", { class: "time" }, open),
      element("td", { class: "source mono" }, data.sources[records.source[record]]),
      element("td", { class: "name" }, data.doors[records.door[record]].name),
      element("td", { class: "said" }, data.said[said[index]]),
    );
    row.addEventListener("click", () => showDetail(record));
    return row;
  });
  if (rows.length === 0) {
    const cell = element(
      "td",
      { colspan: "5", class: "empty" },
      "No attempt that is shown was a near miss.",
    );
    rows.push(element("tr", {}, cell));
  }
  byId("near-table").tBodies[0].replaceChildren(...rows);
  const left = data.near.all - all.length;
  const unlisted = left > 0 ? ` ${count(left)} that were less near are not listed.` : "";
  byId("near-lead").textContent =
    kept.length === 0
      ? "Knocks that failed by little, or opened with next to no time left."
      : `${counted(kept.length, "knock")} failed by little, or opened with next to no time left. The nearest come first.${unlisted}`;
  const more = byId("near-more");
  more.hidden = kept.length <= nearShown.number;
  more.textContent = `Show more (${count(Math.min(nearShown.number, kept.length))} of ${count(kept.length)})`;
}

function setUpNear() {
  byId("near-more").addEventListener("click", () => {
    nearShown.number += 100;
    showNear();
  });
  followers.push(showNear);
}
