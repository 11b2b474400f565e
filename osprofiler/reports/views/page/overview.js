// A small picture of the whole trace, with one line for each span in the order of the tree, and the time range in view.
const MOST_TICKS = 5, LETTER_PX = 9, LEAST_US = 5;  // LEAST_US: in a shorter range, the ticks would have equal texts
const overview = at("overview");
let backdrop = null, backdropOf = "";  // the picture of the spans, and what it was drawn for: size and theme

function ruler() {
  const letters = took(to, (to - from) / MOST_TICKS).length, room = Math.floor(at("ticks").clientWidth / (letters * LETTER_PX));
  const count = Math.max(Math.min(room, MOST_TICKS, to - from), 1), step = (to - from) / count;
  const ticks = Array.from({length: count}, (_, i) => {
    const us = Math.round(from + step * i), tick = make("span", "", took(us, step));
    tick.style.left = `${(us - from) / (to - from) * 100}%`;
    return tick;
  });
  at("ticks").replaceChildren(...ticks);
}

function drawBackdrop(width, height, ratio, style) {
  backdrop = make("canvas");
  backdrop.width = Math.max(width * ratio, 1);
  backdrop.height = Math.max(height * ratio, 1);
  const pen = backdrop.getContext("2d");
  const error = style.getPropertyValue("--error").trim(), open = style.getPropertyValue("--open").trim();
  const tones = trace.services.map((_, i) => `hsl(${hue(i)} 58% 55%)`);
  pen.scale(ratio, ratio);
  const step = Math.max((height - 8) / rows.length, 1e-4), thick = Math.max(Math.min(step * 0.8, 6), 1);
  rows.forEach((row, i) => {
    pen.fillStyle = row[ERROR] ? error : row[FLAGS] & UNFINISHED ? open : tones[row[PLACE]];
    const left = Math.min(row[START] / total * width, width - 1);
    pen.fillRect(left, 4 + i * step, Math.max((end(row) - row[START]) / total * width, 1), thick);
  });
}

function sketch(select) {
  const ratio = window.devicePixelRatio || 1, width = overview.clientWidth, height = overview.clientHeight;
  const style = getComputedStyle(document.documentElement), wanted = [width, height, ratio, style.getPropertyValue("--error")].join();
  if (backdropOf !== wanted) drawBackdrop(width, height, ratio, style);
  backdropOf = wanted;
  overview.width = backdrop.width;
  overview.height = backdrop.height;
  const pen = overview.getContext("2d");
  pen.drawImage(backdrop, 0, 0);
  pen.scale(ratio, ratio);
  const [a, b] = select || [from, to];
  pen.fillStyle = style.getPropertyValue("--soft").trim();
  pen.globalAlpha = 0.28;
  pen.fillRect(0, 0, a / total * width, height);
  pen.fillRect(b / total * width, 0, width, height);
}

function redraw() {
  laneWidth = Math.max(at("ticks").clientWidth, 1);
  ruler();
  sketch();
  timeline.draw();
}

// Show the time from a to b, in whole microseconds, as in the records.
function zoom(a, b) {
  const least = Math.min(LEAST_US, total);
  from = Math.max(Math.min(Math.floor(Math.min(a, b)), total - least), 0);
  to = Math.min(Math.max(Math.ceil(Math.max(a, b)), from + least), total);
  at("whole").hidden = from === 0 && to === total;
  ruler();
  sketch();
  timeline.draw();
}

function zoomOut() {
  zoom(0, total);
}

// Zoom by *factor*. The time *fixed* keeps its place: by default the middle of the chosen span, or of the view.
function zoomBy(factor, fixed) {
  if (factor < 1 && to - from <= LEAST_US) return;
  const middle = fixed ?? (chosen < 0 ? (from + to) / 2 : Math.min(Math.max((rows[chosen][START] + end(rows[chosen])) / 2, from), to));
  zoom(middle - (middle - from) * factor, middle + (to - middle) * factor);
}

// Move the view by *us*, and keep its length.
function pan(us) {
  const length = to - from, begin = Math.max(Math.min(Math.round(from + us), total - length), 0);
  if (begin !== from) zoom(begin, begin + length);
}

const instant = (event) => (event.clientX - overview.getBoundingClientRect().left) / overview.clientWidth * total;
let grabbed = null;
overview.addEventListener("pointerdown", (event) => { grabbed = instant(event); overview.setPointerCapture(event.pointerId); });
overview.addEventListener("pointermove", (event) => {
  if (grabbed !== null) sketch([Math.min(grabbed, instant(event)), Math.max(grabbed, instant(event))]);
});
overview.addEventListener("pointerup", (event) => {
  const began = grabbed;
  grabbed = null;
  // A click, without dragging, does not choose a range.
  if (began !== null && Math.abs(instant(event) - began) > total / overview.clientWidth * 3) zoom(began, instant(event)); else sketch();
});
overview.addEventListener("dblclick", zoomOut);
