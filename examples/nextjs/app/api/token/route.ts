import { mambaToken } from '@/lib/mamba';
import { currentUser } from '@/lib/session';

export async function GET() {
  const user = await currentUser();
  if (!user) return new Response(null, { status: 401 });
  return Response.json({ token: await mambaToken(user) });
}
