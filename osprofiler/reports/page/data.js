// The trace in #data, and how it is put into words. Text goes into the page as text nodes, never as markup.
const {trace, rows} = JSON.parse(document.getElementById("data").textContent);
const [DEPTH, SIZE, PLACE, START, TOOK, FLAGS, OP, ABOUT, ERROR, DETAILS] = rows.length ? rows[0].keys() : [];
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

let shown = [];            // positions in rows of what no collapsed ancestor hides
let place = new Map();     // position in rows -> position in shown
const folded = new Set();
let hits = [], hitSet = new Set(), chosen = -1;
let from = 0, to = total;  // the stretch of time in view, microseconds from the start
let printing = false;

const took = (us) =>
  us < 1e3 ? `${us} µs` : us < 1e6 ? `${(us / 1e3).toFixed(2)} ms` : us < 6e7 ? `${(us / 1e6).toFixed(3)} s`
    : `${Math.floor(us / 6e7)} min ${Math.floor(us % 6e7 / 1e6)} s`;
// By the golden ratio neighbours in the list of services never look alike; red is left to errors.
const hue = (service) => 30 + (0.63 + service * 0.618034) % 1 * 290;
const tone = (service) => `hsl(${hue(service)} var(--bar-s) var(--bar-l))`;
const end = (row) => row[TOOK] < 0 ? total : row[START] + row[TOOK];
const troubled = (row) => row[ERROR] || row[FLAGS] & UNFINISHED;
const words = (value) => typeof value === "string" ? value : JSON.stringify(value, null, 1);

function* marks(row) {
  if (row[ERROR]) yield ["bad", row[ERROR]];
  if (row[FLAGS] & UNFINISHED) yield ["open", "unfinished"];
  if (row[FLAGS] & START_LOST) yield ["open", "start lost"];
  if (row[FLAGS] & PARENT_MISSING) yield ["open", "parent missing"];
  if (row[FLAGS] & DETACHED) yield ["note", "follows from"];
  if (row[DETAILS].links) yield ["note", `joins ${row[DETAILS].links.length}`];
  for (const fate of row[DETAILS].fates || []) yield ["open", fate];
}

const parents = [], open_ = [];  // of each row; the row that is open at each depth
for (const [i, row] of rows.entries()) {
  open_[row[DEPTH]] = i;
  parents.push(row[DEPTH] ? open_[row[DEPTH] - 1] : -1);
}

function parent(i) {
  return parents[i];
}

function heading() {
  at("title").textContent = rows.length ? `${rows[0][OP]} ${rows[0][ABOUT]}` : "Empty trace";
  const facts = at("facts");
  facts.append(make("b", "", took(trace.total_us)), ` · ${trace.summary}`, make("br"), `${trace.started_at} UTC · ${trace.base_id}`);
  if (trace.clocks) facts.append(make("br"), make("span", "clocks", trace.clocks));
  trace.services.forEach((service, i) => {
    const swatch = make("i");
    swatch.style.background = tone(i);
    const entry = make("span", "", service || "(no service)");
    entry.prepend(swatch);
    at("legend").append(entry);
  });
}
