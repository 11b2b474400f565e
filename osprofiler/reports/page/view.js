"use strict";
// Draws the trace in #data. Only rows in sight are in the page; text goes in as text nodes, never as markup.
(() => {
  const {trace, rows} = JSON.parse(document.getElementById("data").textContent);
  const [DEPTH, SIZE, PLACE, START, TOOK, FLAGS, OP, ABOUT, ERROR, DETAILS] = rows.length ? rows[0].keys() : [];
  const UNFINISHED = 1, DETACHED = 2, PARENT_MISSING = 4, START_LOST = 8;
  const ROW_PX = 26, SPARE_ROWS = 4, DRAWN_LEVELS = 24, LEVEL_PX = 14, PRINTED_ROWS = 2000;
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

  function heading() {
    at("title").textContent = rows.length ? `${rows[0][OP]} ${rows[0][ABOUT]}` : "Empty trace";
    const facts = at("facts");
    facts.append(make("b", "", took(trace.total_us)), ` · ${trace.summary}`, make("br"), `${trace.started_at} UTC · ${trace.base_id}`);
    trace.services.forEach((service, i) => {
      const swatch = make("i");
      swatch.style.background = tone(i);
      const entry = make("span", "", service || "(no service)");
      entry.prepend(swatch);
      at("legend").append(entry);
    });
  }

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
    const laneWidth = sheet.clientWidth * 0.58;
    sheet.replaceChildren(...shown.slice(first, first + count).map((row, i) => drawRow(row, first + i, laneWidth)));
  }

  function drawRow(i, line, laneWidth) {
    const row = rows[i];
    const element = make("div", "row" + (hitSet.has(i) ? " hit" : "") + (i === chosen ? " chosen" : ""));
    element.style.top = `${line * ROW_PX}px`;
    element.style.setProperty("--tone", tone(row[PLACE]));
    element.dataset.row = i;
    element.setAttribute("role", "treeitem");
    element.setAttribute("aria-level", row[DEPTH] + 1);

    const name = make("div", "name");
    name.style.paddingLeft = `${14 + Math.min(row[DEPTH], DRAWN_LEVELS) * LEVEL_PX}px`;
    name.title = `${trace.services[row[PLACE]]}: ${row[OP]} ${row[ABOUT]}`;
    const twist = make("span", "twist", row[SIZE] === 1 ? "" : folded.has(i) ? "▸" : "▾");
    const service = make("span", "service");
    service.style.background = "var(--tone)";
    name.append(twist, service, make("span", "op", row[OP]));
    if (row[DEPTH] > DRAWN_LEVELS) twist.before(make("span", "about", `${row[DEPTH]} `));
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
    element.append(name, lane);
    return element;
  }

  function* marks(row) {
    if (row[ERROR]) yield ["bad", row[ERROR]];
    if (row[FLAGS] & UNFINISHED) yield ["open", "unfinished"];
    if (row[FLAGS] & START_LOST) yield ["open", "start lost"];
    if (row[FLAGS] & PARENT_MISSING) yield ["open", "parent missing"];
    if (row[FLAGS] & DETACHED) yield ["note", "follows from"];
    if (row[DETAILS].links) yield ["note", `joins ${row[DETAILS].links.length}`];
  }

  function ruler() {
    const ticks = [0, 1, 2, 3, 4].map((i) => {
      const tick = make("span", "", took(Math.round(from + (to - from) * i / 5)));
      tick.style.left = `${i * 20}%`;
      return tick;
    });
    at("ticks").replaceChildren(...ticks);
  }

  // The whole trace in small: a line a span, in the order of the tree.
  function sketch(select) {
    const ratio = window.devicePixelRatio || 1, width = overview.clientWidth, height = overview.clientHeight;
    overview.width = width * ratio;
    overview.height = height * ratio;
    const pen = overview.getContext("2d"), style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    pen.scale(ratio, ratio);
    const step = Math.max((height - 8) / rows.length, 0.02), thick = Math.max(Math.min(step * 0.8, 6), 1);
    rows.forEach((row, i) => {
      pen.fillStyle = troubled(row) ? value(row[ERROR] ? "--error" : "--open") : `hsl(${hue(row[PLACE])} 58% 55%)`;
      pen.fillRect(row[START] / total * width, 4 + i * step, Math.max((end(row) - row[START]) / total * width, 1), thick);
    });
    const [a, b] = select || [from, to];
    pen.fillStyle = value("--soft");
    pen.globalAlpha = 0.28;
    pen.fillRect(0, 0, a / total * width, height);
    pen.fillRect(b / total * width, 0, width, height);
  }

  function zoom(a, b) {
    from = Math.max(Math.min(a, b), 0);
    to = Math.min(Math.max(a, b), total);
    if (to - from < 1) [from, to] = [0, total];
    ruler(); sketch(); draw();
  }

  function choose(i, open) {
    chosen = i;
    const line = place.get(i);
    if (line !== undefined) {
      const top = line * ROW_PX;
      if (top < scroll.scrollTop) scroll.scrollTop = top;
      if (top + ROW_PX > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + ROW_PX - scroll.clientHeight;
    }
    if (open || !details.hidden) showDetails(i);
    draw();
  }

  // Go to a span that a collapsed ancestor may hide.
  function reveal(i, open) {
    for (let up = i; up >= 0; up = parent(up)) if (up !== i) folded.delete(up);
    arrange();
    choose(i, open);
  }

  function parent(i) {
    for (let up = i - 1; up >= 0; up--) if (rows[up][DEPTH] < rows[i][DEPTH]) return up;
    return -1;
  }

  const words = (value) => typeof value === "string" ? value : JSON.stringify(value, null, 1);

  function section(title, pairs) {
    const part = make("section"), table = make("table");
    for (const [key, value] of pairs) {
      const line = make("tr"), cell = make("td");
      cell.append(value instanceof Node ? value : words(value));
      line.append(make("td", "", key), cell);
      table.append(line);
    }
    part.append(make("h3", "", title), table);
    return part;
  }

  function showDetails(i) {
    const row = rows[i], more = row[DETAILS], parts = make("div", "parts");
    const close = make("button", "close", "✕");
    close.title = "Close (Esc)";
    close.onclick = hideDetails;
    const length = row[FLAGS] & UNFINISHED ? "" : took(row[TOOK]);
    const state = [`at ${took(row[START])}`, length, trace.services[row[PLACE]], ...[...marks(row)].map((mark) => mark[1])];
    parts.append(section("Span", Object.entries(more.span)));
    if (more.start) parts.append(section("Start", Object.entries(more.start)));
    if (more.stop) parts.append(section("Stop", Object.entries(more.stop)));
    if (more.tags) parts.append(section("Tags", Object.entries(more.tags)));
    if (more.links || more.reference) parts.append(section("References", references(i, more)));
    if (more.logs) parts.append(section("Logs", more.logs.map(([us, fields]) => [`+${took(us)}`, logText(fields)])));
    details.replaceChildren(close, make("h2", "", `${row[OP]} ${row[ABOUT]}`), make("p", "", state.filter(Boolean).join(" · ")), parts);
    details.hidden = false;
    details.scrollTop = 0;
  }

  const logText = (fields) => Object.entries(fields).map(([key, value]) => `${key}: ${words(value)}`).join("\n");

  function references(i, more) {
    const pairs = [];
    if (more.reference) pairs.push([more.reference, jump(parent(i), more.span.parent_id)]);
    for (const [kind, target, , id] of more.links || []) pairs.push([`joins (${kind})`, jump(target, id)]);
    return pairs;
  }

  function jump(target, id) {
    if (target < 0) return document.createTextNode(`${id} (not in this trace)`);
    const link = make("a", "", `${rows[target][OP]} ${rows[target][ABOUT]}`);
    link.tabIndex = 0;
    link.onclick = () => reveal(target, true);
    link.onkeydown = (event) => { if (event.key === "Enter") reveal(target, true); };
    return link;
  }

  function hideDetails() {
    details.hidden = true;
    scroll.focus();
    draw();
  }

  let haystack;  // made at the first search
  function search() {
    const wanted = at("search").value.trim().toLowerCase();
    haystack = haystack || rows.map((row) => [row[OP], row[ABOUT], row[ERROR], trace.services[row[PLACE]], JSON.stringify(row[DETAILS])].join("\n").toLowerCase());
    hits = wanted ? [...rows.keys()].filter((i) => haystack[i].includes(wanted)) : [];
    hitSet = new Set(hits);
    at("found").textContent = wanted ? `${hits.length} found` : "";
    draw();
  }

  // The next (or previous) of positions, from the chosen one and round the end.
  function step(positions, back) {
    if (!positions.length) return;
    const next = back ? positions.findLast((i) => i < chosen) ?? positions.at(-1) : positions.find((i) => i > chosen) ?? positions[0];
    reveal(next, false);
    at("found").textContent = `${positions.indexOf(next) + 1} of ${positions.length}`;
  }

  const nextTrouble = () => step([...rows.keys()].filter((i) => troubled(rows[i])), false);

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

  function zoomBy(factor) {
    const middle = chosen < 0 ? (from + to) / 2 : Math.min(Math.max((rows[chosen][START] + end(rows[chosen])) / 2, from), to);
    zoom(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  const pageRows = () => Math.max(Math.floor(scroll.clientHeight / ROW_PX) - 1, 1);
  const keys = {
    ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1),
    PageDown: () => move(pageRows()), PageUp: () => move(-pageRows()),
    Home: () => move(-shown.length), End: () => move(shown.length),
    ArrowLeft: collapseOrUp, ArrowRight: () => folded.has(chosen) ? fold(chosen, false) : move(1),
    Enter: () => { if (chosen >= 0) choose(chosen, true); }, Escape: hideDetails,
    "/": () => at("search").focus(), n: () => step(hits, false), N: () => step(hits, true), e: nextTrouble,
    "+": () => zoomBy(0.5), "-": () => zoomBy(2), 0: () => zoom(0, total),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === at("search")) {
      if (event.key === "Enter") step(hits, event.shiftKey);
      if (event.key === "Escape") scroll.focus();
      return;
    }
    if (event.target.closest("button, a") && event.key === "Enter") return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
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

  const instant = (event) => (event.clientX - overview.getBoundingClientRect().left) / overview.clientWidth * total;
  let grabbed = null;
  overview.addEventListener("pointerdown", (event) => { grabbed = instant(event); overview.setPointerCapture(event.pointerId); });
  overview.addEventListener("pointermove", (event) => {
    if (grabbed !== null) sketch([Math.min(grabbed, instant(event)), Math.max(grabbed, instant(event))]);
  });
  overview.addEventListener("pointerup", (event) => {
    const began = grabbed;
    grabbed = null;
    // A click is no stretch of time.
    if (began !== null && Math.abs(instant(event) - began) > total / overview.clientWidth * 3) zoom(began, instant(event)); else sketch();
  });
  overview.addEventListener("dblclick", () => zoom(0, total));

  at("search").addEventListener("input", search);
  at("errors").onclick = nextTrouble;
  at("whole").onclick = () => zoom(0, total);
  at("expand").onclick = () => { folded.clear(); arrange(); };
  at("fold").onclick = () => { rows.forEach((row, i) => { if (row[SIZE] > 1 && row[DEPTH]) folded.add(i); }); arrange(); };
  at("theme").onclick = () => {
    const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    sketch();
  };
  let waiting = false;
  scroll.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });
  window.addEventListener("beforeprint", () => { printing = true; draw(); });
  window.addEventListener("afterprint", () => { printing = false; draw(); });
  new ResizeObserver(() => { draw(); sketch(); }).observe(scroll);

  heading();
  zoom(0, total);
  arrange();
})();
