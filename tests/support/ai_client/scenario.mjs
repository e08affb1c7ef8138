// Runs one command: a page with a chat, the actions of its user, and the result.

import { setTimeout as sleep } from 'node:timers/promises';
import { MambaChatTransport, resilientFetch, streamUrl } from '../../../clients/js/dist/index.js';
import { newChat, sdk } from './chat.mjs';
import { RecordingFetch } from './recording_fetch.mjs';

const RECONNECTS = 20;

export class Scenario {
  #command;
  #ai;
  #chat;
  #recording;
  #transport;
  #finishes = [];
  #data = [];
  #chunks = 0;
  #stopped;
  #lostResumes;
  #lostResponses;
  #midAnswer = [];

  static async of(command) {
    return new Scenario(command, await sdk(command.ai));
  }

  constructor(command, ai) {
    const cuts = command.cuts ?? (command.cut_after === undefined ? [] : [command.cut_after]);
    this.#command = command;
    this.#ai = ai;
    this.#lostResumes = command.lost_resumes ?? 0;
    this.#lostResponses = command.lost_responses ?? 0;
    this.#recording = new RecordingFetch(cuts, (chunk) => this.#onChunk(chunk));
    this.#transport = this.#newTransport();
    this.#chat = this.#newChat(command.messages ?? []);
  }

  async run() {
    const late = AbortSignal.timeout(this.#command.timeout_ms ?? 150_000);
    const expired = new Promise((_, reject) => {
      late.addEventListener('abort', () => reject(late.reason), { once: true });
    });
    try {
      await Promise.race([this.#play(), expired]);
      return this.#result(this.#chat.error);
    } catch (error) {
      this.#recording.close();
      return this.#result(error);
    }
  }

  async #play() {
    await this.#act();
    for (let n = 0; n < RECONNECTS && this.#isCut() && this.#recovers(); n++) {
      await sleep(n ? 250 : 50);
      if (this.#command.on_cut === 'reload') this.#chat = this.#newChat(this.#withoutAnswer());
      await this.#chat.resumeStream();
    }
    await this.#stopped;
    while (this.#midAnswer.length) await this.#midAnswer.shift();
    for (const action of this.#command.then ?? []) await this.#followUp(action);
  }

  #followUp({ op, text, body }) {
    if (op === 'send') return this.#chat.sendMessage({ text }, { body });
    if (op === 'regenerate') return this.#chat.regenerate({ body });
    if (op === 'resume') return this.#chat.resumeStream();
    throw new Error(`unknown op ${op}`);
  }

  /** Send messages without waiting for the answer in progress, one after the other. */
  async #sendMidAnswer([text, ...rest]) {
    const { requests } = this.#recording;
    const number = requests.length;
    this.#midAnswer.push(this.#chat.sendMessage({ text }));
    while (!requests[number]?.status) await sleep(5);
    if (rest.length) this.#midAnswer.push(this.#sendMidAnswer(rest));
    else if (this.#command.release_url) await fetch(this.#command.release_url, { method: 'POST' });
  }

  #act() {
    const { op, text, message_id: messageId } = this.#command;
    if (op === 'send') return this.#chat.sendMessage(messageId ? { text, messageId } : { text });
    if (op === 'resume') return this.#chat.resumeStream();
    if (op === 'answer') return this.#answer();
    if (op === 'regenerate') return this.#chat.regenerate(messageId ? { messageId } : {});
    throw new Error(`unknown op ${op}`);
  }

  /** Respond to the pending calls; the SDK then sends the message automatically. */
  async #answer() {
    for (const [toolCallId, { approved, reason, output, error }] of this.#answers()) {
      const part = this.#chat.messages.at(-1).parts.find((p) => p.toolCallId === toolCallId);
      const tool = part.type.replace(/^tool-/, '');
      if (approved !== undefined) {
        await this.#chat.addToolApprovalResponse({ id: part.approval.id, approved, reason });
      } else if (error !== undefined) {
        await this.#chat.addToolOutput({ tool, toolCallId, state: 'output-error', errorText: error });
      } else {
        await this.#chat.addToolOutput({ tool, toolCallId, output });
      }
    }
    await this.#untilReady();
  }

  #answers() {
    return Object.entries(this.#command.answers);
  }

  /** Wait for an automatically sent message, which the SDK does not await. */
  async #untilReady() {
    do await sleep(20);
    while (['submitted', 'streaming'].includes(this.#chat.status));
  }

  #isComplete = (chat) => {
    const approved = this.#ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(chat);
    return approved || this.#ai.lastAssistantMessageIsCompleteWithToolCalls(chat);
  };

  #isCut() {
    return this.#chat.status === 'error' && this.#chat.error instanceof TypeError;
  }

  #recovers() {
    return ['reconnect', 'reload'].includes(this.#command.on_cut) && !this.#recording.closed;
  }

  /** The messages of a reloaded page: all except the unfinished answer. */
  #withoutAnswer() {
    const messages = this.#chat.messages;
    return messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
  }

