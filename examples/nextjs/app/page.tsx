import { redirect } from 'next/navigation';
import { currentUser } from '@/lib/session';
import { chatsOf, messagesOf } from '@/lib/store';
import { signOut, startChat } from './actions';

export default async function Home() {
  const user = await currentUser();
  if (!user) redirect('/login');
  return (
    <>
      <h1>Chats of {user}</h1>
      <ul>
        {(await chatsOf(user)).map((chat) => (
          <li key={chat.id}>
            <a href={`/chat/${chat.id}`}>{titleOf(messagesOf(chat)[0]?.parts[0])}</a>
          </li>
        ))}
      </ul>
      <form action={startChat}>
        <button>New chat</button> <button formAction={signOut}>Sign out</button>
      </form>
    </>
  );
}

const titleOf = (part: { type: string; text?: string } | undefined) => part?.text?.slice(0, 80) ?? 'New chat';
