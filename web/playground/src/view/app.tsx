/** The layout of the page. */

import { useEffect, useState, useSyncExternalStore } from 'react';
import { ThemeStore } from '../../../shared/theme';
import { ChatStore, NEWEST_RUN, type Chat } from '../chats/chat_store';
import { getAgents, getInfo, getModels, type Agent, type ServerInfo } from '../server';
import { ChatView } from './chat_view';
import { IconButton } from './icon';
import { Sidebar } from './sidebar';
import { usePanel } from './focus/use_panel';

const store = new ChatStore();
const theme = new ThemeStore('mamba.playground.theme');
const THEME_ICONS = { light: 'sun', dark: 'moon', system: 'system' } as const;

/** What the server offers. */
export interface Offer {
  info: ServerInfo;
  agents: Agent[];
  models: string[];
}

export function App() {
  const chats = useSyncExternalStore(store.subscribe, store.list);
  const [offer, problem] = useOffer();
  const [openId, setOpenId] = useState(() => idInUrl() ?? store.list()[0]?.id ?? store.create().id);
  const menu = usePanel();
  const chat = chats.find(({ id }) => id === openId);

  function open(id: string): void {
    menu.close();
    setOpenId(id);
  }

  // Reloads, and links to this page, open the same chat.
  useEffect(() => history.replaceState(null, '', `#chat=${encodeURIComponent(openId)}`), [openId]);
  useEffect(() => {
    const openLinked = () => setOpenId((id) => idInUrl() ?? id);
    addEventListener('hashchange', openLinked);
    return () => removeEventListener('hashchange', openLinked);
  }, []);
  useEffect(() => {
    if (!chat) setOpenId(store.list()[0]?.id ?? store.create().id);
  }, [chat]);

  return (
    <div className="app">
      <header className="head">
        <IconButton icon="menu" label="Chats" className="narrow-only" {...menu.toggle} />
        <h1>
          Mamba <span>playground</span>
        </h1>
        <nav aria-label="Server">
          <a href="docs">API</a>
          <a href="ops">Console</a>
        </nav>
        <ThemeButton />
      </header>
      <div className="columns">
        <Sidebar chats={chats} openId={openId} isOpen={menu.isOpen} panel={menu.panel} onOpen={open} onNew={() => open(newChat(chat))} onDelete={(id) => store.remove(id)} />
        {problem && <main className="notice bad" role="alert">{problem}</main>}
        {offer && chat && <ChatView key={chat.id} chat={chat} store={store} offer={offer} />}
      </div>
    </div>
  );
}

function newChat(current: Chat | undefined): string {
  return store.create({ agent: current?.agent ?? '', model: current?.model ?? '' }).id;
}

function ThemeButton() {
  const current = useSyncExternalStore(theme.subscribe, () => theme.theme);
  return <IconButton icon={THEME_ICONS[current]} label={`Theme: ${current}`} onClick={theme.next} />;
}

function useOffer(): [Offer | undefined, string] {
  const [offer, setOffer] = useState<Offer>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    Promise.all([getInfo(), getAgents(), getModels()]).then(
      ([info, agents, models]) => setOffer({ info, agents, models }),
      (error: Error) => setProblem(error.message),
    );
  }, []);
  return [offer, problem];
}

function idInUrl(): string | undefined {
  const chatId = new URLSearchParams(location.hash.slice(1)).get('chat');
  if (!chatId) return undefined;
  return (store.find(chatId) ?? store.create({ id: chatId, runId: NEWEST_RUN })).id;
}
