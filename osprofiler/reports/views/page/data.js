// The data of the trace, from #data, and its texts. Text is added to the page as text nodes, never as markup.
const {trace, rows} = JSON.parse(document.getElementById("data").textContent);
const [DEPTH, SIZE, PLACE, START, TOOK, SELF, FLAGS, OP, ABOUT, ERROR, STATUS, DETAILS] = rows.length ? rows[0].keys() : [];
const UNFINISHED = 1, DETACHED = 2, PARENT_MISSING = 4, START_LOST = 8;
const total = Math.max(trace.total_us, 1);
const details = at("details");

let chosen = -1;           // the position in rows of the chosen span
let from = 0, to = total;  // the time range in view, in microseconds from the start

// Make control characters visible. Those that change the direction of writing would show a different text.
const visible = (text) =>
  text.replace(/\p{Bidi_Control}|(?![\t\n\r])\p{Cc}/gu, (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
const oneLine = (text) => visible(text).replace(/[\t\n\r\u2028\u2029]+/g, " ");
const tone = (service) => `hsl(${hue(service)} var(--bar-s) var(--bar-l))`;
const end = (row) => row[TOOK] < 0 ? total : row[START] + row[TOOK];
const refused = (row) => row[STATUS] >= 400;  // not an error of the span: the client may have expected this status
const troubled = (row) => row[ERROR] || refused(row) || row[FLAGS] & UNFINISHED;
const words = (value) => visible(typeof value === "string" ? value : JSON.stringify(value, null, 1));
const called = (row) => `${row[OP]} ${row[ABOUT]}`;
const placed = (service) => trace.services[service] || "(no service)";
const lasted = (row) => row[FLAGS] & UNFINISHED ? "unfinished" : took(row[TOOK]);
const spanId = (i) => rows[i][DETAILS].span["span id"];
for (const row of rows) [row[OP], row[ERROR]] = [oneLine(row[OP]), oneLine(row[ERROR])];

// [kind, text, a shorter text for a narrow window if there is one].
function* badges(row) {
  if (row[ERROR]) yield ["bad", row[ERROR]];
  if (refused(row)) yield ["status", `HTTP ${row[STATUS]}`, `${row[STATUS]}`];
  if (row[FLAGS] & UNFINISHED) yield ["open", "unfinished"];
  if (row[FLAGS] & START_LOST) yield ["open", "start lost"];
  if (row[FLAGS] & PARENT_MISSING) yield ["open", "parent missing"];
  if (row[FLAGS] & DETACHED) yield ["note", "follows from"];
  if (row[DETAILS].links) yield ["note", `joins ${row[DETAILS].links.length}`];
  for (const fate of row[DETAILS].fates || []) yield ["open", fate];
}

// What assistive software reads for a row.
function spoken(row) {
  const marks = [...badges(row)].map((badge) => badge[1]).filter((text) => text !== "unfinished");
  return [called(row).trim(), placed(row[PLACE]), lasted(row), `at ${took(row[START])}`, ...marks].join(", ");
}

const parents = [], open_ = [];  // the parent of each row; the last row at each depth
for (const [i, row] of rows.entries()) {
  open_[row[DEPTH]] = i;
  parents.push(row[DEPTH] ? open_[row[DEPTH] - 1] : -1);
}

function parent(i) {
  return parents[i];
}

function swatch(service) {
  const colour = make("i", "service");
  colour.style.background = tone(service);
  return colour;
}

function heading() {
  at("title").textContent = rows.length ? called(rows[0]) : "Empty trace";
  const facts = at("facts");
  facts.append(make("b", "", took(trace.total_us)), ` · ${trace.summary}`, make("br"), `${trace.started_at} UTC · ${oneLine(trace.base_id)}`);
  if (trace.clocks) facts.append(make("br"), make("span", "clocks", trace.clocks));
  trace.services.forEach((_, service) => {
    const entry = make("span", "", placed(service));
    entry.prepend(swatch(service));
    at("legend").append(entry);
  });
}

// Tell assistive software what changed.
function announce(text) {
  at("announcement").textContent = text;
}
