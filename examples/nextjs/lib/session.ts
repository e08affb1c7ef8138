import { jwtVerify, SignJWT } from 'jose';
import { cookies } from 'next/headers';
import { secret } from './secret';

const COOKIE = 'session';

/** Returns the name of the signed-in user, or null. */
export async function currentUser(): Promise<string | null> {
  const cookie = (await cookies()).get(COOKIE);
  if (!cookie) return null;
  try {
    const { payload } = await jwtVerify(cookie.value, secret('SESSION_SECRET'), { algorithms: ['HS256'] });
    return payload.sub ?? null;
  } catch {
    return null; // expired, or not signed by this application
  }
}

export async function startSession(user: string): Promise<void> {
  const value = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('7 days')
    .sign(secret('SESSION_SECRET'));
  const secure = process.env.NODE_ENV === 'production';
  (await cookies()).set(COOKIE, value, { httpOnly: true, sameSite: 'lax', secure, maxAge: 7 * 86_400 });
}

export async function endSession(): Promise<void> {
  (await cookies()).delete(COOKIE);
}
