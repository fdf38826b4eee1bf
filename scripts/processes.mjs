//! Programs that scripts start: to their end, or until they are stopped.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

/** Milliseconds until what was started has to answer. */
const PATIENCE = 30_000;

/** Runs a command to its end; what it printed is shown if it fails. */
export function run(command, args, cwd, env) {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => (output += bytes));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', code => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output}`));
    });
  });
}

/** Starts a command that stays. `stop` ends it with what it started: npm's runners start others. */
export function serve(command, args, cwd, env) {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const exited = new Promise(resolve => child.once('exit', resolve));
  const server = { output: '', over: false };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => (server.output += bytes));
  for (const event of ['error', 'exit']) child.once(event, () => (server.over = true));
  server.stop = async () => {
    if (!server.over) process.kill(-child.pid, 'SIGTERM');
    await exited;
  };
  return server;
}

/** Asks until there is an answer. */
export async function until(server, ask) {
  for (const deadline = performance.now() + PATIENCE; performance.now() < deadline && !server.over; ) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error(`It does not answer:\n${server.output}`);
}

/** A port that is free now. The server has to know the pages' origins before they are served. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
