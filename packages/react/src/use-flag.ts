//! One feature flag.

import { useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

/**
 * Whether a feature is on for this user; `fallback` as long as the server has not said, and where it does not know
 * the flag. Renders when the answer changes.
 *
 * @example
 * const fast = useFlag('fast-lane', false);
 */
export function useFlag(name: string, fallback: boolean): boolean {
  const { flags } = useClient();
  const read = () => {
    const values = flags.getSnapshot();
    return Object.hasOwn(values, name) ? values[name] === true : fallback;
  };
  return useSyncExternalStore(flags.subscribe, read, () => fallback);
}
