//! A model for a test's server: the process of `apps/chat/e2e/model.mjs`, which does what a question's words say.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Server, startServer } from './server.js';

const SCRIPT = join(import.meta.dirname, '../../../apps/chat/e2e/model.mjs');

export interface Modelled extends Server {
  /** Lets answers go on that are held. */
  go(): Promise<void>;
}

/** A server whose provider is such a model. */
export async function startModelled(...options: string[]): Promise<Modelled> {
  const model = spawn(process.execPath, [SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] });
  const folder = await mkdtemp(join(tmpdir(), 'threadmill-model-'));
  const config = join(folder, 'threadmill.toml');
  const address = await addressOf(model);
  const provider = { kind: 'openai', name: 'model', base_url: address, model: 'script' };
  const lines = Object.entries(provider).map(([key, value]) => `${key} = '${value}'\n`);
  await writeFile(config, `[[providers]]\n${lines.join('')}`);
  const server = await startServer('--config', config, ...options);
  return {
    url: server.url,
    go: async () => {
      await fetch(`${address}/go`, { method: 'POST' });
    },
    stop: async () => {
      await server.stop();
      model.kill();
      await rm(folder, { recursive: true });
    },
  };
}

function addressOf(model: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    model.stdout?.once('data', (bytes: Buffer) => resolve(bytes.toString().trim()));
    model.once('error', reject);
    model.once('exit', code => reject(new Error(`The model ended with ${code}.`)));
  });
}
