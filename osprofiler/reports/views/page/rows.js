// The rows of the timeline.
const DRAWN_LEVELS = 24, LEAST_HEAD = 5, SHORT_NAME = 6, LEAST_BAR_PX = 2, LEAST_OPEN_PX = 14, NARROW_PX = 300;
const folded = new Set();
let laneWidth = 1;  // in pixels
const timeline = rowList(at("scroll"), at("rows"), timelineRow);

// A deep trace gets a smaller indent, so that names have room.
const deepest = rows.reduce((most, row) => Math.max(most, row[DEPTH]), 1);
document.documentElement.style.setProperty("--deepest", Math.min(deepest, DRAWN_LEVELS));

// Show the rows that no collapsed ancestor hides.
function arrange() {
  const shown = [];
  for (let i = 0; i < rows.length; i += folded.has(i) ? rows[i][SIZE] : 1) shown.push(i);
  timeline.arrange(shown);
}

// If a name is too long, its end stays visible: long names differ at their end.
function operation(text) {
  const letters = Array.from(text), op = make("span", letters.length < SHORT_NAME ? "op short" : "op"), before = letters.length - (laneWidth < NARROW_PX ? 8 : 20);
  const end = before < LEAST_HEAD ? 0 : before;
  if (end) op.append(make("span", "head", letters.slice(0, end).join("")));
  op.append(make("span", "tail", letters.slice(end).join("")));
  return op;
}

function badgesOf(row, narrow) {
  return [...badges(row)].map(([kind, text, shorter]) => {
    const badge = make("span", `badge ${kind}`, narrow && shorter || text);
    badge.title = text;
    return badge;
  });
}

function timelineRow(i) {
  const row = rows[i];
  const element = make("div", "row" + (hitSet.has(i) ? " hit" : "") + (i === chosen ? " chosen" : ""));
  element.style.setProperty("--tone", tone(row[PLACE]));
  element.dataset.row = i;
  element.id = `row${i}`;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-label", spoken(row));
  element.setAttribute("aria-level", row[DEPTH] + 1);
  element.setAttribute("aria-selected", i === chosen);
  if (row[SIZE] > 1) element.setAttribute("aria-expanded", !folded.has(i));

  const name = make("div", "name");
  name.style.setProperty("--depth", Math.min(row[DEPTH], DRAWN_LEVELS));
  name.title = `${trace.services[row[PLACE]]}: ${called(row)}`;
  const twist = make("span", "twist", row[SIZE] === 1 ? "" : folded.has(i) ? "▸" : "▾");
  name.append(twist, swatch(row[PLACE]));
  const above = parent(i);  // show the service's name only where a request enters the service
  if (above < 0 || rows[above][PLACE] !== row[PLACE]) name.append(make("span", "place", trace.services[row[PLACE]]));
  name.append(operation(row[OP]));
  if (row[DEPTH] > DRAWN_LEVELS) twist.before(make("span", "about", `${row[DEPTH]} `));
  if (folded.has(i)) name.append(make("span", "about", `+${row[SIZE] - 1}`));
  name.append(...badgesOf(row, laneWidth < NARROW_PX));
  if (row[ABOUT]) name.append(make("span", "about", row[ABOUT]));

  const lane = make("div", "lane");
  lane.append(...bar(row));
  const path = drawPath(i);
  if (path) lane.append(path);
  element.append(name, lane);
  return element;
}

// The bar of a row and its label, as far as the time in view has them.
function bar(row) {
  const scale = 100 / (to - from), left = (row[START] - from) * scale, right = (end(row) - from) * scale;
  if (right < 0 || left > 100) return [];
  const seen = [Math.max(left, 0), Math.min(right, 100)], open = row[FLAGS] & UNFINISHED;
  const bar = make("div", "bar" + (row[ERROR] ? " bad" : "") + (open ? " open" : ""));
  const least = open ? LEAST_OPEN_PX : LEAST_BAR_PX;  // also for a span that begins at the very end
  bar.style.minWidth = `${least}px`;
  bar.style.left = `min(${seen[0]}%, 100% - ${least}px)`;
  bar.style.width = `${Math.max(seen[1] - seen[0], 0)}%`;
  const label = make("span", "took", lasted(row)), room = 74 / laneWidth * 100;
  if (seen[1] + room < 100) label.style.left = `calc(${seen[1]}% + 6px)`;
  else if (seen[0] > room) label.style.right = `calc(max(${100 - seen[0]}%, ${least}px) + 6px)`;
  else { label.style.left = `calc(${seen[0]}% + 6px)`; label.classList.add("inside"); }
  return [bar, label];
}

at("rows").addEventListener("click", (event) => {
  const i = Number(event.target.closest(".row")?.dataset.row ?? -1);
  if (i < 0) return;
  if (event.target.className === "twist" && rows[i][SIZE] > 1) fold(i, !folded.has(i)); else choose(i, true);
});
at("rows").addEventListener("dblclick", (event) => {
  const row = rows[event.target.closest(".row")?.dataset.row];
  if (row && event.target.closest(".lane")) zoom(row[START], end(row));
});

function fold(i, yes) {
  if (yes) folded.add(i); else folded.delete(i);
  arrange();
}

function foldAll() {
  rows.forEach((row, i) => { if (row[SIZE] > 1 && row[DEPTH]) folded.add(i); });
  arrange();
}

function unfoldAll() {
  folded.clear();
  arrange();
}
