// The rows of the waterfall. Only the visible rows are in the page.
const ROW_PX = 26, SPARE_ROWS = 4, DRAWN_LEVELS = 24, PRINTED_ROWS = 2000, LEAST_HEAD = 5, SHORT_NAME = 6, LEAST_BAR_PX = 2, LEAST_OPEN_PX = 14, NARROW_PX = 300;

// A deep trace gets a smaller indent, so that names have room.
const deepest = rows.reduce((most, row) => Math.max(most, row[DEPTH]), 1);
document.documentElement.style.setProperty("--deepest", Math.min(deepest, DRAWN_LEVELS));

function arrange() {
  shown = [];
  for (let i = 0; i < rows.length; i += folded.has(i) ? rows[i][SIZE] : 1) shown.push(i);
  place = new Map(shown.map((row, i) => [row, i]));
  sheet.replaceChildren();  // old rows further down would keep the sheet too long
  sheet.style.height = `${shown.length * ROW_PX}px`;
  draw();
}

function draw() {
  const spare = printing ? 0 : SPARE_ROWS;
  const first = printing ? 0 : Math.max(Math.floor(scroll.scrollTop / ROW_PX) - spare, 0);
  const count = printing ? PRINTED_ROWS : Math.min(Math.ceil(scroll.clientHeight / ROW_PX) + 2 * spare, PRINTED_ROWS);
  const laneWidth = Math.max(at("ticks").clientWidth, 1);
  sheet.replaceChildren(...shown.slice(first, first + count).map((row, i) => drawRow(row, first + i, laneWidth)));
  at("unprinted").textContent = printing && shown.length > count ? `Printed: the first ${count} of ${shown.length} rows. Collapse parts to print others.` : "";
  if (place.has(chosen)) scroll.setAttribute("aria-activedescendant", `row${chosen}`);
}

// If a name is too long, its end stays visible: long names differ at their end.
function operation(text, laneWidth) {
  const letters = Array.from(text), op = make("span", letters.length < SHORT_NAME ? "op short" : "op"), before = letters.length - (laneWidth < NARROW_PX ? 8 : 20);
  const end = before < LEAST_HEAD ? 0 : before;
  if (end) op.append(make("span", "head", letters.slice(0, end).join("")));
  op.append(make("span", "tail", letters.slice(end).join("")));
  return op;
}

function drawRow(i, line, laneWidth) {
  const row = rows[i];
  const element = make("div", "row" + (hitSet.has(i) ? " hit" : "") + (i === chosen ? " chosen" : ""));
  element.style.top = `${line * ROW_PX}px`;
  element.style.setProperty("--tone", tone(row[PLACE]));
  element.dataset.row = i;
  element.id = `row${i}`;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", row[DEPTH] + 1);
  element.setAttribute("aria-selected", i === chosen);
  if (row[SIZE] > 1) element.setAttribute("aria-expanded", !folded.has(i));

  const name = make("div", "name");
  name.style.setProperty("--depth", Math.min(row[DEPTH], DRAWN_LEVELS));
  name.title = `${trace.services[row[PLACE]]}: ${called(row)}`;
  const twist = make("span", "twist", row[SIZE] === 1 ? "" : folded.has(i) ? "▸" : "▾");
  const service = make("span", "service");
  service.style.background = "var(--tone)";
  name.append(twist, service);
  const above = parent(i);  // show the service's name only where a request enters the service
  if (above < 0 || rows[above][PLACE] !== row[PLACE]) name.append(make("span", "place", trace.services[row[PLACE]]));
  name.append(operation(row[OP], laneWidth));
  if (row[DEPTH] > DRAWN_LEVELS) twist.before(make("span", "about", `${row[DEPTH]} `));
  if (folded.has(i)) name.append(make("span", "about", `+${row[SIZE] - 1}`));
  for (const [kind, text, narrow] of badges(row)) {
    const badge = make("span", `badge ${kind}`, laneWidth < NARROW_PX && narrow || text);
    badge.title = text;
    name.append(badge);
  }
  if (row[ABOUT]) name.append(make("span", "about", row[ABOUT]));

  const lane = make("div", "lane");
  const scale = 100 / (to - from), left = (row[START] - from) * scale, right = (end(row) - from) * scale;
  if (right >= 0 && left <= 100) {
    const seen = [Math.max(left, 0), Math.min(right, 100)];
    const bar = make("div", "bar" + (row[ERROR] ? " bad" : "") + (row[FLAGS] & UNFINISHED ? " open" : ""));
    const least = row[FLAGS] & UNFINISHED ? LEAST_OPEN_PX : LEAST_BAR_PX;  // also for a span that begins at the very end
    bar.style.minWidth = `${least}px`;
    bar.style.left = `min(${seen[0]}%, 100% - ${least}px)`;
    bar.style.width = `${Math.max(seen[1] - seen[0], 0)}%`;
    const label = make("span", "took", row[FLAGS] & UNFINISHED ? "unfinished" : took(row[TOOK]));
    const room = 74 / laneWidth * 100;
    if (seen[1] + room < 100) label.style.left = `calc(${seen[1]}% + 6px)`;
    else if (seen[0] > room) label.style.right = `calc(max(${100 - seen[0]}%, ${least}px) + 6px)`;
    else { label.style.left = `calc(${seen[0]}% + 6px)`; label.classList.add("inside"); }
    lane.append(bar, label);
  }
  const path = drawPath(i, laneWidth);
  if (path) lane.append(path);
  element.append(name, lane);
  return element;
}
