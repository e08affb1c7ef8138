// The transport is one of each version of the AI SDK.

import { useChat } from '@ai-sdk/react';
import { MambaChatTransport } from '@mamba-server/client';
import { useChat as useChat5 } from 'ai-react-5';
import { useChat as useChat6 } from 'ai-react-6';

const transport = new MambaChatTransport();

export const chats = [useChat5({ transport }), useChat6({ transport }), useChat({ transport })];
