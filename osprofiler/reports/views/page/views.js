// The views of the trace as tabs, and the fragment of the address: #view=table&by=service&q=WORDS&span=ID.
const VIEWS = {
  timeline: {draw: redraw, list: timeline, focus: at("scroll")},
  statistics: {draw: drawStatistics, focus: at("statistics")},
  table: {draw: () => spanList.order.length ? spanList.draw() : arrangeSpans(), list: spanList, focus: at("span-scroll")},
  flames: {draw: drawFlames, focus: at("flame")},
  services: {draw: drawServices, focus: at("services")},
};
const REMEMBER_MS = 200;  // browsers limit how often a page may change its address
let view = "timeline", remembering = 0;

const list = () => VIEWS[view].list || timeline;
const focusView = () => VIEWS[view].focus.focus();

function openView(name) {
  view = name;
  for (const tab of at("tabs").children) {
    const open = tab.id === `tab-${view}`;
    tab.setAttribute("aria-selected", open);
    tab.tabIndex = open ? 0 : -1;
  }
  for (const each of Object.keys(VIEWS)) at(each).hidden = each !== view;
  VIEWS[view].draw();
  if (!details.hidden && chosen >= 0) showDetails(chosen);
  list().show(chosen);
}

// Open a view because the user wants it; "back" leads to the one before.
function showView(name) {
  if (name === view) return;
  writeAddress();
  openView(name);
  history.pushState(null, "", `#${fragment()}`);
}

// Draw the view in which the chosen span, or the hits, have changed.
function showChosen() {
  list().show(chosen);
  if (VIEWS[view].list) list().draw();
}

// What the fragment says of the page as it is.
function fragment() {
  const parameters = new URLSearchParams();
  if (view !== "timeline") parameters.set("view", view);
  if (view === "statistics" && grouping !== at("by").options[0].value) parameters.set("by", grouping);
  if (at("search").value.trim()) parameters.set("q", at("search").value.trim());
  if (chosen >= 0) parameters.set("span", spanId(chosen));
  return parameters.toString();
}

function writeAddress() {
  clearTimeout(remembering);
  remembering = 0;
  if (fragment() !== location.hash.slice(1)) history.replaceState(null, "", `#${fragment()}`);
}

function remember() {
  if (!remembering) remembering = setTimeout(writeAddress, REMEMBER_MS);
}

// Do what the fragment says.
function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1)), id = parameters.get("span");
  if (parameters.has("by")) groupBy(parameters.get("by"));
  at("search").value = parameters.get("q") || "";
  find(at("search").value);
  openView(Object.hasOwn(VIEWS, parameters.get("view")) ? parameters.get("view") : "timeline");
  if (id === null) return;
  const i = rows.findIndex((row) => [row[DETAILS].span["span id"], row[DETAILS].span["span id in Jaeger"]].includes(id));
  if (i < 0) at("hits").textContent = `span ${oneLine(id)} is not in this trace`;
  else reveal(i, true);
}

at("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) showView(tab.id.slice("tab-".length));
});
at("tabs").addEventListener("keydown", (event) => {
  const names = Object.keys(VIEWS), last = names.length - 1, now = names.indexOf(view);
  const next = {ArrowLeft: now > 0 ? now - 1 : last, ArrowRight: now < last ? now + 1 : 0, Home: 0, End: last}[event.key];
  if (next === undefined) return;
  event.preventDefault();
  showView(names[next]);
  at(`tab-${view}`).focus();
});
addEventListener("hashchange", readAddress);
