// The data of the trace, from #data, and its texts. Text is added to the page as text nodes, never as markup.
const {trace, rows} = JSON.parse(document.getElementById("data").textContent);
const [DEPTH, SIZE, PLACE, START, TOOK, FLAGS, OP, ABOUT, ERROR, STATUS, DETAILS] = rows.length ? rows[0].keys() : [];
const UNFINISHED = 1, DETACHED = 2, PARENT_MISSING = 4, START_LOST = 8;
const total = Math.max(trace.total_us, 1);

const at = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const scroll = at("scroll"), sheet = at("rows"), details = at("details"), overview = at("overview");

let shown = [];            // positions in rows of the rows that no collapsed ancestor hides
let place = new Map();     // position in rows -> position in shown
const folded = new Set();
let hits = [], hitSet = new Set(), chosen = -1;
let from = 0, to = total;  // the time range in view, in microseconds from the start
let printing = false;

// step: the smallest difference between two values that must give different texts.
const took = (us, step = Infinity) => {
  const digits = (unit, usual) => Math.max(Math.ceil(Math.log10(unit / step)), usual);
  if (us < 1e3) return `${us} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(digits(1e3, 2))} ms`;
  if (us < 6e7) return `${(us / 1e6).toFixed(digits(1e6, 3))} s`;
  const places = digits(1e6, 0), rest = us % 6e7;
  return `${Math.floor(us / 6e7)} min ${(Math.floor(rest * 10 ** places / 1e6) / 10 ** places).toFixed(places)} s`;
};
// Steps of the golden ratio give neighbouring services different colours. Red is reserved for errors.
const hue = (service) => 30 + (0.63 + service * 0.618034) % 1 * 290;
const tone = (service) => `hsl(${hue(service)} var(--bar-s) var(--bar-l))`;
const end = (row) => row[TOOK] < 0 ? total : row[START] + row[TOOK];
const refused = (row) => row[STATUS] >= 400;  // not an error of the span: the client may have expected this status
const troubled = (row) => row[ERROR] || refused(row) || row[FLAGS] & UNFINISHED;
// Make control characters visible. Those that change the direction of writing would show a different text.
const visible = (text) =>
  text.replace(/\p{Bidi_Control}|(?![\t\n\r])\p{Cc}/gu, (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
const oneLine = (text) => visible(text).replace(/[\t\n\r\u2028\u2029]+/g, " ");
const words = (value) => visible(typeof value === "string" ? value : JSON.stringify(value, null, 1));
const called = (row) => `${row[OP]} ${row[ABOUT]}`;
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

const parents = [], open_ = [];  // the parent of each row; the last row at each depth
for (const [i, row] of rows.entries()) {
  open_[row[DEPTH]] = i;
  parents.push(row[DEPTH] ? open_[row[DEPTH] - 1] : -1);
}

function parent(i) {
  return parents[i];
}

function heading() {
  at("title").textContent = rows.length ? called(rows[0]) : "Empty trace";
  const facts = at("facts");
  facts.append(make("b", "", took(trace.total_us)), ` · ${trace.summary}`, make("br"), `${trace.started_at} UTC · ${oneLine(trace.base_id)}`);
  if (trace.clocks) facts.append(make("br"), make("span", "clocks", trace.clocks));
  trace.services.forEach((service, i) => {
    const swatch = make("i");
    swatch.style.background = tone(i);
    const entry = make("span", "", service || "(no service)");
    entry.prepend(swatch);
    at("legend").append(entry);
  });
}
