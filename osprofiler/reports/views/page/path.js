// The critical path, drawn on the bars of its spans.
const SVG = at("svg").namespaceURI;
const PATHS = Object.entries(trace.paths);  // [name, [[row, from, to, waiting], ...] by time]
let pathShown = PATHS.length ? 0 : -1;      // position in PATHS; -1: no path is drawn
let onPath = new Map();                     // row -> its sections of the path shown

function choosePath(which) {
  pathShown = which < PATHS.length ? which : -1;
  onPath = new Map();
  if (pathShown >= 0) {
    for (const part of PATHS[pathShown][1]) {
      if (!onPath.has(part[0])) onPath.set(part[0], []);
      onPath.get(part[0]).push(part);
    }
  }
  const button = at("path");
  button.textContent = `Critical path: ${pathShown < 0 ? "off" : PATHS[pathShown][0]}`;
  button.setAttribute("aria-pressed", pathShown >= 0);
}

// One element for all sections in a row. Sections less than a pixel apart are drawn as one line.
function drawPath(i) {
  const parts = onPath.get(i);
  if (!parts) return null;
  const scale = laneWidth / (to - from);
  const lines = {false: [], true: []};
  for (const [, begin, finish, waiting] of parts) {
    const a = Math.max((begin - from) * scale, 0), b = Math.min((finish - from) * scale, laneWidth);
    if (b < 0 || a > laneWidth) continue;
    const drawn = lines[Boolean(waiting)], last = drawn.at(-1);
    if (last && a - last[1] < 1) last[1] = Math.max(b, last[1] + 0.01);
    else drawn.push([a, Math.max(b, a + 1)]);
  }
  if (!lines.true.length && !lines.false.length) return null;
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "path");
  picture.setAttribute("viewBox", `0 0 ${laneWidth} 4`);
  picture.setAttribute("preserveAspectRatio", "none");
  for (const [waiting, drawn] of Object.entries(lines)) {
    if (!drawn.length) continue;
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", drawn.map(([a, b]) => `M${a.toFixed(1)} 2H${b.toFixed(1)}`).join(""));
    if (waiting === "true") line.setAttribute("class", "waiting");
    picture.append(line);
  }
  return picture;
}

const pathTime = (i) => (onPath.get(i) || []).reduce((sum, [, begin, finish]) => sum + finish - begin, 0);
