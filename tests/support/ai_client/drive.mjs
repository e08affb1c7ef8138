// Drives the real `ai` package: one JSON command per line on stdin, one JSON result per line on
// stdout, matched by `id`. Commands run concurrently.

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
