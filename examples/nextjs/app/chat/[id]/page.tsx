import { notFound, redirect } from 'next/navigation';
import type { ChatProps } from '@/components/Chat';
import { StoredChat } from '@/components/StoredChat';
import { MAMBA_URL } from '@/lib/mamba';
import { currentUser } from '@/lib/session';
import { messagesOf, readChat } from '@/lib/store';

export default async function ChatPage({ params }: { params: Promise<{ id: string }> }) {
  const user = await currentUser();
  if (!user) redirect('/login');
  const chat = await readChat((await params).id);
  if (chat?.user !== user) notFound();
  const messages = messagesOf(chat) as ChatProps['initialMessages'];
  return <StoredChat api={`${MAMBA_URL}/chat`} chatId={chat.id} initialMessages={messages} />;
}
