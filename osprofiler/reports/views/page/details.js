// The chosen span, its details, and links to the spans that it references.
function choose(i, open) {
  if (i === undefined) return;
  chosen = i;
  if (open || !details.hidden) showDetails(i);  // first, since it makes the list of rows smaller
  showChosen();
  remember();
}

// Expand the ancestors of a span, and go to it.
function reveal(i, open) {
  let hidden = false;
  for (let up = parent(i); up >= 0; up = parent(up)) hidden = folded.delete(up) || hidden;
  if (hidden) arrange();
  choose(i, open);
}

function section(title, pairs) {
  const part = make("section"), table = make("table");
  for (const [key, value] of pairs) {
    const line = make("tr"), cell = make("td");
    cell.append(value instanceof Node ? value : words(value));
    line.append(make("td", "", visible(key)), cell);
    table.append(line);
  }
  part.append(make("h3", "", title), table);
  return part;
}

function showDetails(i) {
  const row = rows[i], more = row[DETAILS], parts = make("div", "parts");
  const close = make("button", "close", "✕");
  close.title = "Close (Esc)";
  close.setAttribute("aria-label", "Close");
  close.onclick = hideDetails;
  const copy = make("button", "", "Copy link");
  copy.title = "Copy the link to this span (y)";
  copy.onclick = copyLink;
  const locate = make("button", "", "To its row");
  locate.title = "Show the span in the timeline";
  locate.hidden = view === "timeline";
  locate.onclick = () => { showView("timeline"); reveal(i, true); };
  const links = make("div", "links");
  links.append(copy, locate);
  const length = row[FLAGS] & UNFINISHED ? "" : lasted(row), own = row[SIZE] > 1 ? `itself ${took(row[SELF])}` : "";
  const critical = pathTime(i) ? `${took(pathTime(i))} on the critical path` : "";
  const state = [`at ${took(row[START])}`, length, own, critical, trace.services[row[PLACE]], ...[...badges(row)].map((badge) => badge[1])];
  const answer = row[STATUS] ? [["HTTP status", String(row[STATUS])]] : [];
  parts.append(section("Span", [...Object.entries(more.span), ...answer]));
  if (more.start) parts.append(section("Start", Object.entries(more.start)));
  if (more.stop) parts.append(section("Stop", Object.entries(more.stop)));
  if (more.tags) parts.append(section("Tags", Object.entries(more.tags)));
  if (more.links || more.reference) parts.append(section("References", references(i, more)));
  if (more.logs) parts.append(section("Logs", more.logs.map(([us, fields]) => [`+${took(us)}`, logText(fields)])));
  details.replaceChildren(close, make("h2", "", called(row)), make("p", "", state.filter(Boolean).join(" · ")), links, parts);
  details.hidden = false;
  details.scrollTop = 0;
}

const logText = (fields) => Object.entries(fields).map(([key, value]) => `${visible(key)}: ${words(value)}`).join("\n");

function references(i, more) {
  const pairs = [];
  if (more.reference) pairs.push([more.reference, jump(parentRow(i), more.span["parent id"])]);
  for (const [kind, target, , id] of more.links || []) pairs.push([`joins (${kind})`, jump(target, id)]);
  return pairs;
}

const parentRow = (i) => rows[i][DEPTH] ? parent(i) : -1;

function jump(target, id) {
  if (target < 0) return document.createTextNode(`${visible(id)} (not in this trace)`);
  const link = make("a", "", called(rows[target]));
  link.tabIndex = 0;
  link.setAttribute("role", "link");
  link.onclick = () => reveal(target, true);
  link.onkeydown = (event) => { if (event.key === "Enter") reveal(target, true); };
  return link;
}

function hideDetails() {
  details.hidden = true;
  at("help").hidden = true;
  focusView();
  showChosen();
}

// The address of this page, with the chosen span, into the clipboard.
async function copyLink() {
  if (chosen < 0) return;
  const link = new URL(`#${fragment()}`, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    announce("Link copied");
  } catch {  // no permission, or a page that was loaded over plain HTTP
    announce("The browser permits no copying: copy the address of this page, it leads to the span");
  }
}