  /** Sends a request, and loses its response as often as the command defines. */
  #fetch = async (url, init) => {
    const response = await this.#recording.fetch(url, init);
    if (this.#lostResponses-- <= 0) return response;
    await response.body.cancel();
    throw new TypeError('network error');
  };

  #newTransport() {
    const { api, body, headers, priority, resume_api: resumeApi, resilient, mamba } = this.#command;
    const resumeUrl = (_, id) => streamUrl(resumeApi ?? api, this.#lostResumes-- > 0 ? `lost-${id}` : id);
    const fetch = this.#fetch;
    if (mamba) {
      return new MambaChatTransport({ api, body, headers, priority, fetch, delay: 50, streamUrl: resumeUrl });
    }
    return new this.#ai.DefaultChatTransport({
      api,
      body,
      headers,
      fetch: resilient ? resilientFetch({ fetch, delay: 50, streamUrl: resumeUrl }) : fetch,
      prepareReconnectToStreamRequest: ({ id }) => ({ api: resumeUrl(api, id) }),
    });
  }

  #newChat(messages) {
    return newChat(this.#ai, {
      id: this.#command.chat,
      messages,
      transport: this.#transport,
      sendAutomaticallyWhen: this.#command.answers ? this.#isComplete : undefined,
      onData: (part) => this.#data.push(part),
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) => {
        this.#finishes.push({ isAbort, isDisconnect, isError, finishReason });
      },
    });
  }

  #onChunk({ type }) {
    const { stop_after: stopAfter, stop_at: stopAt, mid_answer: texts, meanwhile } = this.#command;
    this.#chunks += 1;
    if (texts && type === 'text-delta' && !this.#midAnswer.length) {
      this.#midAnswer.push(this.#sendMidAnswer(texts));
    }
    if (this.#chunks === stopAfter || type === stopAt) this.#stopped ??= this.#stop();
    if (this.#chunks === meanwhile?.after) this.#stopped ??= this.#followUp(meanwhile);
  }

  async #stop() {
    const { api, chat, headers, mamba } = this.#command;
    if (mamba) return this.#chat.stop();
    const url = `${api}/${encodeURIComponent(chat)}/stop`;
    await this.#recording.fetch(url, { method: 'POST', headers }).catch(() => {});
    await this.#chat.stop();
  }

  #result(error) {
    const { status, messages } = this.#chat;
    const message = messages.at(-1)?.role === 'assistant' ? messages.at(-1) : null;
    const { requests, chunks } = this.#recording;
    return {
      id: this.#command.id,
      status,
      error: error ? { name: error.name, message: error.message } : null,
      text: textOf(message),
      message,
      messages,
      chunks,
      requests,
      finishes: this.#finishes,
      data: this.#data,
      no_active_stream: requests.findLast(({ method }) => method === 'GET')?.status === 204,
    };
  }
}

function textOf(message) {
  const texts = message?.parts.filter((part) => part.type === 'text') ?? [];
  return texts.map((part) => part.text).join('');
}
