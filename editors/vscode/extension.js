// Starts `runi lsp` for pipelines, and nothing else: all that the editor knows of the language, it is told by that process.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { LanguageClient } = require("vscode-languageclient/node");
const vscode = require("vscode");

let client;

// The runi that was said, else that of the folder's environment, else the one on the PATH.
function command() {
  const said = vscode.workspace.getConfiguration("runink").get("command");
  if (said) return said;
  for (const folder of vscode.workspace.workspaceFolders ?? []) {
    const own = path.join(folder.uri.fsPath, ".venv", "bin", "runi");
    if (fs.existsSync(own)) return own;
  }
  return "runi";
}

function activate() {
  client = new LanguageClient(
    "runink",
    "Runink",
    { command: command(), args: ["lsp"] },
    { documentSelector: [{ language: "runink" }] },
  );
  return client.start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
