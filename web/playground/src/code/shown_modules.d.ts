/** The modules that the page shows, which build.mjs reads. */
declare const SHOWN_MODULES: Record<'App.tsx' | 'Chat.tsx' | 'Approval.tsx' | 'DisplayTools.tsx', string>;
