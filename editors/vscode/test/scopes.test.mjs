// The colours of pipelines, as VS Code's own engine tells them: scopes/NAME.txt pins those of scopes/NAME.dsl, and those of the flights example.
// RUNINK_REWRITE=1 accepts what comes out now.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PINNED = path.join(HERE, "scopes");
const GRAMMAR = path.join(HERE, "../syntaxes/runink.tmLanguage.json");
const EXAMPLES = path.join(HERE, "../../../examples");

await oniguruma.loadWASM(fs.readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")));
const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  // SQL's grammar is the editor's own: what is pinned is that it is asked for, and where.
  loadGrammar: async (scope) =>
    scope === "source.runink"
      ? textmate.parseRawGrammar(fs.readFileSync(GRAMMAR, "utf8"), GRAMMAR)
      : null,
});
const grammar = await registry.loadGrammar("source.runink");

// Every line with its tokens below it: the text, and the scopes from the outermost in.
function scopes(text) {
  const told = [];
  let stack = textmate.INITIAL;
  for (const line of text.split("\n")) {
    const result = grammar.tokenizeLine(line, stack);
    stack = result.ruleStack;
    told.push(`> ${line}`.trimEnd());
    for (const token of result.tokens) {
      const piece = line.slice(token.startIndex, token.endIndex);
      const names = token.scopes.slice(1).map((name) => name.replace(/\.runink$/, ""));
      if (piece.trim()) told.push(`    ${piece.trim().padEnd(24)} ${names.join(" ")}`.trimEnd());
    }
  }
  return `${told.join("\n")}\n`;
}

function check(source, pinned) {
  const found = scopes(fs.readFileSync(source, "utf8"));
  if (process.env.RUNINK_REWRITE) fs.writeFileSync(pinned, found);
  assert.equal(found, fs.readFileSync(pinned, "utf8"));
  return found;
}

test("the flights example has the colours that are pinned, and no mistake", () => {
  const source = path.join(EXAMPLES, "flights/features/flights.dsl");
  const found = check(source, path.join(PINNED, "flights.txt"));
  assert.doesNotMatch(found, /invalid\.illegal/);
});

for (const name of fs.readdirSync(PINNED).filter((one) => one.endsWith(".dsl"))) {
  test(`${name} has the colours that are pinned`, () => {
    const source = path.join(PINNED, name);
    const found = check(source, source.replace(/\.dsl$/, ".txt"));
    assert.equal(/invalid\.illegal/.test(found), name.startsWith("wrong"));
  });
}

test("every example has no mistake", () => {
  const found = fs.globSync
    ? fs.globSync("*/features/*.dsl", { cwd: EXAMPLES })
    : fs.readdirSync(EXAMPLES).flatMap((project) => features(project));
  assert.ok(found.length > 0);
  for (const file of found) {
    const text = fs.readFileSync(path.join(EXAMPLES, file), "utf8");
    assert.doesNotMatch(scopes(text), /invalid\.illegal/, file);
  }
});

function features(project) {
  const folder = path.join(EXAMPLES, project, "features");
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return names.filter((name) => name.endsWith(".dsl")).map((name) => path.join(project, "features", name));
}

test("what the manifest names is there", () => {
  const root = path.join(HERE, "..");
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const { languages, grammars } = manifest.contributes;
  for (const one of [manifest.main, languages[0].configuration, grammars[0].path]) {
    assert.ok(fs.existsSync(path.join(root, one)), one);
  }
  assert.equal(grammars[0].scopeName, grammar._grammar.scopeName);
  JSON.parse(fs.readFileSync(path.join(root, languages[0].configuration), "utf8"));
});
