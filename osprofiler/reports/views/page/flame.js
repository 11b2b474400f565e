// A flame graph: the roots at the top, the width by time. Only frames that are wide enough to be seen are in the page.
const FRAME_PX = 22, LEAST_SHARE = 0.0008, MOST_FRAMES = 4000;

// above: the position of the step above each step, -1 for a root; a step comes after the one above it.
// show: the functions weights() (each step's own time), label(step), tone(step), missed(step), chose(step, zoomed).
function flameGraph(host, above, show) {
  const below = above.map(() => []), roots = [], depths = [];
  for (const [step, up] of above.entries()) {
    (up < 0 ? roots : below[up]).push(step);
    depths[step] = up < 0 ? 0 : depths[up] + 1;
  }
  const graph = {chosen: -1, zoomed: -1};

  // The time of each step with the steps below.
  graph.totals = () => {
    const totals = show.weights().slice();
    for (let step = above.length - 1; step >= 0; step--) if (above[step] >= 0) totals[above[step]] += totals[step];
    return totals;
  };

  // The frames in sight: [step, left, width], both as a share of the whole.
  function frames(totals) {
    const tops = graph.zoomed < 0 ? roots : [graph.zoomed], whole = tops.reduce((sum, top) => sum + totals[top], 0);
    const found = [], waiting = [];
    const lay = (steps, left) => { for (const step of steps) { waiting.push([step, left]); left += totals[step]; } };
    lay(tops, 0);
    while (whole && waiting.length && found.length < MOST_FRAMES) {
      const [step, left] = waiting.pop();
      if (totals[step] / whole < LEAST_SHARE) continue;
      found.push([step, left / whole, totals[step] / whole]);
      lay(below[step], left);
    }
    return found;
  }

  function frame([step, left, width], totals) {
    const box = make("div", "frame", show.label(step)), own = show.weights()[step];
    box.style.cssText = `left:${100 * left}%;width:${100 * width}%;top:${depths[step] * FRAME_PX}px;--tone:${show.tone(step)}`;
    box.dataset.step = step;
    box.id = `frame${step}`;
    box.title = `${show.label(step)}\n${took(totals[step])}, itself ${took(own)}`;
    box.setAttribute("role", "treeitem");
    box.setAttribute("aria-level", depths[step] + 1);
    box.setAttribute("aria-label", `${show.label(step)}, ${took(totals[step])}`);
    box.setAttribute("aria-selected", step === graph.chosen);
    box.classList.toggle("missed", show.missed(step));
    box.classList.toggle("chosen", step === graph.chosen);
    return box;
  }

  graph.draw = () => {
    const totals = graph.totals(), boxes = [];
    for (let up = graph.zoomed < 0 ? -1 : above[graph.zoomed]; up >= 0; up = above[up]) {
      boxes.push(frame([up, 0, 1], totals));
      boxes.at(-1).classList.add("above");
    }
    let deepest = 0;
    for (const each of frames(totals)) {
      boxes.push(frame(each, totals));
      deepest = Math.max(deepest, depths[each[0]]);
    }
    host.replaceChildren(...boxes);
    host.style.height = `${(deepest + 1) * FRAME_PX}px`;
    if (at(`frame${graph.chosen}`)) host.setAttribute("aria-activedescendant", `frame${graph.chosen}`);
    else host.removeAttribute("aria-activedescendant");
  };

  graph.choose = (step, zoom = false) => {
    graph.chosen = step;
    if (zoom) graph.zoomed = step;
    graph.draw();
    show.chose(step);
  };

  graph.whole = () => {
    graph.zoomed = -1;
    graph.draw();
  };

  host.onclick = (event) => {
    const box = event.target.closest(".frame");
    if (box) graph.choose(Number(box.dataset.step), true);
  };
  host.onkeydown = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const totals = graph.totals(), {chosen} = graph, seen = (steps) => steps.filter((step) => totals[step] > 0);
    const beside = seen(chosen < 0 || above[chosen] < 0 ? roots : below[above[chosen]]);
    const next = {
      ArrowDown: () => seen(chosen < 0 ? roots : below[chosen])[0],
      ArrowUp: () => above[chosen],
      ArrowRight: () => beside[beside.indexOf(chosen) + 1],
      ArrowLeft: () => beside[beside.indexOf(chosen) - 1],
    }[event.key];
    if (next) {
      const step = next();
      if (step !== undefined && step >= 0) graph.choose(step);
    } else if (event.key === "Enter" && chosen >= 0) graph.choose(chosen, true);
    else return;
    event.preventDefault();
  };
  return graph;
}
