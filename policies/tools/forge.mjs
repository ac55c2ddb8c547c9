// Runs the forge of the npm package for this platform, which is the program itself and no launcher.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

export const POLICIES = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs forge in the policies folder and ends the process with its exit status if it fails. */
export function forge(...args) {
  const binary = join(POLICIES, 'node_modules/@foundry-rs/forge-linux-amd64/bin/forge');
  if (!existsSync(binary)) fail(`no forge at ${binary}: run \`npm ci\` in ${POLICIES} first`);
  const run = spawnSync(binary, args, { cwd: POLICIES, stdio: ['ignore', 'ignore', 'inherit'] });
  if (run.error) fail(`forge did not start: ${run.error.message}`);
  if (run.status !== 0) process.exit(run.status ?? 1);
}

/** Prints one line on standard error and ends the process. */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
