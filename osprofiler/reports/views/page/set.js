// A page of a set of traces. Text is added as text nodes, never as markup. osprofiler/reports/views/set_html.py describes the data.
const data = JSON.parse(document.getElementById("data").textContent);
const {steps, views, traces} = data;
const [PLACE, OPERATION, ABOVE] = [0, 1, 2];
const [ID, STARTED, TOOK, MARK, TIMES] = [0, 1, 2, 3, 4];
const FRAME = 22, CELL = 16, FEW = 25, MOST_FRAMES = 4000;

const at = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const took = (us) => {
  if (us < 1e3) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(2)} ms`;
  if (us < 6e7) return `${(us / 1e6).toFixed(3)} s`;
  return `${Math.floor(us / 6e7)} min ${Math.floor(us % 6e7 / 1e6)} s`;
};
const name = (step) => steps[step][OPERATION];
const full = (step) => steps[step][PLACE] ? `${name(step)} [${steps[step][PLACE]}]` : name(step);
const path = (step) => {
  const names = [];
  for (let at = step; at >= 0; at = steps[at][ABOVE]) names.unshift(full(at));
  return names;
};

// Steps of the golden ratio give neighbouring services different colours.
const places = [...new Set(steps.map((step) => step[PLACE]))];
const hue = (step) => 30 + (0.63 + places.indexOf(steps[step][PLACE]) * 0.618034) % 1 * 290;
const below = steps.map(() => []), roots = [], depths = [];
for (const [i, step] of steps.entries()) {
  (step[ABOVE] < 0 ? roots : below[step[ABOVE]]).push(i);
  depths[i] = step[ABOVE] < 0 ? 0 : depths[step[ABOVE]] + 1;
}

let view = views.find((each) => each.name === data.first) || views[0];
let chosen = -1, zoomed = -1, all = false, found = "", cell = [0, 0];

// The flame graph: root at the top, width by time.

function sums() {
  const total = view.weights.slice();
  for (let i = steps.length - 1; i >= 0; i--) if (steps[i][ABOVE] >= 0) total[steps[i][ABOVE]] += total[i];
  return total;
}

function tone(step) {
  if (!view.tones) return `hsl(${hue(step)} var(--frame-s) var(--frame-l))`;
  const change = view.tones[step];
  if (!change) return "hsl(220 8% var(--frame-l))";
  const strength = 35 + 60 * Math.min(Math.abs(change) * 3, 1);
  return `hsl(${change > 0 ? 2 : 214} ${strength}% var(--frame-l))`;
}

function drawFlame() {
  const flame = at("flame"), total = sums();
  flame.textContent = "";
  const frames = [], line = [];
  for (let up = zoomed; up >= 0; up = steps[up][ABOVE]) line.unshift(up);
  const whole = zoomed < 0 ? roots.reduce((sum, root) => sum + total[root], 0) : total[zoomed];
  let deepest = 0;
  const waiting = zoomed < 0 ? [] : [[zoomed, 0]];
  if (zoomed < 0) {
    let left = 0;
    for (const root of roots) { waiting.push([root, left]); left += total[root]; }
  }
  for (const up of line.slice(0, -1)) frames.push([up, 0, 1, true]);
  while (waiting.length && frames.length < MOST_FRAMES) {
    const [step, left] = waiting.pop();
    if (!whole || total[step] / whole < 0.0008) continue;
    frames.push([step, left / whole, total[step] / whole, false]);
    let next = left;
    for (const child of below[step]) { waiting.push([child, next]); next += total[child]; }
  }
  for (const [step, left, width, isAbove] of frames) {
    const frame = make("div", "frame", full(step));
    frame.style.cssText = `left:${100 * left}%;width:${100 * width}%;top:${depths[step] * FRAME}px;--tone:${tone(step)}`;
    frame.dataset.step = step;
    frame.title = `${full(step)}\n${took(total[step])}, itself ${took(view.weights[step])}`;
    frame.setAttribute("role", "treeitem");
    frame.setAttribute("aria-level", depths[step] + 1);
    frame.setAttribute("aria-label", `${full(step)}, ${took(total[step])}`);
    if (isAbove) frame.classList.add("above");
    if (found && !full(step).toLowerCase().includes(found)) frame.classList.add("missed");
    if (step === chosen) frame.classList.add("chosen");
    frame.setAttribute("aria-selected", step === chosen);
    deepest = Math.max(deepest, depths[step]);
    flame.append(frame);
  }
  flame.style.height = `${(deepest + 1) * FRAME}px`;
  at("flame-note").textContent = view.tones
    ? `Width: ${data.measure}, on average, ${view.name}. Red: slower or new; blue: faster or gone; grey: no change that is sure.`
    : `Width: ${data.measure}. Click a step to choose it and to zoom.`;
}

function zoom(step) {
  zoomed = step;
  choose(step);
}

// The chosen step: its distribution, and the traces in which it took longest.

function choose(step) {
  chosen = step;
  at("chosen-part").hidden = step < 0;
  if (step >= 0) {
    at("chosen-head").textContent = full(step);
    at("chosen-path").textContent = path(step).slice(0, -1).join(" › ");
    drawSpread(step);
    drawExamples(step);
  }
  drawFlame();
  for (const row of at("rows").children) row.classList.toggle("chosen", Number(row.dataset.step) === chosen);
}

function drawSpread(step) {
  const [edges, series] = data.spread[step], spread = at("spread");
  spread.textContent = "";
  const most = Math.max(1, ...series.flat());
  const words = [];
  for (let i = 0; i + 1 < edges.length; i++) {
    const bucket = make("div", "bucket");
    const counts = series.map((counts) => counts[i]);
    bucket.title = `${took(edges[i])} to ${took(edges[i + 1])}: ${counts.join(" and ")}`;
    if (counts.some(Boolean)) words.push(bucket.title);
    for (const count of counts) {
      const bar = make("i");
      bar.style.height = `${100 * count / most}%`;
      if (count) bar.style.minHeight = "2px";
      bucket.append(bar);
    }
    spread.append(bucket);
  }
  spread.setAttribute("aria-label", words.length ? `Distribution: ${words.join("; ")}` : "No values");
  if (!edges.length) return;
  spread.append(make("span", "edge", took(edges[0])), make("span", "edge last", took(edges[edges.length - 1])));
  if (series.length > 1) {
    const key = make("span", "edge");
    key.style.cssText = "left:50%;transform:translateX(-50%)";
    for (const [i, mark] of data.marks.entries()) key.append(make("i", i ? "key second" : "key"), make("span", "", mark));
    spread.append(key);
  }
}

function reference(id) {
  if (!data.link) return make("code", "", `osprofiler trace show ${id}`);
  const link = make("a", "id", id);
  link.href = data.link.replace("{id}", encodeURIComponent(id));
  link.rel = "noopener noreferrer";
  link.target = "_blank";
  return link;
}

function example(trace, text) {
  const item = make("li");
  item.append(make("span", "", `${text}, ${trace[STARTED]}${data.marks[trace[MARK]] ? `, ${data.marks[trace[MARK]]}` : ""}: `), reference(trace[ID]));
  return item;
}

function drawExamples(step) {
  const list = at("examples");
  list.textContent = "";
  const having = traces.filter((trace) => trace[TIMES][step] !== undefined);
  having.sort((one, other) => other[TIMES][step] - one[TIMES][step]);
  // The slowest, the middle one and the fastest; in a small set the middle one may be among the slowest.
  const some = having.length > 6 ? new Set([...having.slice(0, 4), having[having.length >> 1], having.at(-1)]) : having;
  for (const trace of some) list.append(example(trace, `${took(trace[TIMES][step])} of ${took(trace[TOOK])}`));
  at("examples-part").hidden = !having.length;
}

// The table.

function drawRows() {
  const body = at("rows");
  body.textContent = "";
  const rows = view.rows.filter(([step]) => !found || full(step).toLowerCase().includes(found));
  for (const [step, cells] of all ? rows : rows.slice(0, FEW)) {
    const row = make("tr");
    row.dataset.step = step;
    const first = make("td"), button = make("button", "", name(step));
    button.title = path(step).join(" › ");
    button.onclick = () => { choose(step); at("chosen-part").scrollIntoView({block: "nearest"}); };
    first.append(button, make("span", "place", steps[step][PLACE]));
    row.append(first);
    for (const text of cells) {
      const kind = /^(slower|appeared)/.test(text) ? "worse" : /^(faster|vanished)/.test(text) ? "better" : "";
      row.append(make("td", kind, text));
    }
    row.classList.toggle("chosen", step === chosen);
    body.append(row);
  }
  at("more").hidden = all || rows.length <= FEW;
  at("more").textContent = `Show all ${rows.length} steps`;
}

// The heat map: a column for each trace, from the fastest to the slowest, and a row for each of the largest steps.

const hottest = (() => {
  const sum = steps.map(() => 0);
  for (const trace of traces) for (const [step, us] of Object.entries(trace[TIMES])) sum[step] += us;
  return sum.map((us, step) => [us, step]).sort((one, other) => other[0] - one[0]).slice(0, FEW).filter(([us]) => us).map(([, step]) => step);
})();

function drawHeat() {
  const canvas = at("heat"), names = at("heat-names");
  at("heat-part").hidden = traces.length < 2;
  if (traces.length < 2) return;
  names.textContent = "";
  for (const step of hottest) {
    const line = make("div", "", full(step));
    line.title = path(step).join(" › ");
    names.append(line);
  }
  const width = Math.max(canvas.clientWidth, 1), height = hottest.length * CELL, ratio = devicePixelRatio || 1;
  canvas.style.height = `${height + 2}px`;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d"), column = width / traces.length;
  pen.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement), heat = style.getPropertyValue("--heat");
  for (const [row, step] of hottest.entries()) {
    const most = Math.max(...traces.map((trace) => trace[TIMES][step] || 0), 1);
    for (const [i, trace] of traces.entries()) {
      const us = trace[TIMES][step];
      if (us === undefined) continue;
      pen.fillStyle = `rgba(${heat}, ${0.06 + 0.94 * us / most})`;
      pen.fillRect(i * column, row * CELL, Math.max(column, 0.5), CELL - 1);
    }
  }
  pen.fillStyle = style.getPropertyValue("--worse");
  traces.forEach((trace, i) => { if (i && trace[MARK] !== traces[i - 1][MARK]) pen.fillRect(i * column - 0.5, 0, 1, height); });
  pen.strokeStyle = style.getPropertyValue("--ink");
  pen.strokeRect(cell[0] * column, cell[1] * CELL, Math.max(column, 2), CELL - 1);
  const shown = traces.length < data.of ? `${traces.length} of the ${data.of} traces` : `${traces.length} traces`;
  at("heat-note").textContent = `${shown}: a column each, the slowest on the right${data.marks[0] ? `; ${data.marks.join(", then ")}` : data.marks[1] && traces.some((trace) => trace[MARK]) ? "; failed ones after the line" : ""}. The darker, the more ${data.measure}.`;
}

function showCell(column, row) {
  cell = [Math.min(Math.max(column, 0), traces.length - 1), Math.min(Math.max(row, 0), hottest.length - 1)];
  const trace = traces[cell[0]], step = hottest[cell[1]];
  at("cell").textContent = `${took(trace[TIMES][step] || 0)} in ${full(step)}; trace of ${took(trace[TOOK])}, ${trace[STARTED]}${data.marks[trace[MARK]] ? `, ${data.marks[trace[MARK]]}` : ""}: `;
  at("cell").append(reference(trace[ID]));
  drawHeat();
}

at("heat").onclick = (event) => {
  const column = Math.floor(event.offsetX / at("heat").clientWidth * traces.length), row = Math.floor(event.offsetY / CELL);
  showCell(column, row);
  choose(hottest[cell[1]]);
};
at("heat").onkeydown = (event) => {
  const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (move) showCell(cell[0] + move[0], cell[1] + move[1]);
  else if (event.key === "Enter") choose(hottest[cell[1]]);
  else return;
  event.preventDefault();
};

at("flame").onclick = (event) => {
  const frame = event.target.closest(".frame");
  if (frame) zoom(Number(frame.dataset.step));
};
at("flame").onkeydown = (event) => {
  const total = sums(), siblings = chosen < 0 ? roots : steps[chosen][ABOVE] < 0 ? roots : below[steps[chosen][ABOVE]];
  const seen = (list) => list.filter((step) => total[step] > 0);
  const next = {
    ArrowDown: () => chosen < 0 ? seen(roots)[0] : seen(below[chosen])[0],
    ArrowUp: () => chosen < 0 ? undefined : steps[chosen][ABOVE],
    ArrowRight: () => seen(siblings)[seen(siblings).indexOf(chosen) + 1],
    ArrowLeft: () => seen(siblings)[seen(siblings).indexOf(chosen) - 1],
  }[event.key];
  if (next) {
    const step = next();
    if (step !== undefined && step >= 0) choose(step);
  } else if (event.key === "Enter" && chosen >= 0) zoom(chosen);
  else return;
  event.preventDefault();
};

function show(each) {
  view = each;
  for (const button of at("views").children) button.setAttribute("aria-pressed", button.textContent === view.name);
  at("facts").textContent = view.facts;
  drawRows();
  choose(chosen);
}

function theme() {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  drawHeat();
}

at("title").textContent = data.title;
const heads = make("tr");
for (const head of [data.step, ...data.heads]) heads.append(make("th", "", head));
at("heads").append(heads);
for (const each of views) {
  const button = make("button", "", each.name);
  button.title = each.facts;
  button.onclick = () => show(each);
  at("views").append(button);
}
for (const [text, count, roots_, levels, ids] of data.errors) {
  const row = make("tr"), examples = make("td");
  for (const id of ids.slice(0, 1)) examples.append(reference(id));
  row.append(make("td", "", text), make("td", "", count), make("td", "", roots_), make("td", "", levels), examples);
  at("errors").append(row);
}
at("errors-part").hidden = !data.errors.length;
at("search").oninput = () => { found = at("search").value.trim().toLowerCase(); drawRows(); drawFlame(); };
at("more").onclick = () => { all = true; drawRows(); };
at("whole").onclick = () => { zoomed = -1; drawFlame(); };
at("theme").onclick = theme;
document.onkeydown = (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") { at("search").value = found = ""; zoomed = -1; choose(-1); drawRows(); return; }
  if (event.target.tagName === "INPUT") return;
  if (event.key === "/") at("search").focus();
  else if (event.key === "0") { zoomed = -1; drawFlame(); }
  else if (event.key === "t") theme();
  else return;
  event.preventDefault();
};
addEventListener("resize", drawHeat);
show(view);
if (view.rows.length) choose(view.rows[0][0]);
drawHeat();
