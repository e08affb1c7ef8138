import { type ChatAddToolApproveResponseFunction, type DynamicToolUIPart, getToolName, type ToolUIPart } from 'ai';

type PendingCall = Extract<ToolUIPart | DynamicToolUIPart, { state: 'approval-requested' }>;

export interface ApprovalProps {
  part: PendingCall;
  respond: ChatAddToolApproveResponseFunction;
  /** `useChat` does not send the response while it receives an answer, or after a newer message. */
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
