// Keys and buttons; and the first drawing of the page.
function search() {
  find(at("search").value);
  drawView();
  remember();
}

// Search for something that the user chose elsewhere, and show the first hit in the timeline.
function searchFor(query) {
  showView("timeline");
  at("search").value = query;
  search();
  if (hits.length) reveal(hits[0], false);
  focusView();
}

// Go to the next (or previous) of positions after the chosen row; after the last comes the first.
function step(positions, back) {
  if (!positions.length) return;
  if (!VIEWS[view].list) showView("timeline");
  const line = view === "table" ? (i) => spanList.place.get(i) ?? -1 : (i) => i;  // of a span that may be out of sight
  const order = view === "table" ? [...positions].sort((one, other) => line(one) - line(other)) : positions, now = line(chosen);
  const next = back ? order.findLast((i) => line(i) < now) ?? order.at(-1) : order.find((i) => line(i) > now) ?? order[0];
  reveal(next, false);
  at("hits").textContent = `${order.indexOf(next) + 1} of ${order.length}`;
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
  timeline.draw();
}

const move = (by) => choose(list().beside(by), false);

function collapseOrUp() {
  if (chosen < 0 || view !== "timeline") return;
  if (rows[chosen][SIZE] > 1 && !folded.has(chosen)) fold(chosen, true);
  else if (parent(chosen) >= 0) choose(parent(chosen), false);
}

function expandOrDown() {
  if (view === "timeline" && folded.has(chosen)) fold(chosen, false); else move(1);
}

const drawView = () => VIEWS[view].draw();

function theme() {
  switchTheme();
  drawView();
}

// A key that moves or zooms the time axis.
const onTime = (act) => () => {
  if (view !== "timeline") return;
  act();
  announce(`${took(from)} to ${took(to)}`);
};

const keys = {
  ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1),
  PageDown: () => move(list().pageRows()), PageUp: () => move(-list().pageRows()),
  Home: () => move(-rows.length), End: () => move(rows.length),
  ArrowLeft: collapseOrUp, ArrowRight: expandOrDown, "Shift+ArrowLeft": onTime(() => pan((from - to) / 4)), "Shift+ArrowRight": onTime(() => pan((to - from) / 4)),
  Enter: () => { if (chosen >= 0) choose(chosen, true); }, Escape: hideDetails, y: copyLink,
  "/": () => at("search").focus(), n: () => step(hits, false), N: () => step(hits, true), e: nextTrouble,
  c: nextPath, p: nextOnPath, t: theme, "?": () => { at("help").hidden = !at("help").hidden; },
  "+": onTime(() => zoomBy(0.5)), "-": onTime(() => zoomBy(2)), 0: () => view === "flames" ? flame.whole() : onTime(zoomOut)(),
  z: onTime(() => { if (chosen >= 0) zoom(rows[chosen][START], end(rows[chosen])); }),
  "[": () => widen(-NAME_STEP), "]": () => widen(NAME_STEP),
};
Object.keys(VIEWS).forEach((name, i) => { keys[i + 1] = () => showView(name); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target === at("search")) {
    if (event.key === "Enter") step(hits, event.shiftKey);
    if (event.key === "Escape") { event.preventDefault(); focusView(); }  // by default the search would be emptied
    return;
  }
  if (event.target.closest("button, a") && event.key === "Enter" || event.target.closest("select")) return;
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  if (Object.hasOwn(keys, key)) { event.preventDefault(); keys[key](); }
});

at("search").addEventListener("input", search);
at("previous").onclick = keys.N;
at("next").onclick = keys.n;
at("errors").onclick = nextTrouble;
at("path").onclick = nextPath;
at("whole").onclick = zoomOut;
at("expand").onclick = unfoldAll;
at("fold").onclick = foldAll;
at("theme").onclick = theme;
at("keys").onclick = keys["?"];

function setPrinting(yes) {
  printing = yes;
  drawView();
}
addEventListener("beforeprint", () => setPrinting(true));
addEventListener("afterprint", () => setPrinting(false));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawView);
const sizes = new ResizeObserver(drawView);
for (const each of Object.values(VIEWS)) if (each.list) sizes.observe(each.focus);

heading();
choosePath(0);
laneWidth = Math.max(at("ticks").clientWidth, 1);
arrange();
readAddress();
