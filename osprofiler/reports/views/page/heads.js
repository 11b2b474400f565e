// Heads of a table that sort it. A click on the head that sorts turns the order round.

// columns: each has a name, value(item) to sort by, and text: whether it is text, which sorts upwards first.
// Returns {elements, sorted(items)}; changed() is called when the order changes.
function sortHeads(tag, columns, first, changed) {
  let by = first, up = columns[first].text || false;
  const elements = columns.map((column, i) => {
    const cell = make(tag, `head head-${column.name}`), button = make("button", "", column.name);
    if (tag !== "th") cell.setAttribute("role", "columnheader");
    button.setAttribute("aria-label", `Sort by ${column.name}`);
    button.onclick = () => {
      up = by === i ? !up : column.text || false;
      by = i;
      mark();
      changed();
      announce(`Sorted by ${column.name}, ${up ? "ascending" : "descending"}`);
    };
    cell.append(button);
    return cell;
  });

  function mark() {
    elements.forEach((cell, i) => cell.setAttribute("aria-sort", i !== by ? "none" : up ? "ascending" : "descending"));
  }

  function sorted(items) {
    const {value, text} = columns[by], sign = up ? 1 : -1;
    const keyed = items.map((item, i) => [value(item), i, item]);
    const compare = text ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
    keyed.sort((one, other) => sign * compare(one[0], other[0]) || one[1] - other[1]);
    return keyed.map((each) => each[2]);
  }
  mark();
  return {elements, sorted};
}
