//! AG-UI's own client, which takes an answer up again after a reload, and can stop one.

import { HttpAgent, runHttpRequest, transformHttpEventStream } from '@ag-ui/client';

type Input = Parameters<HttpAgent['run']>[0];
type Events = ReturnType<HttpAgent['run']>;

/**
 * An `HttpAgent` of an endpoint of `createAgUiHandler`. `connectAgent()` shows the thread and follows the answer that is being
 * written; `abortRun()` stops the reading, and `stop()` the answer, for everybody.
 *
 * @example
 * const agent = new ThreadmillAgent({ url: '/agui', threadId });
 * await agent.connectAgent();
 */
export class ThreadmillAgent extends HttpAgent {
  protected override connect(input: Input): Events {
    this.abortController = new AbortController();
    const { signal } = this.abortController;
    const headers = { ...this.headers, accept: 'text/event-stream' };
    const query = { threadId: input.threadId, runId: input.runId };
    const response = runHttpRequest(() => this.fetch(this.#at(query), { headers, signal }));
    return transformHttpEventStream(response, this.debugLogger);
  }

  /** Stops the answer that is being written; whether there was one. */
  async stop(): Promise<boolean> {
    const { threadId } = this;
    const response = await this.fetch(this.#at({ threadId }), { method: 'DELETE', headers: this.headers });
    if (!response.ok) throw new Error(`The answer could not be stopped: HTTP ${response.status}.`);
    return ((await response.json()) as { stopped: boolean }).stopped;
  }

  #at(query: Record<string, string>): string {
    return `${this.url}${this.url.includes('?') ? '&' : '?'}${new URLSearchParams(query)}`;
  }
}
