// The width of the names, in percent: dragged with mouse or finger, or set by keys.
const LEAST_NAME = 15, MOST_NAME = 85, NAME_STEP = 2;
const split = at("split");
const nameWidth = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--name"));

function setNameWidth(percent) {
  const width = Math.min(Math.max(Math.round(percent), LEAST_NAME), MOST_NAME);
  document.documentElement.style.setProperty("--name", `${width}%`);
  split.setAttribute("aria-valuenow", width);
  drawView();
}

function resetNameWidth() {
  document.documentElement.style.removeProperty("--name");
  split.setAttribute("aria-valuenow", nameWidth());
  drawView();
}

const widen = (by) => setNameWidth(nameWidth() + by);
const dragSplit = inNextFrame((x) => {
  const box = at("ruler").getBoundingClientRect();
  setNameWidth(100 * (x - box.left) / at("ruler").clientWidth);
});

split.addEventListener("pointerdown", (event) => split.setPointerCapture(event.pointerId));
split.addEventListener("pointermove", (event) => { if (split.hasPointerCapture(event.pointerId)) dragSplit(event.clientX); });
split.addEventListener("dblclick", resetNameWidth);
split.addEventListener("keydown", (event) => {
  const act = {
    ArrowLeft: () => widen(-NAME_STEP), ArrowRight: () => widen(NAME_STEP),
    Home: () => setNameWidth(LEAST_NAME), End: () => setNameWidth(MOST_NAME), Enter: resetNameWidth,
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
split.setAttribute("aria-valuenow", nameWidth());
