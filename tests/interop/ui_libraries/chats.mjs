// A chat of each library.

import { register } from 'node:module';
import { DefaultChatTransport } from 'ai';

const LIBRARIES = { svelte, vue, workflow };

/** Returns a function that opens a page: a chat with these messages. */
export async function pages({ library, api, chat: id, model }) {
  const { Chat, newTransport } = await LIBRARIES[library]({ api, body: { model } });
  return (messages, settings) => new Chat({ id, messages, transport: newTransport(settings) });
}

async function vue(options) {
  const { Chat } = await import('@ai-sdk/vue');
  return { Chat, newTransport: () => new DefaultChatTransport(options) };
}

async function svelte(options) {
  register('./svelte_modules.mjs', import.meta.url);
  const { Chat } = await import('@ai-sdk/svelte');
  return { Chat, newTransport: () => new DefaultChatTransport(options) };
}

/** The transport of `@ai-sdk/workflow` with Vue's chat. A reloaded page resumes by the run's id. */
async function workflow({ api, body: settings }) {
  const { Chat } = await vue();
  const { WorkflowChatTransport } = await import('@ai-sdk/workflow/client');
  let runId;
  const options = {
    api,
    onChatSendMessage: ({ headers }) => (runId = headers.get('x-workflow-run-id')),
    prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) => ({
      api: `${api}?startIndex=0`,
      body: { ...settings, ...body, id, messages, trigger, messageId },
      headers: { 'content-type': 'application/json' },
    }),
    prepareReconnectToStreamRequest: () => ({ api: `${api}/${runId}/stream` }),
  };
  return { Chat, newTransport: (more) => new WorkflowChatTransport({ ...options, ...more }) };
}
