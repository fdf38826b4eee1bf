//! A real server for a test: the binary that THREADMILL_BINARY names, with an empty data directory.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const BINARY = process.env.THREADMILL_BINARY;

/** What a test that needs a server is called where there is none. */
export const needsServer = BINARY ? '' : ' (skipped: THREADMILL_BINARY does not name a server to run)';
// The usual reporter does not print the names of skipped tests.
if (!BINARY) process.stderr.write('SKIPPED: set THREADMILL_BINARY to a server to run these tests.\n');

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startServer(...options: string[]): Promise<Server> {
  const data = await mkdtemp(join(tmpdir(), 'threadmill-test-'));
  const fixed = ['serve', '--listen', '127.0.0.1:0', '--data', join(data, 'store'), '--no-sample'];
  const child = spawn(BINARY ?? '', [...fixed, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  const url = await addressOf(child);
  return {
    url,
    stop: async () => {
      const exited = new Promise(resolve => child.once('exit', resolve));
      child.kill();
      await exited;
      await rm(data, { recursive: true });
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (bytes: Buffer) => {
      said += bytes.toString();
      const found = /chat at (http:\S+)\s/.exec(said)?.[1];
      if (found) resolve(found);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`The server ended with ${code}: ${said}`)));
  });
}
