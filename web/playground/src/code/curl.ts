/** Commands that repeat what the page has done. */

import type { RunRecording } from '../network/run_recording';

/** Sends the request of the newest run again, resumes its stream after the newest event, and stops it. */
export function curlCommands(api: string, chatId: string, run: RunRecording | undefined): string {
  const chat = `${api}/${encodeURIComponent(chatId)}`;
  const [after, cursor] = run?.offset ? [` after event ${run.offset}`, ` -H ${quote(`Last-Event-ID: ${run.cursor}`)}`] : ['', ''];
  return [
    ...(run?.request ? ['# Send the message', post(api, run.request), ''] : []),
    `# Resume the answer${after}`,
    `curl -N ${quote(`${chat}/stream`)}${cursor}`,
    '',
    '# Stop the answer',
    `curl -X POST ${quote(`${chat}/stop`)}`,
    '',
  ].join('\n');
}

/** The body is read from the input: a command line with files would be too long. */
function post(api: string, body: string): string {
  const json = JSON.stringify(JSON.parse(body), null, 2);
  return `curl -N ${quote(api)} -H 'content-type: application/json' -d @- <<'JSON'\n${json}\nJSON`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
