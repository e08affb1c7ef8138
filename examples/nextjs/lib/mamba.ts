import { SignJWT } from 'jose';
import { secret } from './secret';

export const MAMBA_URL = process.env.MAMBA_URL ?? 'http://localhost:8000';

/** Returns a token with which Mamba accepts requests of this user for five minutes. */
export function mambaToken(user: string): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setAudience('mamba')
    .setExpirationTime('5 minutes')
    .sign(secret('MAMBA_AUTH__JWT__SECRET'));
}

/**
 * Returns the user who owns a chat, or null if it is not a user of this application.
 * Mamba's webhooks name the owner: mode, tenant, and `sub`, percent-encoded.
 */
export function userOf(owner: string): string | null {
  const [mode, tenant, user] = owner.split(':');
  return mode === 'jwt' && tenant === '' && user ? decodeURIComponent(user) : null;
}
