'use server';

import { redirect } from 'next/navigation';
import { currentUser, endSession, startSession } from '@/lib/session';
import { createChat } from '@/lib/store';

/** Replace this by your sign-in, which checks who the user is. */
export async function signIn(form: FormData) {
  await startSession(String(form.get('user')));
  redirect('/');
}

export async function signOut() {
  await endSession();
  redirect('/login');
}

export async function startChat() {
  const user = await currentUser();
  redirect(user ? `/chat/${await createChat(user)}` : '/login');
}
