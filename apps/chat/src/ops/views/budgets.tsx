//! Budgets and usage, as the node tells of them.

import type { Fields } from '../data/fields';
import { Answer } from '../parts/answer';
import { AnyFacts } from '../parts/facts';

const whole = (answer: Fields) => Object.fromEntries(answer.names().map(name => [name, answer.any(name)]));

export function BudgetsView() {
  return (
    <section aria-labelledby="budgets">
      <h2 id="budgets">Budgets and usage</h2>
      <Answer path="usage" read={whole} off="This node keeps no budgets.">
        {answer => <AnyFacts value={answer} name="usage" />}
      </Answer>
    </section>
  );
}
