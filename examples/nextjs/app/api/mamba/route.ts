import { Webhook } from 'standardwebhooks';
import { MAMBA_URL, mambaToken, userOf } from '@/lib/mamba';
import { type Message, readChat, storeAnswer } from '@/lib/store';

interface RunEvent {
  data: { chatId: string; owner: string; message?: Message; messageUrl: string };
}

export async function POST(request: Request) {
  const webhook = new Webhook(process.env.MAMBA_WEBHOOKS__APP__SECRET!);
  const body = await request.text();
  let event: RunEvent;
  try {
    event = webhook.verify(body, Object.fromEntries(request.headers)) as RunEvent;
  } catch {
    return new Response(null, { status: 401 });
  }
  const { chatId, owner, message, messageUrl } = event.data;
  const chat = await readChat(chatId);
  // Two users can send the same chat ID to Mamba. They have two chats.
  if (chat && chat.user === userOf(owner)) {
    const answer = message ?? (await readLongMessage(messageUrl, chat.user));
    if (answer) await storeAnswer(chatId, request.headers.get('webhook-id')!, answer);
  }
  return new Response(null, { status: 204 });
}

/** Webhooks leave out messages of more than 256 KiB. */
async function readLongMessage(url: string, user: string): Promise<Message | undefined> {
  const authorization = `Bearer ${await mambaToken(user)}`;
  const response = await fetch(MAMBA_URL + url, { headers: { authorization } });
  if (response.ok) return response.json();
  if (response.status >= 500) throw new Error(`Mamba responded with ${response.status}.`); // Mamba sends the event again
}
