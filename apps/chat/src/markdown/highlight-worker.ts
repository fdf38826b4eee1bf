//! The worker that colours code. It says when it is loaded, and then answers one job after the other.

import type { ColourAnswer, ColourJob } from './colour-job';
import { colour } from './highlight-languages';

/** The part of a worker's own scope that is used here; the page's types have no other for it. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ColourJob>) => void) | null;
  postMessage(answer: ColourAnswer): void;
}
const scope = self as unknown as WorkerScope;

scope.onmessage = ({ data: { id, code, language } }) => {
  scope.postMessage({ id, nodes: colour(code, language) });
};
scope.postMessage('loaded');
