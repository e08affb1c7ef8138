// The chat of each library with each transport.

import { register } from 'node:module';
import { WorkflowChatTransport } from '@ai-sdk/workflow/client';
import { DefaultChatTransport } from 'ai';
import { MambaChatTransport } from '../../../clients/js/dist/index.js';

const LIBRARIES = { svelte, vue: () => import('@ai-sdk/vue') };
const TRANSPORTS = {
  default: () => DefaultChatTransport,
  mamba: () => MambaChatTransport,
  workflow: workflowTransport,
};

/** Returns a function that opens a page: a chat with these messages. */
export async function pages({ library, transport, api, chat: id, model }) {
  const { Chat } = await LIBRARIES[library]();
  const Transport = TRANSPORTS[transport]();
  const options = { api, body: { model } };
  return (messages, more) => new Chat({ id, messages, transport: new Transport({ ...options, ...more }) });
}

function svelte() {
  register('./svelte_modules.mjs', import.meta.url);
  return import('@ai-sdk/svelte');
}

/** A transport whose pages share the run's id, and resume by it. */
function workflowTransport() {
  let runId;
  return class extends WorkflowChatTransport {
    constructor({ api, body: settings, fetch }) {
      super({
        api,
        fetch,
        onChatSendMessage: ({ headers }) => (runId = headers.get('x-workflow-run-id')),
        prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) => ({
          api: `${api}?startIndex=0`,
          body: { ...settings, ...body, id, messages, trigger, messageId },
          headers: { 'content-type': 'application/json' },
        }),
        prepareReconnectToStreamRequest: () => ({ api: `${api}/${runId}/stream` }),
      });
    }
  };
}
