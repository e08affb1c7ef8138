import { type ChatAddToolApproveResponseFunction, type DynamicToolUIPart, getToolName, type ToolUIPart } from 'ai';

type PendingCall = Extract<ToolUIPart | DynamicToolUIPart, { state: 'approval-requested' }>;

export interface ApprovalProps {
  part: PendingCall;
  respond: ChatAddToolApproveResponseFunction;
  /** True while an answer streams or is resumed: `useChat` would not send the response. */
  disabled: boolean;
}

export function Approval({ part, respond, disabled }: ApprovalProps) {
  const { id } = part.approval;
  return (
    <p>
      {getToolName(part)} {JSON.stringify(part.input)}
      <button disabled={disabled} onClick={() => void respond({ id, approved: true })}>
        Allow
      </button>
      <button disabled={disabled} onClick={() => void respond({ id, approved: false, reason: 'Not now' })}>
        Deny
      </button>
    </p>
  );
}
