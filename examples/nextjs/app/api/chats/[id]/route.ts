import { safeValidateUIMessages } from 'ai';
import { currentUser } from '@/lib/session';
import { type Message, readChat, storePage } from '@/lib/store';

/** Stores what the user has sent in a chat. */
export async function PUT(request: Request, { params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  const chat = await readChat(id);
  if (!chat || chat.user !== (await currentUser())) return new Response(null, { status: 404 });
  const messages: unknown = await request.json().catch(() => undefined);
  if (messages === undefined) return new Response('The body is not JSON.', { status: 400 });
  const page = await safeValidateUIMessages<Message>({ messages });
  if (!page.success) return new Response(page.error.message, { status: 422 });
  await storePage(id, page.data);
  return new Response(null, { status: 204 });
}
