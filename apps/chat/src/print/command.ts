//! The command to print the open thread, for the menu and for Ctrl or Cmd + P.

let command: (() => void) | undefined;

/** The thread that is shown can be printed from now on, until the returned function is called. */
export function offerPrint(print: () => void): () => void {
  command = print;
  return () => {
    if (command === print) command = undefined;
  };
}

/** Prints the open thread. False if none is open. */
export function printThread(): boolean {
  command?.();
  return command !== undefined;
}
