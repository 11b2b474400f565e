// Statistics of the trace: a row for the spans of each service, operation, or both. Times are of finished spans.
const MOST_STATS = 200;
const GROUPINGS = {
  "service and operation": (row) => [row[PLACE], row[OP]],
  "service": (row) => [row[PLACE], undefined],
  "operation": (row) => [undefined, row[OP]],
};
const STATS = [
  {name: "name", text: true, value: (group) => group.label.toLowerCase()},
  {name: "count", value: (group) => group.spans.length, show: (group) => group.spans.length},
  {name: "errors", value: (group) => group.errors, show: (group) => group.errors || ""},
  ...["total", "self", "min", "avg", "p95", "max"].map((name) => (
    {name, value: (group) => group[name], show: (group) => group.finished ? took(group[name]) : ""})),
];
let grouping = Object.keys(GROUPINGS)[0], groups = null, allStats = false;
const statsHeads = sortHeads("th", STATS, STATS.findIndex((column) => column.name === "self"), drawStatistics);

// The percentile by nearest rank, as `osprofiler trace stats` has it.
const rank = (ordered, percent) => ordered[Math.ceil(ordered.length * percent / 100) - 1] ?? 0;

function grouped() {
  const found = new Map();
  rows.forEach((row, i) => {
    const [service, operation] = GROUPINGS[grouping](row), key = `${service} ${operation}`;
    if (!found.has(key)) found.set(key, {service, operation, label: operation ?? placed(service), spans: []});
    found.get(key).spans.push(i);
  });
  return [...found.values()].map((group) => {
    const some = group.spans.map((i) => rows[i]), lengths = some.filter((row) => row[TOOK] >= 0).map((row) => row[TOOK]).sort((a, b) => a - b);
    const sum = lengths.reduce((a, b) => a + b, 0);
    return {
      ...group, finished: lengths.length, errors: some.filter((row) => row[ERROR]).length, total: sum,
      self: some.reduce((time, row) => time + row[SELF], 0), min: lengths[0] ?? 0, max: lengths.at(-1) ?? 0,
      avg: sum / Math.max(lengths.length, 1), p95: rank(lengths, 95),
    };
  });
}

function statisticsRow(group) {
  const line = make("tr"), first = make("td", "name"), button = make("button", "", group.label);
  button.title = group.label;
  button.onclick = () => searchFor(queryFor(group.service === undefined ? undefined : trace.services[group.service], group.operation));
  if (group.service !== undefined) first.append(swatch(group.service));
  first.append(button);
  if (group.service !== undefined && group.operation !== undefined) first.append(" ", make("span", "place", trace.services[group.service]));
  line.append(first, ...STATS.slice(1).map((column) => make("td", column.name, column.show(group))));
  line.classList.toggle("hit", group.spans.some((i) => hitSet.has(i)));
  return line;
}

function drawStatistics() {
  groups = groups || grouped();
  const ordered = statsHeads.sorted(groups), shown = allStats || printing ? ordered : ordered.slice(0, MOST_STATS);
  at("stats").replaceChildren(...shown.map(statisticsRow));
  at("all-stats").hidden = shown.length === ordered.length;
  at("all-stats").textContent = `Show all ${ordered.length} rows`;
}

function groupBy(name) {
  if (!Object.hasOwn(GROUPINGS, name)) return;
  grouping = at("by").value = name;
  groups = null;
  if (view === "statistics") drawStatistics();
}

for (const name of Object.keys(GROUPINGS)) at("by").append(make("option", "", name));
at("by").onchange = () => { groupBy(at("by").value); remember(); };
at("all-stats").onclick = () => { allStats = true; drawStatistics(); };
const statsLine = make("tr");
statsLine.append(...statsHeads.elements);
at("stats-heads").append(statsLine);
