// SPDX-License-Identifier: Apache-2.0
// Lints the scripts of each page as the browser gets them: one after the other, in one scope. Prints
// file:line:column for each finding; the exit status is 1 where there is one.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import js from "@eslint/js";
import { ESLint } from "eslint";

const root = fileURLToPath(new URL("../../", import.meta.url));
const views = `${root}osprofiler/reports/views/`;
const scriptsOf = (page) => readFileSync(`${views}${page}`, "utf8").match(/^_SCRIPTS = \(([^)]*)\)/m)[1].match(/[\w.]+(?=")/g);
const browser = ["addEventListener", "devicePixelRatio", "clearTimeout", "document", "getComputedStyle", "history", "location", "matchMedia", "navigator", "Node", "requestAnimationFrame", "ResizeObserver", "setTimeout", "URL", "URLSearchParams", "window"];

const eslint = new ESLint({
  overrideConfigFile: true,
  overrideConfig: [js.configs.recommended, {
    languageOptions: { sourceType: "script", ecmaVersion: 2022, globals: Object.fromEntries(browser.map((name) => [name, "readonly"])) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "eqeqeq": "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-restricted-properties": ["error",
        { property: "innerHTML", message: "a span's text is no HTML: use textContent" },
        { property: "outerHTML", message: "a span's text is no HTML: use textContent" },
        { property: "insertAdjacentHTML", message: "a span's text is no HTML: use append" }],
    },
  }],
});

const findings = new Set();
for (const page of ["html.py", "set_html.py"]) {
  const lines = [];
  for (const file of scriptsOf(page)) {
    readFileSync(`${views}page/${file}`, "utf8").split("\n").forEach((text, i) => lines.push({ text, place: `${file}:${i + 1}` }));
  }
  const [{ messages }] = await eslint.lintText(lines.map((line) => line.text).join("\n"), { filePath: "page.js" });
  for (const { line, column, message, ruleId } of messages) {
    findings.add(`osprofiler/reports/views/page/${lines[line - 1].place}:${column}: ${message} (${ruleId})`);
  }
}
for (const finding of findings) console.log(finding);
process.exitCode = findings.size ? 1 : 0;
