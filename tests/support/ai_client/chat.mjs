// The SDK's Chat as in `useChat`, with a plain object as its state.

const versions = new Map();

/** The exports of `ai` 5, 6 or 7. */
export function sdk(version) {
  if (!versions.has(version)) versions.set(version, import(`ai-${version}`));
  return versions.get(version);
}

class State {
  status = 'ready';
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, this.snapshot(message));
  };

  snapshot = (value) => structuredClone(value);
}

export function newChat({ AbstractChat }, { messages, ...init }) {
  class Chat extends AbstractChat {}
  return new Chat({ ...init, state: new State(structuredClone(messages)) });
}
