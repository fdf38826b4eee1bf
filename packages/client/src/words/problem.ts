//! The one error type: a problem the server stated, or that it could not be reached.

/** The hint of what the core itself states: it carries no texts. All others come from the server. */
const TRY_AGAIN = 'Check the connection and try again.';

/** The code of a server's refusal of the page's origin, which the browser hides. */
export const ORIGIN_REFUSED = 'origin_refused';

export interface Problem {
  code: string;
  detail?: string;
  hint?: string;
  status: number;
  retryAfterMs?: number | undefined;
}

export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  /** A stable word. */
  readonly code: string;
  /** What to do about it. */
  readonly hint: string;
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(problem: Problem) {
    super(problem.detail || problem.code);
    this.code = problem.code;
    this.hint = problem.hint ?? (problem.code === 'unavailable' ? TRY_AGAIN : '');
    this.status = problem.status;
    this.retryAfterMs = problem.retryAfterMs;
  }
}

/** An id that the core does not take: its server would not either. */
export const INVALID_ID: Problem = {
  code: 'invalid_id',
  detail: 'No id.',
  status: 400,
};

/** A write that says what no request can. */
export const UNSPEAKABLE: Problem = {
  code: 'invalid_body',
  detail: 'Not plain data.',
  hint: 'Send what JSON can say: no functions, no big integers, nothing that contains itself.',
  status: 400,
};

/** For promises that nothing will settle any more. */
export const RELEASED: Problem = {
  code: 'released',
  detail: 'Closed.',
  status: 0,
};

export function unreachable(): ProblemError {
  return new ProblemError({
    code: 'unavailable',
    detail: 'The server did not answer.',
    status: 0,
  });
}

/** Reads an error answer, problem document or not. */
export async function problemOf(response: Response): Promise<ProblemError> {
  try {
    const body: unknown = await response.json();
    if (isProblem(body)) return new ProblemError(body);
  } catch {
    // A proxy's page, or nothing: the status says enough.
  }
  return new ProblemError({ code: 'internal', detail: `HTTP ${response.status}`, status: response.status });
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'string';
}
