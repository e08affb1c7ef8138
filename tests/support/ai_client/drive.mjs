// Drives the real `ai` package: a JSON command a line on stdin, its JSON result a line on stdout,
// matched by `id`. Commands run side by side.

import { createInterface } from 'node:readline';
import { Scenario } from './scenario.mjs';

for await (const line of createInterface({ input: process.stdin })) play(JSON.parse(line));
process.exit(0);

async function play(command) {
  const result = await resultOf(command);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function resultOf(command) {
  try {
    const scenario = await Scenario.of(command);
    return await scenario.run();
  } catch (error) {
    return { id: command.id, failure: error.stack };
  }
}
