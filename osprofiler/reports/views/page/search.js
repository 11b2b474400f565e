// The search. A span is a hit if all words of the query are in it: word, "quoted text", or key=value for one field.
const TERM = /(?:([^\s"=]+)=)?(?:"([^"]*)"?|(\S+))/g;
let hits = [], hitSet = new Set();
let texts;  // all text of each row, in lower case; built by the first search

// [key, value] of everything that a span says. The key of a tag is tags.NAME, of an entry of info start.NAME.NAME.
function fields(row) {
  const pairs = [["operation", row[OP]], ["service", trace.services[row[PLACE]]], ["detail", row[ABOUT]]];
  if (row[ERROR]) pairs.push(["error", row[ERROR]]);
  if (row[STATUS]) pairs.push(["status", `${row[STATUS]}`], ["status", `${Math.floor(row[STATUS] / 100)}xx`]);
  const waiting = Object.entries(row[DETAILS]);
  while (waiting.length) {
    const [key, value] = waiting.pop();
    if (value !== null && typeof value === "object") for (const name of Object.keys(value)) waiting.push([`${key}.${name}`, value[name]]);
    else pairs.push([key, String(value)]);
  }
  return pairs;
}

const searchable = (row) => fields(row).map(([key, value]) => `${key}\n${value}`).join("\n").toLowerCase();

// A value matches as a whole. In a value without quotes, * stands for any text and ? for any character.
function pattern(value, quoted) {
  const plain = value.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const source = quoted ? plain.replace(/[*?]/g, "\\$&") : plain.replace(/\*/g, ".*").replace(/\?/g, ".");
  return new RegExp(`^${source}$`, "s");
}

// The terms of a query: functions that take a row's position.
function parsed(query) {
  return [...query.toLowerCase().matchAll(TERM)].map(([, key, quoted, word]) => {
    const value = quoted ?? word;
    if (key === undefined) return (i) => texts[i].includes(value);
    const wanted = pattern(value, quoted !== undefined), literal = `${key}=${value}`;
    const pieces = quoted === undefined ? value.split(/[*?]/) : [value];
    const hasField = (i) => fields(rows[i]).some(([name, text]) => {
      const lower = name.toLowerCase();
      return (lower === key || lower.endsWith(`.${key}`)) && wanted.test(text.toLowerCase());
    });
    // The text of a URL or a statement may hold key=value as it is.
    return (i) => quoted === undefined && texts[i].includes(literal) || pieces.every((piece) => texts[i].includes(piece)) && hasField(i);
  });
}

function find(query) {
  if (query.trim()) texts = texts || rows.map(searchable);
  const terms = parsed(query);
  hits = terms.length ? [...rows.keys()].filter((i) => terms.every((holds) => holds(i))) : [];
  hitSet = new Set(hits);
  at("hits").textContent = terms.length ? `${hits.length} found` : "";
}

// A query for the spans of a service, of an operation, or of both; undefined: any.
function queryFor(service, operation) {
  const terms = [];
  for (const [key, value] of [["service", service], ["operation", operation]]) {
    if (value === undefined) continue;
    // A quote cannot be written in quotes; a wildcard stands for it, and for a blank in that value.
    terms.push(value.includes('"') ? `${key}=${value.replace(/["\s]/g, "?")}` : `${key}="${value}"`);
  }
  return terms.join(" ");
}
