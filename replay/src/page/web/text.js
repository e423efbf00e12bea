// Text, numbers and elements.

const counts = new Intl.NumberFormat("en");

function count(number) {
  return counts.format(number);
}

function counted(number, what) {
  return `${count(number)} ${what}${number === 1 ? "" : "s"}`;
}

function threeDigits(value) {
  const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  const text = value.toFixed(decimals);
  return decimals > 0 ? text.replace(/\.?0+$/, "") : text;
}

// A span of microseconds, as the other reports write it.
function span(micros) {
  if (micros === 0) return "0 s";
  const units = [
    ["µs", 1],
    ["ms", 1e3],
    ["s", 1e6],
  ];
  for (const [name, unit] of units) {
    if (micros < unit * 999.5) return `${threeDigits(micros / unit)} ${name}`;
  }
  const seconds = Math.round(micros / 1e6);
  const [large, largeName, small, smallName] =
    seconds < 3600
      ? [Math.floor(seconds / 60), "min", seconds % 60, "s"]
      : seconds < 86400
        ? [Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min"]
        : [Math.floor(seconds / 86400), "d", Math.floor((seconds % 86400) / 3600), "h"];
  return small === 0 ? `${large} ${largeName}` : `${large} ${largeName} ${small} ${smallName}`;
}

// A stamp in UTC; the day is told once, where all of them share it.
function iso(at) {
  return new Date(data.base_ms + at / 1000).toISOString();
}

const isOneDay = iso(extent.from).slice(0, 10) === iso(extent.to).slice(0, 10);

function clock(at) {
  const text = iso(at);
  const time = text.slice(11, 23);
  return isOneDay ? time : `${text.slice(0, 10)} ${time}`;
}

// Makes an element. Attributes and children are text or elements, never markup.
function element(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return furnish(
    document.createElementNS("http://www.w3.org/2000/svg", name),
    attributes,
    children,
  );
}

function furnish(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function word(record) {
  const outcome = records.outcome[record];
  return element("span", { class: `word ${tones[outcome]}` }, data.outcomes[outcome]);
}

function nameOf(pair) {
  const { source, door } = pairs.all[pair];
  return `${data.sources[source]} at ${data.doors[door].name}`;
}

function percent(part) {
  return `${(part * 100).toFixed(3)}%`;
}
