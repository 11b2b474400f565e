// Search, keys and buttons; and the first drawing of the page.
let haystack;  // the text of each row; built by the first search
function searchable(row) {
  const status = row[STATUS] ? `status=${row[STATUS]} status=${Math.floor(row[STATUS] / 100)}xx` : "";
  return [row[OP], row[ABOUT], row[ERROR], status, trace.services[row[PLACE]], JSON.stringify(row[DETAILS])].join("\n").toLowerCase();
}

function search() {
  const wanted = at("search").value.trim().toLowerCase();
  haystack = haystack || rows.map(searchable);
  hits = wanted ? [...rows.keys()].filter((i) => haystack[i].includes(wanted)) : [];
  hitSet = new Set(hits);
  at("hits").textContent = wanted ? `${hits.length} found` : "";
  draw();
}

// Go to the next (or previous) of positions after the chosen row; after the last comes the first.
function step(positions, back) {
  if (!positions.length) return;
  const next = back ? positions.findLast((i) => i < chosen) ?? positions.at(-1) : positions.find((i) => i > chosen) ?? positions[0];
  reveal(next, false);
  at("hits").textContent = `${positions.indexOf(next) + 1} of ${positions.length}`;
}

const nextTrouble = () => step([...rows.keys()].filter((i) => troubled(rows[i])), false);

// Go to the next span, by time, on the critical path.
function nextOnPath() {
  if (pathShown < 0) return;
  const order = [...new Set(PATHS[pathShown][1].map(([row]) => row))];
  reveal(order[(order.indexOf(chosen) + 1) % order.length], false);
}

function nextPath() {
  choosePath(pathShown + 1);
  draw();
}

function fold(i, yes) {
  if (yes) folded.add(i); else folded.delete(i);
  arrange();
}

function move(by) {
  const line = Math.max(Math.min((place.get(chosen) ?? -1) + by, shown.length - 1), 0);
  if (shown.length) choose(shown[line], false);
}

function collapseOrUp() {
  if (chosen < 0) return;
  if (rows[chosen][SIZE] > 1 && !folded.has(chosen)) fold(chosen, true);
  else if (parent(chosen) >= 0) choose(parent(chosen), false);
}

function theme() {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  redraw();
}

const pageRows = () => Math.max(Math.floor(scroll.clientHeight / ROW_PX) - 1, 1);
const keys = {
  ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1),
  PageDown: () => move(pageRows()), PageUp: () => move(-pageRows()),
  Home: () => move(-shown.length), End: () => move(shown.length),
  ArrowLeft: collapseOrUp, ArrowRight: () => folded.has(chosen) ? fold(chosen, false) : move(1),
  Enter: () => { if (chosen >= 0) choose(chosen, true); }, Escape: hideDetails,
  "/": () => at("search").focus(), n: () => step(hits, false), N: () => step(hits, true), e: nextTrouble,
  c: nextPath, p: nextOnPath, t: theme, "?": () => { at("help").hidden = !at("help").hidden; },
  "+": () => zoomBy(0.5), "-": () => zoomBy(2), 0: () => zoom(0, total),
  z: () => { if (chosen >= 0) zoom(rows[chosen][START], end(rows[chosen])); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === at("search")) {
    if (event.key === "Enter") step(hits, event.shiftKey);
    if (event.key === "Escape") scroll.focus();
    return;
  }
  if (event.target.closest("button, a") && event.key === "Enter") return;
  if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
});
sheet.addEventListener("click", (event) => {
  const i = Number(event.target.closest(".row")?.dataset.row ?? -1);
  if (i < 0) return;
  if (event.target.className === "twist" && rows[i][SIZE] > 1) fold(i, !folded.has(i)); else choose(i, true);
});
sheet.addEventListener("dblclick", (event) => {
  const row = rows[event.target.closest(".row")?.dataset.row];
  if (row && event.target.closest(".lane")) zoom(row[START], end(row));
});

at("search").addEventListener("input", search);
at("errors").onclick = nextTrouble;
at("path").onclick = nextPath;
at("whole").onclick = () => zoom(0, total);
at("expand").onclick = () => { folded.clear(); arrange(); };
at("fold").onclick = () => { rows.forEach((row, i) => { if (row[SIZE] > 1 && row[DEPTH]) folded.add(i); }); arrange(); };
at("theme").onclick = theme;
at("keys").onclick = keys["?"];
let waiting = false;
scroll.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
});
window.addEventListener("beforeprint", () => { printing = true; draw(); });
window.addEventListener("afterprint", () => { printing = false; draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(redraw).observe(scroll);

heading();
choosePath(0);
zoom(0, total);
arrange();
