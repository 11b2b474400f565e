// Moving and zooming the time axis by mouse, wheel, touchpad and touch: on the lanes of the rows, and on the ruler.
const DRAG_PX = 4, WHEEL_ZOOM = 0.002;
const fingers = new Map();            // pointer that is down on a lane -> its latest x
let dragged = false;                  // whether a pointer has moved so far that it is no click
let moved = 0, factor = 1, fixed = 0;  // since the last frame: pixels to move by, the zoom, and the x that keeps its time

const timeAt = (x) => from + (x - at("ticks").getBoundingClientRect().left) / laneWidth * (to - from);

const follow = inNextFrame(() => {
  if (factor !== 1) zoomBy(factor, timeAt(fixed));
  if (moved) pan(-moved / laneWidth * (to - from));
  moved = 0;
  factor = 1;
});

function press(event) {
  dragged = false;
  if (event.button === 0 && event.target.closest(".lane")) fingers.set(event.pointerId, event.clientX);
}

function drag(event) {
  const before = fingers.get(event.pointerId), x = event.clientX;
  if (before === undefined || !dragged && Math.abs(x - before) < DRAG_PX) return;
  if (!dragged) event.currentTarget.setPointerCapture(event.pointerId);
  dragged = true;
  fingers.set(event.pointerId, x);
  const other = [...fingers].find(([pointer]) => pointer !== event.pointerId);
  if (other) {
    fixed = other[1];
    factor *= Math.max(Math.abs(before - fixed), 1) / Math.max(Math.abs(x - fixed), 1);
  } else moved += x - before;
  follow();
}

function wheel(event) {
  if (event.ctrlKey) {  // also two fingers on a touchpad
    fixed = event.clientX;
    factor *= Math.exp(event.deltaY * WHEEL_ZOOM);
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) moved -= event.deltaX || event.deltaY;
  else return;
  event.preventDefault();
  follow();
}

for (const area of [at("scroll"), at("ruler")]) {
  area.addEventListener("pointerdown", press);
  area.addEventListener("pointermove", drag);
  area.addEventListener("wheel", wheel, {passive: false});
  // The end of a drag is no click on a row.
  area.addEventListener("click", (event) => { if (dragged) event.stopPropagation(); dragged = false; }, {capture: true});
}
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, (event) => fingers.delete(event.pointerId));
