/** Tools that the model calls and this page executes. */

export const CLIENT_TOOLS = [
  {
    name: 'getLocalTime',
    description: "The time and the time zone of the user's browser.",
    inputSchema: { type: 'object', properties: {} },
  },
];

/** Returns the arguments of `addToolOutput`, or undefined if the server executes the tool. */
export async function executeClientTool({ toolName, toolCallId }: { toolName: string; toolCallId: string }) {
  if (toolName !== 'getLocalTime') return undefined;
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return { tool: toolName, toolCallId, output: { time: new Date().toISOString(), timeZone } };
}
