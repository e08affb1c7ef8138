// Runs one scenario with the chat of a UI library. The command is the argument, the result is one
// JSON line on stdout.

import { setTimeout as sleep } from 'node:timers/promises';
import { pages } from './chats.mjs';

const command = JSON.parse(process.argv[2]);
const { api, chat: id, release, transport } = command;
const open = await pages(command);

const SCENARIOS = { answer, stop, resume, reconnect };
const shown = await SCENARIOS[command.scenario]();
const { status, error, messages } = shown;
console.log(JSON.stringify({ status, error: error?.message, messages }));
process.exit(0);

async function answer() {
  const chat = open([]);
  await chat.sendMessage({ text: 'Hi' });
  return chat;
}

/** Stop the run while the answer is being received. `MambaChatTransport` sends that request itself. */
async function stop() {
  const chat = open([]);
  const answering = chat.sendMessage({ text: 'Hi' });
  await untilText(chat);
  if (transport !== 'mamba') await fetch(`${api}/${id}/stop`, { method: 'POST' });
  await chat.stop();
  await answering;
  while (!(await fetch(`${api}/${id}/message`)).ok) await sleep(20);
  return chat;
}

/** Reload the page while the answer is being received. */
async function resume() {
  const page = open([]);
  page.sendMessage({ text: 'Hi' });
  await untilText(page);
  const [question] = JSON.parse(JSON.stringify(page.messages));
  const reloaded = open([question]);
  const resuming = reloaded.resumeStream();
  await untilText(reloaded);
  await fetch(release, { method: 'POST' });
  await resuming;
  return reloaded;
}

/** Break the connection after the first text, and let the transport reconnect. */
async function reconnect() {
  let breakConnection;
  const fetchBreakable = async (url, init) => {
    const response = await fetch(url, init);
    if (init.method !== 'POST') return response;
    const start = (stream) => (breakConnection = () => stream.error(new TypeError('network error')));
    return new Response(response.body.pipeThrough(new TransformStream({ start })), response);
  };
  const chat = open([], { fetch: fetchBreakable });
  const answering = chat.sendMessage({ text: 'Hi' });
  await untilText(chat);
  breakConnection();
  await fetch(release, { method: 'POST' });
  await answering;
  return chat;
}

/** Wait until the page shows the beginning of an answer. */
async function untilText(chat) {
  while (!hasText(chat.messages.at(-1))) {
    if (chat.status === 'error') throw chat.error;
    await sleep(5);
  }
}

function hasText(message) {
  return message?.role === 'assistant' && message.parts.some(({ type, text }) => type === 'text' && text);
}
