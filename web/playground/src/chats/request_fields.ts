import type { Agent } from '../server';
import type { Chat } from './chat_store';

const DISPLAY_TOOLS = ['generateForm', 'generateChart', 'generateCode', 'generateCard'];

/** The fields of each request that the user's choices decide. */
export function requestFields(chat: Chat, agent: Agent | undefined): object {
  return {
    ...(chat.agent && { agent: chat.agent }),
    ...(chat.model && { model: chat.model }),
    ...(agent?.display_tools && { tools: DISPLAY_TOOLS }),
    sdkVersion: 7,
  };
}
