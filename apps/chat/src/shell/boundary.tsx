//! What stays when something cannot be drawn: a defect in one place takes that place alone.

import { Component, type ReactNode } from 'react';

interface BoundaryProps {
  readonly children: ReactNode;
  /** What stands there instead. */
  instead(error: unknown): ReactNode;
  /** With another value what failed is tried again. */
  readonly of?: unknown;
}

interface BoundaryState {
  readonly failed: { readonly error: unknown } | undefined;
  readonly of: unknown;
}

/** Draws its children, or something else when they throw. */
export class Boundary extends Component<BoundaryProps, BoundaryState> {
  override state: BoundaryState = { failed: undefined, of: this.props.of };

  static getDerivedStateFromError(error: unknown): Partial<BoundaryState> {
    return { failed: { error } };
  }

  static getDerivedStateFromProps(props: BoundaryProps, state: BoundaryState): BoundaryState | null {
    return Object.is(props.of, state.of) ? null : { failed: undefined, of: props.of };
  }

  override render(): ReactNode {
    const { failed } = this.state;
    return failed ? this.props.instead(failed.error) : this.props.children;
  }
}

/** A line that says so, with a way to try again. */
export function Undrawn({ what, onRetry }: { what: string; onRetry(): void }) {
  return (
    <div className="undrawn" role="alert">
      <span>{what} cannot be shown.</span>
      <button type="button" className="text-button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

interface GuardedProps {
  /** "The list of threads": how the place is called where it cannot be shown. */
  readonly what: string;
  readonly children: ReactNode;
}

/** Keeps a defect in its place; the rest of the page goes on. */
export class Guarded extends Component<GuardedProps, { readonly tries: number }> {
  override state = { tries: 0 };

  private readonly again = () => this.setState(({ tries }) => ({ tries: tries + 1 }));

  override render(): ReactNode {
    const instead = () => <Undrawn what={this.props.what} onRetry={this.again} />;
    return (
      <Boundary of={this.state.tries} instead={instead}>
        {this.props.children}
      </Boundary>
    );
  }
}
