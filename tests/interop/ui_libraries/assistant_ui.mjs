// A page with assistant-ui: types a message, waits for a text, and prints what the page shows.
// The client tool `getLocation` is defined in the page.

import './browser.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AssistantRuntimeProvider,
  AuiConfig,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
  Tools,
} from '@assistant-ui/react';
import { AssistantChatTransport, useChatRuntime } from '@assistant-ui/react-ai-sdk';
import { lastAssistantMessageIsCompleteWithToolCalls } from 'ai';
import { createElement as h } from 'react';
import { createRoot } from 'react-dom/client';
import { MambaChatTransport } from '../../../clients/js/dist/index.js';

const { api, model, question, until, mamba } = JSON.parse(process.argv[2]);

const Transport = mamba ? MambaChatTransport : AssistantChatTransport;
const transport = new Transport({ api, body: { model } });
const getLocation = {
  type: 'frontend',
  description: 'Returns the location of the user.',
  parameters: { type: 'object', properties: { exact: { type: 'boolean' } } },
  execute: async ({ exact }) => ({ city: 'Lisbon', exact }),
};
const config = AuiConfig({ tools: Tools({ toolkit: { getLocation } }) });

function Page() {
  const runtime = useChatRuntime({
    transport,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  return h(AssistantRuntimeProvider, { runtime, config }, h(Thread));
}

function Thread() {
  const components = { UserMessage: Message, AssistantMessage: Message };
  return h(
    ThreadPrimitive.Root,
    null,
    h(ThreadPrimitive.Messages, { components }),
    h(ComposerPrimitive.Root, null, h(ComposerPrimitive.Input), h(ComposerPrimitive.Send)),
  );
}

function Message() {
  return h(MessagePrimitive.Root, { className: 'message' }, h(MessagePrimitive.Parts));
}

createRoot(document.querySelector('main')).render(h(Page));
type(await found('textarea'), question);
(await found('button:not([disabled])')).click();
await untilTrue(() => shown().at(-1)?.includes(until));
console.log(JSON.stringify(shown()));
process.exit(0);

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
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(5)) {
    const result = condition();
    if (result) return result;
  }
  throw new Error(`Not shown: ${document.querySelector('main').innerHTML}`);
}
