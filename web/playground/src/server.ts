/** Requests to the server, other than those of the chats. URLs are relative to the page. */

import { ProblemError } from '@mamba-server/client';
import { RecordedNetwork } from './network/recorded_fetch';
import { Timeline } from './network/timeline';

export interface ServerInfo {
  version: string;
  demo: boolean;
  canBreak: boolean;
}

export interface Agent {
  name: string;
  description: string;
  model: string | null;
  display_tools: boolean;
  default: boolean;
}

export interface LiveChat {
  id: string;
  state: 'queued' | 'running';
  waiting: number;
}

export const timeline = new Timeline();
export const network = new RecordedNetwork(timeline);
export const CHAT_URL = urlOf('chat');

export function urlOf(path: string): string {
  return new URL(path, document.baseURI).href;
}

export async function getInfo(): Promise<ServerInfo> {
  return request<ServerInfo>('playground/info');
}

export async function getAgents(): Promise<Agent[]> {
  return (await request<{ agents: Agent[] }>('agents')).agents;
}

export async function getModels(): Promise<string[]> {
  return (await request<{ models: { id: string }[] }>('models')).models.map(({ id }) => id);
}

export async function getLiveChats(): Promise<LiveChat[]> {
  return (await request<{ chats: LiveChat[] }>('chats?state=live')).chats;
}

export async function generateTitle(message: string): Promise<string> {
  const body = JSON.stringify({ message });
  const headers = { 'content-type': 'application/json' };
  return (await request<{ title: string }>('title/generate', { method: 'POST', headers, body })).title;
}

/** Stops a run that waits for the live run of its chat. */
export async function stopRun(chatId: string, runId: string): Promise<void> {
  await request(`chat/${encodeURIComponent(chatId)}/stop?runId=${encodeURIComponent(runId)}`, { method: 'POST' });
}

/** Kills the worker that writes the answer of this chat. Returns what was done. */
export async function killWorker(chatId: string): Promise<string> {
  const path = `playground/kill-worker?chat=${encodeURIComponent(chatId)}`;
  return (await request<{ detail: string }>(path, { method: 'POST' })).detail;
}

export async function restartApi(): Promise<string> {
  return (await request<{ detail: string }>('playground/restart-api', { method: 'POST' })).detail;
}

async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await network.fetch(urlOf(path), { ...init, cache: 'no-store' });
  if (!response.ok) throw await ProblemError.from(response);
  return (await response.json()) as T;
}
