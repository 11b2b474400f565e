// The table of all spans.
const SPANS = [
  {name: "name", text: true, value: (i) => called(rows[i]).toLowerCase()},
  {name: "service", text: true, value: (i) => trace.services[rows[i][PLACE]].toLowerCase()},
  {name: "start", value: (i) => -rows[i][START]},  // the first click shows the earliest first
  {name: "duration", value: (i) => end(rows[i]) - rows[i][START]},
  {name: "self", value: (i) => rows[i][SELF]},
];
const spanHeads = sortHeads("div", SPANS, SPANS.findIndex((column) => column.name === "duration"), arrangeSpans);
const spanList = rowList(at("span-scroll"), at("span-rows"), spanRow);
at("span-heads").append(...spanHeads.elements);
at("spans").setAttribute("aria-rowcount", rows.length + 1);

function arrangeSpans() {
  spanList.arrange(spanHeads.sorted([...rows.keys()]));
}

function spanRow(i) {
  const row = rows[i], line = make("div", "row cells" + (hitSet.has(i) ? " hit" : "") + (i === chosen ? " chosen" : ""));
  line.id = `span${i}`;
  line.dataset.row = i;
  line.setAttribute("role", "row");
  line.setAttribute("aria-rowindex", spanList.place.get(i) + 2);
  line.setAttribute("aria-selected", i === chosen);
  const name = make("div", "name");
  name.title = called(row);
  name.append(operation(row[OP]), ...badgesOf(row, false));
  if (row[ABOUT]) name.append(make("span", "about", row[ABOUT]));
  const service = make("div", "service-name", trace.services[row[PLACE]]);
  service.prepend(swatch(row[PLACE]));
  line.append(name, service, make("div", "start", took(row[START])), make("div", "duration", lasted(row)), make("div", "self", row[TOOK] < 0 ? "" : took(row[SELF])));
  for (const cell of line.children) cell.setAttribute("role", "gridcell");
  return line;
}

at("span-rows").addEventListener("click", (event) => {
  const line = event.target.closest(".row");
  if (line) choose(Number(line.dataset.row), true);
});
