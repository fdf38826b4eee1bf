//! A thread by its id, as a link to what the node knows of it.

import { addressOf } from '../address';
import { short } from '../words/format';

export function ThreadLink({ tenant, id }: { tenant: string; id: string }) {
  return (
    <a className="mono" href={addressOf('threads', tenant || 'default', id)} title={id}>
      {short(id)}
    </a>
  );
}
