#!/usr/bin/env node
// Writes abi/<Contract>.json, {"abi", "bytecode"}, for every deployable contract: what the Rust bindings are made of.
//
//   node tools/export-abi.mjs            builds and writes
//   node tools/export-abi.mjs --check    builds, compares, writes nothing; exit status 1 on any difference
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { POLICIES, fail, forge } from './forge.mjs';

// EIP-170: the largest code a chain accepts.
const DEPLOYED_BYTES_MAX = 24_576;
// The folders of src/ whose files hold one deployable contract each, named as the file.
const DEPLOYABLE = ['governance', 'registries', 'settlement', 'verification'];

const check = process.argv.includes('--check');
const target = join(POLICIES, 'abi');

forge('build', '--quiet', '--skip', 'test', '--skip', 'script');
const wanted = new Map(deployable().map((name) => [`${name}.json`, artifact(name)]));
const differing = check ? differences(wanted) : write(wanted);
if (check && differing.length > 0) {
  fail(`abi/ is not what src/ compiles to: ${differing.join(', ')}. Run \`node tools/export-abi.mjs\` and commit.`);
}
process.stdout.write(`abi/: ${wanted.size} contracts ${check ? 'as compiled' : 'written'}\n`);

function deployable() {
  return DEPLOYABLE.flatMap((folder) => readdirSync(join(POLICIES, 'src', folder)))
    .filter((file) => file.endsWith('.sol'))
    .map((file) => basename(file, '.sol'))
    .sort();
}

function artifact(name) {
  const { abi, bytecode, deployedBytecode } = JSON.parse(
    readFileSync(join(POLICIES, 'out', `${name}.sol`, `${name}.json`), 'utf8'),
  );
  if (!/^0x(?:[0-9a-f]{2})+$/.test(bytecode.object)) fail(`${name} has no linked bytecode`);
  const deployedBytes = deployedBytecode.object.length / 2 - 1;
  if (deployedBytes > DEPLOYED_BYTES_MAX) fail(`${name} has ${deployedBytes} bytes of code, over ${DEPLOYED_BYTES_MAX}`);
  return `${JSON.stringify({ abi, bytecode: bytecode.object }, null, 1)}\n`;
}

function differences(wanted) {
  const missing = [...wanted].filter(([file, text]) => !existsSync(join(target, file))
    || readFileSync(join(target, file), 'utf8') !== text).map(([file]) => file);
  return [...missing, ...strangers(wanted)];
}

function write(wanted) {
  mkdirSync(target, { recursive: true });
  for (const file of strangers(wanted)) rmSync(join(target, file));
  for (const [file, text] of wanted) writeFileSync(join(target, file), text);
  return [];
}

function strangers(wanted) {
  return existsSync(target) ? readdirSync(target).filter((file) => !wanted.has(file)) : [];
}
