// A page with assistant-ui: types a message, plays a scenario, and prints what the page shows at the end.
// The client tool `getLocation` is defined in the page.

import './browser.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import { useChat } from '@ai-sdk/react';
import {
  AssistantRuntimeProvider,
  AuiConfig,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
  Tools,
} from '@assistant-ui/react';
import { AssistantChatTransport, useAISDKRuntime, useChatRuntime } from '@assistant-ui/react-ai-sdk';
import { lastAssistantMessageIsCompleteWithToolCalls } from 'ai';
import { createElement as h } from 'react';
import { createRoot } from 'react-dom/client';
import { MambaChatTransport } from '../../../clients/js/dist/index.js';

const { api, model, question, mamba, scenario, release } = JSON.parse(process.argv[2]);

const Transport = mamba ? MambaChatTransport : AssistantChatTransport;
const getLocation = {
  type: 'frontend',
  description: 'Returns the location of the user.',
  parameters: { type: 'object', properties: { exact: { type: 'boolean' } } },
  execute: async ({ exact }) => ({ city: 'Lisbon', exact }),
};
const config = AuiConfig({ tools: Tools({ toolkit: { getLocation } }) });

const newTransport = () => new Transport({ api, body: { model } });

/** A page that assistant-ui gives a random chat id. */
function Page({ transport }) {
  const runtime = useChatRuntime({
    transport,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  return h(AssistantRuntimeProvider, { runtime, config }, h(Thread));
}

/** A page with a stable chat id, which can be resumed. */
function StablePage({ transport, messages }) {
  const chat = useChat({ id: model, transport, messages, resume: true });
  const runtime = useAISDKRuntime(chat);
  return h(AssistantRuntimeProvider, { runtime }, h(Thread));
}

function Thread() {
  const components = { UserMessage: Message, AssistantMessage: Message };
  return h(
    ThreadPrimitive.Root,
    null,
    h(ThreadPrimitive.Messages, { components }),
    h(
      ComposerPrimitive.Root,
      null,
      h(ComposerPrimitive.Input),
      h(ComposerPrimitive.Send, { className: 'send' }),
      h(ComposerPrimitive.Cancel, { className: 'cancel' }),
    ),
  );
}

function Message() {
  return h(MessagePrimitive.Root, { className: 'message' }, h(MessagePrimitive.Parts));
}

const SCENARIOS = { answer, clientTool, stop, reload };
await SCENARIOS[scenario]();
await untilTrue(() => !shown().at(-1).endsWith('●')); // the mark of an answer that is being written
console.log(JSON.stringify(shown()));
process.exit(0);

async function answer() {
  open(Page);
  await ask();
  await untilShown('Hello');
}

async function clientTool() {
  open(Page);
  await ask();
  await untilShown('In Lisbon.');
}

/** Stop the run while the answer is being received. `MambaChatTransport` sends that request itself. */
async function stop() {
  open(StablePage);
  await ask();
  await untilShown('Hel');
  if (!mamba) await fetch(`${api}/${model}/stop`, { method: 'POST' });
  else (await found('.cancel:not([disabled])')).click();
  await untilTrue(() => document.querySelector('.cancel')?.disabled ?? true);
  while (!(await fetch(`${api}/${model}/message`)).ok) await sleep(20);
}

/** Reload the page while the answer is being received. */
async function reload() {
  open(StablePage);
  await ask();
  await untilShown('Hel');
  open(StablePage, [{ id: 'u1', role: 'user', parts: [{ type: 'text', text: question }] }]);
  await untilShown('Hel');
  await fetch(release, { method: 'POST' });
  await untilShown('Hello');
}

/** Shows a page instead of the present one. */
function open(page, messages = []) {
  const main = document.createElement('main');
  document.querySelector('main').replaceWith(main);
  createRoot(main).render(h(page, { transport: newTransport(), messages }));
}

async function ask() {
  type(await found('textarea'), question);
  (await found('.send:not([disabled])')).click();
}

function untilShown(text) {
  return untilTrue(() => shown().at(-1)?.includes(text));
}

function type(input, text) {
  const { set } = Object.getOwnPropertyDescriptor(window.HTMLTextAreaElement.prototype, 'value');
  set.call(input, text);
  input.dispatchEvent(new window.Event('input', { bubbles: true }));
}

/** The texts of the messages on the page. */
function shown() {
  return [...document.querySelectorAll('.message')].map(({ textContent }) => textContent);
}

function found(selector) {
  return untilTrue(() => document.querySelector(selector));
}

async function untilTrue(condition) {
  for (const end = Date.now() + 90_000; Date.now() < end; await sleep(5)) {
    const result = condition();
    if (result) return result;
  }
  throw new Error(`Not shown: ${document.querySelector('main').innerHTML}`);
}
