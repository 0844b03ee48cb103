// Scripts that the tests talk with: a JSON value on a line in, a JSON value on a line out, until the input ends.

import { createInterface } from "node:readline";

/** The lines of standard input. */
export const lines = createInterface({ input: process.stdin });

/** Write one line. */
export function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Answer every line with what `answer` makes of it. What it throws is told: {"failed": message}. */
export async function serve(answer) {
  for await (const line of lines) {
    say(await answer(JSON.parse(line)).catch((error) => ({ failed: error.message })));
  }
}
