//! Asks for the ops token. It stays in this tab.

import { type FormEvent, useState } from 'react';
import type { Failure } from '../data/failure';
import { askAllAgain } from '../data/polls';
import { storedToken, storeToken } from '../data/token';

export function TokenPrompt({ failure }: { failure: Failure }) {
  const [token, setToken] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    storeToken(token.trim());
    setToken('');
    askAllAgain();
  };
  return (
    <section className="token" aria-labelledby="token">
      <h2 id="token">The node wants a token</h2>
      <p>
        It is the one of <code>[ops] token_file</code> or <code>THREADMILL_OPS_TOKEN</code>, not a user’s. It
        is kept in this tab alone and is gone with it.
      </p>
      <form className="form" onSubmit={submit}>
        <label className="field grow">
          Ops token
          <input
            type="password"
            autoComplete="off"
            required
            value={token}
            onChange={event => setToken(event.target.value)}
          />
        </label>
        <button type="submit" className="button primary">
          Open
        </button>
      </form>
      {storedToken() !== undefined && (
        <p className="failed" role="alert">
          That token was refused. {failure.hint}
        </p>
      )}
    </section>
  );
}
