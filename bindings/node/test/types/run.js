'use strict';

// Checks index.d.ts and index.d.mts with TypeScript, which is installed here if it is not there: node test/types/run.js
//
//   the programs for ropeway        with our types
//   the constructs of @types/ws     with the types of npm's ws and with ours, which must both take them
//   the names of @types/ws          each is in ours

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const root = path.join(__dirname, '..', '..');

// By the extension of a program, the types that it gets.
const TYPES = {
  '.cts': { ropeway: path.join(root, 'index.d.ts'), ws: path.join(__dirname, 'node_modules/@types/ws/index.d.ts') },
  '.mts': { ropeway: path.join(root, 'index.d.mts'), ws: path.join(__dirname, 'node_modules/@types/ws/index.d.mts') }
};

// Each program, and the types that it gets as `ws`. Those for ropeway take it by its package's name, so that its `exports` decide.
const PROGRAMS = [
  ['required.cts', null],
  ['imported.mts', null],
  ['constructs.cts', 'ws'],
  ['constructs.cts', 'ropeway'],
  ['constructs.mts', 'ws'],
  ['constructs.mts', 'ropeway']
];

function install() {
  const isThere = ['typescript', '@types/node', '@types/ws'].every((name) => fs.existsSync(path.join(__dirname, 'node_modules', name)));
  if (!isThere) {
    const { status, error } = spawnSync(npm, ['install', '--no-audit', '--no-fund'], {
      cwd: __dirname, stdio: 'inherit', timeout: 5 * 60 * 1000, shell: process.platform === 'win32'
    });
    if (status !== 0) throw new Error(`TypeScript cannot be installed: ${error ? error.message : 'the messages are above'}`);
  }
  const link = path.join(__dirname, 'node_modules', 'ropeway');
  if (!fs.existsSync(link)) fs.symlinkSync(root, link, 'junction');
}

/** The messages of TypeScript about a program. */
function messages(ts, file, types) {
  const options = {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    noEmit: true,
    types: ['node'],
    preserveSymlinks: true,
    ...(types && { paths: { ws: [TYPES[path.extname(file)][types]] } })
  };
  const host = ts.createCompilerHost(options);
  host.getCurrentDirectory = () => __dirname;
  const program = ts.createProgram([path.join(__dirname, file)], options, host);
  const found = ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), {
    getCanonicalFileName: (name) => name, getCurrentDirectory: () => __dirname, getNewLine: () => '\n'
  });
  return { found, program };
}

/** The names of @types/ws that a module of ours lacks, with members and parameters behind a dot. */
function missing(ts, extension) {
  const theirs = namesOf(ts, TYPES[extension].ws);
  const ours = namesOf(ts, TYPES[extension].ropeway);
  if (theirs.size < 150) throw new Error(`only ${theirs.size} names were found in @types/ws`);
  return { count: theirs.size, lacks: [...theirs].filter((name) => !ours.has(name)) };
}

function namesOf(ts, file) {
  const program = ts.createProgram([file], { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, types: ['node'] });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const names = new Set();

  // Members that the declarations of Node have are not these packages' own.
  const isOwn = (symbol) => (symbol.declarations || []).some((one) => one.getSourceFile() === source);
  const add = (name, symbol, depth) => {
    names.add(name);
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    if (depth === 0) return;
    for (const member of symbol.exports ? checker.getExportsOfModule(symbol) : []) if (member !== symbol) add(`${name}.${member.name}`, member, depth - 1);
    const types = [];
    if (symbol.flags & ts.SymbolFlags.Type) types.push(checker.getDeclaredTypeOfSymbol(symbol));
    if (symbol.flags & ts.SymbolFlags.Value) types.push(checker.getTypeOfSymbol(symbol));
    for (const type of types) {
      for (const property of type.getProperties()) if (isOwn(property)) names.add(`${name}.${property.name}`);
      for (const [kind, signatures] of [['()', type.getCallSignatures()], ['new', type.getConstructSignatures()]]) {
        if (signatures.length > 0) names.add(`${name} ${kind} of ${Math.max(...signatures.map(({ parameters }) => parameters.length))}`);
      }
    }
  };
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) add(symbol.name, symbol, 2);
  return names;
}

function main() {
  install();
  const ts = require(path.join(__dirname, 'node_modules', 'typescript'));
  let isRight = true;
  for (const [file, types] of PROGRAMS) {
    const { found } = messages(ts, file, types);
    if (found === '') continue;
    isRight = false;
    console.log(`${file}${types ? `, with the types of ${types}` : ''}:\n${found}`);
  }
  for (const extension of Object.keys(TYPES)) {
    const { count, lacks } = missing(ts, extension);
    console.log(`${count} names of @types/ws are looked for in ${path.basename(TYPES[extension].ropeway)}; it lacks ${lacks.length}.`);
    for (const name of lacks) console.log(`  ${name}`);
    if (lacks.length > 0) isRight = false;
  }
  console.log(isRight ? 'The types are right.' : 'The types are wrong: the messages are above.');
  process.exitCode = isRight ? 0 : 1;
}

main();
