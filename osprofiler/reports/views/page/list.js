// A long list of rows of equal height. Only the rows in sight are in the page.
const ROW_PX = 26, SPARE_ROWS = 4, PRINTED_ROWS = 2000;
let printing = false;

// rowOf(i): the element of the row at position i of the trace.
function rowList(scroll, sheet, rowOf) {
  const list = {order: [], place: new Map()};  // positions in rows, from the top; position in rows -> position in order
  let drawn = [], top = 0;                     // the elements in the page, and the position in order of the first one

  list.arrange = (order) => {
    list.order = order;
    list.place = new Map(order.map((row, line) => [row, line]));
    sheet.replaceChildren();  // old rows further down would keep the sheet too long
    sheet.style.height = `${order.length * ROW_PX}px`;
    list.draw();
  };

  function element(line) {
    const made = rowOf(list.order[line]);
    made.style.top = `${line * ROW_PX}px`;
    return made;
  }
  const elements = (first, past) => Array.from({length: past - first}, (_, i) => element(first + i));

  function range() {
    const spare = printing ? 0 : SPARE_ROWS;
    const first = printing ? 0 : Math.max(Math.floor(scroll.scrollTop / ROW_PX) - spare, 0);
    const count = printing ? PRINTED_ROWS : Math.min(Math.ceil(scroll.clientHeight / ROW_PX) + 2 * spare, PRINTED_ROWS);
    return [Math.min(first, list.order.length), Math.min(first + count, list.order.length)];
  }

  // Draw all rows in sight anew.
  list.draw = () => {
    const [first, past] = range();
    drawn = elements(first, past);
    top = first;
    sheet.replaceChildren(...drawn);
    const left = list.order.length - PRINTED_ROWS;
    at("unprinted").textContent = printing && left > 0 ? `Printed: the first ${PRINTED_ROWS} of ${list.order.length} rows. Collapse parts to print others.` : "";
    const active = drawn.find((each) => each.dataset.row === String(chosen));
    if (active) scroll.setAttribute("aria-activedescendant", active.id);
    else scroll.removeAttribute("aria-activedescendant");
  };

  // Draw the rows that scrolling has brought into sight; the others stay as they are.
  list.scrolled = () => {
    const [first, past] = range(), end = top + drawn.length;
    if (first >= end || past <= top) { list.draw(); return; }
    for (const gone of drawn.splice(0, Math.max(first - top, 0))) gone.remove();
    top = Math.max(top, first);
    for (const gone of drawn.splice(Math.max(past - top, 0))) gone.remove();
    const before = elements(first, top), after = elements(top + drawn.length, Math.max(past, top + drawn.length));
    sheet.prepend(...before);
    sheet.append(...after);
    drawn = [...before, ...drawn, ...after];
    top = first;
  };

  // Scroll until row i is in sight.
  list.show = (i) => {
    const line = list.place.get(i);
    if (line === undefined) return;
    const upper = line * ROW_PX;
    if (upper < scroll.scrollTop) scroll.scrollTop = upper;
    if (upper + ROW_PX > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = upper + ROW_PX - scroll.clientHeight;
  };

  // The row that lies *by* rows below the chosen one; undefined in an empty list.
  list.beside = (by) => list.order[Math.max(Math.min((list.place.get(chosen) ?? -1) + by, list.order.length - 1), 0)];
  list.pageRows = () => Math.max(Math.floor(scroll.clientHeight / ROW_PX) - 1, 1);

  scroll.addEventListener("scroll", inNextFrame(list.scrolled));
  return list;
}

// Calls *act* once in the next frame, with the arguments of the last call, however often it is called until then.
function inNextFrame(act) {
  let waiting = null;
  return (...given) => {
    if (!waiting) requestAnimationFrame(() => { const latest = waiting; waiting = null; act(...latest); });
    waiting = given;
  };
}
