//! Runs the public suite of Durable Streams and prints what passed.
//!
//!   node scripts/durable-streams/run.mjs BINARY        against a server of this binary, on SQLite
//!   node scripts/durable-streams/run.mjs URL [URL …]   against servers that run, each request to the next one in turn
//!
//! Ends with 1 unless all of the suite's tests passed. The suite speaks to an open mount: `--auth dev`, which listens on the
//! loopback interface alone, and a page of https://example.com may ask.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How many tests the pinned suite has. */
const TESTS = 338;
const here = dirname(fileURLToPath(import.meta.url));
const say = line => process.stdout.write(`${line}\n`);
const scratch = mkdtempSync(join(tmpdir(), 'threadmill-streams-'));

/** Starts a server; resolves to its address once it says that it listens. */
function serve(binary) {
  const config = join(scratch, 'threadmill.toml');
  writeFileSync(config, '[limits]\nstream_wait_seconds = 1\n');
  const words = ['serve', '--no-sample', '--config', config, '--listen', '127.0.0.1:0'];
  const more = ['--data', join(scratch, 'data'), '--allow-origin', 'https://example.com'];
  const server = spawn(binary, [...words, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  const address = new Promise((resolve, reject) => {
    let said = '';
    const hear = data => {
      said += data;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
      if (found) resolve(found[0]);
    };
    server.stdout.on('data', hear);
    server.stderr.on('data', hear);
    server.once('exit', code => reject(new Error(`the server ended with ${code}:\n${said}`)));
  });
  return { server, address };
}

/** A door that hands each request to the next of several servers, and names itself as their host. */
async function inTurn(urls) {
  let turn = 0;
  const door = createServer((asked, answered) => {
    const to = new URL(asked.url, urls[turn++ % urls.length]);
    const forward = request(to, { method: asked.method, headers: asked.headers }, got => {
      answered.writeHead(got.statusCode, got.rawHeaders);
      answered.flushHeaders();
      got.pipe(answered);
    });
    forward.on('error', () => answered.destroy());
    answered.on('close', () => forward.destroy());
    asked.pipe(forward);
  });
  await new Promise(resolve => door.listen(0, '127.0.0.1', resolve));
  return { door, url: `http://127.0.0.1:${door.address().port}` };
}

async function run(url) {
  const report = join(scratch, 'report.json');
  const patience = ['--testTimeout=60000', '--hookTimeout=60000'];
  const words = ['run', '--root', here, ...patience, '--reporter=dot'];
  const vitest = spawn('npx', ['vitest', ...words, '--reporter=json', `--outputFile.json=${report}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, STREAMS_URL: url },
  });
  await new Promise(resolve => vitest.once('exit', resolve));
  return JSON.parse(readFileSync(report, 'utf8'));
}

const targets = process.argv.slice(2);
if (targets.length === 0) throw new Error('name a binary, or the addresses of servers');
const began = Date.now();
let started, door;
try {
  let url;
  if (targets[0].startsWith('http')) {
    door = await inTurn(targets);
    url = door.url;
  } else {
    started = serve(targets[0]);
    url = await started.address;
  }
  const report = await run(url);
  for (const test of report.testResults.flatMap(file => file.assertionResults)) {
    if (test.status === 'failed') {
      say(
        `FAILED ${test.fullName}\n  ${(test.failureMessages[0] ?? '').split('\n').slice(0, 4).join('\n  ')}`,
      );
    }
  }
  const passed = report.numPassedTests;
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  say(
    `proof: Durable Streams, the public suite, over ${targets.length} node(s) | ${passed} of ${TESTS} in ${seconds} s`,
  );
  process.exitCode = passed === TESTS ? 0 : 1;
} finally {
  started?.server.kill('SIGTERM');
  door?.door.close();
  door?.door.closeAllConnections();
  rmSync(scratch, { recursive: true, force: true });
}
