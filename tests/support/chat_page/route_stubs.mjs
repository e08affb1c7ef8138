// In place of an application's store, and of Next.js: `after` runs its function at once.

globalThis.route = { stored: [], pending: [] };

const store = async (...values) => void route.stored.push(values);
export const [storeOnce, storeMessage] = [store, store];
export const after = (work) => void route.pending.push(work());
