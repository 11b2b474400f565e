// A page of a set of traces. Text is added as text nodes, never as markup. osprofiler/reports/views/set_html.py describes the data.
const data = JSON.parse(document.getElementById("data").textContent);
const {steps, views, traces} = data;
const [PLACE, OPERATION, ABOVE] = [0, 1, 2];
const [ID, STARTED, TOOK, MARK, TIMES] = [0, 1, 2, 3, 4];
const CELL = 16, FEW = 25, LEVEL_PX = 12, DRAWN_LEVELS = 16, MOST_OF_TREE = 500;

const name = (step) => steps[step][OPERATION];
const full = (step) => steps[step][PLACE] ? `${name(step)} [${steps[step][PLACE]}]` : name(step);
const path = (step) => {
  const names = [];
  for (let at = step; at >= 0; at = steps[at][ABOVE]) names.unshift(full(at));
  return names;
};

const places = [...new Set(steps.map((step) => step[PLACE]))];
const above = steps.map((step) => step[ABOVE]);

let view = views.find((each) => each.name === data.first) || views[0];
let all = false, asTree = Boolean(data.tree), found = "", cell = [0, 0];

function tone(step) {
  if (!view.tones) return `hsl(${hue(places.indexOf(steps[step][PLACE]))} var(--frame-s) var(--frame-l))`;
  const change = view.tones[step];
  if (!change) return "hsl(220 8% var(--frame-l))";
  const strength = 35 + 60 * Math.min(Math.abs(change) * 3, 1);
  return `hsl(${change > 0 ? 2 : 214} ${strength}% var(--frame-l))`;
}

const flame = flameGraph(at("flame"), above, {
  weights: () => view.weights,
  label: full,
  tone,
  missed: (step) => found !== "" && !full(step).toLowerCase().includes(found),
  chose: showStep,
});

// The chosen step: its distribution, and the traces in which it took longest.

function showStep(step) {
  at("chosen-part").hidden = step < 0;
  if (step >= 0) {
    at("chosen-head").textContent = full(step);
    at("chosen-path").textContent = path(step).slice(0, -1).join(" › ");
    drawSpread(step);
    drawExamples(step);
  }
  for (const row of at("rows").children) row.classList.toggle("chosen", Number(row.dataset.step) === step);
}

function drawSpread(step) {
  const [edges, series] = data.spread[step], spread = at("spread");
  at("spread-part").hidden = !edges.length;
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

// The table: in the order of the tree, or the most important steps first.

const below = steps.map(() => []), depths = [], treeOrder = [];
above.forEach((up, step) => {
  if (up >= 0) below[up].push(step);
  depths[step] = up < 0 ? 0 : depths[up] + 1;
});
const waiting = [...steps.keys()].filter((step) => above[step] < 0).reverse();
for (let count = 0; waiting.length; count++) {
  const step = waiting.pop();
  treeOrder[step] = count;
  waiting.push(...below[step].reverse());
}

function drawRows() {
  const body = at("rows");
  body.textContent = "";
  const rows = view.rows.filter(([step]) => !found || full(step).toLowerCase().includes(found));
  if (asTree) rows.sort(([one], [other]) => treeOrder[one] - treeOrder[other]);
  const few = data.tree ? MOST_OF_TREE : FEW;
  for (const [step, cells] of all ? rows : rows.slice(0, few)) {
    const row = make("tr");
    row.dataset.step = step;
    const first = make("td", "name"), button = make("button", "", name(step));
    button.title = path(step).join(" › ");
    button.onclick = () => { flame.choose(step); at("chosen-part").scrollIntoView({block: "nearest"}); };
    if (asTree) first.style.paddingLeft = `${Math.min(depths[step], DRAWN_LEVELS) * LEVEL_PX}px`;
    first.append(button, make("span", "place", steps[step][PLACE]));
    row.append(first);
    for (const text of cells) {
      const kind = /^(slower|appeared)/.test(text) ? "worse" : /^(faster|vanished)/.test(text) ? "better" : "";
      row.append(make("td", kind, text));
    }
    row.classList.toggle("chosen", step === flame.chosen);
    body.append(row);
  }
  at("tree").setAttribute("aria-pressed", asTree);
  at("more").hidden = all || rows.length <= few;
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
  pen.fillStyle = style.getPropertyValue("--error");
  traces.forEach((trace, i) => { if (i && trace[MARK] !== traces[i - 1][MARK]) pen.fillRect(i * column - 0.5, 0, 1, height); });
  pen.strokeStyle = style.getPropertyValue("--ink");
  pen.strokeRect(cell[0] * column, cell[1] * CELL, Math.max(column, 2), CELL - 1);
  const shown = traces.length < data.of ? `${traces.length} of the ${data.of} traces` : `${traces.length} trace${traces.length === 1 ? "" : "s"}`;
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
  flame.choose(hottest[cell[1]]);
};
at("heat").onkeydown = (event) => {
  const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (move) showCell(cell[0] + move[0], cell[1] + move[1]);
  else if (event.key === "Enter") flame.choose(hottest[cell[1]]);
  else return;
  event.preventDefault();
};

function show(each) {
  view = each;
  for (const button of at("views").children) button.setAttribute("aria-pressed", button.textContent === view.name);
  at("facts").textContent = view.facts;
  at("flame-note").textContent = view.note;
  drawRows();
  flame.choose(flame.chosen);
}

function theme() {
  switchTheme();
  drawHeat();
}

at("title").textContent = data.title;
const heads = make("tr");
heads.append(make("th", "name", data.step));
for (const head of data.heads) heads.append(make("th", "", head));
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
  row.append(make("td", "name", text), make("td", "", count), make("td", "", roots_), make("td", "", levels), examples);
  at("errors").append(row);
}
at("errors-part").hidden = !data.errors.length;
at("search").oninput = () => { found = at("search").value.trim().toLowerCase(); drawRows(); flame.draw(); };
at("tree").hidden = !depths.some(Boolean);
at("tree").onclick = () => { asTree = !asTree; drawRows(); };
at("more").onclick = () => { all = true; drawRows(); };
at("whole").onclick = flame.whole;
at("theme").onclick = theme;
document.onkeydown = (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.key === "Escape") { at("search").value = found = ""; flame.choose(-1, true); drawRows(); return; }
  if (event.target.tagName === "INPUT") return;
  if (event.key === "/") at("search").focus();
  else if (event.key === "0") flame.whole();
  else if (event.key === "t") theme();
  else return;
  event.preventDefault();
};
addEventListener("resize", drawHeat);
show(view);
if (view.rows.length) flame.choose(view.rows[0][0]);
drawHeat();
