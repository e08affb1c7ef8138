/** The documented React component with the settings of a chat, and its use. */

const BODY = /^( +)body: \{\n.*?\n\1\},$/ms;

/** The component. Each of its requests has these `fields`. */
export function chatComponent(fields: object): string {
  const component = SHOWN_MODULES['Chat.tsx'];
  if (!BODY.test(component)) return component;
  return component.replace(BODY, (_, indent: string) => {
    const lines = Object.entries(fields).map(([name, value]) => `${indent}  ${name}: ${literal(value)},\n`);
    return `${indent}body: {\n${lines.join('')}${indent}},`;
  });
}

/** An application that shows this chat. It stores nothing, so a reload shows only the newest answer. */
export function application(api: string, chatId: string): string {
  return SHOWN_MODULES['App.tsx']
    .replace(/api: .*,/, () => `api: ${literal(api)},`)
    .replace(/chatId: .*,/, () => `chatId: ${literal(chatId)},`);
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value !== 'string') return JSON.stringify(value);
  return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}
