//! Rollouts and budgets. Both come from routes that a node may not have, and are shown as they are.

import type { Fields } from '../data/fields';
import { Answer } from '../parts/answer';
import { AnyFacts } from '../parts/facts';

const whole = (answer: Fields) => Object.fromEntries(answer.names().map(name => [name, answer.any(name)]));

export function RolloutView() {
  return (
    <section aria-labelledby="rollout">
      <h2 id="rollout">Rollouts</h2>
      <Answer path="rollouts" read={whole} off="This node has no guarded rollouts.">
        {answer => <AnyFacts value={answer} name="rollouts" />}
      </Answer>
    </section>
  );
}

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
