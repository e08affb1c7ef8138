/** A tool call: display tools, approvals, and all others. */

import { getToolName, isToolUIPart, type DynamicToolUIPart } from 'ai';
import type { Part } from '../../chats/message';
import type { Conversation } from '../../chats/use_conversation';
import { CardView } from './card_view';
import { ChartView } from './chart_view';
import { CodeView } from './code_view';
import { FormView } from './form_view';

type ToolPart = Extract<Part, { toolCallId: string }> | DynamicToolUIPart;

export function ToolView({ part, conversation }: { part: ToolPart; conversation: Conversation }) {
  const send = (text: string) => void conversation.send(text);
  if (part.state === 'approval-requested') return <Approval part={part} conversation={conversation} />;
  if (part.state === 'output-available') {
    switch (part.type) {
      case 'tool-generateForm':
        return <FormView form={part.output} send={send} />;
      case 'tool-generateChart':
        return <ChartView chart={part.output} />;
      case 'tool-generateCode':
        return <CodeView block={part.output} />;
      case 'tool-generateCard':
        return <CardView card={part.output} send={send} />;
    }
  }
  return <ToolCall part={part} />;
}

const STATES: Record<ToolPart['state'], string> = {
  'input-streaming': 'is being written',
  'input-available': 'is running',
  'approval-requested': 'needs approval',
  'approval-responded': 'was approved or denied',
  'output-available': 'has a result',
  'output-error': 'failed',
  'output-denied': 'was denied',
};

function ToolCall({ part }: { part: ToolPart }) {
  return (
    <details className="tool">
      <summary>
        <code>{getToolName(part)}</code> <span className="muted">{STATES[part.state]}</span>
      </summary>
      <h4>Input</h4>
      <pre tabIndex={0}>{toJson(part.input)}</pre>
      {part.state === 'output-available' && (
        <>
          <h4>Output</h4>
          <pre tabIndex={0}>{toJson(part.output)}</pre>
        </>
      )}
      {part.state === 'output-error' && <p className="bad">{part.errorText}</p>}
    </details>
  );
}

function Approval({ part, conversation }: { part: Extract<ToolPart, { state: 'approval-requested' }>; conversation: Conversation }) {
  const { busy, isReady, messages } = conversation;
  const isNewest = messages.at(-1)?.parts.some((other) => isToolUIPart(other) && other.toolCallId === part.toolCallId);
  const disabled = busy || !isReady || !isNewest; // useChat would not send the response
  const respond = (approved: boolean) =>
    void conversation.addToolApprovalResponse({ id: part.approval.id, approved, ...(!approved && { reason: 'Not now.' }) });
  return (
    <section className="approval" aria-label="Approval">
      <p>
        Run <code>{getToolName(part)}</code>?
      </p>
      <pre tabIndex={0}>{toJson(part.input)}</pre>
      <div className="buttons">
        <button type="button" disabled={disabled} onClick={() => respond(false)}>Deny</button>
        <button type="button" className="primary" disabled={disabled} onClick={() => respond(true)}>Allow</button>
      </div>
    </section>
  );
}

function toJson(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? '');
}
