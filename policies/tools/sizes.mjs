#!/usr/bin/env node
// Writes snapshots/Sizes.json, the bytes of deployed code of every contract in src/, so that growth shows in the diff.
//
//   node tools/sizes.mjs            builds and writes
//   node tools/sizes.mjs --check    builds, compares, writes nothing; exit status 1 on any difference
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { POLICIES, fail, forge } from './forge.mjs';

// The folders of src/ whose files hold one deployable contract each, named as the file.
const DEPLOYABLE = ['governance', 'registries', 'settlement', 'verification'];
// EIP-170: the largest code a chain accepts.
const DEPLOYED_BYTES_MAX = 24_576;
const SNAPSHOT = join(POLICIES, 'snapshots/Sizes.json');

forge('build', '--quiet', '--skip', 'test', '--skip', 'script');
const sizes = Object.fromEntries(DEPLOYABLE.flatMap((folder) => readdirSync(join(POLICIES, 'src', folder)))
  .map((file) => basename(file, '.sol')).sort().map((name) => [name, deployedBytes(name)]));
for (const [name, bytes] of Object.entries(sizes)) {
  if (bytes > DEPLOYED_BYTES_MAX) fail(`${name} has ${bytes} bytes of code; a chain accepts ${DEPLOYED_BYTES_MAX}`);
}
const text = `${JSON.stringify(sizes, null, 2)}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(SNAPSHOT, text);
} else if (readFileSync(SNAPSHOT, 'utf8') !== text) {
  fail('the code sizes are not those of snapshots/Sizes.json: run tools/sizes.mjs and commit');
}

function deployedBytes(name) {
  const { deployedBytecode } = JSON.parse(readFileSync(join(POLICIES, 'out', `${name}.sol`, `${name}.json`), 'utf8'));
  return deployedBytecode.object.length / 2 - 1;
}
