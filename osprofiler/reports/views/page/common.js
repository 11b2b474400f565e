// What the pages share: elements, texts of times, colours, the theme.
const at = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

// step: the smallest difference between two values that must give different texts.
const took = (us, step = Infinity) => {
  const digits = (unit, usual) => Math.max(Math.ceil(Math.log10(unit / step)), usual);
  if (us < 1e3) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(digits(1e3, 2))} ms`;
  if (us < 6e7) return `${(us / 1e6).toFixed(digits(1e6, 3))} s`;
  const places = digits(1e6, 0), rest = us % 6e7;
  return `${Math.floor(us / 6e7)} min ${(Math.floor(rest * 10 ** places / 1e6) / 10 ** places).toFixed(places)} s`;
};

// Steps of the golden ratio give neighbouring services different colours. Red is reserved for errors.
const hue = (service) => 30 + (0.63 + service * 0.618034) % 1 * 290;

function switchTheme() {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
}
