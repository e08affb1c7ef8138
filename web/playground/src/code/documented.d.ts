/** The modules of docs/frontend, which build.mjs reads. */
declare const DOCUMENTED_MODULES: Record<'Chat.tsx' | 'Approval.tsx' | 'DisplayTools.tsx', string>;
