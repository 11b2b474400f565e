// The rows of the waterfall. Only those in sight are in the page.
const ROW_PX = 26, SPARE_ROWS = 4, DRAWN_LEVELS = 24, LEVEL_PX = 14, PRINTED_ROWS = 2000, END_LETTERS = 20;

function arrange() {
  shown = [];
  for (let i = 0; i < rows.length; i += folded.has(i) ? rows[i][SIZE] : 1) shown.push(i);
  place = new Map(shown.map((row, i) => [row, i]));
  sheet.replaceChildren();  // rows far down would keep the sheet long
  sheet.style.height = `${shown.length * ROW_PX}px`;
  draw();
}

function draw() {
  const spare = printing ? 0 : SPARE_ROWS;
  const first = printing ? 0 : Math.max(Math.floor(scroll.scrollTop / ROW_PX) - spare, 0);
  const count = printing ? PRINTED_ROWS : Math.min(Math.ceil(scroll.clientHeight / ROW_PX) + 2 * spare, PRINTED_ROWS);
  const laneWidth = Math.max(sheet.clientWidth * 0.58, 1);
  sheet.replaceChildren(...shown.slice(first, first + count).map((row, i) => drawRow(row, first + i, laneWidth)));
  if (printing && shown.length > count) sheet.append(make("p", "about", `… and ${shown.length - count} rows more, not printed`));
  if (place.has(chosen)) scroll.setAttribute("aria-activedescendant", `row${chosen}`);
}

// Its end stays in sight where there is no room for all of a name: that is where long names differ.
function operation(text) {
  const op = make("span", "op"), letters = Array.from(text), end = Math.max(letters.length - END_LETTERS, 0);
  op.append(make("span", "head", letters.slice(0, end).join("")), make("span", "", letters.slice(end).join("")));
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
  name.style.paddingLeft = `${14 + Math.min(row[DEPTH], DRAWN_LEVELS) * LEVEL_PX}px`;
  name.title = `${trace.services[row[PLACE]]}: ${row[OP]} ${row[ABOUT]}`;
  const twist = make("span", "twist", row[SIZE] === 1 ? "" : folded.has(i) ? "▸" : "▾");
  const service = make("span", "service");
  service.style.background = "var(--tone)";
  name.append(twist, service);
  const above = parent(i);  // a service is named where a request enters it
  if (above < 0 || rows[above][PLACE] !== row[PLACE]) name.append(make("span", "place", trace.services[row[PLACE]]));
  name.append(operation(row[OP]));
  if (row[DEPTH] > DRAWN_LEVELS) twist.before(make("span", "about", `${row[DEPTH]} `));
  if (folded.has(i)) name.append(make("span", "about", `+${row[SIZE] - 1}`));
  for (const [kind, text] of marks(row)) name.append(make("span", `mark ${kind}`, text));
  if (row[ABOUT]) name.append(make("span", "about", row[ABOUT]));

  const lane = make("div", "lane");
  const scale = 100 / (to - from), left = (row[START] - from) * scale, right = (end(row) - from) * scale;
  if (right >= 0 && left <= 100) {
    const seen = [Math.max(left, 0), Math.min(right, 100)];
    const bar = make("div", "bar" + (row[ERROR] ? " bad" : "") + (row[FLAGS] & UNFINISHED ? " open" : ""));
    bar.style.left = `${seen[0]}%`;
    bar.style.width = `${Math.max(seen[1] - seen[0], 0)}%`;
    const label = make("span", "took", row[FLAGS] & UNFINISHED ? "unfinished" : took(row[TOOK]));
    const room = 74 / laneWidth * 100;
    if (seen[1] + room < 100) label.style.left = `calc(${seen[1]}% + 6px)`;
    else if (seen[0] > room) label.style.right = `calc(${100 - seen[0]}% + 6px)`;
    else { label.style.left = `calc(${seen[0]}% + 6px)`; label.classList.add("inside"); }
    lane.append(bar, label);
  }
  const path = drawPath(i, laneWidth);
  if (path) lane.append(path);
  element.append(name, lane);
  return element;
}
